package watch

import (
	"runtime/debug"
	"testing"
)

// TestAtEase: while scans run, a small heap gathers garbage; after the last of
// them it is collected as before, and never where the operator wants that.
func TestAtEase(t *testing.T) {
	now := func() int {
		percent := debug.SetGCPercent(-1)
		debug.SetGCPercent(percent)
		return percent
	}
	for _, usual := range []int{100, -1, 1 << 20} {
		was := debug.SetGCPercent(usual)
		_, first := atEase(1)
		again, second := atEase(1)
		again()
		small := now()
		_, third := atEase(100_000)
		if got := now(); usual == 100 && got <= small || usual != 100 && got != usual {
			t.Errorf("%d %% beside a large scan, %d %% before", got, small)
		}
		third()
		first()
		if got := now(); usual == 100 && got <= 100 || usual != 100 && got != usual {
			t.Errorf("%d %% during scans, where %d %% is usual", got, usual)
		}
		second()
		if got := now(); got != usual {
			t.Errorf("%d %% after scans, where %d %% is usual", got, usual)
		}
		debug.SetGCPercent(was)
	}
}
