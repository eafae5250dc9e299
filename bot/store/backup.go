package store

import (
	"bufio"
	"compress/gzip"
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"strings"
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

// Restore fills the store of dsn, which must be empty, from a backup. What
// was under way when the backup was made may have happened since: open runs
// end as unknown, for a person to look at, and orders are void.
func Restore(ctx context.Context, file, dsn string) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("restore from %s: %w", file, err)
		}
	}()
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer f.Close()
	s, err := Open(ctx, dsn, Options{})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	if err := s.load(ctx, bufio.NewReader(f)); err != nil {
		return err
	}
	return nil
}

// load puts a backup into an empty store. On PostgreSQL it is one
// transaction, on SQLite one a file: that of state comes last, so a store
// with state in it is whole.
func (s *Store) load(ctx context.Context, from io.Reader) error {
	z, err := gzip.NewReader(from)
	if err != nil {
		return fmt.Errorf("not a backup: %w", err)
	}
	r := &backupReader{dec: json.NewDecoder(z)}
	if err := r.header(); err != nil {
		return err
	}
	return s.tx(ctx, func(state *sql.Tx) error {
		if s.engine == Postgres {
			return s.loadInto(ctx, r, state, state)
		}
		return s.history.tx(ctx, func(samples *sql.Tx) error { return s.loadInto(ctx, r, state, samples) })
	})
}

func (s *Store) loadInto(ctx context.Context, r *backupReader, state, samples *sql.Tx) error {
	into := map[string]*sql.Tx{}
	for _, part := range []struct {
		tx     *sql.Tx
		tables []saved
	}{{state, stateTables}, {samples, historyTables}} {
		for _, t := range part.tables {
			into[t.name] = part.tx
			if err := t.mustBeEmpty(ctx, part.tx); err != nil {
				return err
			}
		}
	}
	if err := r.rows(ctx, into); err != nil {
		return err
	}
	return settle(ctx, state, ms(time.Now()))
}

func (t saved) mustBeEmpty(ctx context.Context, tx *sql.Tx) error {
	if t.single {
		_, err := tx.ExecContext(ctx, `delete from `+t.name)
		return err
	}
	var n int
	if err := tx.QueryRowContext(ctx, `select count(*) from `+t.name).Scan(&n); err != nil {
		return err
	}
	if n > 0 {
		return fmt.Errorf("the store is not empty: table %s has %d rows", t.name, n)
	}
	return nil
}

// settle ends what was under way when the backup was made.
func settle(ctx context.Context, tx *sql.Tx, now int64) error {
	const why = "the store was restored from a backup made while this was under way"
	for _, q := range []struct {
		text string
		args []any
	}{
		{`update run_act set state = 'unknown', why = $1, over = $2 where state in ('planned', 'sent')`, []any{why, now}},
		{`update run set outcome = 'unknown', trouble = $1, owner = '', token = token + 1, due = 0,
			version = version + 1, announce_at = 0, updated = $2, ended = $3 where outcome = ''`, []any{why, now, now}},
		{`delete from run_slot`, nil},
		{`update envelope set done = $1 where done = 0`, []any{now}}, // clicks of back then
		{`update agent_order set state = 'void' where state in ('waiting', 'claimed')`, nil},
	} {
		if _, err := tx.ExecContext(ctx, q.text, q.args...); err != nil {
			return fmt.Errorf("settle what was under way: %w", err)
		}
	}
	return nil
}

type backupReader struct{ dec *json.Decoder }

var errCutOff = errors.New("the backup is cut off")

func (r *backupReader) header() error {
	var h backupHeader
	if err := r.dec.Decode(&h); err != nil || h.Format != backupFormat {
		return errors.New("not a backup")
	}
	newest, err := newestChange()
	switch {
	case err != nil:
		return err
	case h.Version != backupVersion || h.Schema > newest:
		return fmt.Errorf("made by a newer dropleak (tables %d, here %d)", h.Schema, newest)
	}
	return nil
}

// rows reads all that follows the header. Every line is an array (a row), or
// an object (a table, or the end).
func (r *backupReader) rows(ctx context.Context, into map[string]*sql.Tx) error {
	var insert *sql.Stmt
	var table backupTable
	var n int64
	defer func() {
		if insert != nil {
			insert.Close()
		}
	}()
	for {
		var line json.RawMessage
		if err := r.dec.Decode(&line); err != nil {
			return errors.Join(errCutOff, err)
		}
		if line[0] == '[' {
			if insert == nil {
				return errors.New("a row before its table")
			}
			if err := insertRow(ctx, insert, line); err != nil {
				return fmt.Errorf("table %s: %w", table.Table, err)
			}
			n++
			continue
		}
		var next struct {
			backupTable
			Rows *int64 `json:"rows"`
		}
		if err := json.Unmarshal(line, &next); err != nil {
			return err
		}
		if next.Rows != nil {
			if *next.Rows != n {
				return fmt.Errorf("%w: %d rows of %d", errCutOff, n, *next.Rows)
			}
			return nil
		}
		if insert != nil {
			insert.Close()
		}
		table = next.backupTable
		var err error
		if insert, err = table.prepare(ctx, into[table.Table]); err != nil {
			return fmt.Errorf("table %q: %w", table.Table, err)
		}
	}
}

// prepare makes the statement that puts a row back. Names come from a file:
// only those of our own tables, and plain words, become SQL.
func (t backupTable) prepare(ctx context.Context, tx *sql.Tx) (*sql.Stmt, error) {
	if tx == nil {
		return nil, errors.New("not one of ours")
	}
	places := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		if c == "" || strings.Trim(c, "abcdefghijklmnopqrstuvwxyz_") != "" {
			return nil, fmt.Errorf("column %q: not one of ours", c)
		}
		places[i] = fmt.Sprint("$", i+1)
	}
	return tx.PrepareContext(ctx, `insert into `+t.Table+` (`+strings.Join(t.Columns, ", ")+`) values (`+strings.Join(places, ", ")+`)`)
}

func insertRow(ctx context.Context, insert *sql.Stmt, line []byte) error {
	var cells []json.RawMessage
	if err := json.Unmarshal(line, &cells); err != nil {
		return err
	}
	values := make([]any, len(cells))
	for i, c := range cells {
		var err error
		switch c[0] {
		case '"':
			var v string
			err = json.Unmarshal(c, &v)
			values[i] = v
		case '{':
			var v backupBytes
			err = json.Unmarshal(c, &v)
			values[i] = v.B
		default:
			var v int64
			err = json.Unmarshal(c, &v)
			values[i] = v
		}
		if err != nil {
			return err
		}
	}
	_, err := insert.ExecContext(ctx, values...)
	return err
}
