package store_test

import (
	"context"
	"net"
	"strings"
	"testing"

	"github.com/dropleak/dropleak/bot/store"
	"github.com/dropleak/dropleak/bot/testbed"
)

func freshPostgres(t *testing.T) string {
	t.Helper()
	return testbed.Database(t)
}

func TestPostgresMustBeDurable(t *testing.T) {
	dsn := testbed.Database(t) + "&synchronous_commit=off"
	_, err := store.Open(t.Context(), dsn, store.Options{})
	if err == nil || !strings.Contains(err.Error(), "synchronous_commit") {
		t.Errorf("open with synchronous_commit=off: %v, want a refusal", err)
	}
}

// TestPostgresThatSwallows: a server that takes the connection and never says
// a word is given up, and named.
func TestPostgresThatSwallows(t *testing.T) {
	t.Parallel() // it waits for the time to pass
	silent, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer silent.Close() // what it never takes from its queue is connected all the same
	ctx, cancel := context.WithTimeout(t.Context(), testbed.Patience)
	defer cancel()
	_, err = store.Open(ctx, "postgres://u:secret@"+silent.Addr().String()+"/d", store.Options{})
	if ctx.Err() != nil {
		t.Fatal("it waited as long as it may")
	}
	want := "open store at PostgreSQL on " + silent.Addr().String() + ", database d: "
	if err == nil || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "secret") {
		t.Errorf("open: %v; want %q", err, want)
	}
}
