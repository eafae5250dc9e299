package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/jackc/pgx/v5"
	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/stdlib"
)

// answerWithin is how long a server may take to let us in, and to answer the
// first question. connect_timeout in the DSN says otherwise of the first.
const answerWithin = 5 * time.Second

// openPostgres opens the database of dsn. Every replica opens the same one.
func openPostgres(ctx context.Context, dsn string, o Options) (*Store, error) {
	cfg, err := pgx.ParseConfig(dsn)
	if err != nil {
		// pgx blanks the password in its message, but only where it found one.
		return nil, errors.New("open store: the postgres dsn cannot be read")
	}
	if cfg.RuntimeParams["application_name"] == "" {
		cfg.RuntimeParams["application_name"] = "dropleak"
	}
	if cfg.ConnectTimeout == 0 {
		cfg.ConnectTimeout = answerWithin
	}
	db := stdlib.OpenDB(*cfg)
	db.SetMaxOpenConns(o.MaxConns)
	db.SetMaxIdleConns(o.MaxConns)
	c := &conn{write: db, read: db, wrote: `select count(pg_current_xact_id_if_assigned())`}
	s := &Store{engine: Postgres, state: c, history: c}
	if err := checkDurable(ctx, db); err != nil {
		return nil, errors.Join(fmt.Errorf("open store at %s: %w", Place(dsn), err), s.Close())
	}
	return s, nil
}

// checkDurable refuses a server that acknowledges what it may lose: an act
// marked as sent must never be forgotten, or it would be sent twice.
func checkDurable(ctx context.Context, db *sql.DB) error {
	conn, err := db.Conn(ctx) // within its own time
	if err != nil {
		return err
	}
	defer conn.Close()
	ctx, cancel := context.WithTimeout(ctx, answerWithin)
	defer cancel()
	var commit string
	err = conn.QueryRowContext(ctx,
		`select current_setting('synchronous_commit')`).Scan(&commit)
	switch {
	case err != nil:
		return err
	case strings.EqualFold(commit, "off"):
		return errors.New("synchronous_commit is off: a crash would forget acts already sent; turn it on for this database or role")
	}
	return nil
}

// deadlocked reports whether PostgreSQL failed a transaction only to let
// another one pass.
func deadlocked(err error) bool {
	var pg *pgconn.PgError
	return errors.As(err, &pg) && (pg.Code == "40P01" || pg.Code == "40001")
}
