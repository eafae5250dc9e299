package detector

import (
	"math"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// screened counts, over all windows of a worker's processes but the first,
// how many there are, how many the screen clears, and how many of these a
// full measurement would have let pass.
func screened(w Worker, at time.Time) (all, cleared, wrong int) {
	th := Options{}.defaults()
	b := &bench{sum: Summarize(upTo(w, at), Options{}), th: th}
	if !b.open(at) {
		return 0, 0, 0
	}
	for _, l := range b.sum.Lives {
		c := curveOf(l.Judged, b.origin, nil).since(0)
		for _, share := range windows[1:] {
			if c.len() == 0 {
				break
			}
			part := c.since(c.t[c.len()-1] - share*c.span())
			if part.span() < th.minSpan || part.len() < th.minBlocks {
				break
			}
			o, _ := outline(part, th)
			all++
			if !o.hopeless(part, th) {
				continue
			}
			cleared++
			if passes(c, part, th) {
				wrong++
			}
		}
	}
	return all, cleared, wrong
}

// passes is what search asks of a window before it looks at what came first.
func passes(c, part curve, th thresholds) bool {
	w := trendOf(part, th)
	why := w.refusal(th)
	return why == "" || why == ReasonStaircase && lateStairs(c, w, th) || (why == ReasonNoise || why == ReasonStaircase) && inBursts(part, w, th)
}

// unscreened judges without the screen.
func unscreened(w Worker, at time.Time) Verdict {
	s := Summarize(upTo(w, at), Options{})
	th := Options{}.defaults()
	th.unscreened = true
	return judgeWith(s, at, th)
}

// TestScreen: the screen clears most windows that do not leak and none that
// would have passed, and no verdict depends on it.
func TestScreen(t *testing.T) {
	var all, cleared int
	ws := nodes()
	ws["bursts"] = node(36, noisy(0.3, func(h float64) float64 { return 80 + 24*(math.Floor(h/7)+math.Min(math.Mod(h, 7)/2, 1)) }))
	for name, w := range ws {
		n, k, wrong := screened(w, time.Time{})
		all, cleared = all+n, cleared+k
		if wrong > 0 {
			t.Errorf("%s: cleared %d windows that pass", name, wrong)
		}
		if d := cmp.Diff(unscreened(w, time.Time{}), Judge(w, time.Time{}, Options{}), cmpopts.EquateNaNs()); d != "" {
			t.Errorf("%s: %s", name, d)
		}
	}
	t.Logf("%d of %d windows cleared", cleared, all)
	if 3*cleared < all {
		t.Errorf("only %d of %d windows cleared", cleared, all)
	}
}
