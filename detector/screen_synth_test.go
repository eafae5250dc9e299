package detector_test

import (
	"testing"
	"time"

	"github.com/dropleak/dropleak/detector"
	"github.com/dropleak/dropleak/detector/synth"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// TestScreenOverFamilies: over every made family, at any seed and moment, the
// verdict with the screen is the one without it.
func TestScreenOverFamilies(t *testing.T) {
	all, cleared := 0, 0
	families := synth.Families()
	turn := 0
	rapid.Check(t, func(rt *rapid.T) {
		f := families[turn%len(families)] // each in turn: 100 checks see all of them twice
		turn++
		c := f.Make(rapid.Uint64Range(1, 1<<40).Draw(rt, "seed"), synth.Params{Every: 4 * time.Minute})
		start := firstSample(c.Worker)
		at := start.Add(c.At.Sub(start) * time.Duration(rapid.IntRange(2, 10).Draw(rt, "tenths")) / 10)
		n, k, wrong := detector.Screened(c.Worker, at)
		all, cleared = all+n, cleared+k
		if wrong > 0 {
			rt.Fatalf("%s: the screen clears %d windows that pass", f.Name, wrong)
		}
		if d := cmp.Diff(detector.Unscreened(c.Worker, at), detector.Judge(c.Worker, at, detector.Options{}), cmpopts.EquateNaNs()); d != "" {
			rt.Fatalf("%s: %s", f.Name, d)
		}
	})
	t.Logf("%d of %d windows cleared", cleared, all)
}
