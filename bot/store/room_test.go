package store

import (
	"database/sql"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/history"
	"github.com/dropleak/dropleak/bot/hub"
	"github.com/dropleak/dropleak/bot/testbed"
)

// bound lets a database grow to so many pages; 1: to as many as there are.
func bound(t *testing.T, db *sql.DB, pages string) {
	t.Helper()
	if _, err := db.ExecContext(t.Context(), "pragma max_page_count = "+pages); err != nil {
		t.Fatal(err)
	}
}

// full writes until there is no room, and wants the store to say so.
func full(t *testing.T, s *Store, write func(i int) error) {
	t.Helper()
	var err error
	for i := 0; err == nil && i < 10000; i++ {
		err = write(i)
	}
	if err == nil {
		t.Fatal("there was room")
	}
	if err := s.Ping(t.Context()); err == nil || !strings.Contains(err.Error(), "full") {
		t.Errorf("without room: %v", err)
	}
}

// TestNoRoomIsTold: a store that cannot write for want of room is not well, and
// is again when there is some.
func TestNoRoomIsTold(t *testing.T) {
	s, err := Open(t.Context(), "sqlite:"+t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	bound(t, s.state.write, "1")
	full(t, s, func(i int) error { return s.SetCursor(t.Context(), fmt.Sprintf("store/roo%04d", i), "") }) // where Ping's own try goes
	if err := s.tx(t.Context(), func(*sql.Tx) error { return nil }); err != nil || s.state.stuck.Load() == nil {
		t.Errorf("a transaction that wrote nothing is believed to have found room: %v", err)
	}
	bound(t, s.state.write, "1000000")
	if err := s.Ping(t.Context()); err != nil || s.state.stuck.Load() != nil {
		t.Errorf("with room again: %v", err)
	}
}

// TestNoRoomForSamplesIsTold: the same for what agents push, which has a file
// of its own.
func TestNoRoomForSamplesIsTold(t *testing.T) {
	s, err := Open(t.Context(), "sqlite:"+t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	push := func(int) error {
		return s.AppendPushes(t.Context(), []history.Push{{Droplet: "1", Body: make([]byte, 1000)}})
	}
	bound(t, s.history.write, "1")
	full(t, s, push)
	bound(t, s.history.write, "1000000")
	if err := s.Ping(t.Context()); err == nil {
		t.Error("it is well before a push was kept")
	}
	if err := push(0); err != nil {
		t.Fatal(err)
	}
	if err := s.Ping(t.Context()); err != nil {
		t.Errorf("with room again: %v", err)
	}

	bound(t, s.history.write, "1")
	full(t, s, push)
	s.history.stuck.Load().at = time.Now().Add(-retryHistory)
	bound(t, s.history.write, "1000000")
	if err := s.Ping(t.Context()); err != nil {
		t.Errorf("with room again, and nobody who pushes: %v", err)
	}
	var left int
	if err := s.history.read.QueryRow(`select count(*) from token_use`).Scan(&left); err != nil || left != 0 {
		t.Errorf("the try left %d rows, %v", left, err)
	}
}

// TestNoRoomForATokensUse: a statement by itself is a write like any other.
func TestNoRoomForATokensUse(t *testing.T) {
	s, err := Open(t.Context(), "sqlite:"+t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	bound(t, s.history.write, "1")
	full(t, s, func(i int) error {
		return s.TouchToken(t.Context(), fmt.Sprintf("t%04d", i), hub.Seen{})
	})
	s.history.stuck.Load().at = time.Now().Add(-retryHistory)
	if err := s.Ping(t.Context()); err == nil || !strings.Contains(err.Error(), "full") {
		t.Errorf("its own try, without room: %v", err)
	}
}

// TestRoomOnPostgres: there, too, only what was written shows that there is
// room.
func TestRoomOnPostgres(t *testing.T) {
	s, err := Open(t.Context(), testbed.Database(t), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	for _, c := range []struct {
		query string
		room  bool
	}{{`select 1`, false}, {`delete from cursor_at`, false}, {`insert into cursor_at (name, position, updated) values ('a', '', 1)`, true}} {
		s.state.stuck.Store(&stuck{errors.New("full"), time.Now()})
		err := s.tx(t.Context(), func(tx *sql.Tx) error {
			_, err := tx.ExecContext(t.Context(), c.query)
			return err
		})
		if room := s.state.stuck.Load() == nil; err != nil || room != c.room {
			t.Errorf("%s: room %v, %v", c.query, room, err)
		}
	}
}
