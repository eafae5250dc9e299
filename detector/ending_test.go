package detector

import (
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// levels are drawn so that equal rises, falls and ties come often.
var levels = rapid.SliceOfN(rapid.Map(rapid.IntRange(0, 12), func(k int) float64 { return 4096 * float64(k) }), 1, 40)

// TestEndings: what one pass tells of every part is what a look at each part
// tells.
func TestEndings(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		y := levels.Draw(rt, "y")
		from := rapid.SliceOfN(rapid.IntRange(0, len(y)-1), 1, 8).Draw(rt, "from")
		slices.Sort(from)
		for k, e := range endings(y, make([]float64, len(y)), from) {
			part := y[from[k]:]
			at, by, rise := steepest(part)
			if e.at != at || e.by != by || e.most-e.least != rise || e.least != slices.Min(part) {
				rt.Errorf("%v from %d: %+v, want a rise of %v at %d within %v", y, from[k], e, by, at, rise)
			}
			n, largest := eventsOf(e.envelope)
			if wantN, wantLargest := effectiveEvents(part); n != wantN || largest != wantLargest {
				rt.Errorf("%v from %d: %v events up to %v, want %v up to %v", y, from[k], n, largest, wantN, wantLargest)
			}
			for i, v := range e.envelope {
				if v != slices.Min(part[i:]) {
					rt.Errorf("%v from %d: envelope %v", y, from[k], e.envelope)
				}
			}
		}
	})
}

// TestExtraordinary: the count tells what the median would.
func TestExtraordinary(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		y := levels.Draw(rt, "y")
		by := 4096 * rapid.OneOf(rapid.Float64Range(0, 120), rapid.Map(rapid.IntRange(0, 12), func(k int) float64 { return 6 * normalMAD * float64(k) })).Draw(rt, "by")
		if got, want := extraordinary(y, by, Options{}.defaults()), !(by < 6*ordinary(y)); got != want {
			rt.Errorf("%v, a rise of %v: %v, want %v", y, by, got, want)
		}
	})
}
