package storetest

import (
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
