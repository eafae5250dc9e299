package store_test

import (
	"bytes"
	"database/sql"
	"errors"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dropleak/dropleak/bot/store"
)

// outdate takes the newest change to the tables back.
func outdate(t *testing.T, db *sql.DB) {
	t.Helper()
	for _, q := range []string{"alter table fire drop column until_at", "alter table fire drop column due_at", "delete from dropleak_schema where version_id = 51"} {
		if _, err := db.ExecContext(t.Context(), q); err != nil {
			t.Fatal(err)
		}
	}
}

// place is where a store is, and a database of it.
type place struct {
	dsn string
	db  *sql.DB
}

// places are one for each kind of tables.
func places(t *testing.T) map[string]place {
	t.Helper()
	at := func(dsn, driver, name string) place {
		db, err := sql.Open(driver, name)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { db.Close() })
		return place{dsn, db}
	}
	dir, other, dsn := t.TempDir(), t.TempDir(), freshPostgres(t)
	return map[string]place{
		"state.db":   at("sqlite:"+dir, "sqlite", filepath.Join(dir, "state.db")),
		"history.db": at("sqlite:"+other, "sqlite", filepath.Join(other, "history.db")),
		"PostgreSQL": at(dsn, "pgx", dsn),
	}
}

// TestNewerTables: what a newer version made is opened by nobody, neither to
// serve nor beside; who has it open when the newer one comes (a replica in a
// rolling upgrade) goes on.
func TestNewerTables(t *testing.T) {
	for name, at := range places(t) {
		t.Run(name, func(t *testing.T) {
			running, err := store.Open(t.Context(), at.dsn, store.Options{Beside: true})
			if err != nil {
				t.Fatal(err)
			}
			defer running.Close()
			for change, want := range map[int]string{
				9999: "made by a newer dropleak (tables 9999, here 51)",
				42:   "made by a newer dropleak (with change 42 to the tables, which this one does not know)",
			} {
				if _, err := at.db.ExecContext(t.Context(), "insert into dropleak_schema (version_id, is_applied) values ($1, true)", change); err != nil {
					t.Fatal(err)
				}
				for _, o := range []store.Options{{}, {Beside: true}, {Beside: true, Existing: true}} {
					s, err := store.Open(t.Context(), at.dsn, o)
					if s != nil {
						s.Close()
					}
					var newer *store.NewerError
					if !errors.As(err, &newer) || newer.Tables != int64(change) || !strings.Contains(err.Error(), want) {
						t.Errorf("open with %+v: %v; want %q", o, err, want)
					}
				}
				if err := running.SetCursor(t.Context(), "a", "1"); err != nil {
					t.Errorf("who had it open: %v", err)
				}
				if _, err := at.db.ExecContext(t.Context(), "delete from dropleak_schema where version_id = $1", change); err != nil {
					t.Fatal(err)
				}
			}
			s, err := store.Open(t.Context(), at.dsn, store.Options{})
			if err != nil {
				t.Fatalf("without what is newer: %v", err)
			}
			if err := s.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// TestUpgradeIsTold: bringing tables up to date is logged, making them and
// opening them again is not.
func TestUpgradeIsTold(t *testing.T) {
	at := places(t)
	for _, name := range []string{"state.db", "PostgreSQL"} {
		t.Run(name, func(t *testing.T) {
			var said bytes.Buffer
			open := func() {
				t.Helper()
				s, err := store.Open(t.Context(), at[name].dsn, store.Options{Log: slog.New(slog.NewTextHandler(&said, nil))})
				if err != nil {
					t.Fatal(err)
				}
				if err := s.Close(); err != nil {
					t.Fatal(err)
				}
			}
			open()
			open()
			if said.Len() > 0 {
				t.Errorf("made and opened again, it says %s", said.String())
			}
			outdate(t, at[name].db)
			open()
			if want := `msg="the store's tables were brought up to date" from=50 to=51 changes=1`; strings.Count(said.String(), "\n") != 1 || !strings.Contains(said.String(), want) {
				t.Errorf("says %q, want one line with %s", said.String(), want)
			}
		})
	}
}

// TestHalfAStore: samples without state are no store to begin anew on; state
// without samples is, and that is said.
func TestHalfAStore(t *testing.T) {
	for name, tt := range map[string]struct {
		lose func(string) error
		lost string
		want error
	}{
		"no state":     {os.Remove, "state.db", store.ErrStateLost},
		"empty state":  {func(path string) error { return os.Truncate(path, 0) }, "state.db", store.ErrStateLost},
		"no samples":   {os.Remove, "history.db", nil},
		"nothing left": {func(path string) error { return os.RemoveAll(filepath.Dir(path)) }, "state.db", nil},
	} {
		t.Run(name, func(t *testing.T) {
			var said bytes.Buffer
			dir := filepath.Join(t.TempDir(), "data")
			open := func() error {
				s, err := store.Open(t.Context(), "sqlite:"+dir, store.Options{Log: slog.New(slog.NewTextHandler(&said, nil))})
				if err != nil {
					return err
				}
				return s.Close()
			}
			if err := open(); err != nil {
				t.Fatal(err)
			}
			if err := tt.lose(filepath.Join(dir, tt.lost)); err != nil {
				t.Fatal(err)
			}
			for range 2 { // the first refusal leaves nothing that the second takes for a store
				if err := open(); !errors.Is(err, tt.want) {
					t.Errorf("open: %v, want %v", err, tt.want)
				}
			}
			if warned := strings.Contains(said.String(), "there was no history.db"); warned != (tt.lost == "history.db") {
				t.Errorf("says %q", said.String())
			}
		})
	}
}

// TestNoDatabase: of two files, the one that is at fault is named.
func TestNoDatabase(t *testing.T) {
	for _, file := range []string{"state.db", "history.db"} {
		for name, spoil := range map[string]func(*os.File) error{
			"another file":    func(f *os.File) error { _, err := f.WriteAt([]byte("never was a database"), 0); return err },
			"a page is wrong": func(f *os.File) error { _, err := f.WriteAt(bytes.Repeat([]byte{7}, 4000), 100); return err },
		} {
			dir := t.TempDir()
			s, err := store.Open(t.Context(), "sqlite:"+dir, store.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if err := s.Close(); err != nil {
				t.Fatal(err)
			}
			f, err := os.OpenFile(filepath.Join(dir, file), os.O_WRONLY, 0)
			if err != nil {
				t.Fatal(err)
			}
			if err := errors.Join(spoil(f), f.Close()); err != nil {
				t.Fatal(err)
			}
			if _, err := store.Open(t.Context(), "sqlite:"+dir, store.Options{}); err == nil || !strings.Contains(err.Error(), file+": ") {
				t.Errorf("%s in %s: %v", name, file, err)
			}
		}
	}
}
