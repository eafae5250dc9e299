package detector_test

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/dropleak/dropleak/detector"
	"github.com/dropleak/dropleak/detector/synth"
)

// cuts judges a case as alerts come, at every tenth of its window.
func cuts(c synth.Case) (looks []detector.Verdict) {
	first := firstSample(c.Worker)
	for k := 1; k <= 10; k++ {
		at := first.Add(c.At.Sub(first) * time.Duration(k) / 10)
		w := c.Worker
		w.Held = nil
		for _, p := range c.Worker.Held {
			if !p.At.After(at) {
				w.Held = append(w.Held, p)
			}
		}
		looks = append(looks, detector.Judge(w, at, detector.Options{}))
	}
	return looks
}

// accused reports whether the parent is called leaking at any look.
func accused(looks []detector.Verdict) bool {
	for _, v := range looks {
		for _, p := range v.Processes {
			if p.Role == detector.RoleParent && p.Kind == detector.Leak {
				return true
			}
		}
	}
	return false
}

// TestBacklogIsNoLeak: tasks held until their time fill the parent as a leak
// would. Where their number is known nobody is accused, in waves (h18) and
// where they pile up for days; where it is not, nearly everybody is.
func TestBacklogIsNoLeak(t *testing.T) {
	t.Parallel()
	const seeds = 15
	known, unknown, settled := 0, 0, 0
	for seed := uint64(700_000); seed < 700_000+seeds; seed++ {
		for _, f := range synth.Families() {
			if f.Name == "h18" && accused(cuts(f.Make(seed, synth.Params{Held: true}))) {
				t.Errorf("h18 %d: accused", seed)
			}
		}
		c := synth.PilingUp().Make(seed, synth.Params{Held: true})
		looks := cuts(c)
		if accused(looks) {
			known++
			t.Logf("piling up %d: accused with the backlog known", seed)
		}
		last := looks[len(looks)-1]
		if last.Reason == detector.ReasonLoad {
			settled++
			if said := strings.Join(last.Evidence, " "); !strings.Contains(said, "tasks that it holds until their time (ETA, countdown)") {
				t.Errorf("%d: %s", seed, said)
			}
		}
		c.Worker.Held = nil
		if accused(cuts(c)) {
			unknown++
		}
	}
	t.Logf("of %d parents whose backlog piles up: accused %d with its size known, %d without; at the end %d called load", seeds, known, unknown, settled)
	if known > 0 || unknown < seeds*3/4 || settled < seeds/2 {
		t.Errorf("accused %d known, %d unknown; %d called load", known, unknown, settled)
	}
}

// TestBacklogHidesNoLeak: a parent that leaks is found all the same while it
// holds tasks in waves, always as many, or none.
func TestBacklogHidesNoLeak(t *testing.T) {
	t.Parallel()
	for name, held := range map[string]func(hour float64) float64{
		"waves":  func(h float64) float64 { return 300 * math.Max(0, math.Sin(h/3)) },
		"steady": func(float64) float64 { return 500 },
		"none":   func(float64) float64 { return 0 },
		"days":   func(h float64) float64 { return 400 + 300*math.Sin(h/24*2*math.Pi) },
	} {
		found, all := 0, 0
		for _, f := range synth.Families() {
			if f.Name != "l21" {
				continue
			}
			for seed := uint64(700_000); seed < 700_008; seed++ {
				c := f.Make(seed, synth.Params{})
				if !detector.Judge(c.Worker, c.At, detector.Options{}).Kind.Leaks() {
					continue
				}
				all++
				for at := c.At.Add(-7 * 24 * time.Hour); at.Before(c.At); at = at.Add(5 * time.Minute) {
					c.Worker.Held = append(c.Worker.Held, detector.Point{At: at, V: held(at.Sub(c.At).Hours())})
				}
				if v := detector.Judge(c.Worker, c.At, detector.Options{}); v.Kind == detector.Leak && v.Reason == detector.ReasonLeakingParent {
					found++
				} else {
					t.Logf("%s %d: %s (%s) %v", name, seed, v.Kind, v.Reason, v.Evidence)
				}
			}
		}
		if all < 6 || found < all {
			t.Errorf("%s: %d of %d leaking parents found", name, found, all)
		}
	}
}
