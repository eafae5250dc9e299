package store

import (
	"context"
	"database/sql"
	"embed"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"path"
	"strings"

	"github.com/pressly/goose/v3"
)

// The tables, one file a change. Numbers are unique over both folders, which
// are one database on PostgreSQL. A name ending in .sqlite.sql or
// .postgres.sql is for that engine alone (triggers, serial keys).
//
//go:embed migrations
var migrations embed.FS

const versionTable = "dropleak_schema"

// migrate brings the tables of an open store up to this version. Beside a
// service it makes those that are not there yet, but refuses older ones: that
// service may be an older one and know nothing of what is new in them. Nor
// does it where none runs, for the service that starts meanwhile would find
// its store held.
func (s *Store) migrate(ctx context.Context, beside bool) error {
	if beside {
		old, err := s.older(ctx)
		if err != nil {
			return err
		}
		if old {
			return ErrOlder
		}
	}
	if s.engine == Postgres {
		return s.migratePostgres(ctx)
	}
	if err := migrateOne(ctx, goose.DialectSQLite3, s.state.write, "sqlite", "migrations/state"); err != nil {
		return err
	}
	return migrateOne(ctx, goose.DialectSQLite3, s.history.write, "sqlite", "migrations/history")
}

// older reports whether the tables were made by an older version.
func (s *Store) older(ctx context.Context) (bool, error) {
	dialect, engine := goose.DialectSQLite3, "sqlite"
	at := map[*sql.DB][]string{s.state.write: {"migrations/state"}, s.history.write: {"migrations/history"}}
	if s.engine == Postgres {
		dialect, engine = goose.DialectPostgres, "postgres"
		at = map[*sql.DB][]string{s.state.write: {"migrations/state", "migrations/history"}}
	}
	for db, dirs := range at {
		p, err := provider(dialect, db, engine, dirs...)
		if err != nil {
			return false, err
		}
		version, err := p.GetDBVersion(ctx)
		if err != nil {
			return false, fmt.Errorf("look at the store's version: %w", err)
		}
		pending, err := p.HasPending(ctx)
		if err != nil {
			return false, fmt.Errorf("look at the store's version: %w", err)
		}
		if version > 0 && pending {
			return true, nil
		}
	}
	return false, nil
}

// migratePostgres lets one replica after the other through: the lock is on a
// connection of its own and goes with it.
func (s *Store) migratePostgres(ctx context.Context) (err error) {
	c, err := s.state.write.Conn(ctx)
	if err != nil {
		return fmt.Errorf("migrate store: %w", err)
	}
	defer func() { err = errors.Join(err, c.Close()) }()
	const key = `hashtext('dropleak migrate ' || current_schema())`
	if _, err := c.ExecContext(ctx, `select pg_advisory_lock(`+key+`)`); err != nil {
		return fmt.Errorf("migrate store: wait for other replicas: %w", err)
	}
	err = migrateOne(ctx, goose.DialectPostgres, s.state.write, "postgres", "migrations/state", "migrations/history")
	if _, uerr := c.ExecContext(context.WithoutCancel(ctx), `select pg_advisory_unlock(`+key+`)`); uerr != nil {
		err = errors.Join(err, fmt.Errorf("migrate store: unlock: %w", uerr))
	}
	return err
}

func migrateOne(ctx context.Context, d goose.Dialect, db *sql.DB, engine string, dirs ...string) error {
	p, err := provider(d, db, engine, dirs...)
	if err != nil {
		return err
	}
	if _, err := p.Up(ctx); err != nil {
		return fmt.Errorf("migrate store: %w", err)
	}
	return nil
}

func provider(d goose.Dialect, db *sql.DB, engine string, dirs ...string) (*goose.Provider, error) {
	// Numbers are handed out in ranges, so a later change may have a lower
	// number than one already applied.
	p, err := goose.NewProvider(d, db, chosen{migrations, engine, dirs},
		goose.WithTableName(versionTable), goose.WithAllowOutofOrder(true),
		goose.WithDisableGlobalRegistry(true), goose.WithSlog(slog.New(slog.DiscardHandler)))
	if err != nil {
		return nil, fmt.Errorf("migrate store: %w", err)
	}
	return p, nil
}

// chosen is the migrations of some folders that are meant for one engine.
type chosen struct {
	embed.FS
	engine string
	dirs   []string
}

// Glob implements [fs.GlobFS].
func (c chosen) Glob(pattern string) ([]string, error) {
	var out []string
	for _, dir := range c.dirs {
		names, err := fs.Glob(c.FS, path.Join(dir, pattern))
		if err != nil {
			return nil, err
		}
		for _, n := range names {
			if c.meant(path.Base(n)) {
				out = append(out, n)
			}
		}
	}
	return out, nil
}

// meant reports whether a file is for this engine or for both.
func (c chosen) meant(name string) bool {
	parts := strings.Split(name, ".")
	return len(parts) == 2 || parts[len(parts)-2] == c.engine
}
