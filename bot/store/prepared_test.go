package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"path/filepath"
	"testing"
)

// aFile opens the writing pool of one database file with a table in it.
func aFile(t *testing.T) *sql.DB {
	t.Helper()
	c := openFile(filepath.Join(t.TempDir(), "a.db"), "NORMAL", 1)
	t.Cleanup(func() {
		if err := errors.Join(c.read.Close(), c.write.Close()); err != nil {
			t.Error(err)
		}
	})
	run(t, c.write, `create table n (i bigint primary key)`)
	return c.write
}

type execer interface {
	ExecContext(ctx context.Context, query string, args ...any) (sql.Result, error)
}

func run(t *testing.T, db execer, query string, args ...any) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), query, args...); err != nil {
		t.Fatal(err)
	}
}

// prepared is how many statements rest at a pool's only connection.
func prepared(t *testing.T, db *sql.DB) (n int) {
	t.Helper()
	c, err := db.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if err := c.Raw(func(c any) error { n = len(c.(*preparedConn).idle); return nil }); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestPreparedOnce: a text is prepared once, a text that runs once not at all,
// and one that failed is prepared anew.
func TestPreparedOnce(t *testing.T) {
	db := aFile(t)
	if n := prepared(t, db); n != 0 {
		t.Errorf("%d statements kept of a pragma and a table", n)
	}
	const insert = `insert into n (i) values ($1)`
	for i := range 3 {
		run(t, db, insert, i)
	}
	if n := prepared(t, db); n != 1 {
		t.Errorf("%d statements kept of one text", n)
	}
	if _, err := db.Exec(insert, 2); err == nil {
		t.Error("inserted twice")
	}
	if n := prepared(t, db); n != 0 {
		t.Errorf("%d statements kept of one that failed", n)
	}
	run(t, db, insert, 3)
	var n int
	if err := db.QueryRow(`select count(*) from n where i < $1`, 100).Scan(&n); err != nil || n != 4 {
		t.Errorf("%d rows, %v", n, err)
	}
	for i := range mostPrepared + 10 {
		run(t, db, fmt.Sprintf(`delete from n where i = $1 and i > %d`, i), 1)
	}
	if n := prepared(t, db); n != mostPrepared {
		t.Errorf("%d statements kept, %d at most", n, mostPrepared)
	}
}

// TestPreparedWithin: a text that is being read runs again within itself, in a
// transaction that is taken back, and the table changes its shape between.
func TestPreparedWithin(t *testing.T) {
	db := aFile(t)
	for i := range 3 {
		run(t, db, `insert into n (i) values ($1)`, i)
	}
	tx, err := db.BeginTx(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	const above = `select * from n where i >= $1 order by i`
	pairs := 0
	outer, err := tx.Query(above, 0)
	if err != nil {
		t.Fatal(err)
	}
	for outer.Next() {
		var i, k int
		if err := outer.Scan(&i); err != nil {
			t.Fatal(err)
		}
		inner, err := tx.Query(above, i)
		if err != nil {
			t.Fatal(err)
		}
		for inner.Next() {
			if err := inner.Scan(&k); err != nil || k < i {
				t.Errorf("%d within %d, %v", k, i, err)
			}
			pairs++
		}
		if err := errors.Join(inner.Err(), inner.Close()); err != nil {
			t.Error(err)
		}
	}
	if err := outer.Err(); err != nil || pairs != 6 {
		t.Errorf("%d pairs of 6, %v", pairs, err)
	}
	run(t, tx, `insert into n (i) values ($1)`, 7)
	if err := errors.Join(outer.Close(), tx.Rollback()); err != nil {
		t.Fatal(err)
	}
	run(t, db, `alter table n add column twice bigint not null default 0`)
	var i, twice, rows int
	after, err := db.Query(above, 2)
	if err != nil {
		t.Fatal(err)
	}
	defer after.Close()
	for ; after.Next(); rows++ {
		if err := after.Scan(&i, &twice); err != nil || i != 2 {
			t.Errorf("row %d, %v", i, err)
		}
	}
	if err := after.Err(); err != nil || rows != 1 {
		t.Errorf("%d rows after a change of the table, %v", rows, err)
	}
}

// TestPreparedInterrupted: a caller that leaves in the middle of the rows
// spoils nothing for the next one.
func TestPreparedInterrupted(t *testing.T) {
	db := aFile(t)
	const all = `select a.i from n a, n b, n c order by a.i`
	for i := range 100 {
		run(t, db, `insert into n (i) values ($1)`, i)
	}
	for range 20 {
		ctx, leave := context.WithCancel(t.Context())
		rows, err := db.QueryContext(ctx, all)
		if err != nil || !rows.Next() {
			t.Fatal(err)
		}
		leave()
		for rows.Next() {
		}
		if err := rows.Close(); err != nil && !errors.Is(err, context.Canceled) {
			t.Fatal(err)
		}
		var n int
		if err := db.QueryRow(`select count(*) from n`).Scan(&n); err != nil || n != 100 {
			t.Fatalf("%d rows, %v", n, err)
		}
	}
}
