package detector

import (
	"math"
	"slices"
)

// opinion is what one series by itself says.
type opinion struct {
	kind   Kind
	reason Reason
	win    trend   // the window that decided
	curve  curve   // what was judged
	age    float64 // hours since the process started, as far as seen
	warm   float64 // probability that this is still a warm-up
	peak   float64 // with bounded: the level it fell from
	onset  float64 // hours, with leak
	need   float64 // hours more, with unsure
	mdg    float64 // bytes per hour
}

// windows are the shares of a series looked at, all ending now. A leak that
// fills only the last part is invisible in the whole.
var windows = []float64{1, 0.85, 0.7, 0.55, 0.4, 0.25, 0.15, 0.0625}

// assess judges one series. quiet is the growth an earlier life of the same
// role had shown at this age, NaN where there was none.
func assess(c curve, age float64, quiet float64, th thresholds) opinion {
	o := assessOnce(c, age, quiet, th)
	o.mdg = minDetectable(c, th)
	if o.kind != Leak {
		return o
	}
	for k := 1; k <= th.confirm; k++ {
		back := float64(k) * math.Max((o.win.to-o.win.from)/16, 0.1)
		cut := c.until(c.t[c.len()-1] - back)
		if earlier := assessOnce(cut, age-back, quiet, th); earlier.kind != Leak && earlier.reason != ReasonTooShort {
			o.kind, o.reason, o.need = Unsure, earlier.reason, 2*back
			break
		}
	}
	return o
}

// assessOnce is assess without confirmation.
func assessOnce(c curve, age float64, quiet float64, th thresholds) opinion {
	o := opinion{kind: Unsure, reason: ReasonTooShort, curve: c, age: age}
	if c.len() == 0 {
		o.reason = ReasonNoData
		return o
	}
	if c.span() < th.minSpan || c.len() < th.minBlocks {
		o.need = math.Max(th.minSpan-c.span(), 0.5)
		return o
	}
	peak, at, fell := lastFall(c, th)
	if fell {
		after := c.since(at)
		now := after.lo[after.len()-1]
		if now < peak+0.15*(peak-slices.Min(c.lo))+th.fallBytes {
			o.kind, o.reason, o.peak = Healthy, ReasonBounded, peak
			o.win = trend{from: c.t[0], to: c.t[c.len()-1]}
			return o
		}
		c = after
	}
	var first *trend
	for _, share := range windows {
		part := c.since(c.t[c.len()-1] - share*c.span())
		if part.span() < th.minSpan || part.len() < th.minBlocks {
			break
		}
		w := trendOf(part, th)
		if first == nil {
			first = &w
		}
		if !w.leaks(th) || slowed(c, w, th) {
			continue
		}
		o.kind, o.reason, o.win = Leak, ReasonLeak, w
		o.warm = warmUpOdds(w, age, quiet, th)
		if o.warm > th.warmMax {
			o.kind, o.reason = Unsure, ReasonWarmUp
			o.need = hoursUntilNotWarm(w, age, quiet, th)
		}
		o.onset = onsetOf(c, th)
		return o
	}
	if first == nil {
		o.need = math.Max(th.minSpan-c.span(), 0.5)
		return o
	}
	o.kind, o.reason, o.win = Healthy, first.refusal(th), *first
	return o
}

// slowed reports whether the curve rose more than twice as fast in the
// stretch before the window as in it: the tail of a warm-up is straight when
// only its end is looked at. The first hour is start-up and does not count;
// nor does what lies before a window longer than any warm-up.
func slowed(c curve, w trend, th thresholds) bool {
	length := w.to - w.from
	if length >= 2*th.warmHours {
		return false
	}
	before := c.since(math.Max(w.from-length, c.t[0]+1)).until(w.from)
	if before.len() < 6 || before.span() < 0.25*length {
		return false
	}
	y, _, _ := withoutJumps(before, th)
	s := curve{before.t, y, before.hi, before.cpu}.coarse(th.blocks)
	return w.fit.slope < th.halves*sen(s.t, s.lo)
}

// lastFall finds the last time the series gave back a large part of its
// range at once and stayed below: level before, hour after.
func lastFall(c curve, th thresholds) (peak, at float64, ok bool) {
	const hour = 12 // blocks
	low := c.lo[0]
	top := c.lo[0]
	before, after := make([]float64, 0, hour), make([]float64, 0, hour)
	for i := 1; i < c.len(); i++ {
		low, top = math.Min(low, c.lo[i-1]), math.Max(top, c.lo[i-1])
		if c.lo[i] >= c.lo[i-1]-th.fallBytes/2 {
			continue
		}
		before = append(before[:0], c.lo[max(0, i-hour):i]...)
		after = append(after[:0], c.lo[i:min(i+hour, c.len())]...)
		slices.Sort(before)
		slices.Sort(after)
		drop := quantile(before, 0.3) - quantile(after, 0.8)
		if drop >= th.fallBytes && drop >= th.fall*(top-low) {
			peak, at, ok = quantile(before, 0.8), c.t[i], true
		}
	}
	return peak, at, ok
}

// minDetectable is the steady growth, in bytes per hour, that would have
// been called in this series: the smallest over its windows of four times
// the scatter, and never less than what matters.
func minDetectable(c curve, th thresholds) float64 {
	best := math.Inf(1)
	for _, share := range windows {
		part := c.since(c.t[max(c.len()-1, 0)] - share*c.span())
		if part.len() < 8 || part.span() <= 0 {
			break
		}
		s := part.coarse(th.blocks)
		d := make([]float64, s.len())
		l := senLine(s.t, s.lo)
		copy(d, l.residuals(s.t, s.lo))
		need := math.Max(4*mad(d), th.material)
		best = math.Min(best, need/part.span())
	}
	return math.Max(best, th.materialRate)
}
