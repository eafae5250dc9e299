package storetest

import (
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/workflow"
)

func runLease(t *testing.T, a, b workflow.Store) {
	const lease = 400 * time.Millisecond
	create(t, a, flow("r1"))
	first := claim(t, a, "a", lease)
	if first.Owner != "a" || first.Token != 1 {
		t.Errorf("claimed %+v", first)
	}
	var stopped time.Time // the last heartbeat
	for start := time.Now(); time.Since(start) < 3*lease; time.Sleep(lease / 8) {
		if _, err := b.ClaimRun(t.Context(), "b", time.Now(), lease); !errors.Is(err, workflow.ErrNone) {
			t.Fatalf("claiming a leased run whose heart beats: %v", err)
		}
		stopped = time.Now()
		if err := a.RenewRun(t.Context(), "r1", first.Token, lease); err != nil {
			t.Fatal(err)
		}
	}
	var second workflow.Run
	for {
		r, err := b.ClaimRun(t.Context(), "b", time.Now(), lease)
		if err == nil {
			second = r
			break
		}
		if !errors.Is(err, workflow.ErrNone) || time.Since(stopped) > 20*lease {
			t.Fatalf("claiming after the heart stopped: %v", err)
		}
		time.Sleep(lease / 20)
	}
	if since := time.Since(stopped); since < lease*9/10 {
		t.Errorf("lease taken %v after the last heartbeat, lasts %v", since, lease)
	}
	if second.Token != 2 || second.Owner != "b" {
		t.Errorf("claimed %+v", second)
	}
}

// runFenced: an owner whose token is old can write nothing at all.
func runFenced(t *testing.T, a, b workflow.Store) {
	ctx := t.Context()
	create(t, a, flow("r1"))
	old := claim(t, a, "a", time.Minute)
	act := workflow.Act{Run: "r1", Name: "x", State: workflow.Planned, Planned: time.Now()}
	if err := a.PlanAct(ctx, act, old.Token); err != nil {
		t.Fatal(err)
	}
	back := old
	back.Owner = ""
	if _, err := a.SaveRun(ctx, back, false); err != nil {
		t.Fatal(err)
	}
	for _, holder := range []string{"nobody", "another"} {
		if holder == "another" {
			claim(t, b, "b", time.Minute)
		}
		_, err := a.SaveRun(ctx, old, true)
		wantErr(t, "saving, held by "+holder, err, workflow.ErrFenced)
		wantErr(t, "renewing, held by "+holder, a.RenewRun(ctx, "r1", old.Token, time.Minute), workflow.ErrFenced)
		_, err = a.TakeSlots(ctx, "r1", old.Token, []workflow.Slot{{Name: "s", Limit: 1}})
		wantErr(t, "taking slots, held by "+holder, err, workflow.ErrFenced)
		wantErr(t, "planning, held by "+holder, a.PlanAct(ctx, workflow.Act{Run: "r1", Name: "y"}, old.Token), workflow.ErrFenced)
		act.State = workflow.Sent
		wantErr(t, "moving, held by "+holder, a.MoveAct(ctx, act, workflow.Planned, old.Token, 0), workflow.ErrFenced)
	}
}

// runClaimRace: two replicas never hold one run, and together hold them all.
func runClaimRace(t *testing.T, a, b workflow.Store) {
	const n = 20
	for i := range n {
		create(t, a, flow(fmt.Sprint("r", i)))
	}
	var wg sync.WaitGroup
	var mu sync.Mutex
	got := map[string]int{}
	for w := range 4 {
		s := []workflow.Store{a, b}[w%2]
		wg.Go(func() {
			for misses := 0; misses < 20; {
				r, err := s.ClaimRun(t.Context(), fmt.Sprint(w), time.Now(), time.Minute)
				if errors.Is(err, workflow.ErrNone) {
					misses++
					continue
				}
				if err != nil {
					t.Error(err)
					return
				}
				mu.Lock()
				got[r.ID]++
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	for id, times := range got {
		if times != 1 {
			t.Errorf("run %s claimed %d times", id, times)
		}
	}
	if len(got) != n {
		t.Errorf("claimed %d runs of %d", len(got), n)
	}
}

// runNotSleptOver: a decision made while the owner decides to park keeps the
// run due, and keeps it from ending.
func runNotSleptOver(t *testing.T, a, b workflow.Store) {
	create(t, a, flow("r1"))
	r := claim(t, a, "a", time.Minute)
	if err := b.DecideRun(t.Context(), "r1", 0, json.RawMessage(`"yes"`), time.Now()); err != nil {
		t.Fatal(err)
	}
	end := r
	end.Outcome = "expired"
	_, err := a.SaveRun(t.Context(), end, true)
	wantErr(t, "ending over an unseen decision", err, workflow.ErrConflict)
	r.Due, r.Owner = time.Time{}, ""
	saved, err := a.SaveRun(t.Context(), r, false)
	if err != nil || saved.Due.IsZero() || string(saved.Gate) != `"yes"` {
		t.Fatalf("parked over a decision: %+v, %v", saved, err)
	}
	claim(t, b, "b", time.Minute)
}

// runTold: a run is wanted until its last change was announced, ended or not.
func runTold(t *testing.T, a, _ workflow.Store) {
	r := flow("r1")
	r.Announced = 0
	create(t, a, r)
	r = claim(t, a, "a", time.Minute)
	r.Outcome, r.Owner, r.AnnounceAt = "done", "", time.Now().Add(time.Hour)
	if _, err := a.SaveRun(t.Context(), r, true); err != nil {
		t.Fatal(err)
	}
	_, err := a.ClaimRun(t.Context(), "a", time.Now(), time.Minute)
	wantErr(t, "claiming before it is time to tell", err, workflow.ErrNone)
	r, err = a.ClaimRun(t.Context(), "a", time.Now().Add(2*time.Hour), time.Minute)
	if err != nil || r.Version != 2 {
		t.Fatalf("claiming to tell: %+v, %v", r, err)
	}
	r.Announced, r.Owner = r.Version, ""
	if _, err := a.SaveRun(t.Context(), r, false); err != nil {
		t.Fatal(err)
	}
	_, err = a.ClaimRun(t.Context(), "a", time.Now().Add(2*time.Hour), time.Minute)
	wantErr(t, "claiming what was told", err, workflow.ErrNone)
	if err := a.RetellRun(t.Context(), "r1"); err != nil {
		t.Fatal(err)
	}
	again := claim(t, a, "a", time.Minute)
	if again.Version != 3 || !again.Unannounced() {
		t.Errorf("claimed to tell again: %+v", again)
	}
	again.Announced, again.Telling, again.EchoAt, again.Echoes, again.Owner = again.Version, "a", time.Now().Add(time.Hour), 2, ""
	if _, err := a.SaveRun(t.Context(), again, false); err != nil {
		t.Fatal(err)
	}
	_, err = a.ClaimRun(t.Context(), "a", time.Now(), time.Minute)
	wantErr(t, "claiming before an echo", err, workflow.ErrNone)
	r, err = a.ClaimRun(t.Context(), "b", time.Now().Add(2*time.Hour), time.Minute)
	if err != nil || r.Telling != "a" || r.Echoes != 2 || r.EchoAt.Sub(again.EchoAt).Abs() > time.Millisecond {
		t.Errorf("claiming for an echo: %+v, %v", r, err)
	}
	r.EchoAt, r.Owner = time.Time{}, ""
	if _, err := a.SaveRun(t.Context(), r, false); err != nil {
		t.Fatal(err)
	}
	_, err = a.ClaimRun(t.Context(), "a", time.Now().Add(20*time.Hour), time.Minute)
	wantErr(t, "claiming after the last echo", err, workflow.ErrNone)
	wantErr(t, "telling of no run", a.RetellRun(t.Context(), "r2"), workflow.ErrNotFound)
}
