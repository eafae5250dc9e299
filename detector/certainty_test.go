package detector

import (
	"math"
	"testing"
)

// grownFor is a leak's opinion after h hours of steady growth by the hour,
// with that scatter, bend error and odds of a warm-up.
func grownFor(h, rate, sigma, se, warm float64) *opinion {
	return &opinion{kind: Leak, warm: warm, bends: bends{work: bend{se: se}, clock: bend{se: se}},
		win: trend{from: 0, to: h, fit: line{slope: rate}, growth: rate * h, sigma: sigma, neff: 20}}
}

// TestCertaintyIsMonotone: more evidence of one kind, all else the same, never
// makes a leak less certain.
func TestCertaintyIsMonotone(t *testing.T) {
	th := Options{}.defaults()
	const mib = MiB
	at := func(h, rate, sigma, se, warm, age float64) float64 {
		return grownFor(h, rate, sigma, se, warm).certainty(setting{age: age}, th)
	}
	base := at(6, 2*mib, mib, 0.1, 0.1, 7)
	for _, k := range []struct {
		name       string
		less, more float64
	}{
		{"odds of a warm-up", at(6, 2*mib, mib, 0.1, 0.2, 7), at(6, 2*mib, mib, 0.1, 0.05, 7)},
		{"growth", at(6, 1.5*mib, mib, 0.1, 0.1, 7), at(6, 3*mib, mib, 0.1, 0.1, 7)},
		{"scatter", at(6, 2*mib, 2*mib, 0.1, 0.1, 7), at(6, 2*mib, mib/2, 0.1, 0.1, 7)},
		{"how well the bend is known", at(6, 2*mib, mib, 0.2, 0.1, 7), at(6, 2*mib, mib, 0.05, 0.1, 7)},
		{"share of the life", at(6, 2*mib, mib, 0.1, 0.1, 12), at(6, 2*mib, mib, 0.1, 0.1, 6)},
	} {
		if !(k.less < base && base < k.more) {
			t.Errorf("%s: %.2f, %.2f, %.2f do not rise", k.name, k.less, base, k.more)
		}
	}
	for _, v := range []float64{at(0, 0, 0, 0, 0, 0), at(6, math.MaxFloat64, 0, math.Inf(1), math.Inf(1), 1e9), at(1e9, 1, math.MaxFloat64, 0, 1e-300, 1)} {
		if math.IsNaN(v) || math.IsInf(v, 0) {
			t.Errorf("certainty is %v", v)
		}
	}
}

// TestHoursUntilCertain: growth that is not yet certain is, once it has gone on
// for some hours, sooner the less it scatters, and of a day-old process less
// is asked.
func TestHoursUntilCertain(t *testing.T) {
	th := Options{}.defaults()
	s := setting{age: 6.6, quiet: math.NaN()}
	o := grownFor(6.5, 1.1*MiB, 0.9*MiB, 0.28, 0.07) // made h4, seed 100049
	if o.certain(s, th) {
		t.Fatalf("certain at %.2f of %.2f", o.certainty(s, th), th.sure)
	}
	if h := o.hoursUntilCertain(s, th); h < 1 || h > 12 {
		t.Errorf("%.1f h more are needed", h)
	}
	steadier := *o
	steadier.win.sigma /= 2
	if a, b := steadier.hoursUntilCertain(s, th), o.hoursUntilCertain(s, th); a >= b {
		t.Errorf("with half the scatter %.1f h more are needed, with all of it %.1f", a, b)
	}
	s.age = th.warmDay
	o.win.from, o.win.to = 0, th.warmDay
	sum := o.certainty(s, th)
	th.sureOld, th.sure = sum-0.1, sum+0.1
	s.age -= 0.1
	young := o.certain(s, th)
	s.age = th.warmDay
	if old := o.certain(s, th); young || !old {
		t.Errorf("certain just before a day %v, at a day %v", young, old)
	}
}

// TestDropletsAreNotAsked: the weights were fitted to processes.
func TestDropletsAreNotAsked(t *testing.T) {
	o := grownFor(6.5, 1.1*MiB, 0.9*MiB, 0.28, 0.07)
	for _, age := range []float64{6.6, 60} {
		if !o.certain(setting{age: age}, Options{}.defaults().forDroplet(4<<30)) {
			t.Errorf("a droplet of %.0f h is asked for certainty", age)
		}
	}
}
