package workflow_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dropleak/dropleak/bot/store/storetest"
	"github.com/dropleak/dropleak/bot/workflow"
)

func TestTroubleBacksOffAndShows(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s storetest.Memory
		var tries []time.Time
		e := workflow.New(&s, workflow.Options{Owner: "a"}, workflow.Recipe{Name: "r", First: "x", Steps: map[string]workflow.Step{
			"x": {Next: []string{"ok"}, Do: func(context.Context, *workflow.Job) (workflow.Next, error) {
				tries = append(tries, time.Now())
				switch {
				case len(tries) == 2:
					panic("oh")
				case len(tries) < 5:
					return workflow.Next{}, fmt.Errorf("disk full %s", strings.Repeat("x", 600))
				case len(tries) == 5:
					return workflow.Go("nowhere"), nil
				}
				return workflow.End("ok"), nil
			}}}})
		if err := e.Start(t.Context(), workflow.Run{ID: "r1", Recipe: "r"}); err != nil {
			t.Fatal(err)
		}
		settle(t, e, &s, time.Minute)
		var gaps []time.Duration
		for i := range tries[1:] {
			gaps = append(gaps, tries[i+1].Sub(tries[i]))
		}
		want := []time.Duration{1e9, 2e9, 4e9, 8e9, 16e9}
		if !slices.Equal(gaps, want) {
			t.Errorf("tried after %v, want %v", gaps, want)
		}
	})
}

// TestRunLoop drives several runs with Run, wakes it, and drains it.
func TestRunLoop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s storetest.Memory
		var told []string
		w := world{}
		e := workflow.New(&s, workflow.Options{Owner: "a", Workers: 2, Poll: time.Hour}, oneAct(&w, false, &told))
		ctx, stop := context.WithCancel(t.Context())
		done := make(chan error, 1)
		go func() { done <- e.Run(ctx) }()
		if err := e.Start(ctx, workflow.Run{ID: "r1", Recipe: "one"}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		if err := say(t, &s, "yes"); err != nil {
			t.Fatal(err)
		}
		// The request is in flight when the process is asked to stop: its
		// answer is still taken.
		w.before = func() { stop(); time.Sleep(time.Second) }
		e.Wake()
		if err := <-done; err != nil {
			t.Fatal(err)
		}
		acts, err := s.RunActs(t.Context(), "r1")
		if err != nil || len(acts) != 1 || acts[0].State != workflow.Done {
			t.Errorf("acts after draining: %+v, %v", acts, err)
		}
		if r, _ := s.Run(t.Context(), "r1"); r.Owner != "" {
			t.Errorf("lease still held after draining: %+v", r)
		}
	})
}

// TestAnnouncementIsNeverLost: the last state is told after Slack comes back,
// also when the run has long ended.
func TestAnnouncementIsNeverLost(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s storetest.Memory
		var told []string
		w := world{}
		recipe := oneAct(&w, false, &told)
		away := true
		tell := recipe.Announce
		recipe.Announce = func(ctx context.Context, r workflow.Run) error {
			if away {
				<-ctx.Done()
				return ctx.Err()
			}
			return tell(ctx, r)
		}
		e := workflow.New(&s, workflow.Options{Owner: "a"}, recipe)
		if err := e.Start(t.Context(), workflow.Run{ID: "r1", Recipe: "one"}); err != nil {
			t.Fatal(err)
		}
		if err := say(t, &s, "yes"); err != nil {
			t.Fatal(err)
		}
		for range 100 {
			if _, err := e.Once(t.Context()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		if r, _ := s.Run(t.Context(), "r1"); r.Live() || len(told) != 0 {
			t.Fatalf("run %+v, told %q: the work must not wait for the telling", r, told)
		}
		away = false
		settle(t, e, &s, time.Minute)
		if !slices.Equal(told, []string{"act/done"}) {
			t.Errorf("told %q, want the final state", told)
		}
	})
}

func TestStartRefuses(t *testing.T) {
	var s storetest.Memory
	var told []string
	e := workflow.New(&s, workflow.Options{Owner: "a"}, oneAct(&world{}, false, &told))
	if err := e.Start(t.Context(), workflow.Run{ID: "r0", Recipe: "two"}); err == nil {
		t.Error("a run of no recipe was started")
	}
	if err := e.Start(t.Context(), workflow.Run{ID: "r1", Recipe: "one", Key: "k"}); err != nil {
		t.Fatal(err)
	}
	if err := e.Start(t.Context(), workflow.Run{ID: "r2", Recipe: "one", Key: "k"}); !errors.Is(err, workflow.ErrExists) {
		t.Errorf("second live run of a key: %v, want %v", err, workflow.ErrExists)
	}
}

// TestSleptWhileTelling: an owner that slept past its lease while it told
// makes the next one tell again, so that the newest is told last.
func TestSleptWhileTelling(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s storetest.Memory
		var told []string
		w := world{}
		stalled := &stall{Store: &s}
		recipe := oneAct(&w, false, &told)
		tell := recipe.Announce
		b := workflow.New(&s, workflow.Options{Owner: "b"}, recipe)
		slept := false
		recipe.Announce = func(ctx context.Context, r workflow.Run) error {
			if !slept {
				slept = true
				stalled.on.Store(true)
				settle(t, b, &s, time.Hour)
				stalled.on.Store(false)
			}
			return tell(ctx, r)
		}
		a := workflow.New(stalled, workflow.Options{Owner: "a"}, recipe)
		if err := a.Start(t.Context(), workflow.Run{ID: "r1", Recipe: "one"}); err != nil {
			t.Fatal(err)
		}
		if err := say(t, &s, "yes"); err != nil {
			t.Fatal(err)
		}
		if _, err := a.Once(t.Context()); err != nil {
			t.Fatal(err)
		}
		settle(t, b, &s, time.Minute)
		if last := told[len(told)-1]; last != "act/done" {
			t.Errorf("last told %q of %q", last, told)
		}
	})
}

// TestRecipeOfAnother: a run whose recipe only a newer replica knows is left
// to it, and not looked at all the time.
func TestRecipeOfAnother(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s storetest.Memory
		var told []string
		newer := workflow.New(&s, workflow.Options{Owner: "b"}, oneAct(&world{}, false, &told))
		if err := newer.Start(t.Context(), workflow.Run{ID: "r1", Recipe: "one"}); err != nil {
			t.Fatal(err)
		}
		older := workflow.New(&s, workflow.Options{Owner: "a"})
		for i := range 3 {
			if worked, err := older.Once(t.Context()); err != nil || worked != (i == 0) {
				t.Fatalf("look %d: worked %v, %v", i, worked, err)
			}
		}
		if err := say(t, &s, "yes"); err != nil {
			t.Fatal(err)
		}
		if r := settle(t, newer, &s, 2*time.Minute); r.Outcome != "done" || told[len(told)-1] != "act/done" {
			t.Errorf("the newer brought it to %q and told %q", r.Outcome, told)
		}
	})
}

// TestAnnouncePanics: a message that cannot be made ends nothing but itself.
func TestAnnouncePanics(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s storetest.Memory
		var told []string
		recipe := oneAct(&world{}, false, &told)
		tell, broken := recipe.Announce, true
		recipe.Announce = func(ctx context.Context, r workflow.Run) error {
			if broken {
				panic("no such block")
			}
			return tell(ctx, r)
		}
		var log bytes.Buffer
		e := workflow.New(&s, workflow.Options{Owner: "a", Log: slog.New(slog.NewTextHandler(&log, nil))}, recipe)
		if err := e.Start(t.Context(), workflow.Run{ID: "r1", Recipe: "one", Key: "42/mail"}); err != nil {
			t.Fatal(err)
		}
		if err := say(t, &s, "yes"); err != nil {
			t.Fatal(err)
		}
		if _, err := e.Once(t.Context()); err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(log.String(), "msg=announcing run=r1 of=42/mail ") {
			t.Errorf("logged %s", log.String())
		}
		broken = false
		if r := settle(t, e, &s, time.Minute); r.Outcome != "done" || !slices.Equal(told, []string{"act/done"}) {
			t.Errorf("outcome %q, told %q", r.Outcome, told)
		}
	})
}

// TestLooksAreCounted: a clock that jumps, or a service that was away, does
// not cut the window short: a lost act is looked for as often as fits into it.
func TestLooksAreCounted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s storetest.Memory
		var told []string
		w := world{deaf: true}
		e := workflow.New(&s, workflow.Options{Owner: "a"}, oneAct(&w, false, &told))
		if err := e.Start(t.Context(), workflow.Run{ID: "r1", Recipe: "one"}); err != nil {
			t.Fatal(err)
		}
		if err := say(t, &s, "yes"); err != nil {
			t.Fatal(err)
		}
		for w.looks < 1 {
			if _, err := e.Once(t.Context()); err != nil {
				t.Fatal(err)
			}
			time.Sleep(time.Second)
		}
		time.Sleep(time.Hour)
		if _, err := e.Once(t.Context()); err != nil {
			t.Fatal(err)
		}
		if r, _ := s.Run(t.Context(), "r1"); !r.Live() {
			t.Fatalf("ended as %q after %d looks", r.Outcome, w.looks)
		}
		if r := settle(t, e, &s, time.Hour); r.Outcome != "unknown" || w.looks < 12 {
			t.Errorf("ended as %q after %d looks", r.Outcome, w.looks)
		}
	})
}
