package store

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"
)

// HeldError says that another process serves the store.
type HeldError struct {
	Dir   string
	PID   int       // 0 where the holder left no name
	Host  string    // its host name
	Since time.Time // when it opened the store
}

func (e *HeldError) Error() string {
	if e.PID == 0 {
		return fmt.Sprintf("open store: %s is held by another process", e.Dir)
	}
	return fmt.Sprintf("open store: %s is held by process %d on %s since %s",
		e.Dir, e.PID, e.Host, e.Since.UTC().Format(time.RFC3339))
}

// lock is a file lock, which the kernel gives back when its process dies
// however it dies. The file's text only says who holds it.
type lock struct{ f *os.File }

type holder struct {
	PID   int       `json:"pid"`
	Host  string    `json:"host"`
	Since time.Time `json:"since"`
}

func takeLock(dir string) (*lock, error) {
	path := filepath.Join(dir, "lock")
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		defer f.Close()
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, heldBy(dir, f)
		}
		return nil, fmt.Errorf("open store: lock %s: %w", path, err)
	}
	if err := sign(f); err != nil {
		return nil, errors.Join(fmt.Errorf("open store: sign %s: %w", path, err), f.Close())
	}
	return &lock{f}, nil
}

// sign writes who holds the lock.
func sign(f *os.File) error {
	host, err := os.Hostname()
	if err != nil {
		host = "an unnamed host"
	}
	b, err := json.Marshal(holder{os.Getpid(), host, time.Now().UTC().Truncate(time.Second)})
	if err != nil {
		return err
	}
	if err := f.Truncate(0); err != nil {
		return err
	}
	_, err = f.WriteAt(append(b, '\n'), 0)
	return err
}

// heldBy reads who holds the lock; a text that cannot be read (the holder is
// just signing) leaves the holder unnamed.
func heldBy(dir string, f *os.File) error {
	var h holder
	if err := json.NewDecoder(f).Decode(&h); err != nil {
		return &HeldError{Dir: dir}
	}
	return &HeldError{Dir: dir, PID: h.PID, Host: h.Host, Since: h.Since}
}

func (l *lock) release() error { return l.f.Close() }
