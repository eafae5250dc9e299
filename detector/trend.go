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
	envelope, handle := borrow(c.len())
	defer giveBack(handle)
	y := w.sketch(c, endings(c.lo, envelope, []int{0})[0], nil, th)
	return w, w.shape(c, y, th)
}

// sketch is the first half of an outline, which asks only for sums: jumps and
// growth events. It returns the window's levels without jumps; where there
// are any, in room, if that is not nil.
func (w *trend) sketch(c curve, e ending, room []float64, th thresholds) (y []float64) {
	*w = trend{from: c.t[0], to: c.t[c.len()-1]}
	y, w.jumped, w.jumps = e.withoutJumps(c.lo, room, th)
	if w.jumps == 0 {
		w.neff, w.largest = eventsOf(e.envelope)
	} else {
		w.neff, w.largest = effectiveEvents(y)
	}
	return y
}

// shape is the second half, for which the curve is made coarse.
func (w *trend) shape(c curve, y []float64, th thresholds) (s curve) {
	s = curve{c.t, y, c.cpu}.coarse(th.blocks)
	if still(s, th) {
		w.neff, w.largest = 0, 0
		return s
	}
	w.ups = upsOf(s)
	return s
}

// still reports whether a coarse curve moves by less than could matter.
func still(s curve, th thresholds) bool {
	return slices.Max(s.lo)-slices.Min(s.lo) < th.still*th.material
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
	return w.growth < th.still*th.material || w.fit.slope < th.still*th.materialRate && w.growth < th.materialSum
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

// dull reports of a sketch that the window will be hopeless whatever its
// shape: there are fewer growth events than any way to a leak asks for.
func (w *trend) dull(th thresholds) bool {
	return !th.unscreened && w.neff < min(th.events(w.largest), th.neffLate, th.burstEvents)
}

// withoutJumps takes out the few sharp upward jumps, each a large part of
// the range and many times the ordinary increment, and returns
// the bytes they made.
func withoutJumps(c curve, th thresholds) (y []float64, bytes float64, n int) {
	at, by, rise := steepest(c.lo)
	return ending{most: rise, at: at, by: by}.withoutJumps(c.lo, nil, th)
}

// withoutJumps is the same of the levels y of an ending, in room where that is
// not nil. What is an ordinary increment is told of y, jumps and all, and so
// is the same for each jump: of hundreds of increments, three more or fewer do
// not move the median.
func (e ending) withoutJumps(y, room []float64, th thresholds) (z []float64, bytes float64, n int) {
	z = y
	for at, by, rise := e.at, e.by, e.most-e.least; n < th.steps; at, by, rise = steepest(z) {
		if by < th.step*rise || by < th.material/th.stepPart || !stays(z, at, th) || !extraordinary(y, by, th) {
			break
		}
		if n == 0 {
			z = append(room[:0], y...)
		}
		for i := at; i < len(z); i++ {
			z[i] -= by
		}
		bytes += by
		n++
	}
	return z, bytes, n
}

// ending is what there is to know, without a look at each block, of the part
// of a curve from one of its blocks to its end: windows are such parts.
type ending struct {
	envelope    []float64 // the least level from each block on
	least, most float64
	at          int     // where it rises most at once, 0 where it does not rise
	by          float64 // by so much
}

// endings looks, in one go, at all parts of y that begin at from, ascending,
// and end where y ends. It fills envelope.
func endings(y, envelope []float64, from []int) []ending {
	out, k := make([]ending, len(from)), len(from)-1
	i := len(y) - 1
	least, most, at, by := y[i], y[i], 0, 0.0
	for ; i >= 0; i-- {
		v := y[i]
		if v < least {
			least = v
		}
		if v > most {
			most = v
		}
		envelope[i] = least
		for ; k >= 0 && from[k] == i; k-- {
			out[k] = ending{envelope[i:len(y)], least, most, max(at-i, 0), by}
		}
		if i > 0 && v-y[i-1] >= by && v > y[i-1] { // the first of equal rises
			at, by = i, v-y[i-1]
		}
	}
	return out
}

// steepest returns the largest single rise, 0 at 0 where there is none, and
// the range of all values.
func steepest(y []float64) (at int, by, rise float64) {
	least, most := y[0], y[0]
	for i := 1; i < len(y); i++ {
		if y[i] < least {
			least = y[i]
		}
		if y[i] > most {
			most = y[i]
		}
		if step := y[i] - y[i-1]; step > by {
			at, by = i, step
		}
	}
	return at, by, most - least
}

// extraordinary reports whether a rise is many times the ordinary increment
// of y. A count of the increments that are too large for that nearly
// always tells, without their median.
func extraordinary(y []float64, by float64, th thresholds) bool {
	n, large := len(y)-1, 0
	for i := 1; i < len(y); i++ {
		if by < th.stepOrdinary*(normalMAD*math.Abs(y[i]-y[i-1])) {
			large++
		}
	}
	if n%2 == 0 && large == n/2 { // the median lies between one that is and one that is not
		return !(by < th.stepOrdinary*ordinary(y))
	}
	return large <= n/2
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
func stays(y []float64, i int, th thresholds) bool {
	after := y[i:min(i+th.stepStays, len(y))]
	return slices.Min(after) > (y[i]+y[i-1])/2
}

// effectiveEvents returns (Σd)²/Σd² over the increments of the series' lower
// envelope from the right, the memory kept for good: n equal increments give
// n, one big step gives 1. It also returns the largest increment.
//
// Source: L. Kish's effective sample size, Survey Sampling (1965), with the
// increments as weights.
func effectiveEvents(y []float64) (n, largest float64) {
	e, handle := borrow(len(y))
	defer giveBack(handle)
	least := math.Inf(1)
	for i := len(y) - 1; i >= 0; i-- {
		if y[i] < least {
			least = y[i]
		}
		e[i] = least
	}
	return eventsOf(e)
}

// eventsOf is effectiveEvents of an envelope.
func eventsOf(e []float64) (n, largest float64) {
	var s, ss float64
	for i := 1; i < len(e); i++ {
		d := e[i] - e[i-1]
		s += d
		ss += d * d
		if d > largest {
			largest = d
		}
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
