package detector

import (
	"math"
	"math/rand/v2"
	"slices"
	"sync"
	"time"
)

// rateInterval is the Sen slope of a curve with its 90 % interval from a
// parametric bootstrap: residuals are simulated as an AR(1) process whose
// correlation is corrected for the bias of short samples.
//
// Source: the correction r1 + (2 + 4 r1)/n is Marriott and Pope, Biometrika
// 41 (1954), for a fitted trend.
func rateInterval(c curve, th thresholds) Interval {
	if c.len() < 3 {
		return Interval{}
	}
	s := c.coarse(th.blocks / 2)
	l := senLine(s.t, s.lo)
	res := l.residuals(s.t, s.lo)
	m := mean(res)
	for i := range res {
		res[i] -= m
	}
	g0 := autocov(res, 0)
	if g0 <= 0 {
		return Interval{l.slope, l.slope, l.slope}
	}
	n := float64(len(res))
	r1 := autocov(res, 1) / g0
	rho := clamp(r1+(2+4*r1)/n, 0, 0.98)
	sd := math.Sqrt(g0 * (1 - rho*rho))
	slopes := bootstrapSlopes(s.t, rho, math.Sqrt(g0), sd)
	slices.Sort(slopes)
	half := th.conformal * (slopes[len(slopes)*95/100] - slopes[len(slopes)*5/100]) / 2
	half = math.Hypot(half, th.rateSpread*l.slope)
	return Interval{l.slope - half, l.slope, l.slope + half}
}

// bootstrapSlopes are the slopes of lines fitted to AR(1) noise at times t:
// correlation rho, its own spread and that of its innovations.
func bootstrapSlopes(t []float64, rho, spread, innovation float64) []float64 {
	n := len(t)
	normal := normals(n)
	dt, mt, sxx := make([]float64, n), mean(t), 0.0
	for i := range t {
		dt[i] = t[i] - mt
		sxx += dt[i] * dt[i]
	}
	slopes, y := make([]float64, bootstrapDraws), make([]float64, n)
	if sxx <= 0 {
		return slopes
	}
	for d := range slopes {
		e, sum := normal[0]*spread, 0.0
		for i := range y {
			y[i] = e
			sum += e
			e = rho*e + innovation*normal[i+1]
		}
		my, sxy := sum/float64(n), 0.0
		for i := range y {
			sxy += dt[i] * (y[i] - my)
		}
		slopes[d] = sxy / sxx
		normal = normal[n+1:]
	}
	return slopes
}

// normals returns the standard normal numbers that the bootstrap of n points
// uses: always the same, so that equal data have equal intervals.
func normals(n int) []float64 {
	if kept, ok := normalsOf.Load(n); ok {
		return kept.([]float64)
	}
	rng := rand.New(rand.NewPCG(1, uint64(n)))
	out := make([]float64, bootstrapDraws*(n+1))
	for i := range out {
		out[i] = rng.NormFloat64()
	}
	normalsOf.Store(n, out)
	return out
}

var normalsOf sync.Map // of []float64, by n: at most the blocks of a curve, 80 kB each

// bootstrapDraws is odd-sized for exact quantiles: 5 % of 199 draws.
const bootstrapDraws = 199

// exhaust says when the limit is reached if growth goes on.
func (b *bench) exhaust(v *Verdict) {
	left := b.sum.Limit.Bytes - v.Footprint
	if b.sum.Limit.Bytes <= 0 || v.Rate == nil || v.Rate.Value <= 0 {
		return
	}
	left = math.Max(left, 0)
	e := Exhaustion{Limit: b.sum.Limit, Expected: b.after(left / v.Rate.Value)}
	// The future keeps the past's pace only roughly: spread of the logarithm
	// of true over told time, beyond what the rate's own interval says.
	high := math.Max(math.Log(v.Rate.High/v.Rate.Value), 0)
	e.Earliest = b.after(left / v.Rate.Value * math.Exp(-math.Hypot(high, b.th.timeSpread)))
	if v.Rate.Low > 0 {
		low := math.Log(v.Rate.Value / v.Rate.Low)
		e.Latest = b.after(left / v.Rate.Value * math.Exp(math.Hypot(low, b.th.timeSpread)))
	}
	v.Exhaustion = &e
}

// after is the moment h hours from now, at most a century.
func (b *bench) after(h float64) time.Time {
	return b.time(b.now).Add(time.Duration(math.Min(h, 100*365*24) * float64(time.Hour)))
}

// rate is the growth of the worker since the leak began: of its sum where
// the membership held that long, else of its leaking processes together.
func (b *bench) rate(v *Verdict) {
	from := math.Inf(1)
	var sum Interval
	for _, p := range b.procs {
		if p.alive && p.kind == Leak {
			from = math.Min(from, p.onset)
			r := rateInterval(p.curve.since(p.onset), b.th)
			sum.Low, sum.Value, sum.High = sum.Low+r.Low, sum.Value+r.Value, sum.High+r.High
		}
	}
	onset := b.time(from)
	v.Onset = &onset
	c := b.steady().since(from)
	if !b.covers(c, from) {
		// Members came and went: their sum still tells what the worker as a
		// whole takes, an autoscaled pool or heirs of a leaking parent included.
		if all := b.everyTotal().since(from); b.covers(all, from) && senLine(all.coarse(b.th.blocks).t, all.coarse(b.th.blocks).lo).slope > sum.Value {
			c = all
		}
	}
	if b.covers(c, from) {
		sum = rateInterval(c, b.th)
		l := senLine(c.coarse(b.th.blocks).t, c.coarse(b.th.blocks).lo)
		v.Fit = []Point{{b.time(c.t[0]), l.at(c.t[0])}, {b.time(b.now), l.at(b.now)}}
	}
	v.Rate = &sum
}

// covers reports whether a curve spans most of the time since the onset.
func (b *bench) covers(c curve, from float64) bool {
	return c.len() >= b.th.minBlocks && c.span() > b.th.sumCovers*(b.now-from)
}

// everyTotal is the worker's sum whoever its members were.
func (b *bench) everyTotal() curve { return b.sumOf(b.sum.Total) }
