package storetest

import (
	"testing"

	"github.com/dropleak/dropleak/bot/store"
)

func cursors(t *testing.T, dsn string) {
	s, ctx := Open(t, dsn), t.Context()
	for _, want := range []string{"", "100", "200"} {
		if want != "" {
			if err := s.SetCursor(ctx, "do/42", want); err != nil {
				t.Fatal(err)
			}
		}
		if got, err := s.Cursor(ctx, "do/42"); err != nil || got != want {
			t.Fatalf("cursor %q, %v; want %q", got, err, want)
		}
	}
}

// openAgain closes a store and opens it again: the tables are there already.
func openAgain(t *testing.T, dsn string) {
	for range 2 {
		s, err := store.Open(t.Context(), dsn, store.Options{})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.SetCursor(t.Context(), "a", "1"); err != nil {
			t.Error(err)
		}
		if err := s.Ping(t.Context()); err != nil {
			t.Error(err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
