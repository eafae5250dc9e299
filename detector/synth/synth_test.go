package synth

import (
	"encoding/binary"
	"fmt"
	"hash/fnv"
	"math"
	"testing"
	"time"
)

// each runs check on a few seeds of every family.
func each(t *testing.T, seeds uint64, check func(t *testing.T, c Case)) {
	t.Helper()
	for _, f := range Families() {
		t.Run(f.Name, func(t *testing.T) {
			t.Parallel()
			for seed := range seeds {
				check(t, f.Make(seed, Params{Days: 1.4}))
			}
		})
	}
}

// digest folds every number of a case into one.
func digest(c Case) uint64 {
	h := fnv.New64a()
	put := func(v float64) { binary.Write(h, binary.LittleEndian, math.Float64bits(v)) } //nolint:errcheck // a hash never fails
	for _, l := range c.Worker.Lives {
		fmt.Fprint(h, l.PID, l.Start.Unix(), l.Role, l.Slot)
		for _, s := range l.Samples {
			put(float64(s.At.Unix()))
			put(s.RSS)
			put(s.PSS)
			put(s.USS)
			put(s.Swap)
			put(s.CPU)
		}
	}
	fmt.Fprint(h, c.Truth, c.At.Unix(), c.Worker.Limit, c.Worker.High, c.Worker.Events, c.Worker.Gaps, len(c.Worker.Tasks))
	return h.Sum64()
}

func TestSameSeedSameCase(t *testing.T) {
	seen := map[uint64]string{}
	for _, f := range Families() {
		a, b := f.Make(7, Params{Days: 1.4}), f.Make(7, Params{Days: 1.4})
		if digest(a) != digest(b) {
			t.Errorf("%s: seed 7 made two different cases", f.Name)
		}
		d := digest(f.Make(8, Params{Days: 1.4}))
		if d == digest(a) {
			t.Errorf("%s: seeds 7 and 8 made the same case", f.Name)
		}
		if other, dup := seen[d]; dup {
			t.Errorf("%s and %s made the same case", f.Name, other)
		}
		seen[d] = f.Name
	}
}

// TestSeriesAreWellFormed holds what every consumer relies on: ascending
// samples, finite or NaN, PSS between USS and RSS, complete passes.
func TestSeriesAreWellFormed(t *testing.T) {
	each(t, 4, func(t *testing.T, c Case) {
		if len(c.Worker.Lives) == 0 {
			t.Fatalf("seed %d: no lives", c.Seed)
		}
		for _, l := range c.Worker.Lives {
			var last time.Time
			for _, s := range l.Samples {
				if !s.At.After(last) || s.At.After(c.At) {
					t.Fatalf("seed %d pid %d: sample at %v after %v, window ends %v", c.Seed, l.PID, s.At, last, c.At)
				}
				last = s.At
				if !(s.RSS >= 0) || math.IsInf(s.RSS, 0) || s.CPU < 0 {
					t.Fatalf("seed %d pid %d: bad sample %+v", c.Seed, l.PID, s)
				}
				const slack = 5 << 20 // coarse readings round up to 2 MiB each
				if !math.IsNaN(s.PSS) && (s.USS > s.PSS+slack || s.PSS > s.RSS+slack) {
					t.Fatalf("seed %d pid %d: USS %v, PSS %v, RSS %v are not in order", c.Seed, l.PID, s.USS, s.PSS, s.RSS)
				}
			}
		}
	})
}

func TestTruthIsConsistent(t *testing.T) {
	each(t, 6, func(t *testing.T, c Case) {
		tr := c.Truth
		if tr.Leaks != tr.Kind.Leaks() || len(tr.Reasons) == 0 {
			t.Fatalf("seed %d: truth contradicts itself: %+v", c.Seed, tr)
		}
		if !tr.Leaks {
			if tr.RateBytesPerHour != 0 || !tr.Onset.IsZero() || len(tr.LeakyPIDs) > 0 {
				t.Fatalf("seed %d: healthy with a leak: %+v", c.Seed, tr)
			}
			return
		}
		if tr.RateBytesPerHour <= 0 || tr.Onset.After(c.At) || len(tr.LeakyPIDs) == 0 {
			t.Fatalf("seed %d: leak without rate, onset or process: %+v", c.Seed, tr)
		}
		if !tr.Exhausts.IsZero() && (tr.Exhausts.Before(c.At) || c.Worker.Limit.Bytes <= 0) {
			t.Fatalf("seed %d: runs out at %v, limit %v, window ends %v", c.Seed, tr.Exhausts, c.Worker.Limit, c.At)
		}
	})
}

// TestGolden pins every number of one case a family: a change here changes
// what all measured tables mean, and must be meant.
func TestGolden(t *testing.T) {
	h := fnv.New64a()
	for _, f := range Families() {
		fmt.Fprintln(h, f.Name, digest(f.Make(1, Params{Days: 1.4, Tasks: true})))
	}
	const want = uint64(0xa855532362c410a2)
	if got := h.Sum64(); got != want {
		t.Errorf("cases changed: digest %#x, want %#x", got, want)
	}
}
