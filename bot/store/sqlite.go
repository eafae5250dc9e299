package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"

	"modernc.org/sqlite"
)

// ErrNone says that there is no store where one should be.
var ErrNone = errors.New("there is none yet; the service makes it at its first start")

// openSQLite opens the two files in dir, creating what is missing.
func openSQLite(ctx context.Context, dir string, o Options) (*Store, error) {
	if dir == "" {
		return nil, errors.New("open store: sqlite: names no directory")
	}
	dir, err := filepath.Abs(dir)
	if err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	if err := standing(dir); err != nil && (o.Existing || !errors.Is(err, ErrNone)) {
		return nil, fmt.Errorf("open store in %s: %w", dir, err)
	}
	if err := ready(dir, o.Beside); err != nil {
		return nil, fmt.Errorf("open store: %w", err)
	}
	s := &Store{engine: SQLite}
	if !o.Beside {
		l, err := takeLock(dir)
		if err != nil {
			return nil, err
		}
		s.lock = l
	}
	s.state = openFile(filepath.Join(dir, "state.db"), "FULL", o.MaxConns)
	s.history = openFile(filepath.Join(dir, "history.db"), "NORMAL", o.MaxConns)
	// The writers go first: they create the files and switch them to WAL.
	if err := s.Ping(ctx); err != nil {
		return nil, errors.Join(fmt.Errorf("open store in %s: %w", dir, err), s.Close())
	}
	return s, nil
}

// ready makes the directory and the files that are missing, and reports
// whether all of them can be worked with.
func ready(dir string, beside bool) error {
	ours, made := sqliteFiles, []string{"state.db", "history.db"}
	if !beside {
		ours, made = append([]string{"lock"}, ours...), append(made, "lock")
	} else if standing(dir) != nil {
		if err := strange(dir); err != nil {
			return err
		}
	}
	if err := makeDirs(dir, beside); err != nil {
		return err
	}
	if err := reach(dir, ours...); err != nil {
		return err
	}
	for _, name := range made {
		if err := closeToOthers(filepath.Join(dir, name), beside); err != nil {
			return err
		}
	}
	return nil
}

// standing reports whether a store is in dir: nil, or ErrNone where nothing
// is.
func standing(dir string) error {
	_, err := os.Stat(filepath.Join(dir, "state.db"))
	switch {
	case errors.Is(err, fs.ErrNotExist):
		if _, err := os.Stat(filepath.Join(dir, "history.db")); err == nil {
			return ErrStateLost
		}
		return ErrNone
	case errors.Is(err, fs.ErrPermission):
		return fmt.Errorf("%w; act as the service's user", err)
	}
	return err
}

// closeToOthers makes a file that is not there yet with the rights that its
// journals take over: whatever the directory lets in, they are read by nobody
// else.
func closeToOthers(path string, beside bool) error {
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL, 0o600)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return errors.Join(f.Close(), give(path, beside))
}

// openFile prepares the pools on one file. It cannot fail: database/sql
// connects at first use.
func openFile(path, sync string, readers int) *conn {
	write := openPool(path, url.Values{
		"_txlock": {"immediate"},
		"_pragma": {"busy_timeout(5000)", "journal_mode(WAL)", "synchronous(" + sync + ")", "foreign_keys(1)"},
	})
	write.SetMaxOpenConns(1)
	write.SetMaxIdleConns(1)
	read := openPool(path, url.Values{"_pragma": {"busy_timeout(5000)", "query_only(1)"}})
	read.SetMaxOpenConns(readers)
	read.SetMaxIdleConns(readers)
	return &conn{name: filepath.Base(path), write: write, read: read, wrote: `select total_changes()`}
}

func openPool(path string, q url.Values) *sql.DB {
	u := url.URL{Scheme: "file", Path: path, RawQuery: q.Encode()}
	c, err := sqlite.NewConnector(u.String())
	if err != nil {
		panic(err) // it reads no more of the address than we have just written
	}
	return sql.OpenDB(preparing{c})
}
