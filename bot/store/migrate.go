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
	"slices"
	"strings"

	"github.com/pressly/goose/v3"
	"github.com/pressly/goose/v3/database"
)

// The tables, one file a change. Numbers are unique over both folders, which
// are one database on PostgreSQL. A name ending in .sqlite.sql or
// .postgres.sql is for that engine alone (triggers, serial keys).
//
//go:embed migrations
var migrations embed.FS

const versionTable = "dropleak_schema"

// tables are those of one database: of state, of samples, or of both.
type tables struct {
	of       *conn
	dialect  goose.Dialect
	provider *goose.Provider
	applied  map[int64]bool // the changes that they have seen; empty: there are no tables yet
}

// tables lists those of the store, state first.
func (s *Store) tables() ([]*tables, error) {
	all := []*tables{{of: s.state, dialect: goose.DialectSQLite3}, {of: s.history, dialect: goose.DialectSQLite3}}
	engine, dirs := "sqlite", [][]string{{"migrations/state"}, {"migrations/history"}}
	if s.engine == Postgres {
		all = []*tables{{of: s.state, dialect: goose.DialectPostgres}}
		engine, dirs = "postgres", [][]string{{"migrations/state", "migrations/history"}}
	}
	for i, t := range all {
		var err error
		if t.provider, err = provider(t.dialect, t.of.write, engine, dirs[i]...); err != nil {
			return nil, err
		}
	}
	return all, nil
}

// migrate brings the tables of an open store up to this version, and refuses
// those that a newer one made: what it added would be passed over here, and
// lost. Beside a service it makes those that are not there yet, but refuses
// older ones: that service may be an older one and know nothing of what is new
// in them. Nor does it where none runs, for the service that starts meanwhile
// would find its store held.
func (s *Store) migrate(ctx context.Context, o Options) (err error) {
	all, err := s.tables()
	if err != nil {
		return fmt.Errorf("migrate store: %w", err)
	}
	if s.engine == Postgres {
		release, waited := s.awaitReplicas(ctx, o.Log)
		if waited != nil {
			return fmt.Errorf("migrate store: %w", waited)
		}
		defer func() { err = errors.Join(err, release()) }()
	}
	for _, t := range all {
		if err := t.look(ctx); err != nil {
			return fmt.Errorf("look at the store's version: %w", t.of.about(err))
		}
	}
	if err := admit(all, o); err != nil {
		return err
	}
	for _, t := range all {
		if err := t.up(ctx, o.Log); err != nil {
			return fmt.Errorf("migrate store: %w", t.of.about(err))
		}
	}
	return nil
}

// admit refuses tables that this version cannot work with.
func admit(all []*tables, o Options) error {
	newest, err := newestChange()
	if err != nil {
		return fmt.Errorf("look at the store's version: %w", err)
	}
	for _, t := range all {
		if change := t.unknown(); change > 0 {
			return fmt.Errorf("open store: %w: use that version again, or restore a backup of this one", &NewerError{Tables: change, Here: newest})
		}
	}
	if o.Beside && slices.ContainsFunc(all, (*tables).older) {
		return ErrOlder
	}
	if len(all) == 1 {
		return nil
	}
	switch state, samples := all[0].version(), all[1].version(); {
	case state == 0 && samples > 0:
		return fmt.Errorf("open store: %w", ErrStateLost)
	case state > 0 && samples == 0:
		o.Log.Warn("there was no history.db beside state.db: what was measured until now is lost, and it begins anew")
	}
	return nil
}

// look reads which changes the tables have seen.
func (t *tables) look(ctx context.Context) error {
	if _, err := t.provider.GetDBVersion(ctx); err != nil { // which makes the table of versions
		return err
	}
	versions, err := database.NewStore(t.dialect, versionTable)
	if err != nil {
		return err
	}
	seen, err := versions.ListMigrations(ctx, t.of.write)
	if err != nil {
		return err
	}
	t.applied = map[int64]bool{}
	for _, m := range seen {
		if m.IsApplied && m.Version > 0 {
			t.applied[m.Version] = true
		}
	}
	return nil
}

// version is the number of the newest change that the tables have seen.
func (t *tables) version() (newest int64) {
	for v := range t.applied {
		newest = max(newest, v)
	}
	return newest
}

// unknown is the newest change that they have seen and this version does not
// know; 0: none.
func (t *tables) unknown() (newest int64) {
	known := map[int64]bool{}
	for _, src := range t.provider.ListSources() {
		known[src.Version] = true
	}
	for v := range t.applied {
		if !known[v] {
			newest = max(newest, v)
		}
	}
	return newest
}

// older reports whether they were made by an older version.
func (t *tables) older() bool {
	return len(t.applied) > 0 && slices.ContainsFunc(t.provider.ListSources(), func(src *goose.Source) bool { return !t.applied[src.Version] })
}

// up makes the changes that are missing, and says so.
func (t *tables) up(ctx context.Context, log *slog.Logger) error {
	done, err := t.provider.Up(ctx)
	if err != nil {
		return err
	}
	if from := t.version(); from > 0 && len(done) > 0 {
		log.Info("the store's tables were brought up to date", "from", from, "to", done[len(done)-1].Source.Version, "changes", len(done))
	}
	return nil
}

// awaitReplicas lets one replica after the other through: the lock is on a
// connection of its own and goes with it.
func (s *Store) awaitReplicas(ctx context.Context, log *slog.Logger) (release func() error, err error) {
	c, err := s.state.write.Conn(ctx)
	if err != nil {
		return nil, err
	}
	const key = `(hashtext('dropleak migrate ' || current_schema()))`
	var got bool
	err = c.QueryRowContext(ctx, `select pg_try_advisory_lock`+key).Scan(&got)
	if err == nil && !got {
		log.Info("waiting for another replica that brings the store's tables up to date")
		_, err = c.ExecContext(ctx, `select pg_advisory_lock`+key)
	}
	if err != nil {
		return nil, errors.Join(fmt.Errorf("wait for other replicas: %w", err), c.Close())
	}
	return func() error {
		_, err := c.ExecContext(context.WithoutCancel(ctx), `select pg_advisory_unlock`+key)
		if err != nil {
			err = fmt.Errorf("migrate store: unlock: %w", err)
		}
		return errors.Join(err, c.Close())
	}, nil
}

func provider(d goose.Dialect, db *sql.DB, engine string, dirs ...string) (*goose.Provider, error) {
	// Numbers are handed out in ranges, so a later change may have a lower
	// number than one already applied.
	p, err := goose.NewProvider(d, db, chosen{migrations, engine, dirs},
		goose.WithTableName(versionTable), goose.WithAllowOutofOrder(true),
		goose.WithDisableGlobalRegistry(true), goose.WithSlog(slog.New(slog.DiscardHandler)))
	return p, err
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
