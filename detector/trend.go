package detector

import (
	"math"
	"slices"
)

// trend is what one window of a curve says about growth.
type trend struct {
	from, to  float64 // hours
	fit       line    // of the curve with its jumps taken out
	growth    float64 // bytes gained along the fit
	sigma     float64 // scatter about the fit
	z         float64 // zLambda
	halves    float64 // pace of the second half over that of the first
	lastThird float64 // share of the growth gained in the last third
	ups       int     // of 7 increments of 8 block medians
	neff      float64 // how many equal growth events would make this increment scatter
	largest   float64 // the largest of them, bytes
	saturate  float64 // saturationGain
	jumped    float64 // bytes gained in sharp jumps, taken out above
	jumps     int
}

// trendOf measures one window.
func trendOf(c curve, th thresholds) trend {
	w, s := outline(c, th)
	w.measure(s, th)
	return w
}

// outline measures what is cheap to measure: jumps, growth events and rises.
// The curve it returns, for measure, is without jumps and coarse.
func outline(c curve, th thresholds) (w trend, s curve) {
	w = trend{from: c.t[0], to: c.t[c.len()-1]}
	y, jumped, jumps := withoutJumps(c, th)
	w.jumped, w.jumps = jumped, jumps
	s = curve{c.t, y, c.cpu}.coarse(th.blocks)
	if still(s, th) {
		return w, s
	}
	w.neff, w.largest = effectiveEvents(y)
	w.ups = upsOf(s)
	return w, s
}

// still reports whether a coarse curve moves by less than could matter.
func still(s curve, th thresholds) bool {
	return slices.Max(s.lo)-slices.Min(s.lo) < th.material/4
}

// measure completes an outline. A window that moves by less than could
// matter is not looked at closely, and one without growth no further than
// that.
func (w *trend) measure(s curve, th thresholds) {
	if still(s, th) {
		w.fit = line{s.t[0], medianOf(s.lo), 0}
		w.sigma = mad(w.fit.residuals(s.t, s.lo))
		return
	}
	w.fit = senLine(s.t, s.lo)
	w.growth = w.fit.slope * s.span()
	w.sigma = mad(w.fit.residuals(s.t, s.lo))
	if w.flat(th) {
		return
	}
	w.z = zLambda(s.t, s.lo)
	w.halves = pace(s)
	w.lastThird = lastThird(s)
	w.saturate = saturationGain(s.t, s.lo)
}

// flat reports whether a window grows by less than could matter.
func (w *trend) flat(th thresholds) bool {
	return w.growth < th.material/4 || w.fit.slope < th.materialRate/4 && w.growth < th.materialSum
}

// hopeless reports of an outline whether [trend.refusal] and its exceptions
// must refuse the window whatever the rest of its measurement says: all of
// them but bursts want rises most of the time, and all of them some number
// of growth events. It is what makes the many series that do not leak cheap.
func (w *trend) hopeless(c curve, th thresholds) bool {
	if th.unscreened {
		return false
	}
	rises := w.ups >= th.ups && (w.neff >= th.events(w.largest) || w.neff >= th.neffLate)
	return !rises && !bursts(c, w, th)
}

// withoutJumps takes out at most three sharp upward jumps, each at least a
// quarter of the range and six times the ordinary increment, and returns
// the bytes they made.
func withoutJumps(c curve, th thresholds) (y []float64, bytes float64, n int) {
	y = c.lo
	usual := math.NaN() // the ordinary increment, once it is needed
	for n < 3 {
		at, by, rise := steepest(y)
		if by < th.step*rise || by < th.material/3 || !stays(y, at) {
			break
		}
		if math.IsNaN(usual) {
			usual = ordinary(y)
		}
		if by < 6*usual {
			break
		}
		if n == 0 {
			y = slices.Clone(y)
		}
		for i := at; i < len(y); i++ {
			y[i] -= by
		}
		bytes += by
		n++
	}
	return y, bytes, n
}

// steepest returns the largest single rise, 0 at 0 where there is none, and
// the range of all values.
func steepest(y []float64) (at int, by, rise float64) {
	least, most := y[0], y[0]
	for i := 1; i < len(y); i++ {
		least, most = min(least, y[i]), max(most, y[i])
		if step := y[i] - y[i-1]; step > by {
			at, by = i, step
		}
	}
	return at, by, most - least
}

// ordinary is the spread of the increments.
func ordinary(y []float64) float64 {
	d, handle := borrow(len(y))
	defer giveBack(handle)
	for i := 1; i < len(y); i++ {
		d[i-1] = y[i] - y[i-1]
	}
	return mad(d[:len(y)-1])
}

// stays reports whether the level reached at i is kept, so that it is a jump
// and not a spike.
func stays(y []float64, i int) bool {
	after := y[i:min(i+13, len(y))]
	return slices.Min(after) > (y[i]+y[i-1])/2
}

// effectiveEvents returns (Σd)²/Σd² over the increments of the series' lower
// envelope from the right, the memory kept for good: n equal increments give
// n, one big step gives 1. It also returns the largest increment.
func effectiveEvents(y []float64) (n, largest float64) {
	e, handle := borrow(len(y))
	defer giveBack(handle)
	copy(e, y)
	for i := len(e) - 2; i >= 0; i-- {
		e[i] = min(e[i], e[i+1])
	}
	var s, ss float64
	for i := 1; i < len(e); i++ {
		d := e[i] - e[i-1]
		s += d
		ss += d * d
		largest = max(largest, d)
	}
	if ss == 0 {
		return 0, 0
	}
	return s * s / ss, largest
}

// pace returns the Sen slope of the second half over that of the first, 0
// where the first does not rise while the second neither does.
func pace(c curve) float64 {
	mid := (c.t[0] + c.t[c.len()-1]) / 2
	a, b := c.until(mid), c.since(mid)
	if a.len() < 3 || b.len() < 3 {
		return 0
	}
	first, second := sen(a.t, a.lo), sen(b.t, b.lo)
	if first <= 0 {
		if second > 0 {
			return 10
		}
		return 0
	}
	return math.Min(second/first, 10)
}

// lastThird returns the share of the window's gain made in its last third,
// measured between medians at the ends of the parts.
func lastThird(c curve) float64 {
	n := c.len()
	k := max(n/12, 1)
	at := func(i int) float64 { return medianOf(c.lo[max(i-k, 0):min(i+k, n)]) }
	total := at(n) - at(0)
	if total <= 0 {
		return 0
	}
	return (at(n) - at(2*n/3)) / total
}

// upsOf counts the rises between the medians of eight equal parts.
func upsOf(c curve) int {
	n, ups, prev := c.len(), 0, 0.0
	for k := range 8 {
		m := medianOf(c.lo[k*n/8 : (k+1)*n/8])
		if k > 0 && m > prev {
			ups++
		}
		prev = m
	}
	return ups
}

// refusal names the first condition the window fails, "" for none.
func (w *trend) refusal(th thresholds) Reason {
	switch {
	case w.flat(th):
		if w.jumped > th.material {
			return ReasonStep
		}
		return ReasonFlat
	case w.growth < th.growthNoise*w.sigma:
		return ReasonNoise
	case w.saturate > th.saturation || w.halves < th.halves || w.lastThird < th.lastThird:
		return ReasonWarmUp
	case w.neff < th.events(w.largest):
		return ReasonStaircase
	case w.z < th.z || w.ups < th.ups:
		return ReasonNoise
	case w.growth < th.material || w.fit.slope < th.materialRate && w.growth < th.materialSum:
		return ReasonBelowMaterial
	}
	return ""
}

// events is how many growth events a leak must show when the largest is of
// this size. Allocators themselves grow in steps of up to a MiB or two, and
// tables double; stairs of a few MiB are work that was large once.
func (th thresholds) events(largest float64) float64 {
	between := clamp((largest-th.grain)/th.grain, 0, 1)
	return th.neffGrain + between*(th.neff-th.neffGrain)
}
