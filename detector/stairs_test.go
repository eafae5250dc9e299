package detector

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestFilled: dips shorter than twice the hour vanish, longer ones, falls at
// the end and everything that rises stay as they are.
func TestFilled(t *testing.T) {
	var c curve
	for i := range 100 {
		c.t = append(c.t, float64(i)/10)
		c.lo = append(c.lo, float64(i))
	}
	want := slices.Clone(c.lo)
	for i := 20; i < 35; i++ { // an hour and a half: filled with what stood before
		c.lo[i], want[i] = 5, 19
	}
	for i := 60; i < 85; i++ { // two and a half hours: a fall
		c.lo[i], want[i] = 7, 7
	}
	got := c.filled(1)
	for i := range want {
		if i >= 20 && i < 35 && got.lo[i] >= 19 && got.lo[i] <= 35 {
			continue
		}
		if i < 50 && got.lo[i] < want[i] || i >= 61 && i < 84 && got.lo[i] != want[i] {
			t.Errorf("at %.1f h: %v, want %v", c.t[i], got.lo[i], want[i])
		}
	}
	if c.lo[20] != 5 {
		t.Error("the curve itself was changed")
	}
}

// TestBoundedSaysWhatItWouldSee: what a saw of tens of MiB hides is not
// claimed to be visible.
func TestBoundedSaysWhatItWouldSee(t *testing.T) {
	v := Judge(node(30, noisy(0.5, func(h float64) float64 { return 80 + 8*math.Mod(h, 9) })), time.Time{}, Options{})
	if v.Reason != ReasonBounded || v.MinDetectable == nil {
		t.Fatalf("%s, growth of %v bytes an hour would be seen", v.Reason, v.MinDetectable)
	}
	if *v.MinDetectable < 0.5*MiB {
		t.Errorf("growth of %v bytes an hour would be seen", *v.MinDetectable)
	}
}

// TestFewStairsThatRise: growth in few stairs that never rests is no proof of
// health; the same stairs once they have ended are.
func TestFewStairsThatRise(t *testing.T) {
	r := rand.New(rand.NewPCG(5, 5))
	var at, by []float64
	for h := 2.0; h < 40; h += 2 + 4*r.Float64() {
		at, by = append(at, h), append(by, 4+40*math.Pow(r.Float64(), 4))
	}
	stairs := func(until float64) shape {
		return noisy(0.2, func(h float64) float64 {
			y := 80.0
			for i := range at {
				if at[i] < math.Min(h, until) {
					y += by[i]
				}
			}
			return y
		})
	}
	if v := Judge(node(40, stairs(40)), time.Time{}, Options{}); v.Kind != Unsure || v.Reason != ReasonStaircase || v.HoursNeeded == nil {
		t.Errorf("stairs that go on: %s (%s) %v", v.Kind, v.Reason, v.Evidence)
	}
	if v := Judge(node(40, stairs(15)), time.Time{}, Options{}); v.Kind != Healthy {
		t.Errorf("stairs that ended: %s (%s) %v", v.Kind, v.Reason, v.Evidence)
	}
}

// TestSpread: a bend that is measured speaks against a leak as much as one that
// is not; growth that gets faster does not.
func TestSpread(t *testing.T) {
	none := bend{se: math.Inf(1)}
	for want, b := range map[float64]bends{
		0.2:  {work: bend{by: -0.2, se: 0.01}, clock: bend{by: -0.4, se: 0.5}},
		0.06: {work: bend{by: -0.02, se: 0.06}, clock: none},
		0.01: {work: bend{by: 0.3, se: 0.01}, clock: none},
		0.3:  {work: none, clock: bend{by: -0.1, se: 0.3}},
	} {
		if got := b.spread(); got != want {
			t.Errorf("%+v: %v, want %v", b, got, want)
		}
	}
}

// TestTrimmedLeak: a leak of which a quarter is given back for 40 minutes every
// five hours is found, though its lower envelope rises in a few steps only.
func TestTrimmedLeak(t *testing.T) {
	trimmed := func(h float64, r *rand.Rand) float64 {
		y := 80 + h + 0.3*math.Abs(r.NormFloat64())
		if math.Mod(h+2, 5) < 0.7 {
			y -= 0.25 * h
		}
		return y
	}
	if v := Judge(node(24, trimmed), time.Time{}, Options{}); v.Kind != Leak {
		t.Errorf("%s (%s) %v", v.Kind, v.Reason, v.Evidence)
	}
}
