package detector

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// TestSiblingExcuses: a child with less to do gains slowly what its sibling
// gained quickly before it stopped; until it has gained more it is not a leak.
func TestSiblingExcuses(t *testing.T) {
	w := Worker{Name: "w", Lives: []Life{life(10, RoleParent, 0, 12, level(60)),
		life(11, RoleChild, 0, 12, noisy(0.3, func(h float64) float64 { return 80 + 40*(1-math.Exp(-h)) })),
		life(12, RoleChild, 0, 12, noisy(0.3, func(h float64) float64 { return 80 + 2*h }))}}
	w = change(w, func(_ int, s Sample) Sample { s.CPU = math.NaN(); return s })
	if v := Judge(w, time.Time{}, Options{}); v.Kind != Unsure || v.Reason != ReasonWarmUp {
		t.Errorf("with the sibling: %s (%s) %v", v.Kind, v.Reason, v.Evidence)
	}
	w.Lives = []Life{w.Lives[0], w.Lives[2]}
	if v := Judge(w, time.Time{}, Options{}); v.Kind != Leak {
		t.Errorf("without it: %s (%s) %v", v.Kind, v.Reason, v.Evidence)
	}
}

// TestIncompletePasses: a pass that missed a process makes a gap, not a
// smaller sum.
func TestIncompletePasses(t *testing.T) {
	w := node(12, level(80))
	kept := without(Worker{Lives: w.Lives[1:]}, 5, 6.5)
	w.Lives = []Life{w.Lives[0], kept.Lives[0]}
	s := Summarize(w, Options{})
	for _, b := range s.Total {
		if len(b.Members) != 2 || b.Low < 100*MiB {
			t.Fatalf("block %+v counts as a whole pass", b)
		}
	}
	if len(s.Total) < 100 {
		t.Errorf("only %d blocks left", len(s.Total))
	}
}

// TestWarmUpBlamesNoTask: a task that runs mostly while a life is young is
// not blamed for the warm-up.
func TestWarmUpBlamesNoTask(t *testing.T) {
	r := rand.New(rand.NewPCG(4, 4))
	var w Worker
	for pid := 11; pid < 15; pid++ {
		l := Life{PID: pid, Role: RoleChild, Start: at(0)}
		for m := range 24 * 60 {
			name := []string{"early", "b", "c"}[min(r.IntN(3), 2)]
			if m < 470 && r.IntN(3) > 0 {
				name = "early"
			}
			begin := at((float64(m) + 0.1) / 60)
			w.Tasks = append(w.Tasks, TaskRun{PID: pid, Task: name, Begin: begin, End: begin.Add(20 * time.Second)})
			rss := MiB * (80 + 60*math.Min(float64(m)/470, 1) + 0.02*r.NormFloat64())
			l.Samples = append(l.Samples, Sample{At: at(float64(m+1) / 60), RSS: rss, PSS: rss, USS: rss})
		}
		w.Lives = append(w.Lives, l)
	}
	for _, v := range attribute(w, Options{}) {
		if v.Kind == TaskLeak {
			t.Errorf("%+v is innocent", v)
		}
	}
}
