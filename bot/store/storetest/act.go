package storetest

import (
	"context"
	"encoding/json"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/workflow"
	"github.com/google/go-cmp/cmp"
)

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
	third := claimed(t, a, "r3")
	if err := b.ReturnSlots(ctx, r1.ID, r1.Token, "droplet"); err != nil {
		t.Fatal(err)
	}
	if err := b.ReturnSlots(ctx, third.ID, third.Token, ""); err != nil { // of those that it has not
		t.Fatal(err)
	}
	for slot, want := range map[string]int{"fleet": 0, "droplet": 1} {
		if held, err := a.SlotHolders(ctx, slot); err != nil || len(held) != want {
			t.Errorf("given back: %s held by %v, %v", slot, held, err)
		}
	}
	r1.Outcome = "done"
	if _, err := a.SaveRun(ctx, r1, true); err != nil {
		t.Fatal(err)
	}
	if full, err := b.TakeSlots(ctx, r2.ID, r2.Token, both); err != nil || len(full) != 0 {
		t.Errorf("after the holder ended: %v, %v", full, err)
	}
}

// claimed is a new run that somebody works on.
func claimed(t *testing.T, s workflow.Store, id string) workflow.Run {
	t.Helper()
	create(t, s, flow(id))
	return claim(t, s, "a", time.Minute)
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
