package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/testbed"
	"modernc.org/sqlite"
)

func aStore(t *testing.T) *Store {
	t.Helper()
	s, err := Open(t.Context(), "sqlite:"+t.TempDir(), Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Error(err)
		}
	})
	return s
}

// waits is how many changes of the inbox stand in line.
func (g *gathered) waits() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.waiting)
}

// commits counts, by SQLite's own word, what its one writer commits from now
// on.
func (s *Store) commits(t *testing.T) *atomic.Int64 {
	t.Helper()
	c, err := s.state.write.Conn(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	n := new(atomic.Int64)
	err = c.Raw(func(raw any) error {
		raw.(*preparedConn).sqliteConn.(sqlite.HookRegisterer).RegisterCommitHook(func() int32 {
			n.Add(1)
			return 0 // go on
		})
		return nil
	})
	if err := errors.Join(err, c.Close()); err != nil {
		t.Fatal(err)
	}
	return n
}

// TestInboxTogether: what arrives, is taken and is finished while the disk is
// busy is committed at once, however much it is.
func TestInboxTogether(t *testing.T) {
	s, ctx, now := aStore(t), t.Context(), time.Now()
	for i := range 25 { // the last five are left to be taken
		if _, err := s.SaveEnvelope(ctx, fmt.Sprint("old", i), []byte("{}"), now); err != nil {
			t.Fatal(err)
		}
	}
	commits := s.commits(t)
	busy, err := s.state.write.BeginTx(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	before := s.state.write.Stats().WaitCount
	var all sync.WaitGroup
	all.Go(func() {
		if fresh, err := s.SaveEnvelope(ctx, "first", nil, now); err != nil || !fresh {
			t.Errorf("fresh %v, %v", fresh, err)
		}
	})
	testbed.Eventually(t, testbed.Patience, func() error { // the first waits for the disk, by itself
		if n := s.state.write.Stats().WaitCount - before; n != 1 {
			return fmt.Errorf("%d wait for the disk", n)
		}
		return nil
	})
	var mu sync.Mutex
	ids := map[string]bool{}
	for i := range 20 {
		all.Go(func() {
			if _, err := s.SaveEnvelope(ctx, fmt.Sprint("new", i), []byte("{}"), now); err != nil {
				t.Error(err)
			}
		})
		all.Go(func() {
			if err := s.FinishEnvelope(ctx, fmt.Sprint("old", i), now); err != nil {
				t.Error(err)
			}
		})
		if i < 5 {
			all.Go(func() {
				id, _, _, err := s.TakeEnvelope(ctx, "a", now, time.Minute)
				if err != nil {
					t.Error(err)
				}
				mu.Lock()
				defer mu.Unlock()
				if ids[id] {
					t.Errorf("%s was taken twice", id)
				}
				ids[id] = true
			})
		}
	}
	testbed.Eventually(t, testbed.Patience, func() error {
		if n := s.inbox.waits(); n != 45 {
			return fmt.Errorf("%d stand in line", n)
		}
		return nil
	})
	if err := busy.Rollback(); err != nil {
		t.Fatal(err)
	}
	all.Wait()
	if n := commits.Load(); n != 2 { // the first, and all that came meanwhile
		t.Errorf("%d commits", n)
	}
	var done int
	if err := s.state.read.QueryRow(`select count(*) from envelope where done > 0`).Scan(&done); err != nil || done != 20 {
		t.Errorf("%d finished, %v", done, err)
	}
}

// TestInboxFailsAlone: one change that fails takes no other with it, and one
// whose caller has left takes nothing.
func TestInboxFailsAlone(t *testing.T) {
	s, ctx, now := aStore(t), t.Context(), time.Now()
	commits := s.commits(t)
	busy, err := s.state.write.BeginTx(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	var all sync.WaitGroup
	change := func(i int) {
		all.Go(func() {
			err := s.together(ctx, func(ctx context.Context, tx *sql.Tx) error {
				if i == 4 {
					return broken
				}
				_, err := tx.ExecContext(ctx, `insert into envelope (id, received, body) values ($1, $2, $3)`, fmt.Sprint(i), 1, "{}")
				return err
			})
			if (i == 4) != errors.Is(err, broken) || i != 4 && err != nil {
				t.Errorf("change %d: %v", i, err)
			}
		})
	}
	stand := func(want int) {
		t.Helper()
		testbed.Eventually(t, testbed.Patience, func() error {
			s.inbox.mu.Lock()
			defer s.inbox.mu.Unlock()
			if n := len(s.inbox.waiting); n != want || !s.inbox.busy {
				return fmt.Errorf("%d stand in line, somebody commits: %v", n, s.inbox.busy)
			}
			return nil
		})
	}
	change(0)
	stand(0) // it waits for the one connection that writes; who comes now stands in line
	for i := 1; i < 9; i++ {
		change(i)
	}
	stand(8)
	if err := busy.Rollback(); err != nil {
		t.Fatal(err)
	}
	all.Wait()
	var kept int
	if err := s.state.read.QueryRow(`select count(*) from envelope`).Scan(&kept); err != nil || kept != 8 {
		t.Errorf("%d of the 8 others are kept, %v", kept, err)
	}
	if n := commits.Load(); n < 7 || n > 8 { // one change may have gone first, and it may be the broken one
		t.Errorf("%d commits; what was gathered with the broken one is to be tried singly", n)
	}
	gone, leave := context.WithCancel(ctx)
	leave()
	if id, _, _, err := s.TakeEnvelope(gone, "a", now, time.Minute); id != "" || !errors.Is(err, context.Canceled) {
		t.Errorf("took %q, %v", id, err)
	}
	if _, _, tries, err := s.TakeEnvelope(ctx, "a", now, time.Minute); err != nil || tries != 0 {
		t.Errorf("taken %d times before, %v", tries, err)
	}
}

// TestInboxForgets: an envelope is known for a day after it was worked off,
// and looked for every ten minutes, not at every click.
func TestInboxForgets(t *testing.T) {
	s, ctx, now := aStore(t), t.Context(), time.Now()
	for i, step := range []struct {
		after time.Duration
		kept  int
	}{
		{0, 1},
		{time.Minute, 2},
		{keepDone + time.Second, 2},   // the first goes
		{keepDone + 2*time.Minute, 3}, // the second could, but was looked for just now
		{keepDone + time.Second + 10*time.Minute, 3}, // the second goes
	} {
		id, at := fmt.Sprint("e", i), now.Add(step.after)
		if _, err := s.SaveEnvelope(ctx, id, nil, at); err != nil {
			t.Fatal(err)
		}
		if err := s.FinishEnvelope(ctx, id, at); err != nil {
			t.Fatal(err)
		}
		var kept int
		if err := s.state.read.QueryRow(`select count(*) from envelope`).Scan(&kept); err != nil {
			t.Fatal(err)
		}
		if kept != step.kept {
			t.Errorf("%d envelopes after %v, want %d", kept, step.after, step.kept)
		}
	}
}

// TestThreadsForgotten: what a thread was told is known for a month, and
// nothing else that a cursor remembers is forgotten.
func TestThreadsForgotten(t *testing.T) {
	s, ctx := aStore(t), t.Context()
	for _, name := range []string{"thread/old", "thread/new", "report/C0OPS/"} {
		if err := s.SetCursor(ctx, name, "said"); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.state.write.Exec(`update cursor_at set updated = $1 where name <> 'thread/new'`, ms(time.Now().Add(-keepTold-time.Minute))); err != nil {
		t.Fatal(err)
	}
	if err := s.FinishEnvelope(ctx, "none", time.Now()); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"thread/old": "", "thread/new": "said", "report/C0OPS/": "said"} {
		if got, err := s.Cursor(ctx, name); err != nil || got != want {
			t.Errorf("%s: %q, %v", name, got, err)
		}
	}
}
