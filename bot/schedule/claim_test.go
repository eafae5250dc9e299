package schedule

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// hourly is a job that hands its fires to do.
func hourly(t *testing.T, do func(ctx context.Context, due time.Time) error) Job {
	s, err := Parse("0 * * * *", nil)
	if err != nil {
		t.Fatal(err)
	}
	return Job{Name: "report", Spec: s, Do: do}
}

// TestKilledBetweenClaimAndPost: what a process claimed and did not get done
// before it was killed is done once by the next one, or by the other replica.
func TestKilledBetweenClaimAndPost(t *testing.T) {
	for _, replica := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			store, start := newRows(), time.Now()
			stuck := hourly(t, func(ctx context.Context, _ time.Time) error { // Slack is away
				<-ctx.Done()
				return ctx.Err()
			})
			run(t, store, time.Minute, 1, stuck) // the row is there
			left := make(chan *rows, 1)
			go func() {
				time.Sleep(80 * time.Minute)
				left <- store.kill()
			}()
			run(t, store, 85*time.Minute, 1, stuck)
			var fires []string
			at := func(_ context.Context, due time.Time) error {
				fires = append(fires, fmt.Sprint(due.Sub(start)))
				return nil
			}
			if !replica {
				time.Sleep(5 * time.Minute)
			}
			run(t, <-left, 20*time.Minute, 1, hourly(t, at))
			if want := []string{"1h0m0s"}; !slices.Equal(fires, want) {
				t.Errorf("caught up %v, want %v", fires, want)
			}
		})
	}
}

// TestStoppedWhileItTries: a service that is stopped while a fire is being
// done leaves it to the next one at once.
func TestStoppedWhileItTries(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store := newRows()
		run(t, store, 70*time.Minute, 1, hourly(t, func(ctx context.Context, _ time.Time) error {
			<-ctx.Done()
			return ctx.Err()
		}))
		n := 0
		run(t, store, time.Second, 1, hourly(t, func(context.Context, time.Time) error { n++; return nil }))
		if n != 1 {
			t.Errorf("caught up %d fires within a second, want 1", n)
		}
	})
}

// TestLongJobIsNotTakenOver: the claim of a job at work is renewed, through a
// store that is away for a moment, and one that failed is not done again.
func TestLongJobIsNotTakenOver(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, n := newRows(), 0
		go func() {
			time.Sleep(70 * time.Minute)
			store.mu.Lock()
			store.fail = errors.New("database is away")
			store.mu.Unlock()
			time.Sleep(25 * time.Second)
			store.mu.Lock()
			store.fail = nil
			store.mu.Unlock()
		}()
		run(t, store, 119*time.Minute, 3, hourly(t, func(ctx context.Context, _ time.Time) error {
			n++
			time.Sleep(40 * time.Minute)
			return errors.New("Slack did not take it")
		}))
		if n != 1 {
			t.Errorf("done %d times, want 1", n)
		}
		if f := store.fire["report"]; !f.Due.IsZero() || !f.Until.IsZero() {
			t.Errorf("not settled: %+v", f)
		}
	})
}

// TestOlderFireIsFolded: who was dead over two fires has one to catch up, the
// later one.
func TestOlderFireIsFolded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		store, start := newRows(), time.Now()
		store.fire["report"] = Fire{Next: start.Add(time.Hour), Spec: "0 * * * *", Due: start, Until: start.Add(lease)}
		time.Sleep(150 * time.Minute)
		var fires []time.Time
		run(t, store, 10*time.Minute, 2, hourly(t, func(_ context.Context, due time.Time) error {
			fires = append(fires, due)
			return nil
		}))
		if len(fires) != 1 || !fires[0].Equal(start.Add(time.Hour)) {
			t.Errorf("caught up %v", fires)
		}
	})
}
