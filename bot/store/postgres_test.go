package store_test

import (
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
