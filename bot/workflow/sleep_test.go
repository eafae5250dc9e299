package workflow_test

import (
	"context"
	"errors"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dropleak/dropleak/bot/store/storetest"
	"github.com/dropleak/dropleak/bot/workflow"
)

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
