package store

import (
	"database/sql"
	"fmt"
	"strings"
	"testing"
)

// TestNoRoomIsTold: a store that cannot write for want of room is not well, and
// is again when there is some.
func TestNoRoomIsTold(t *testing.T) {
	s, err := Open(t.Context(), "sqlite:"+t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	bound := func(pages string) {
		t.Helper()
		if _, err := s.state.write.ExecContext(t.Context(), "pragma max_page_count = "+pages); err != nil {
			t.Fatal(err)
		}
	}
	bound("1") // as many as there are
	for i := 0; err == nil && i < 10000; i++ {
		err = s.tx(t.Context(), func(tx *sql.Tx) error { return mark(t.Context(), tx, fmt.Sprintf("store/roo%04d", i)) }) // where Ping's own try goes
	}
	if err == nil {
		t.Fatal("there was room")
	}
	if err := s.Ping(t.Context()); err == nil || !strings.Contains(err.Error(), "full") {
		t.Errorf("without room: %v", err)
	}
	bound("1000000")
	if err := s.Ping(t.Context()); err != nil {
		t.Errorf("with room again: %v", err)
	}
}
