package storetest

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/workflow"
	"github.com/google/go-cmp/cmp"
)

// Workflow is the suite of [workflow.Store]. open returns an empty store, and
// a second handle on the same one, as another replica would have it.
func Workflow(t *testing.T, open func(t *testing.T) (a, b workflow.Store)) {
	for _, c := range []struct {
		name string
		run  func(t *testing.T, a, b workflow.Store)
	}{
		{"round trip", runRoundTrip},
		{"one live run a key", runKeys},
		{"list", runList},
		{"gate", runGate},
		{"gate, many clicks", runGateRace},
		{"lease", runLease},
		{"lease lost", runFenced},
		{"lease, two replicas", runClaimRace},
		{"never slept over", runNotSleptOver},
		{"told", runTold},
		{"slots", runSlots},
		{"slots, two replicas", runSlotRace},
		{"acts", runActs},
		{"act against gate", runActGate},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, b := open(t)
			c.run(t, a, b)
		})
	}
}

func flow(id string) workflow.Run {
	now := time.Now().UTC().Truncate(time.Millisecond)
	return workflow.Run{ID: id, Recipe: "r", Step: "s", Data: json.RawMessage(`{"a":1}`), Due: now, Entered: now,
		Version: 1, Announced: 1, Created: now, Updated: now}
}

func create(t *testing.T, s workflow.Store, r workflow.Run) {
	t.Helper()
	if err := s.CreateRun(t.Context(), r); err != nil {
		t.Fatal(err)
	}
}

func claim(t *testing.T, s workflow.Store, owner string, lease time.Duration) workflow.Run {
	t.Helper()
	r, err := s.ClaimRun(t.Context(), owner, time.Now(), lease)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

func wantErr(t *testing.T, doing string, got, want error) {
	t.Helper()
	if !errors.Is(got, want) {
		t.Errorf("%s: %v, want %v", doing, got, want)
	}
}

func runRoundTrip(t *testing.T, a, b workflow.Store) {
	want := flow("r1")
	want.Key, want.AnnounceAt = "k", want.Created.Add(time.Hour)
	create(t, a, want)
	got, err := b.Run(t.Context(), "r1")
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want, got); d != "" {
		t.Errorf("created and read (-want +got):\n%s", d)
	}
	r := claim(t, a, "o", time.Minute)
	at := want.Created.Add(time.Minute)
	r.Step, r.Data, r.Entered, r.Tries, r.Trouble, r.Updated = "s2", json.RawMessage(`{"b":2}`), at, 2, "oh", at
	r.Announced, r.AnnounceAt, r.Due = 7, at, at
	saved, err := a.SaveRun(t.Context(), r, true)
	if err != nil {
		t.Fatal(err)
	}
	r.Version++
	if d := cmp.Diff(r, saved); d != "" {
		t.Errorf("saved (-want +got):\n%s", d)
	}
	if got, err = b.Run(t.Context(), "r1"); err != nil || cmp.Diff(saved, got) != "" {
		t.Errorf("read after save: %v\n%s", err, cmp.Diff(saved, got))
	}
	_, err = b.Run(t.Context(), "r2")
	wantErr(t, "reading no run", err, workflow.ErrNotFound)
	wantErr(t, "deciding no run", b.DecideRun(t.Context(), "r2", 0, nil, at), workflow.ErrNotFound)
}

func runKeys(t *testing.T, a, b workflow.Store) {
	first, second := flow("r1"), flow("r2")
	first.Key, second.Key = "k", "k"
	create(t, a, first)
	wantErr(t, "second live run", b.CreateRun(t.Context(), second), workflow.ErrExists)
	r := claim(t, a, "o", time.Minute)
	r.Outcome = "done"
	if _, err := a.SaveRun(t.Context(), r, true); err != nil {
		t.Fatal(err)
	}
	create(t, b, second)
	create(t, b, flow("r3"))
	create(t, b, flow("r4")) // no key: any number
}

func runList(t *testing.T, a, _ workflow.Store) {
	for i, key := range []string{"x", "y", "z"} {
		r := flow(fmt.Sprint("r", i))
		r.Key, r.Created = key, r.Created.Add(time.Duration(i)*time.Second)
		create(t, a, r)
	}
	r := claim(t, a, "o", time.Minute)
	r.Outcome, r.Ended, r.Updated = "done", time.Now(), time.Now().Add(time.Hour)
	if _, err := a.SaveRun(t.Context(), r, true); err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		f    workflow.Filter
		want []string
	}{
		{workflow.Filter{}, []string{"r2", "r1", "r0"}},
		{workflow.Filter{Live: true}, []string{"r2", "r1"}},
		{workflow.Filter{Ended: true}, []string{"r0"}},
		{workflow.Filter{Key: "y", Recipe: "r"}, []string{"r1"}},
		{workflow.Filter{Recipe: "other"}, nil},
		{workflow.Filter{Since: time.Now().Add(time.Minute)}, []string{"r0"}},
		{workflow.Filter{Limit: 1}, []string{"r2"}},
	} {
		runs, err := a.Runs(t.Context(), c.f)
		var ids []string
		for _, r := range runs {
			ids = append(ids, r.ID)
		}
		if d := cmp.Diff(c.want, ids); err != nil || d != "" {
			t.Errorf("%+v: %v (-want +got):\n%s", c.f, err, d)
		}
	}
}

func runGate(t *testing.T, a, b workflow.Store) {
	r := flow("r1")
	r.Due = time.Time{}
	create(t, a, r)
	_, err := a.ClaimRun(t.Context(), "o", time.Now(), time.Minute)
	wantErr(t, "claiming a parked run", err, workflow.ErrNone)
	if err := b.DecideRun(t.Context(), "r1", 0, json.RawMessage(`"yes"`), time.Now()); err != nil {
		t.Fatal(err)
	}
	wantErr(t, "amending a live run", b.AmendRun(t.Context(), "r1", 1, nil), workflow.ErrConflict)
	wantErr(t, "deciding on an old gate", a.DecideRun(t.Context(), "r1", 0, json.RawMessage(`"no"`), time.Now()), workflow.ErrConflict)
	got := claim(t, a, "o", time.Minute)
	if string(got.Gate) != `"yes"` || got.GateVersion != 1 || got.Version != 2 {
		t.Errorf("after the decision: %+v", got)
	}
	got.Outcome = "done"
	if _, err := a.SaveRun(t.Context(), got, true); err != nil {
		t.Fatal(err)
	}
	wantErr(t, "amending on an old gate", b.AmendRun(t.Context(), "r1", 0, json.RawMessage(`"keep"`)), workflow.ErrConflict)
	if err := b.AmendRun(t.Context(), "r1", 1, json.RawMessage(`"keep"`)); err != nil {
		t.Error(err)
	}
	if r, err := a.Run(t.Context(), "r1"); err != nil || string(r.Gate) != `"keep"` || !r.Due.IsZero() || !r.Unannounced() {
		t.Errorf("amended %+v, %v", r, err)
	}
	wantErr(t, "amending no run", b.AmendRun(t.Context(), "r2", 0, nil), workflow.ErrNotFound)
	wantErr(t, "deciding an ended run", b.DecideRun(t.Context(), "r1", 1, nil, time.Now()), workflow.ErrConflict)
}

// runGateRace: of many clicks on one gate exactly one is taken.
func runGateRace(t *testing.T, a, b workflow.Store) {
	create(t, a, flow("r1"))
	var wg sync.WaitGroup
	var mu sync.Mutex
	won := 0
	for i := range 10 {
		s := []workflow.Store{a, b}[i%2]
		wg.Go(func() {
			err := s.DecideRun(t.Context(), "r1", 0, json.RawMessage(`"me"`), time.Now())
			mu.Lock()
			defer mu.Unlock()
			if err == nil {
				won++
			} else {
				wantErr(t, "losing", err, workflow.ErrConflict)
			}
		})
	}
	wg.Wait()
	if won != 1 {
		t.Errorf("%d clicks won, want one", won)
	}
}

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

func runSlots(t *testing.T, a, b workflow.Store) {
	ctx := t.Context()
	for _, id := range []string{"r1", "r2"} {
		create(t, a, flow(id))
	}
	r1, r2 := claim(t, a, "a", time.Minute), claim(t, a, "a", time.Minute)
	both := []workflow.Slot{{Name: "fleet", Limit: 2}, {Name: "droplet", Limit: 1}}
	for range 2 { // again is the same
		if full, err := a.TakeSlots(ctx, r1.ID, r1.Token, both); err != nil || len(full) != 0 {
			t.Fatalf("taking free slots: %v, %v", full, err)
		}
	}
	full, err := b.TakeSlots(ctx, r2.ID, r2.Token, both)
	want := []workflow.Slot{{Name: "droplet", Limit: 1, Holders: []string{r1.ID}}}
	if d := cmp.Diff(want, full); err != nil || d != "" {
		t.Errorf("taking a full slot: %v (-want +got):\n%s", err, d)
	}
	if held, err := b.SlotHolders(ctx, "fleet"); err != nil || len(held) != 1 {
		t.Errorf("all or none: fleet held by %v, %v", held, err)
	}
	r1.Outcome = "done"
	if _, err := a.SaveRun(ctx, r1, true); err != nil {
		t.Fatal(err)
	}
	if full, err := b.TakeSlots(ctx, r2.ID, r2.Token, both); err != nil || len(full) != 0 {
		t.Errorf("after the holder ended: %v, %v", full, err)
	}
}

func runSlotRace(t *testing.T, a, b workflow.Store) {
	const n = 8
	var runs []workflow.Run
	for i := range n {
		create(t, a, flow(fmt.Sprint("r", i)))
		runs = append(runs, claim(t, a, "a", time.Minute))
	}
	var wg sync.WaitGroup
	for i, r := range runs {
		s := []workflow.Store{a, b}[i%2]
		wg.Go(func() {
			if _, err := s.TakeSlots(t.Context(), r.ID, r.Token, []workflow.Slot{{Name: "fleet", Limit: 3}}); err != nil {
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if held, err := a.SlotHolders(t.Context(), "fleet"); err != nil || len(held) != 3 {
		t.Errorf("slot of 3 held by %d: %v, %v", len(held), held, err)
	}
}

func runActs(t *testing.T, a, b workflow.Store) {
	ctx := context.WithoutCancel(t.Context())
	create(t, a, flow("r1"))
	r := claim(t, a, "a", time.Minute)
	at := r.Created
	for _, name := range []string{"z", "y"} {
		act := workflow.Act{Run: "r1", Name: name, State: workflow.Planned, Request: json.RawMessage(`{"n":1}`), Planned: at}
		for range 2 { // planned once, again is the same
			if err := a.PlanAct(ctx, act, r.Token); err != nil {
				t.Fatal(err)
			}
		}
	}
	want := workflow.Act{Run: "r1", Name: "z", State: workflow.Sent, Request: json.RawMessage(`{"n":1}`), Planned: at, Sent: at}
	if err := a.MoveAct(ctx, want, workflow.Planned, r.Token, r.GateVersion); err != nil {
		t.Fatal(err)
	}
	wantErr(t, "sending twice", b.MoveAct(ctx, want, workflow.Planned, r.Token, r.GateVersion+1), workflow.ErrFenced)
	want.Looks, want.FirstLook = 3, at
	if err := a.MoveAct(ctx, want, workflow.Sent, r.Token, 0); err != nil {
		t.Fatal(err)
	}
	want.State, want.Result, want.Why, want.Retry, want.Over = workflow.Refused, json.RawMessage(`7`), "busy", true, at
	if err := a.MoveAct(ctx, want, workflow.Sent, r.Token, 0); err != nil {
		t.Fatal(err)
	}
	wantErr(t, "ending twice", a.MoveAct(ctx, want, workflow.Sent, r.Token, 0), workflow.ErrFenced)
	acts, err := b.RunActs(ctx, "r1")
	if err != nil || len(acts) != 2 || acts[1].Name != "y" {
		t.Fatalf("acts %+v, %v", acts, err)
	}
	if d := cmp.Diff(want, acts[0]); d != "" {
		t.Errorf("act (-want +got):\n%s", d)
	}
}

// runActGate: an act leaves only if nobody said anything since the gate was
// read, and its leaving is news to whoever decides next.
func runActGate(t *testing.T, a, b workflow.Store) {
	ctx := t.Context()
	create(t, a, flow("r1"))
	r := claim(t, a, "a", time.Minute)
	act := workflow.Act{Run: "r1", Name: "x", State: workflow.Planned, Planned: time.Now()}
	if err := a.PlanAct(ctx, act, r.Token); err != nil {
		t.Fatal(err)
	}
	if err := b.DecideRun(ctx, "r1", 0, json.RawMessage(`"cancel"`), time.Now()); err != nil {
		t.Fatal(err)
	}
	act.State, act.Sent = workflow.Sent, time.Now()
	wantErr(t, "sending against a new gate", a.MoveAct(ctx, act, workflow.Planned, r.Token, 0), workflow.ErrConflict)
	if acts, err := a.RunActs(ctx, "r1"); err != nil || acts[0].State != workflow.Planned {
		t.Errorf("after the conflict: %+v, %v", acts, err)
	}
	if err := a.MoveAct(ctx, act, workflow.Planned, r.Token, 1); err != nil {
		t.Fatal(err)
	}
	wantErr(t, "deciding as if nothing had left", b.DecideRun(ctx, "r1", 1, nil, time.Now()), workflow.ErrConflict)
}
