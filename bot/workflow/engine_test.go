package workflow_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dropleak/dropleak/bot/store/storetest"
	"github.com/dropleak/dropleak/bot/workflow"
)

// world is what acts reach: it counts what arrived.
type world struct {
	asked     int
	lose      bool // do the work, lose the answer
	deaf      bool // lose the request, too
	refuse    bool
	sightings []workflow.Sighting
	from      time.Time // sightings show from here on
	looks     int
	before    func() // runs when a request arrives
}

func (w *world) request(name string, repeatable bool) workflow.Request {
	return workflow.Request{Name: name, Body: "please", Repeatable: repeatable,
		Send: func(context.Context) (any, error) {
			if w.before != nil {
				w.before()
			}
			if w.refuse {
				return nil, workflow.NotTaken(errors.New("busy"), true)
			}
			if w.deaf {
				return nil, errors.New("connection reset")
			}
			w.asked++
			if w.lose {
				return nil, errors.New("connection reset")
			}
			return "thanks", nil
		},
		Observe: func(context.Context, time.Time) ([]workflow.Sighting, error) {
			w.looks++
			if time.Now().Before(w.from) {
				return nil, nil
			}
			return w.sightings, nil
		}}
}

// oneAct is a recipe of a gate and an act.
func oneAct(w *world, repeatable bool, told *[]string) workflow.Recipe {
	return workflow.Recipe{Name: "one", First: "ask",
		Steps: map[string]workflow.Step{
			"ask": {Next: []string{"act", "no"}, Do: func(_ context.Context, j *workflow.Job) (workflow.Next, error) {
				var said string
				if err := j.Gate(&said); err != nil {
					return workflow.Next{}, err
				}
				switch said {
				case "yes":
					return workflow.Go("act"), nil
				case "no":
					return workflow.End("no"), nil
				}
				return workflow.Park(), nil
			}},
			"act": {Next: []string{"done", "refused", "unknown", "no"}, Do: func(ctx context.Context, j *workflow.Job) (workflow.Next, error) {
				var said string
				if err := j.Gate(&said); err != nil {
					return workflow.Next{}, err
				}
				if said == "no" {
					return workflow.End("no"), nil
				}
				a, err := j.Act(ctx, w.request("a", repeatable))
				if err != nil {
					return workflow.Next{}, err
				}
				if a.State == workflow.Sent {
					return workflow.Wait(a.Again), nil
				}
				return workflow.End(string(a.State)), nil
			}},
		},
		Announce: func(_ context.Context, r workflow.Run) error {
			*told = append(*told, r.Step+"/"+r.Outcome)
			return nil
		},
	}
}

func say(t *testing.T, s workflow.Store, word string) error {
	t.Helper()
	r, err := s.Run(t.Context(), "r1")
	if err != nil {
		t.Fatal(err)
	}
	raw, err := json.Marshal(word)
	if err != nil {
		t.Fatal(err)
	}
	return s.DecideRun(t.Context(), "r1", r.GateVersion, raw, time.Now())
}

// settle drives the engine, letting time pass, until the run has ended.
func settle(t *testing.T, e *workflow.Engine, s workflow.Store, within time.Duration) workflow.Run {
	t.Helper()
	for start := time.Now(); time.Since(start) < within; time.Sleep(time.Second) {
		for {
			worked, err := e.Once(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			if !worked {
				break
			}
		}
		if r, err := s.Run(t.Context(), "r1"); err != nil || !r.Live() && !r.Unannounced() {
			return r
		}
	}
	r, _ := s.Run(t.Context(), "r1")
	t.Fatalf("run did not end within %v: %+v", within, r)
	return r
}

// TestActs is the whole of what may become of one act.
func TestActs(t *testing.T) {
	found := workflow.Sighting{Result: 7}
	mine := workflow.Sighting{Result: 8, Certain: true}
	for _, c := range []struct {
		name       string
		w          world
		repeatable bool
		outcome    string
		asked      int
		atLeast    time.Duration
	}{
		{name: "answered", outcome: "done", asked: 1},
		{name: "refused", w: world{refuse: true}, outcome: "refused"},
		{name: "answer lost, one candidate", w: world{lose: true, sightings: []workflow.Sighting{found}}, outcome: "done", asked: 1, atLeast: 2 * time.Minute},
		{name: "answer lost, found by its own name", w: world{lose: true, sightings: []workflow.Sighting{found, mine}}, outcome: "done", asked: 1},
		{name: "answer lost, nothing to see", w: world{lose: true}, outcome: "unknown", asked: 1, atLeast: 2 * time.Minute},
		{name: "answer lost, two candidates", w: world{lose: true, sightings: []workflow.Sighting{found, found}}, outcome: "unknown", asked: 1, atLeast: 2 * time.Minute},
		{name: "request lost", w: world{deaf: true}, outcome: "unknown", atLeast: 2 * time.Minute},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var s storetest.Memory
				var told []string
				e := workflow.New(&s, workflow.Options{Owner: "a"}, oneAct(&c.w, c.repeatable, &told))
				start := time.Now()
				if err := e.Start(t.Context(), workflow.Run{ID: "r1", Recipe: "one"}); err != nil {
					t.Fatal(err)
				}
				if err := say(t, &s, "yes"); err != nil {
					t.Fatal(err)
				}
				r := settle(t, e, &s, time.Hour)
				if r.Outcome != c.outcome || c.w.asked != c.asked {
					t.Errorf("outcome %q after %d requests, want %q after %d", r.Outcome, c.w.asked, c.outcome, c.asked)
				}
				if took := time.Since(start); took < c.atLeast {
					t.Errorf("looked for %v, want at least %v", took, c.atLeast)
				}
				if last := told[len(told)-1]; last != "act/"+c.outcome {
					t.Errorf("last told %q of %q", last, told)
				}
			})
		})
	}
}

func TestRepeatableActIsAskedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s storetest.Memory
		var told []string
		w := world{deaf: true}
		e := workflow.New(&s, workflow.Options{Owner: "a"}, oneAct(&w, true, &told))
		if err := e.Start(t.Context(), workflow.Run{ID: "r1", Recipe: "one"}); err != nil {
			t.Fatal(err)
		}
		if err := say(t, &s, "yes"); err != nil {
			t.Fatal(err)
		}
		if _, err := e.Once(t.Context()); err != nil {
			t.Fatal(err)
		}
		w.deaf = false
		if r := settle(t, e, &s, time.Minute); r.Outcome != "done" || w.looks != 0 {
			t.Errorf("outcome %q after %d looks, want done after none", r.Outcome, w.looks)
		}
	})
}

// TestTwoReplicas lets one owner stall in the middle of a request until
// another has taken over: nothing is asked twice, and the old owner, awake
// again, changes nothing.
func TestTwoReplicas(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s storetest.Memory
		var told []string
		w := world{}
		stalled := &stall{Store: &s}
		a := workflow.New(stalled, workflow.Options{Owner: "a"}, oneAct(&w, false, &told))
		b := workflow.New(&s, workflow.Options{Owner: "b"}, oneAct(&w, false, &told))
		if err := a.Start(t.Context(), workflow.Run{ID: "r1", Recipe: "one"}); err != nil {
			t.Fatal(err)
		}
		if err := say(t, &s, "yes"); err != nil {
			t.Fatal(err)
		}
		var ended workflow.Run
		w.before = func() {
			w.before = nil
			stalled.on.Store(true)
			w.sightings = []workflow.Sighting{{Result: 1}}
			ended = settle(t, b, &s, time.Hour)
			stalled.on.Store(false)
		}
		if _, err := a.Once(t.Context()); err != nil {
			t.Fatal(err)
		}
		after, err := s.Run(t.Context(), "r1")
		if err != nil || ended.Outcome != "done" || after.Token != ended.Token || after.Version != ended.Version {
			t.Errorf("run %+v after the stall, %+v before, %v", after, ended, err)
		}
		if w.asked != 1 {
			t.Errorf("asked %d times, want once", w.asked)
		}
	})
}

// stall is the store of a process that can be frozen: its heartbeat fails.
type stall struct {
	workflow.Store
	on atomic.Bool
}

func (s *stall) RenewRun(ctx context.Context, id string, token int64, lease time.Duration) error {
	if s.on.Load() {
		return errors.New("frozen")
	}
	return s.Store.RenewRun(ctx, id, token, lease)
}

// TestSleptBeforeSending: a process that slept past its lease between the
// commit and the request lets nothing leave.
func TestSleptBeforeSending(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s storetest.Memory
		var told []string
		w := world{}
		slow := &slowCommit{Store: &s}
		a := workflow.New(slow, workflow.Options{Owner: "a"}, oneAct(&w, false, &told))
		if err := a.Start(t.Context(), workflow.Run{ID: "r1", Recipe: "one"}); err != nil {
			t.Fatal(err)
		}
		if err := say(t, &s, "yes"); err != nil {
			t.Fatal(err)
		}
		if _, err := a.Once(t.Context()); err != nil {
			t.Fatal(err)
		}
		if w.asked != 0 {
			t.Errorf("a request left %v after its lease ran out", time.Minute)
		}
		slow.awake.Store(true)
		if r := settle(t, a, &s, time.Hour); r.Outcome != "unknown" {
			t.Errorf("outcome %q, want unknown", r.Outcome)
		}
	})
}

type slowCommit struct {
	workflow.Store
	awake atomic.Bool
}

func (s *slowCommit) MoveAct(ctx context.Context, a workflow.Act, from workflow.ActState, token, gv int64, e ...workflow.Entry) error {
	err := s.Store.MoveAct(ctx, a, from, token, gv, e...)
	if !s.awake.Load() && from == workflow.Planned {
		time.Sleep(time.Minute)
	}
	return err
}

func (s *slowCommit) RenewRun(ctx context.Context, id string, token int64, lease time.Duration) error {
	if s.awake.Load() {
		return s.Store.RenewRun(ctx, id, token, lease)
	}
	return errors.New("frozen")
}

// TestClockStep: a clock that jumps ahead an hour does not cut short how long
// a lost act's trace is looked for.
func TestClockStep(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s storetest.Memory
		sent := time.Now()
		w := &world{lose: true, from: sent.Add(90 * time.Second), sightings: []workflow.Sighting{{Result: "late"}}}
		var told []string
		e := workflow.New(&jumped{&s}, workflow.Options{Owner: "a"}, oneAct(w, false, &told))
		if err := e.Start(t.Context(), workflow.Run{ID: "r1", Recipe: "one"}); err != nil {
			t.Fatal(err)
		}
		if err := say(t, &s, "yes"); err != nil {
			t.Fatal(err)
		}
		if r := settle(t, e, &s, time.Hour); r.Outcome != "done" || time.Since(sent) < 2*time.Minute {
			t.Errorf("outcome %q after %v, want done after the whole window", r.Outcome, time.Since(sent))
		}
	})
}

// jumped is a store as an owner sees it whose clock jumped ahead since.
type jumped struct{ workflow.Store }

func (s *jumped) RunActs(ctx context.Context, run string) ([]workflow.Act, error) {
	acts, err := s.Store.RunActs(ctx, run)
	for i := range acts {
		for _, at := range []*time.Time{&acts[i].Planned, &acts[i].Sent, &acts[i].FirstLook} {
			if !at.IsZero() {
				*at = at.Add(-time.Hour)
			}
		}
	}
	return acts, err
}

// TestChangeOfMind: a person's no before the act has left wins.
func TestChangeOfMind(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s storetest.Memory
		var told []string
		w := world{}
		late := &lateNo{Store: &s, t: t}
		e := workflow.New(late, workflow.Options{Owner: "a"}, oneAct(&w, false, &told))
		if err := e.Start(t.Context(), workflow.Run{ID: "r1", Recipe: "one"}); err != nil {
			t.Fatal(err)
		}
		if err := say(t, &s, "yes"); err != nil {
			t.Fatal(err)
		}
		if r := settle(t, e, &s, time.Minute); r.Outcome != "no" || w.asked != 0 {
			t.Errorf("outcome %q after %d requests, want no after none", r.Outcome, w.asked)
		}
		if err := say(t, &s, "yes"); !errors.Is(err, workflow.ErrConflict) {
			t.Errorf("deciding an ended run: %v, want %v", err, workflow.ErrConflict)
		}
	})
}

// lateNo says no between the plan of an act and its departure.
type lateNo struct {
	workflow.Store
	t    *testing.T
	said bool
}

func (s *lateNo) PlanAct(ctx context.Context, a workflow.Act, token int64, e ...workflow.Entry) error {
	if !s.said {
		s.said = true
		if err := say(s.t, s.Store, "no"); err != nil {
			s.t.Error(err)
		}
	}
	return s.Store.PlanAct(ctx, a, token, e...)
}

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
		e := workflow.New(&s, workflow.Options{Owner: "a"}, recipe)
		if err := e.Start(t.Context(), workflow.Run{ID: "r1", Recipe: "one"}); err != nil {
			t.Fatal(err)
		}
		if err := say(t, &s, "yes"); err != nil {
			t.Fatal(err)
		}
		if _, err := e.Once(t.Context()); err != nil {
			t.Fatal(err)
		}
		broken = false
		if r := settle(t, e, &s, time.Minute); r.Outcome != "done" || !slices.Equal(told, []string{"act/done"}) {
			t.Errorf("outcome %q, told %q", r.Outcome, told)
		}
	})
}

// TestSleptAfterClaiming: a lease counts from before it was asked for, so a
// process that slept through it as the answer came lets nothing leave.
func TestSleptAfterClaiming(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var s storetest.Memory
		var told []string
		w := world{}
		first := workflow.New(&s, workflow.Options{Owner: "a"}, oneAct(&w, true, &told))
		if err := first.Start(t.Context(), workflow.Run{ID: "r1", Recipe: "one"}); err != nil {
			t.Fatal(err)
		}
		if err := say(t, &s, "yes"); err != nil {
			t.Fatal(err)
		}
		slow := workflow.New(slowClaim{&s}, workflow.Options{Owner: "b"}, oneAct(&w, true, &told))
		if _, err := slow.Once(t.Context()); err != nil {
			t.Fatal(err)
		}
		if w.asked != 0 || len(told) != 0 {
			t.Errorf("%d requests left and %q was told after the lease ran out", w.asked, told)
		}
	})
}

// slowClaim is a store whose answer to a claim comes a minute late.
type slowClaim struct{ workflow.Store }

func (s slowClaim) ClaimRun(ctx context.Context, owner string, now time.Time, lease time.Duration) (workflow.Run, error) {
	r, err := s.Store.ClaimRun(ctx, owner, now, lease)
	time.Sleep(time.Minute)
	return r, err
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
