package detector

import (
	"math"
	"math/rand/v2"
	"testing"
)

// curveFrom makes a curve of 5-minute blocks with the given bytes and CPU.
func curveFrom(n int, bytes, cpu func(h float64) float64) curve {
	var c curve
	for i := range n {
		h := float64(i) / 12
		c.t, c.cpu = append(c.t, h), append(c.cpu, cpu(h))
		c.lo = append(c.lo, bytes(h))
	}
	return c
}

func TestBendOf(t *testing.T) {
	for _, k := range []struct {
		name   string
		y      func(x float64) float64
		lo, hi float64
	}{
		{"line", func(x float64) float64 { return 3 + 2*x }, -1e-9, 1e-9},
		{"filling up", func(x float64) float64 { return 1 - math.Exp(-x/5) }, -0.7, -0.4},
		{"come to rest", func(x float64) float64 { return 20*x - x*x }, -0.51, -0.49},
		{"speeding up", func(x float64) float64 { return x * x }, 0.49, 0.51},
		{"falling", func(x float64) float64 { return -x }, -1, -1},
	} {
		var x, y []float64
		for i := range 101 {
			v := float64(i) / 10
			x, y = append(x, v), append(y, k.y(v))
		}
		if b := bendOf(x, y); b.by < k.lo || b.by > k.hi {
			t.Errorf("%s: bend %.3f, want %.2f to %.2f", k.name, b.by, k.lo, k.hi)
		}
	}
}

// TestBendError holds the standard error to what it says on lines under
// noise with and without memory.
func TestBendError(t *testing.T) {
	for _, rho := range []float64{0, 0.6} {
		rng, inside := rand.New(rand.NewPCG(7, 7)), 0
		for range 400 {
			e := 0.0
			var x, y []float64
			for i := range 96 {
				e = rho*e + rng.NormFloat64()
				x, y = append(x, float64(i)), append(y, float64(i)+8*e)
			}
			if b := bendOf(x, y); math.Abs(b.by) < 1.96*b.se {
				inside++
			}
		}
		if inside < 340 || inside > 396 {
			t.Errorf("correlation %.1f: %d of 400 lines within 1.96 standard errors", rho, inside)
		}
	}
}

func TestBendOdds(t *testing.T) {
	th := Options{}.defaults()
	const mib = float64(MiB)
	steady := func(h float64) float64 { return 60 * h }
	rising := func(h float64) float64 { return 60*h + 30*h*h } // load grows, work is its integral
	for _, k := range []struct {
		name       string
		bytes, cpu func(float64) float64
		least, max float64
	}{
		{"straight over work and time", func(h float64) float64 { return 3 * mib * h }, steady, 0, 0.4},
		{"straight over work under rising load", func(h float64) float64 { return mib / 20 * rising(h) }, rising, 0, 0.4},
		{"straight over load, which rises", func(h float64) float64 { return mib * (60 + 60*h) }, rising, 0.4, 99},
		{"filling up", func(h float64) float64 { return 40 * mib * (1 - math.Exp(-h/2.5)) }, steady, 3, 99},
		{"filling up, work unknown", func(h float64) float64 { return 40 * mib * (1 - math.Exp(-h/2.5)) }, func(float64) float64 { return math.NaN() }, 1.5, 99},
	} {
		c := curveFrom(60, k.bytes, k.cpu)
		w := trend{from: 0, to: c.t[c.len()-1]}
		if got := (setting{}).bendsIn(c, w, th).odds(th); got < k.least || got > k.max {
			t.Errorf("%s: odds of passing %.2f, want %.1f to %.1f", k.name, got, k.least, k.max)
		}
	}
}

// TestLoadCarries: memory that follows a rising load up and down is the
// load's, memory that follows the work done is not, nor is what is never
// given back.
func TestLoadCarries(t *testing.T) {
	th, rng := Options{}.defaults(), rand.New(rand.NewPCG(3, 3))
	const n, mib = 288, float64(MiB)
	v, done := make([]float64, n), make([]float64, n)
	for i := range v {
		v[i] = (1 + float64(i)/n) * math.Exp(0.15*rng.NormFloat64())
		if i > 0 {
			done[i] = done[i-1] + v[i]
		}
	}
	at := func(h float64) int { return min(int(h*12+0.5), n-1) }
	top := 0.0
	cpu := func(h float64) float64 { return 300 * done[at(h)] }
	for name, k := range map[string]struct {
		bytes func(float64) float64
		want  bool
	}{
		"follows load":     {func(h float64) float64 { return (100 + 20*v[at(h)]) * mib }, true},
		"follows work":     {func(h float64) float64 { return (100 + 0.2*done[at(h)] + 3*rng.NormFloat64()) * mib }, false},
		"never given back": {func(h float64) float64 { top = max(top, 20*v[at(h)]); return (100 + top) * mib }, false},
	} {
		c := curveFrom(n, k.bytes, cpu)
		g, ok := loadOf([]curve{c}, nil).beside(c, 0, th)
		if got := ok && g.follows(th) && g.byLoad(th); got != k.want {
			t.Errorf("%s: carried by the load %v, want %v", name, got, k.want)
		}
	}
}

// TestClimbs: load and memory on their way up together are a cause at hand
// though nothing was given back yet; a load that stays, or goes its own way,
// is none.
func TestClimbs(t *testing.T) {
	th, rng := Options{}.defaults(), rand.New(rand.NewPCG(5, 5))
	up := func(h float64) float64 { return 1 + h/10 }
	for name, k := range map[string]struct {
		load, bytes func(h float64) float64
		want        bool
	}{
		"both rise":         {up, func(h float64) float64 { return 20 * up(h) }, true},
		"load stays":        {func(float64) float64 { return 1 }, func(h float64) float64 { return 20 * up(h) }, false},
		"load falls":        {func(h float64) float64 { return 2 - h/10 }, func(h float64) float64 { return 20 * up(h) }, false},
		"memory only jumps": {up, func(h float64) float64 { return 20 + 20*math.Floor(math.Mod(h, 2)) }, false},
	} {
		done := 0.0
		c := curveFrom(96, func(h float64) float64 { return (60 + k.bytes(h) + rng.NormFloat64()) * MiB }, func(h float64) float64 {
			done += k.load(h) * 300 / 12
			return done
		})
		g, ok := loadOf([]curve{c}, nil).beside(c, 0, th)
		if got := ok && g.climbs(th); got != k.want || got && g.follows(th) {
			t.Errorf("%s: climbs %v, want %v; load rose %.2f times, alike %.2f, gave back %.2f", name, got, k.want, g.rise, g.alike, g.back)
		}
	}
}

// TestPieces: the fewer the events a growth came in, the likelier it passes.
func TestPieces(t *testing.T) {
	th, last := Options{}.defaults(), math.Inf(1)
	for _, n := range []float64{5, 10, 15, 25} {
		odds := (&trend{neff: n}).pieces(th)
		if odds >= last || (n < 15) != (odds > 1) {
			t.Errorf("%v events: odds %.2f after %.2f", n, odds, last)
		}
		last = odds
	}
	if odds := (&trend{neff: 1e6}).pieces(th); odds != th.piecesLeast {
		t.Errorf("very many events prove %.3f, want no more than %.3f", odds, th.piecesLeast)
	}
}

// TestWeakEvidenceWaits: the same leak is called later where the threshold for
// strong evidence makes its evidence weak, and earlier once the process is a
// day old.
func TestWeakEvidenceWaits(t *testing.T) {
	rng := rand.New(rand.NewPCG(9, 9))
	c := curveFrom(300, func(h float64) float64 { return (80 + 3*h + 0.3*rng.NormFloat64()) * MiB }, func(h float64) float64 { return 300 * h })
	first := func(th thresholds) float64 {
		for h := 2.5; h <= 24; h += 0.25 {
			if assess(c.until(h), setting{age: h, quiet: math.NaN(), lag: 1, odds: 1}, th).kind == Leak {
				return h
			}
		}
		return math.Inf(1)
	}
	strong, weak, old := Options{}.defaults(), Options{}.defaults(), Options{}.defaults()
	strong.warmSure, weak.warmSure, old.warmSure = 1, 0, 0
	old.warmDay, old.warmSureOld = 3, 1
	s, w, o := first(strong), first(weak), first(old)
	if !(s < w && !math.IsInf(w, 1)) || !(o < w && o >= 3) {
		t.Errorf("strong evidence called at %.2f h, weak at %.2f h, of an old process at %.2f h", s, w, o)
	}
	t.Logf("strong %.2f h, weak %.2f h, old %.2f h", s, w, o)
}
