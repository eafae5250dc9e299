package main

import (
	"database/sql"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dropleak/dropleak/bot/store"
	"github.com/dropleak/dropleak/configs"
)

// TestCheckFindsOlderTables: tables that await the start of a new version are
// no fault.
func TestCheckFindsOlderTables(t *testing.T) {
	c := configs.Config{DataDir: t.TempDir()}
	said := func(want string) {
		t.Helper()
		if got, err := askStore(t.Context(), c); got != want || err != nil {
			t.Errorf("check says %q, %v; want %q", got, err, want)
		}
	}
	said("sqlite, made at the first start")
	if left, err := os.ReadDir(c.DataDir); err != nil || len(left) > 0 {
		t.Errorf("the check left %v, %v", left, err)
	}
	for _, dir := range []string{"/proc/nope", "/proc/nope/deeper"} {
		if got, err := askStore(t.Context(), configs.Config{DataDir: dir}); err == nil || !strings.Contains(err.Error(), "make store in "+dir) {
			t.Errorf("check says %q, %v of %s", got, err, dir)
		}
	}
	st, err := store.Open(t.Context(), c.StoreDSN(), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	said("sqlite")
	db, err := sql.Open("sqlite", filepath.Join(c.DataDir, "state.db"))
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if _, err := db.ExecContext(t.Context(), "delete from dropleak_schema where version_id = 51"); err != nil {
		t.Fatal(err)
	}
	said("tables of an older version; the service brings them up to date at its start")
	if _, err := db.ExecContext(t.Context(), "insert into dropleak_schema (version_id, is_applied) values (9999, 1)"); err != nil {
		t.Fatal(err)
	}
	if got, err := askStore(t.Context(), c); err == nil || !strings.Contains(err.Error(), "made by a newer dropleak") {
		t.Errorf("check says %q, %v of a newer store", got, err)
	}
}
