// Package store is all of it on SQLite or PostgreSQL behind the small
// interfaces the others declare; one SQL text, one conformance suite.
//
// The SQL keeps to what both engines read alike: $1, $2, … first used in
// ascending order, bigint for numbers and for time (milliseconds since 1970,
// UTC), text, bytea for bytes, "on conflict" and "returning". The one thing
// that differs is [Store.skipLocked].
//
// On SQLite two files stand in one directory: state.db, where every commit is
// on disk before it returns, and history.db, where a commit survives the
// death of the process but a power cut may take the last seconds of samples.
// On PostgreSQL both are one database.
package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5"
)

// ErrOlder says that a store's tables are of an older version: so may be the
// service that serves it, or the next to start.
var ErrOlder = errors.New("open store: its tables are of an older version; start (or restart) the service with this version; it brings them up to date")

// ErrStateLost says that a SQLite store has its samples and not its state: a
// service that began it anew would know no token, run or audit entry.
var ErrStateLost = errors.New("history.db is there and state.db is not, or holds nothing: tokens, runs and the audit log are lost; " +
	"put state.db back, or move history.db away and restore a backup")

// NewerError says that a store's tables were made by a newer version.
type NewerError struct {
	Tables int64 // the newest change that they have seen and this version does not know
	Here   int64 // the newest change that this version knows
}

func (e *NewerError) Error() string {
	if e.Tables <= e.Here { // numbers are handed out in ranges
		return fmt.Sprintf("made by a newer dropleak (with change %d to the tables, which this one does not know)", e.Tables)
	}
	return fmt.Sprintf("made by a newer dropleak (tables %d, here %d)", e.Tables, e.Here)
}

// Engine names the database beneath a [Store].
type Engine string

// The two engines.
const (
	SQLite   Engine = "sqlite"
	Postgres Engine = "postgres"
)

// Options say how a store is opened. The zero value is what a service wants.
type Options struct {
	// Beside opens a SQLite store next to the service that holds it: for the
	// small commands (token, findings, approve). It takes no lock,
	// which would keep a service from its start. Tables of an older version,
	// which that service may be, are left alone: [ErrOlder].
	Beside bool
	// Existing refuses a SQLite store that is not there yet: a command that
	// only looks must not make an empty one where a name was mistyped. The
	// error is [ErrNone].
	Existing bool
	// MaxConns bounds the connections that read (SQLite) or all of them
	// (PostgreSQL); 0 means 8.
	MaxConns int
	// Log tells of changes to the tables and of what is waited for; nil: nobody.
	Log *slog.Logger
}

// Store keeps everything dropleak must not forget. Its methods may be called
// by many goroutines, and on PostgreSQL by many processes.
type Store struct {
	engine    Engine
	state     *conn
	history   *conn     // the same as state on PostgreSQL
	lock      *lock     // nil on PostgreSQL and beside a service
	pulse     pulse     // of the owners of runs, on SQLite
	inbox     gathered  // changes of envelopes, on their way in
	forgotten forgotten // of envelopes
}

// conn is one database: SQLite has a single connection that writes and a
// pool that reads, PostgreSQL one pool for both.
type conn struct {
	name        string // of its file; "" on PostgreSQL
	write, read *sql.DB
	stuck       atomic.Pointer[stuck] // the last write that found no room; nil: there was some since
	wrote       string                // asks for a number that is greater once a transaction has written
}

// Open opens the store that dsn names ("sqlite:DIR" or "postgres://…"),
// bringing its tables up to this version. A SQLite store that another
// process serves gives a [*HeldError], one of a newer version a [*NewerError];
// what is open already goes on when another replica brings newer tables.
func Open(ctx context.Context, dsn string, o Options) (*Store, error) {
	if o.MaxConns <= 0 {
		o.MaxConns = 8
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	var s *Store
	var err error
	switch {
	case strings.HasPrefix(dsn, "sqlite:"):
		s, err = openSQLite(ctx, strings.TrimPrefix(dsn, "sqlite:"), o)
	case strings.HasPrefix(dsn, "postgres://"), strings.HasPrefix(dsn, "postgresql://"):
		s, err = openPostgres(ctx, dsn, o)
	default:
		// The value is not repeated: it may hold a password.
		return nil, errors.New("open store: the dsn must begin with sqlite: or postgres://")
	}
	if err != nil {
		return nil, err
	}
	if err := s.migrate(ctx, o); err != nil {
		return nil, errors.Join(err, s.Close())
	}
	return s, nil
}

// Place says in words where the store of dsn is, without its secrets.
func Place(dsn string) string {
	if dir, ok := strings.CutPrefix(dsn, "sqlite:"); ok {
		return dir
	}
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		return "PostgreSQL"
	}
	return fmt.Sprintf("PostgreSQL on %s, database %s", net.JoinHostPort(cfg.Host, strconv.Itoa(int(cfg.Port))), cfg.Database)
}

// Engine returns what the store runs on.
func (s *Store) Engine() Engine { return s.engine }

// Close closes the store and gives the lock back.
func (s *Store) Close() error {
	var errs []error
	for _, db := range s.pools() {
		errs = append(errs, db.Close())
	}
	if s.lock != nil {
		errs = append(errs, s.lock.release())
	}
	return errors.Join(errs...)
}

// pools lists the distinct pools of the store.
func (s *Store) pools() []*sql.DB {
	if s.engine == Postgres {
		return []*sql.DB{s.state.write}
	}
	return []*sql.DB{s.state.write, s.state.read, s.history.write, s.history.read}
}

// about says of an error in which file it arose: SQLite does not.
func (c *conn) about(err error) error {
	if err == nil || c.name == "" {
		return err
	}
	return fmt.Errorf("%s: %w", c.name, err)
}

// tx runs fn in a transaction that writes state, and commits when fn returns
// nil. On SQLite it holds the only connection that writes: fn must use
// nothing but its argument.
func (s *Store) tx(ctx context.Context, fn func(*sql.Tx) error) error {
	return s.state.tx(ctx, fn)
}

// tx is [Store.tx] on one database. PostgreSQL may break a deadlock by
// failing a transaction that did nothing wrong; such a one is run again.
func (c *conn) tx(ctx context.Context, fn func(*sql.Tx) error) error {
	var err error
	for try := 0; try < 5; try++ {
		if err = c.once(ctx, fn); !deadlocked(err) {
			return err
		}
	}
	return err
}

func (c *conn) transact(ctx context.Context, fn func(*sql.Tx) error) error {
	tx, err := c.write.BeginTx(ctx, nil)
	if err != nil {
		return fmt.Errorf("begin: %w", err)
	}
	if err := fn(tx); err != nil {
		if rb := tx.Rollback(); rb != nil && !errors.Is(rb, sql.ErrTxDone) {
			return errors.Join(err, fmt.Errorf("roll back: %w", rb))
		}
		return err
	}
	if err := tx.Commit(); err != nil {
		return fmt.Errorf("commit: %w", err)
	}
	return nil
}

// skipLocked is what a claiming select ends with, so that replicas pass over
// each other's rows instead of queueing. SQLite has one writer and no need.
func (s *Store) skipLocked() string {
	if s.engine == Postgres {
		return " for update skip locked"
	}
	return ""
}

// one turns the outcome of a compare-and-set into an answer: nil when a row
// changed, missed when none did.
func one(r sql.Result, err, missed error) error {
	if err != nil {
		return err
	}
	n, err := r.RowsAffected()
	if err != nil {
		return err
	}
	if n == 0 {
		return missed
	}
	return nil
}

// ms is a time as the tables hold it; the zero time is 0.
func ms(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMilli()
}

// fromMS is the inverse of [ms], in UTC.
func fromMS(v int64) time.Time {
	if v == 0 {
		return time.Time{}
	}
	return time.UnixMilli(v).UTC()
}

// yes is a truth as the tables hold it.
func yes(b bool) int64 {
	if b {
		return 1
	}
	return 0
}
