package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/testbed"
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

// TestInboxTogether: what arrives, is taken and is finished while the disk is
// busy is committed at once, however much it is.
func TestInboxTogether(t *testing.T) {
	s, ctx, now := aStore(t), t.Context(), time.Now()
	for i := range 25 { // the last five are left to be taken
		if _, err := s.SaveEnvelope(ctx, fmt.Sprint("old", i), []byte("{}"), now); err != nil {
			t.Fatal(err)
		}
	}
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
	if n := s.state.write.Stats().WaitCount - before; n > 2 {
		t.Errorf("the disk was waited for %d times", n)
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
	busy, err := s.state.write.BeginTx(ctx, nil)
	if err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	var all sync.WaitGroup
	for i := range 9 {
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
	testbed.Eventually(t, testbed.Patience, func() error {
		if n := s.inbox.waits(); n < 8 {
			return fmt.Errorf("%d stand in line", n)
		}
		return nil
	})
	if err := busy.Rollback(); err != nil {
		t.Fatal(err)
	}
	all.Wait()
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
// and looked for every ten minutes.
func TestInboxForgets(t *testing.T) {
	s, ctx, now := aStore(t), t.Context(), time.Now()
	for i, at := range []time.Time{now, now.Add(time.Minute), now.Add(keepDone + time.Second), now.Add(keepDone + 2*forgetEvery)} {
		id := fmt.Sprint("e", i)
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
		if want := []int{1, 2, 2, 2}[i]; kept != want {
			t.Errorf("%d envelopes after %v, want %d", kept, at.Sub(now), want)
		}
	}
}
