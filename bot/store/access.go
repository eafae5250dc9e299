package store

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"
)

// sqliteFiles are those in a store's directory, less the lock.
var sqliteFiles = []string{"state.db", "state.db-wal", "state.db-shm", "history.db", "history.db-wal", "history.db-shm"}

// CanMake reports whether this process could make the store of dsn, which is
// not there yet. It leaves nothing behind.
func CanMake(dsn string) error {
	dir, err := filepath.Abs(strings.TrimPrefix(dsn, "sqlite:"))
	if err != nil {
		return err
	}
	above := dir
	for ; above != filepath.Dir(above); above = filepath.Dir(above) {
		if _, err := os.Stat(above); !errors.Is(err, fs.ErrNotExist) {
			break
		}
	}
	if err := reach(above); err != nil {
		return fmt.Errorf("make store in %s: %w", dir, err)
	}
	tried, err := os.MkdirTemp(above, ".dropleak-check-")
	if err != nil {
		return fmt.Errorf("make store in %s: %w", dir, err)
	}
	return os.Remove(tried)
}

// reach reports whether this process may work with the files in dir, those
// that are there, and says of the first that it may not who may. SQLite itself
// names none. They are not opened to find out: closing a file gives back every
// lock that this process has on it, SQLite's too.
func reach(dir string, files ...string) error {
	for _, name := range append([]string{"."}, files...) {
		path, mode := filepath.Join(dir, name), uint32(unix.R_OK|unix.W_OK)
		if name == "." {
			mode |= unix.X_OK
		}
		switch err := unix.Faccessat(unix.AT_FDCWD, path, mode, unix.AT_EACCESS); {
		case err == nil, errors.Is(err, fs.ErrNotExist):
		case errors.Is(err, fs.ErrPermission):
			return forbidden(dir, path)
		default:
			return &fs.PathError{Op: "write", Path: path, Err: err}
		}
	}
	return nil
}

// forbidden says whose a file is that this process may not work with, and how
// that is mended.
func forbidden(dir, path string) error {
	me := os.Geteuid()
	owner, err := ownerOf(path)
	if err != nil {
		return err
	}
	home, err := ownerOf(dir)
	switch {
	case err != nil:
		return err
	case owner == me:
		return fmt.Errorf("%s is not to be written by its owner, %s: %w", path, userName(me), fs.ErrPermission)
	case home == me:
		return fmt.Errorf("%s belongs to %s, not to %s as its directory does: %w; as root: chown %s %s", path, userName(owner), userName(me), fs.ErrPermission, userName(me), path)
	}
	return fmt.Errorf("%s belongs to %s, and this is %s: %w; act as the service's user (runuser -u %s), or if that is %s, as root: chown -R %s %s",
		path, userName(owner), userName(me), fs.ErrPermission, userName(owner), userName(me), userName(me), dir)
}

// strange refuses to begin a store in the directory of somebody else, who is
// the service and could not open it then. Root makes the files theirs, see
// [give]; what is root's is in nobody's way.
func strange(dir string) error {
	owner, err := ownerOf(dir)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if me := os.Geteuid(); err == nil && me != 0 && owner != 0 && owner != me {
		return fmt.Errorf("%s belongs to %s, and this is %s, whose files the service could not open: act as the service's user (runuser -u %s)",
			dir, userName(owner), userName(me), userName(owner))
	}
	return err
}

// makeDirs makes dir and what is missing above it, closed to others.
func makeDirs(dir string, beside bool) error {
	if _, err := os.Stat(dir); !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := makeDirs(filepath.Dir(dir), beside); err != nil {
		return err
	}
	if err := os.Mkdir(dir, 0o700); err != nil {
		if errors.Is(err, fs.ErrExist) {
			return nil
		}
		return err
	}
	return give(dir, beside)
}

// give makes what root has just made in a directory its owner's, who is the
// service's user and could not open it else. A service that runs as root
// itself may lack the right to, and does without.
func give(path string, beside bool) error {
	if os.Geteuid() != 0 {
		return nil
	}
	dir, err := os.Stat(filepath.Dir(path))
	if err != nil {
		return err
	}
	st, ok := dir.Sys().(*syscall.Stat_t)
	if !ok || st.Uid == 0 {
		return nil
	}
	if err := os.Lchown(path, int(st.Uid), int(st.Gid)); beside || !errors.Is(err, fs.ErrPermission) {
		return err
	}
	return nil
}

// ownerOf is the user id that a file belongs to.
func ownerOf(path string) (int, error) {
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	st, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return 0, fmt.Errorf("%s: its owner is not known", path)
	}
	return int(st.Uid), nil
}

// userName is what a user is called here, or the number.
func userName(uid int) string {
	id := strconv.Itoa(uid)
	if u, err := user.LookupId(id); err == nil {
		return u.Username
	}
	return id
}
