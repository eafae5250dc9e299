package schedule

import (
	"context"
	"errors"
	"io"
	"log/slog"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// rows is a Store in memory, shared by several runners as a database is.
type rows struct {
	mu   sync.Mutex
	fire map[string]Fire
	fail error
}

func newRows() *rows { return &rows{fire: map[string]Fire{}} }

func (r *rows) Fire(_ context.Context, name string) (Fire, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.fire[name], r.fail
}

func (r *rows) MoveFire(_ context.Context, name string, from, to Fire) (bool, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	is := r.fire[name]
	if !is.Next.Equal(from.Next) || !is.Due.Equal(from.Due) || !is.Until.Equal(from.Until) || r.fail != nil {
		return false, r.fail
	}
	r.fire[name] = to
	return true, nil
}

// kill leaves the store to nobody: what a killed process would still have
// written comes to nothing.
func (r *rows) kill() *rows {
	r.mu.Lock()
	defer r.mu.Unlock()
	left := newRows()
	for name, f := range r.fire {
		left.fire[name] = f
	}
	r.fail = errors.New("killed")
	return left
}

func run(t *testing.T, store Store, d time.Duration, replicas int, j Job) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	var wg sync.WaitGroup
	for range replicas {
		wg.Go(func() {
			(&Runner{Store: store, Log: slog.New(slog.NewTextHandler(io.Discard, nil))}).Run(ctx, j)
		})
	}
	wg.Wait()
}

func counter(spec string, t *testing.T) (*int, Job) {
	s, err := Parse(spec, nil)
	if err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	n := new(int)
	return n, Job{Name: "report", Spec: s, Do: func(context.Context, time.Time) error {
		mu.Lock()
		defer mu.Unlock()
		*n++
		return nil
	}}
}

func TestReplicasFireOnceTogether(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		n, job := counter("0 * * * *", t)
		run(t, newRows(), 24*time.Hour+time.Minute, 3, job)
		if *n != 24 {
			t.Errorf("fired %d times in a day of hours, want 24", *n)
		}
	})
}

func TestMissedFireIsCaughtUpOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newRows()
		n, job := counter("0 * * * *", t)
		run(t, store, 90*time.Minute, 1, job)
		before := *n
		time.Sleep(5*time.Hour + 10*time.Minute) // the service is down
		run(t, store, time.Minute, 1, job)
		if *n != before+1 {
			t.Errorf("caught up %d fires, want 1", *n-before)
		}
	})
}

func TestChangedSpecTakesOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newRows()
		_, yearly := counter("0 0 1 1 *", t)
		run(t, store, time.Minute, 1, yearly)
		n, hourly := counter("0 * * * *", t)
		run(t, store, 3*time.Hour, 1, hourly)
		if *n < 2 {
			t.Errorf("fired %d times in three hours under the new spec", *n)
		}
	})
}

func TestRunnerSurvivesItsStore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newRows()
		n, job := counter("@every 1m", t)
		store.fail = errors.New("database is away")
		go func() {
			time.Sleep(10 * time.Minute)
			store.mu.Lock()
			defer store.mu.Unlock()
			store.fail = nil
		}()
		run(t, store, 20*time.Minute, 1, job)
		if *n < 8 || *n > 10 {
			t.Errorf("fired %d times in the ten minutes the store was there", *n)
		}
	})
}

// TestClockPutBack: a fire stored while the clock was years ahead is not
// waited for; one that another replica moved on is left alone.
func TestClockPutBack(t *testing.T) {
	for _, c := range []struct {
		spec   string
		stored time.Duration // from now
		want   int           // fires in three hours
	}{
		{"0 * * * *", 10 * 365 * 24 * time.Hour, 3},
		{"@every 5m", 48 * time.Hour, 36},
		{"0 * * * *", 2 * time.Hour, 2}, // the fire after the next
	} {
		synctest.Test(t, func(t *testing.T) {
			store := newRows()
			n, job := counter(c.spec, t)
			store.fire["report"] = Fire{Next: time.Now().Add(c.stored), Spec: c.spec}
			run(t, store, 3*time.Hour+time.Second, 1, job)
			if *n != c.want {
				t.Errorf("%s, stored %s ahead: fired %d times in three hours, want %d", c.spec, c.stored, *n, c.want)
			}
		})
	}
}
