package store

import (
	"bytes"
	"compress/gzip"
	"slices"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestEveryTableIsBackedUp: a table somebody adds must be in a backup.
func TestEveryTableIsBackedUp(t *testing.T) {
	s, err := Open(t.Context(), "sqlite:"+t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, c := range []struct {
		db    querier
		saved []saved
	}{{s.state.read, stateTables}, {s.history.read, historyTables}} {
		got, err := list(t.Context(), c.db, func(r scanner) (n string, err error) { return n, r.Scan(&n) },
			`select name from sqlite_master where type = 'table' and name not like 'sqlite_%' and name <> $1 order by name`, versionTable)
		if err != nil {
			t.Fatal(err)
		}
		got = slices.DeleteFunc(got, func(name string) bool { return slices.Contains(remadeTables, name) })
		var want []string
		for _, s := range c.saved {
			want = append(want, s.name)
		}
		slices.Sort(want)
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("tables (-backed up +there):\n%s", d)
		}
	}
}

// FuzzLoad puts any bytes into an empty store: an error or a store, never a
// panic, and after an error the store is still empty.
func FuzzLoad(f *testing.F) {
	head := `{"format":"dropleak backup","version":1,"schema":1}` + "\n"
	f.Add([]byte(head + `{"table":"cursor_at","columns":["name","position","updated"]}` + "\n" + `["a","b",1]` + "\n" + `{"rows":1}`))
	f.Add([]byte(head + `{"table":"cursor_at","columns":["name) values (1); drop table run"]}`))
	f.Add([]byte(head + `{"table":"sqlite_master","columns":["name"]}`))
	f.Add([]byte(head + `[1]`))
	s, err := Open(f.Context(), "sqlite:"+f.TempDir(), Options{})
	if err != nil {
		f.Fatal(err)
	}
	f.Cleanup(func() { s.Close() })
	f.Fuzz(func(t *testing.T, b []byte) {
		var z bytes.Buffer
		w := gzip.NewWriter(&z)
		w.Write(b)
		w.Close()
		_, err := s.load(t.Context(), &z, "fuzz", "test")
		if _, derr := s.state.write.Exec(`delete from cursor_at`); derr != nil {
			t.Fatal(derr)
		}
		if err == nil {
			return
		}
		for _, table := range stateTables {
			var n int
			if err := s.state.read.QueryRow(`select count(*) from ` + table.name).Scan(&n); err != nil || n > 0 && !table.single {
				t.Fatalf("after an error table %s has %d rows, %v", table.name, n, err)
			}
		}
	})
}
