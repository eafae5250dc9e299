package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"modernc.org/sqlite"
	sqlite3 "modernc.org/sqlite/lib"
)

// stuck is a write that found no room on the disk.
type stuck struct {
	err error
	at  time.Time
}

// retryHistory is how long samples that found no room speak for themselves:
// agents push every few seconds. Later [Store.Ping] tries by itself, for who
// takes an unready service out keeps the agents away, too.
const retryHistory = time.Minute

// Ping reports whether the store can be reached and, where the last attempt to
// write failed for want of room, whether it still does.
func (s *Store) Ping(ctx context.Context) error {
	for _, c := range []*conn{s.state, s.history} {
		for _, db := range []*sql.DB{c.write, c.read} {
			if err := db.PingContext(ctx); err != nil {
				return fmt.Errorf("reach store: %w", c.about(err))
			}
		}
	}
	if s.state.stuck.Load() != nil {
		err := s.tx(ctx, func(tx *sql.Tx) error {
			_, err := tx.ExecContext(ctx, `
				insert into cursor_at (name, position, updated) values ('store/room', '', $1)
				on conflict (name) do update set updated = excluded.updated`, ms(time.Now()))
			return err
		})
		if err != nil {
			return fmt.Errorf("write store: %w", err)
		}
	}
	if s.history == s.state {
		return nil
	}
	return s.pingHistory(ctx)
}

// pingHistory is Ping for the samples. A small row may find the room that a
// push does not, so it is tried only where nobody pushes any more.
func (s *Store) pingHistory(ctx context.Context) error {
	last := s.history.stuck.Load()
	if last == nil {
		return nil
	}
	if time.Since(last.at) < retryHistory {
		return fmt.Errorf("write samples: %w", last.err)
	}
	err := s.history.tx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `insert into token_use (token, at, ahead) values ('store/room', 0, 0)`); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `delete from token_use where token = 'store/room'`)
		return err
	})
	if err != nil {
		return fmt.Errorf("write samples: %w", err)
	}
	return nil
}

// once runs fn in a transaction and remembers whether there was room for it.
// One that wrote nothing needed none.
func (c *conn) once(ctx context.Context, fn func(*sql.Tx) error) error {
	before := c.stuck.Load()
	if before == nil {
		err := c.transact(ctx, fn)
		c.note(err)
		return err
	}
	var then, now int64
	err := c.transact(ctx, func(tx *sql.Tx) error {
		if err := tx.QueryRowContext(ctx, c.wrote).Scan(&then); err != nil {
			return err
		}
		if err := fn(tx); err != nil {
			return err
		}
		return tx.QueryRowContext(ctx, c.wrote).Scan(&now)
	})
	if err == nil && now > then {
		c.stuck.CompareAndSwap(before, nil)
	}
	c.note(err)
	return err
}

// exec runs one statement that writes, by itself, and remembers when there was
// no room for it. That it went well says nothing: it may have found no row.
func (c *conn) exec(ctx context.Context, query string, args ...any) (sql.Result, error) {
	r, err := c.write.ExecContext(ctx, query, args...)
	c.note(err)
	return r, err
}

func (c *conn) note(err error) {
	if noRoom(err) {
		c.stuck.Store(&stuck{err, time.Now()})
	}
}

// noRoom reports whether a write failed for want of room on the disk. A full
// one makes SQLite fail at its journal's files, too, which are I/O errors.
func noRoom(err error) bool {
	var lite *sqlite.Error
	if errors.As(err, &lite) {
		code := lite.Code() & 0xff
		return code == sqlite3.SQLITE_FULL || code == sqlite3.SQLITE_IOERR
	}
	var pg *pgconn.PgError
	return errors.As(err, &pg) && pg.Code == "53100"
}
