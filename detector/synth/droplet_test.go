package synth

import (
	"testing"
	"time"

	"github.com/dropleak/dropleak/detector"
)

func TestDropletsAreConsistent(t *testing.T) {
	for _, f := range DropletFamilies() {
		t.Run(f.Name, func(t *testing.T) {
			for seed := range uint64(3) {
				c := f.Make(seed, Params{Days: 1.4})
				if len(c.Workers) == 0 || len(c.Workers) != len(c.Truths) {
					t.Fatalf("seed %d: %d workers, %d truths", seed, len(c.Workers), len(c.Truths))
				}
				if c.Leaks != f.Leaks || (c.Culprit != "") != (f.Leaks && f.Name != "dl4") {
					t.Errorf("seed %d: leaks %v, culprit %q", seed, c.Leaks, c.Culprit)
				}
				var last time.Time
				for _, p := range c.Droplet.Available {
					if !p.At.After(last) || p.V <= 0 || p.V > c.Droplet.Total {
						t.Fatalf("seed %d: available %v of %v at %v", seed, p.V, c.Droplet.Total, p.At)
					}
					last = p.At
				}
				if last != c.At {
					t.Errorf("seed %d: ends %v, want %v", seed, last, c.At)
				}
			}
		})
	}
}

// TestDropletGrowsWithItsLeak compares the first and last tenth of a leaking
// and a healthy droplet.
func TestDropletGrowsWithItsLeak(t *testing.T) {
	grown := func(d detector.Droplet) float64 {
		n, sum := len(d.Available)/10, 0.0
		for i := range n {
			sum += d.Available[n+i].V - d.Available[len(d.Available)-1-i].V
		}
		return sum / float64(n)
	}
	for _, f := range DropletFamilies() {
		for seed := range uint64(4) {
			c := f.Make(seed, Params{Days: 3})
			if g := grown(c.Droplet); f.Leaks && g < 15*mib {
				t.Errorf("%s seed %d leaks and used memory grew by only %.0f MiB", f.Name, seed, g/mib)
			}
		}
	}
	// A restart with a bigger baseline (h6) may stand among the workers; by
	// itself none of the healthy ones goes on growing.
	c := DropletFamilies()[1].Make(2, Params{Days: 3})
	late := c.Droplet.Available[len(c.Droplet.Available)*3/4:]
	if g := grown(detector.Droplet{Available: late}); g > 30*mib {
		t.Errorf("dh2 is healthy and grew by %.0f MiB in its last quarter", g/mib)
	}
}

// TestDropletEndsWithItsWorkers: however seldom it is measured, a droplet does
// not give memory back because a worker's next reading is yet to come.
func TestDropletEndsWithItsWorkers(t *testing.T) {
	for _, every := range []time.Duration{0, 4 * time.Minute} {
		for seed := uint64(1); seed < 4; seed++ {
			c := DropletFamilies()[0].Make(seed, Params{Days: 1, Every: every})
			n := len(c.Droplet.Available)
			if fell := c.Droplet.Available[n-1].V - c.Droplet.Available[n-25].V; fell > 50*mib {
				t.Errorf("every %v, seed %d: gave back %.0f MiB in its last 24 minutes", every, seed, fell/mib)
			}
		}
	}
}
