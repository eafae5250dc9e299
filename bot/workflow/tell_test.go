package workflow_test

import (
	"context"
	"errors"
	"maps"
	"slices"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dropleak/dropleak/bot/store/storetest"
	"github.com/dropleak/dropleak/bot/workflow"
)

// mute is a store that no longer hears one process: it has died.
type mute struct {
	stall
}

func (m *mute) RetellRun(context.Context, string) error { return errors.New("dead") }

func (m *mute) SaveRun(ctx context.Context, r workflow.Run, changed bool, e ...workflow.Entry) (workflow.Run, error) {
	if m.on.Load() {
		return r, errors.New("dead")
	}
	return m.Store.SaveRun(ctx, r, changed, e...)
}

// begun starts the run of an engine and has somebody say yes.
func begun(t *testing.T, e *workflow.Engine, s workflow.Store) {
	t.Helper()
	if err := e.Start(t.Context(), workflow.Run{ID: "r1", Recipe: "one"}); err != nil {
		t.Fatal(err)
	}
	if err := say(t, s, "yes"); err != nil {
		t.Fatal(err)
	}
}

// work lets an engine do what there is to do for a while, in steps.
func work(t *testing.T, e *workflow.Engine, within, step time.Duration) {
	t.Helper()
	for start := time.Now(); time.Since(start) < within; time.Sleep(step) {
		for n := 0; ; n++ {
			worked, err := e.Once(t.Context())
			if err != nil || n > 100 {
				t.Fatalf("after %d looks in a row: %v", n, err)
			}
			if !worked {
				break
			}
		}
	}
}

// TestFrozeInTellingAndDied: an owner freezes as it tells, others finish the
// run and tell of it, it wakes, its old words land, and it dies before it can
// say so. The mark it left makes its successor tell again until the newest
// words stand, and then no more.
func TestFrozeInTellingAndDied(t *testing.T) {
	for _, slept := range []time.Duration{20 * time.Second, 3 * time.Minute, time.Hour, 3 * time.Hour} {
		t.Run(slept.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var s storetest.Memory
				var told []string
				w := world{}
				dying := &mute{stall{Store: &s}}
				recipe := oneAct(&w, false, &told)
				tell := recipe.Announce
				b := workflow.New(&s, workflow.Options{Owner: "b"}, recipe)
				recipe.Announce = func(ctx context.Context, r workflow.Run) error {
					dying.on.Store(true)
					work(t, b, slept, 5*time.Second)
					return tell(ctx, r)
				}
				a := workflow.New(dying, workflow.Options{Owner: "a"}, recipe)
				begun(t, a, &s)
				if _, err := a.Once(t.Context()); err != nil {
					t.Fatal(err)
				}
				if last := told[len(told)-1]; last != "act/" {
					t.Fatalf("the old words should stand now: %q", told)
				}
				work(t, b, 24*time.Hour, time.Minute)
				if last := told[len(told)-1]; last != "act/done" {
					t.Errorf("last told %q of %q", last, told)
				}
				if r, err := s.Run(t.Context(), "r1"); err != nil || !r.EchoAt.IsZero() || r.Telling != "" || len(told) > 10 {
					t.Errorf("it is told without end: %d times, %+v, %v", len(told), r, err)
				}
			})
		})
	}
}

// TestWordsOnTheirWay: Slack keeps an owner waiting for longer than it waits,
// another one tells newer things, and then the old words arrive after all.
func TestWordsOnTheirWay(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s storetest.Memory
		var told []string
		w := world{}
		var writing sync.Mutex
		recipe := oneAct(&w, false, &told)
		announce := recipe.Announce
		tell := func(ctx context.Context, r workflow.Run) error {
			writing.Lock()
			defer writing.Unlock()
			return announce(ctx, r)
		}
		last := func() string {
			writing.Lock()
			defer writing.Unlock()
			return told[len(told)-1]
		}
		other := recipe
		other.Announce = tell
		b := workflow.New(&s, workflow.Options{Owner: "b"}, other)
		recipe.Announce = func(ctx context.Context, r workflow.Run) error {
			time.AfterFunc(time.Minute, func() { _ = tell(ctx, r) })
			<-ctx.Done()
			return ctx.Err()
		}
		recipe.Steps = maps.Clone(recipe.Steps)
		recipe.Steps["act"] = workflow.Step{Next: []string{"done"}, Do: func(context.Context, *workflow.Job) (workflow.Next, error) {
			return workflow.Wait(time.Now().Add(time.Second)), nil
		}}
		a := workflow.New(&s, workflow.Options{Owner: "a"}, recipe)
		begun(t, a, &s)
		if _, err := a.Once(t.Context()); err != nil {
			t.Fatal(err)
		}
		if r, err := s.Run(t.Context(), "r1"); err != nil || r.Telling != "a" || !r.Unannounced() {
			t.Fatalf("what Slack has not accepted counts as told: %+v, %v", r, err)
		}
		settle(t, b, &s, time.Minute)
		time.Sleep(time.Minute)
		synctest.Wait()
		if got := last(); got != "act/" {
			t.Fatalf("the old words should stand now, not %q", got)
		}
		work(t, b, time.Hour, 5*time.Second)
		if got := last(); got != "act/done" {
			t.Errorf("last told %q", got)
		}
	})
}

// TestGlimpseThenRest: a state that was thought to pass and in which the run
// rests is told.
func TestGlimpseThenRest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s storetest.Memory
		var told []string
		recipe := oneAct(&world{}, false, &told)
		recipe.Glimpse = func(context.Context, workflow.Run) error { return nil }
		recipe.Steps["act"] = workflow.Step{Do: func(context.Context, *workflow.Job) (workflow.Next, error) {
			return workflow.Park(), nil
		}}
		a := workflow.New(&s, workflow.Options{Owner: "a"}, recipe)
		begun(t, a, &s)
		work(t, a, time.Minute, time.Second)
		if !slices.Equal(told, []string{"act/"}) {
			t.Errorf("told %q", told)
		}
	})
}

// TestGlimpse: a state that is left at once is shown, and counts as told only
// with the one after it.
func TestGlimpse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s storetest.Memory
		var told, seen []string
		recipe := oneAct(&world{}, false, &told)
		recipe.Glimpse = func(ctx context.Context, r workflow.Run) error {
			seen = append(seen, r.Step)
			if r, err := s.Run(ctx, "r1"); err != nil || !r.Unannounced() || r.Telling != "a" {
				t.Errorf("a glimpse of %+v, %v", r, err)
			}
			return nil
		}
		a := workflow.New(&s, workflow.Options{Owner: "a"}, recipe)
		begun(t, a, &s)
		r := settle(t, a, &s, time.Minute)
		if !slices.Equal(seen, []string{"act"}) || !slices.Equal(told, []string{"act/done"}) || r.Telling != "" {
			t.Errorf("seen %q, told %q, run %+v", seen, told, r)
		}
	})
}
