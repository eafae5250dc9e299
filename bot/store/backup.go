package store

import (
	"compress/gzip"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// A backup is the same file whatever engine it came from: gzip over lines of
// JSON. First a header; for each table a line that names it and its columns,
// then a line a row; at the end the number of rows. Bytes are {"b": base64}.

const (
	backupFormat  = "dropleak backup"
	backupVersion = 1
)

type backupHeader struct {
	Format  string    `json:"format"`
	Version int       `json:"version"`
	Schema  int64     `json:"schema"` // number of the newest change to the tables
	At      time.Time `json:"at"`
}

// backupTable opens the rows of a table.
type backupTable struct {
	Table   string   `json:"table"`
	Columns []string `json:"columns"`
}

// backupEnd closes the file: without it, it was cut off.
type backupEnd struct {
	Rows int64 `json:"rows"`
}

// backupBytes is a value of bytes.
type backupBytes struct {
	B []byte `json:"b"`
}

// saved is a table of a backup, in an order in which rows may be put back.
type saved struct {
	name, order string
	only        string // the columns kept, if not all
	single      bool   // its one row stands in a new store already
}

var (
	stateTables = []saved{
		{name: "cursor_at", order: "name"},
		{name: "token", order: "id"},
		{name: "agent_order", order: "id"},
		{name: "audit", order: "seq"},
		{name: "audit_head", order: "one", single: true},
		{name: "run", order: "id"},
		{name: "run_act", order: "run, seq"},
		{name: "run_slot", order: "name, run"},
		{name: "run_slot_turn", order: "one", single: true},
		{name: "finding", order: "id"},
		{name: "fire", order: "job"},
		{name: "envelope", order: "id"},
		{name: "alert_due", order: "endpoint, name"},
	}
	historyTables = []saved{
		{name: "series_counter", order: "one", single: true},
		{name: "series", order: "id"},
		{name: "chunk", order: "series, resolution, start"},
		{name: "push", order: "seq", only: "droplet, arrived, first, last, body"}, // the store hands out seq
		{name: "fold", order: "droplet"},
		{name: "presence", order: "droplet, worker, source"},
		{name: "token_use", order: "token"},
	}
)

// remadeTables are left out of a backup: what is in them is made anew from
// the samples.
var remadeTables = []string{"digest"}

// Backup writes all of the store to a new file, as of one moment for state
// and one for samples. The service may go on meanwhile. The file holds no
// secrets that open anything, but names of droplets, workers and people.
func (s *Store) Backup(ctx context.Context, file string) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("back up to %s: %w", file, err)
		}
	}()
	f, err := os.CreateTemp(filepath.Dir(file), ".backup-*")
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, f.Close(), removed(f.Name())) }()
	if err := s.dump(ctx, f); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	// A link, unlike a rename, never replaces an earlier backup.
	return os.Link(f.Name(), file)
}

func removed(path string) error {
	if err := os.Remove(path); !errors.Is(err, os.ErrNotExist) {
		return err
	}
	return nil
}

func (s *Store) dump(ctx context.Context, to io.Writer) error {
	schema, err := newestChange()
	if err != nil {
		return err
	}
	z := gzip.NewWriter(to)
	w := &backupWriter{enc: json.NewEncoder(z)}
	if err := w.enc.Encode(backupHeader{backupFormat, backupVersion, schema, time.Now().UTC()}); err != nil {
		return err
	}
	for _, part := range []struct {
		c      *conn
		tables []saved
	}{{s.state, stateTables}, {s.history, historyTables}} {
		if err := s.snapshot(ctx, part.c, func(tx *sql.Tx) error { return w.tables(ctx, tx, part.tables) }); err != nil {
			return err
		}
	}
	if err := w.enc.Encode(backupEnd{w.rows}); err != nil {
		return err
	}
	return z.Close()
}

// snapshot runs fn in a transaction that sees one moment.
func (s *Store) snapshot(ctx context.Context, c *conn, fn func(*sql.Tx) error) (err error) {
	var o *sql.TxOptions // SQLite's read transactions are snapshots anyway
	if s.engine == Postgres {
		o = &sql.TxOptions{Isolation: sql.LevelRepeatableRead, ReadOnly: true}
	}
	tx, err := c.read.BeginTx(ctx, o)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, tx.Rollback()) }()
	return fn(tx)
}

type backupWriter struct {
	enc  *json.Encoder
	rows int64
}

func (w *backupWriter) tables(ctx context.Context, tx *sql.Tx, tables []saved) error {
	for _, t := range tables {
		if err := w.table(ctx, tx, t); err != nil {
			return fmt.Errorf("table %s: %w", t.name, err)
		}
	}
	return nil
}

func (w *backupWriter) table(ctx context.Context, tx *sql.Tx, t saved) (err error) {
	columns := t.only
	if columns == "" {
		columns = "*"
	}
	rows, err := tx.QueryContext(ctx, `select `+columns+` from `+t.name+` order by `+t.order)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	names, err := rows.Columns()
	if err != nil {
		return err
	}
	if err := w.enc.Encode(backupTable{t.name, names}); err != nil {
		return err
	}
	values, into := make([]any, len(names)), make([]any, len(names))
	for i := range values {
		into[i] = &values[i]
	}
	for rows.Next() {
		if err := rows.Scan(into...); err != nil {
			return err
		}
		for i, v := range values {
			if b, ok := v.([]byte); ok {
				values[i] = backupBytes{b}
			}
		}
		if err := w.enc.Encode(values); err != nil {
			return err
		}
		w.rows++
	}
	return rows.Err()
}

// newestChange is the highest number of all changes to the tables.
func newestChange() (newest int64, err error) {
	names, err := chosen{migrations, "sqlite", []string{"migrations/state", "migrations/history"}}.Glob("*.sql")
	if err != nil {
		return 0, err
	}
	for _, n := range names {
		var number int64
		if _, err := fmt.Sscanf(filepath.Base(n), "%d_", &number); err != nil {
			return 0, fmt.Errorf("number of %s: %w", n, err)
		}
		newest = max(newest, number)
	}
	return newest, nil
}
