package workflow_test

import (
	"context"
	"encoding/json"
	"errors"
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
