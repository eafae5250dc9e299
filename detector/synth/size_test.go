package synth

import (
	"math"
	"math/rand/v2"
	"testing"
)

func series(n int, f func(i int, r *rand.Rand) float64) []float64 {
	r := rand.New(rand.NewPCG(5, 6))
	out := make([]float64, n)
	for i := range out {
		out[i] = f(i, r)
	}
	return out
}

func TestDetectable(t *testing.T) {
	walk := 0.0
	white := series(9600, func(_ int, r *rand.Rand) float64 { return 10 * r.NormFloat64() })
	wander := series(9600, func(_ int, r *rand.Rand) float64 { walk += 0.1 * r.NormFloat64(); return walk })
	swing := series(9600, func(i int, _ *rand.Rand) float64 { return 10 * math.Sin(float64(i)/1000) })
	trend := series(9600, func(i int, r *rand.Rand) float64 { return float64(i) + r.NormFloat64() })
	for _, c := range []struct {
		name    string
		y, load []float64
		lo, hi  float64
	}{
		// block medians of 100 have sd s = 1.25·10/√100; of their differences the
		// Bartlett window of 11 lags leaves 2s²/12, and 4·√(96·2/12) is 16 s
		{"white noise", white, nil, 16, 24},
		// a walk of 9,600 steps of 0.1 ends 9.8 away, one sd
		{"random walk", wander, nil, 20, 80},
		{"a swing that load explains", swing, swing, 1, 1.001},
		{"the same swing, load unknown", swing, nil, 25, 200},
		{"a trend is not noise", trend, nil, 1, 16},
	} {
		if got := Detectable(c.y, c.load, 1); got < c.lo || got > c.hi {
			t.Errorf("%s: %.2f, want %.2f to %.2f", c.name, got, c.lo, c.hi)
		}
	}
	if got := Detectable(white[:5], nil, 3); got != 3 {
		t.Errorf("five values: %v, want the floor", got)
	}
}

func TestCausesStayWithinTheirBounds(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for name, c := range map[string]struct {
		cause cause
		top   float64
	}{
		"warm-up":   {&warmUp{size: 50, calls: 20}, 50},
		"spikes":    {&spikes{chance: 0.2, size: 30, keep: 0.5}, 30},
		"stairs":    {&stairs{at: []float64{1, 2, 3}, size: 10}, 30},
		"cache":     {&cache{bound: 40, perCall: 1, floor: 0.1}, 40},
		"wander":    {&wander{mean: 30, sd: 5, tau: 1, every: 1.0 / 60}, 50},
		"pages":     {&pages{chance: 0.5, bound: 3}, 3},
		"step":      {&step{at: 2, size: 9}, 9},
		"in flight": {&inFlight{perLoad: 10}, 40},
	} {
		reached := 0.0
		for i := range 6000 {
			heap, mapped := c.cause.bytes(moment{hour: float64(i) / 60, age: float64(i) / 60, calls: poisson(r, 1), load: 1}, r)
			if heap < 0 || mapped < 0 || heap+mapped > c.top {
				t.Fatalf("%s: holds %v and %v of at most %v", name, heap, mapped, c.top)
			}
			reached = max(reached, heap+mapped)
		}
		if reached < 0.3*c.top {
			t.Errorf("%s: came to %v of %v only", name, reached, c.top)
		}
	}
}

func TestPoisson(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	for _, mean := range []float64{0.2, 3, 40, 90} {
		sum, squares := 0.0, 0.0
		const n = 20000
		for range n {
			v := float64(poisson(r, mean))
			sum, squares = sum+v, squares+v*v
		}
		m := sum / n
		if v := squares/n - m*m; math.Abs(m-mean) > 0.05*mean+0.01 || math.Abs(v-mean) > 0.08*mean+0.02 {
			t.Errorf("mean %v: drew mean %v, variance %v", mean, m, v)
		}
	}
}

// TestLeaksAreDetectable holds the promise of the package: what leaks grows
// by more than its twin's noise.
func TestLeaksAreDetectable(t *testing.T) {
	each(t, 5, func(t *testing.T, c Case) {
		if !c.Truth.Leaks || c.Truth.Kind == "leak_masked" {
			return
		}
		grown := c.Truth.RateBytesPerHour * c.At.Sub(c.Truth.Started).Hours()
		if c.Family == "l16" {
			grown /= 0.6 // it was throttled half-way
		}
		if grown < 0.8*c.Truth.MDE {
			t.Errorf("seed %d: grew by %.0f MiB, detectable are %.0f", c.Seed, grown/mib, c.Truth.MDE/mib)
		}
	})
}
