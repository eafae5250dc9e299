package store_test

import (
	"context"
	"database/sql"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dropleak/dropleak/bot/history"
	"github.com/dropleak/dropleak/bot/store"
	"github.com/dropleak/dropleak/bot/store/storetest"
	"github.com/dropleak/dropleak/detector/sample"
)

func TestMain(m *testing.M) { os.Exit(storetest.Main(m)) }

func TestSQLite(t *testing.T) {
	storetest.Run(t, func(t *testing.T) string { return "sqlite:" + t.TempDir() })
}

func TestPostgres(t *testing.T) {
	storetest.Run(t, freshPostgres)
}

func TestBackup(t *testing.T) {
	storetest.Backups(t, map[string]storetest.Fresh{
		"SQLite": func(t *testing.T) string { return "sqlite:" + t.TempDir() }, "PostgreSQL": freshPostgres,
	})
}

// TestSQLiteVersion: releases up to 3.51.2 can corrupt a file when a WAL is
// reset while another connection checkpoints.
func TestSQLiteVersion(t *testing.T) {
	db, err := sql.Open("sqlite", ":memory:")
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var sound bool
	var v string
	err = db.QueryRow(`select sqlite_version(),
		cast(substr(sqlite_version(), 3, 2) as integer) >= 52 or sqlite_version() glob '3.51.[3-9]*'`).Scan(&v, &sound)
	if err != nil || !sound {
		t.Errorf("SQLite %s, %v; want above 3.51.2", v, err)
	}
}

func TestSecondOpenerIsTold(t *testing.T) {
	dsn := "sqlite:" + t.TempDir()
	s := storetest.Open(t, dsn)
	_, err := store.Open(t.Context(), dsn, store.Options{})
	var held *store.HeldError
	if !errors.As(err, &held) {
		t.Fatalf("second open: %v, want a HeldError", err)
	}
	host, _ := os.Hostname()
	if held.PID != os.Getpid() || held.Host != host || time.Since(held.Since) > time.Minute {
		t.Errorf("holder %+v is not this process", held)
	}
	beside, err := store.Open(t.Context(), dsn, store.Options{Beside: true})
	if err != nil {
		t.Fatalf("beside the holder: %v", err)
	}
	if err := beside.SetCursor(t.Context(), "a", "1"); err != nil {
		t.Error(err)
	}
	if err := beside.Close(); err != nil {
		t.Error(err)
	}
	if got, err := s.Cursor(t.Context(), "a"); got != "1" || err != nil {
		t.Errorf("what was written beside reads %q, %v", got, err)
	}
}

// TestBesideAnOlderService: a command of a newer version leaves the tables to
// the service, which may be older, and where none runs to the next to start.
func TestBesideAnOlderService(t *testing.T) {
	dir := t.TempDir()
	service, err := store.Open(t.Context(), "sqlite:"+dir, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	db, err := sql.Open("sqlite", filepath.Join(dir, "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	outdate(t, db)
	if _, err := store.Open(t.Context(), "sqlite:"+dir, store.Options{Beside: true}); !errors.Is(err, store.ErrOlder) {
		t.Errorf("beside the service: %v", err)
	}
	if err := service.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := store.Open(t.Context(), "sqlite:"+dir, store.Options{Beside: true}); !errors.Is(err, store.ErrOlder) {
		t.Errorf("where nobody serves it: %v", err)
	}
	next, err := store.Open(t.Context(), "sqlite:"+dir, store.Options{})
	if err != nil {
		t.Fatalf("the service afterwards: %v", err)
	}
	if err := next.Close(); err != nil {
		t.Error(err)
	}

	dsn := freshPostgres(t)
	storetest.Open(t, dsn)
	pg, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Fatal(err)
	}
	defer pg.Close()
	outdate(t, pg)
	if _, err := store.Open(t.Context(), dsn, store.Options{Beside: true}); !errors.Is(err, store.ErrOlder) {
		t.Errorf("on PostgreSQL: %v", err)
	}
	storetest.Open(t, dsn) // the service brings them up
}

// TestOpenExisting: who only looks makes nothing.
func TestOpenExisting(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	o := store.Options{Beside: true, Existing: true}
	if _, err := store.Open(t.Context(), "sqlite:"+dir, o); !errors.Is(err, store.ErrNone) || !strings.Contains(err.Error(), dir) {
		t.Fatalf("open what is not there: %v; want ErrNone naming %s", err, dir)
	}
	if _, err := os.Stat(dir); !errors.Is(err, os.ErrNotExist) {
		t.Fatalf("looking made %s: %v", dir, err)
	}
	storetest.Open(t, "sqlite:"+dir)
	s, err := store.Open(t.Context(), "sqlite:"+dir, o)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Close(); err != nil {
		t.Error(err)
	}
}

// TestFilesAreCloseToOthers: a data directory that somebody made for all does
// not open the files in it.
func TestFilesAreCloseToOthers(t *testing.T) {
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	s := storetest.Open(t, "sqlite:"+dir)
	if err := s.SetCursor(t.Context(), "a", "1"); err != nil {
		t.Fatal(err)
	}
	files, err := os.ReadDir(dir)
	if err != nil || len(files) < 5 { // two databases, the log of one at least, the lock
		t.Fatalf("%d files, %v", len(files), err)
	}
	for _, f := range files {
		if info, err := f.Info(); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s has the mode %v, %v; want 0600", f.Name(), info.Mode(), err)
		}
	}
}

func TestOpenRefuses(t *testing.T) {
	for _, dsn := range []string{"", "sqlite:", "mysql://u:secret@h/db", "postgres://u:secret@h:notaport/db"} {
		_, err := store.Open(t.Context(), dsn, store.Options{})
		if err == nil || strings.Contains(err.Error(), "secret") {
			t.Errorf("open %q: %v; want an error without the password", dsn, err)
		}
	}
}

// TestInBubble opens the store inside a bubble of fake time, as the tests of
// every loop do.
func TestInBubble(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := storetest.Open(t, "sqlite:"+t.TempDir())
		for range 14 * 24 {
			time.Sleep(time.Hour)
			if err := s.SetCursor(t.Context(), "a", time.Now().String()); err != nil {
				t.Fatal(err)
			}
		}
		synctest.Wait()
	})
}

// TestHistoryRuns lets four hours pass over a push: it is folded in its
// turn, between one and two hours after it came, and read the same.
func TestHistoryRuns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := storetest.Open(t, "sqlite:"+t.TempDir())
		h := history.New(s, history.Options{})
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error)
		go func() { done <- h.Run(ctx) }()
		one := []sample.Series{{Labels: []sample.Label{{Name: "__name__", Value: "up"}, {Name: "droplet", Value: "42"}},
			Points: []sample.Point{{At: time.Now().UnixMilli(), V: 1}}}}
		if err := h.Write(ctx, one); err != nil {
			t.Fatal(err)
		}
		waiting := func() int {
			due, err := s.DuePushes(ctx, time.Now().UnixMilli()+1)
			if err != nil {
				t.Fatal(err)
			}
			return len(due)
		}
		time.Sleep(59 * time.Minute)
		if n := waiting(); n != 1 {
			t.Errorf("%d droplets wait after 59 minutes, want 1", n)
		}
		time.Sleep(62 * time.Minute)
		if n := waiting(); n != 0 {
			t.Errorf("%d droplets wait after two hours, want none", n)
		}
		got, err := h.Select(ctx, nil, time.Now().Add(-3*time.Hour), time.Now())
		if err != nil || len(got) != 1 || len(got[0].Points) != 1 {
			t.Errorf("read back %v, %v", got, err)
		}
		stop()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Errorf("the loop ended with %v", err)
		}
	})
}
