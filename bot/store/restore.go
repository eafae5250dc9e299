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

	"github.com/dropleak/dropleak/bot/audit"
)

// Restored is what became of a backup in its new store.
type Restored struct {
	Made   time.Time // when the backup was made
	Runs   int64     // open runs that ended as unknown
	Orders int64     // open orders that are void
}

// Restore fills the store of dsn, which must be empty, from a backup. What
// was under way when the backup was made may have happened since: open runs
// end as unknown, for a person to look at, and orders are void. The audit log
// tells who restored what.
func Restore(ctx context.Context, file, dsn, who string) (got Restored, err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("restore from %s: %w", file, err)
		}
	}()
	f, err := os.Open(file)
	if err != nil {
		return got, err
	}
	defer f.Close()
	s, err := Open(ctx, dsn, Options{})
	if err != nil {
		return got, err
	}
	defer func() { err = errors.Join(err, s.Close()) }()
	return s.load(ctx, bufio.NewReader(f), filepath.Base(file), who)
}

// load puts a backup into an empty store. On PostgreSQL it is one
// transaction, on SQLite one a file: that of state comes last, so a store
// with state in it is whole.
func (s *Store) load(ctx context.Context, from io.Reader, name, who string) (got Restored, err error) {
	z, err := gzip.NewReader(from)
	if err != nil {
		return got, fmt.Errorf("not a backup: %w", err)
	}
	r := &backupReader{dec: json.NewDecoder(z)}
	if got.Made, err = r.header(); err != nil {
		return got, err
	}
	err = s.tx(ctx, func(state *sql.Tx) error {
		if s.engine == Postgres {
			err = s.loadInto(ctx, r, state, state)
		} else {
			err = s.history.tx(ctx, func(samples *sql.Tx) error { return s.loadInto(ctx, r, state, samples) })
		}
		if err != nil {
			return err
		}
		return got.settle(ctx, state, name, who, time.Now())
	})
	return got, err
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
	return r.rows(ctx, into)
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

// settle ends what was under way when the backup was made, and writes down
// that it did.
func (got *Restored) settle(ctx context.Context, tx *sql.Tx, name, who string, at time.Time) error {
	const why = "the store was restored from a backup made while this was under way"
	now := ms(at)
	open, err := list(ctx, tx, func(r scanner) (id string, err error) { return id, r.Scan(&id) }, `select id from run where outcome = '' order by id`)
	if err != nil {
		return fmt.Errorf("list what was under way: %w", err)
	}
	got.Runs = int64(len(open))
	for _, q := range []struct {
		text string
		args []any
		n    *int64
	}{
		{`update run_act set state = 'unknown', why = $1, over = $2 where state in ('planned', 'sent')`, []any{why, now}, nil},
		{`update run set outcome = 'unknown', trouble = $1, owner = '', token = token + 1, due = 0,
			version = version + 1, announce_at = 0, updated = $2, ended = $3 where outcome = ''`, []any{why, now, now}, nil},
		{`delete from run_slot`, nil, nil},
		{`update envelope set done = $1 where done = 0`, []any{now}, nil}, // clicks of back then
		{`update agent_order set state = 'void' where state in ('waiting', 'claimed')`, nil, &got.Orders},
	} {
		r, err := tx.ExecContext(ctx, q.text, q.args...)
		if err == nil && q.n != nil {
			*q.n, err = r.RowsAffected()
		}
		if err != nil {
			return fmt.Errorf("settle what was under way: %w", err)
		}
	}
	return got.record(ctx, tx, audit.Entry{At: at, Who: who, What: "restore", Subject: name, Why: why}, open)
}

// record continues the chain of the restored log: one entry for the restore,
// then one for each run that it ended.
func (got *Restored) record(ctx context.Context, tx *sql.Tx, e audit.Entry, runs []string) error {
	all := e
	all.Why = "made " + got.Made.UTC().Format(time.RFC3339)
	all.After = fmt.Sprintf("open runs ended as unknown: %d; open orders void: %d", got.Runs, got.Orders)
	entries := []audit.Entry{all}
	for _, id := range runs {
		e.Run, e.What, e.After = id, "outcome", "unknown"
		entries = append(entries, e)
	}
	for _, e := range entries {
		if _, err := appendAudit(ctx, tx, e); err != nil {
			return fmt.Errorf("write the restore into the audit log: %w", err)
		}
	}
	return nil
}

type backupReader struct{ dec *json.Decoder }

var errCutOff = errors.New("the backup is cut off")

// header returns when the backup was made.
func (r *backupReader) header() (time.Time, error) {
	var h backupHeader
	if err := r.dec.Decode(&h); err != nil || h.Format != backupFormat {
		return h.At, errors.New("not a backup")
	}
	newest, err := newestChange()
	switch {
	case err != nil:
		return h.At, err
	case h.Version != backupVersion || h.Schema > newest:
		return h.At, &NewerError{Tables: h.Schema, Here: newest}
	}
	return h.At, nil
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
