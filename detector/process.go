package detector

import (
	"math"
	"slices"
)

// opinion is what one series by itself says.
type opinion struct {
	kind   Kind
	reason Reason
	win    trend    // the window that decided
	bends  bends    // of that window, with leak
	curve  curve    // what was judged
	age    float64  // hours since the process started, as far as seen
	lag    float64  // how many times more its busiest sibling works
	warm   float64  // odds that this is still a warm-up
	peak   float64  // with bounded: the level it fell from
	since  float64  // with bounded: the highest since
	swing  float64  // height of the daily rhythm, with seasonal
	held   *backlog // with load: the tasks that carried the growth, nil where it was CPU time
	onset  float64  // hours, with leak
	need   float64  // hours more, with unsure
	mdg    float64  // bytes per hour

	doubted bool    // with unsure: a leak but for its certainty
	score   float64 // that, with doubted
	back    float64 // with unsure: hours before which it was not yet a leak, 0: not asked
	byLoad  float64 // with load: the share of the growth that follows CPU time, 0: not known
	fresh   bool    // with unsure: a leak that has not stood for as long as asked
}

// windows are the shares of a series looked at, all ending now. A leak that
// fills only the last part is invisible in the whole.
var windows = [...]float64{1, 0.85, 0.7, 0.55, 0.4, 0.25, 0.15, 0.0625}

// setting is what is known about a series beside its curve.
type setting struct {
	age     float64 // hours since the process started
	quiet   float64 // growth of an earlier life of the same role at this age, NaN where there was none
	lag     float64 // how many times more its busiest sibling works, at least 1
	odds    float64 // what the role alone does to the odds of a passing cause, 1: nothing
	load    load
	held    load // tasks that it holds until their time, where that is known
	loaded  bool // load and memory rose together in the window
	manages bool // its children do the work: theirs counts
	arenas  bool // threads share the process: each may fill an arena of the allocator
}

// assess judges one series by itself, and again on what was known a little
// earlier: a random walk that passes once seldom passes twice. Where the
// evidence is strong, the earlier looks must only not say healthy; where it is
// weak they lie further back and must each have said leak. What passes all
// that narrowly everywhere is still left open.
func assess(c curve, s setting, th thresholds) opinion {
	o := assessOnce(c, s, th)
	if o.kind != Leak {
		return o
	}
	weak := o.warm > th.sureBelow(s.age)
	for k := 1; k <= th.confirm; k++ {
		back := float64(k) * math.Max((o.win.to-o.win.from)/th.confirmPart, th.confirmLeast)
		if weak {
			back *= th.confirmWeak
		}
		before := s
		before.age -= back
		earlier := assessOnce(c.until(c.t[c.len()-1]-back), before, th)
		if earlier.kind == Healthy || earlier.reason == ReasonNoData || weak && earlier.kind != Leak {
			o.kind, o.reason, o.need, o.back = Unsure, earlier.reason, 2*back, back
			return o
		}
	}
	if !o.certain(s, th) {
		o.kind, o.reason, o.need = Unsure, ReasonNoise, o.hoursUntilCertain(s, th)
		o.doubted, o.score = true, o.certainty(s, th)
		return o
	}
	if stood := o.stood(c, s, th); stood < th.patience {
		o.kind, o.reason, o.need = Unsure, ReasonNoise, th.patience-stood
		o.fresh = true
	}
	return o
}

// assessOnce is assess without confirmation.
func assessOnce(c curve, s setting, th thresholds) opinion {
	o := opinion{kind: Unsure, reason: ReasonTooShort, curve: c, age: s.age, lag: math.Max(s.lag, 1)}
	if c.len() == 0 {
		o.reason = ReasonNoData
		return o
	}
	if c.span() < th.minSpan || c.len() < th.minBlocks {
		o.need = math.Max(th.minSpan-c.span(), 0.5)
		return o
	}
	if peak, at, fell := lastFall(c, th); fell {
		after := c.since(at)
		now := after.lo[after.len()-1]
		if now < peak+th.refilled*(peak-slices.Min(c.lo))+th.fallBytes {
			o.kind, o.reason, o.peak, o.since = Healthy, ReasonBounded, peak, slices.Max(after.lo)
			o.win = trend{from: c.t[0], to: c.t[c.len()-1]}
			o.mdg = th.detectableRate(trendOf(c, th).sigma, c.span())
			return o
		}
		c = after
	}
	even, swing := season(c, th)
	first, found, reason, mdg := search(even, th)
	o.mdg = mdg
	if found == nil && reason == ReasonStaircase {
		found = dipped(even, s, th)
	}
	if rest, share, ok := s.load.unload(even, th); ok {
		// What follows the load is the load's; what is left is the code's.
		switch _, own, _, _ := search(rest, th); {
		case found != nil && own == nil && share > th.loadShare:
			found, reason, o.byLoad = nil, ReasonLoad, share
		case found == nil && own != nil && share < th.loadShare:
			found = own
		}
	}
	if found == nil && swing > th.swing*th.material && (reason == ReasonNoise || reason == ReasonFlat) {
		reason = ReasonSeasonal
		o.swing = swing
	}
	switch {
	case first == nil:
		o.need = math.Max(th.minSpan-c.span(), 0.5)
	case found != nil && o.explained(even, *found, s, th):
	case found == nil:
		o.kind, o.reason, o.win = Healthy, reason, *first
		if reason == ReasonStaircase && first.z >= th.z && first.ups >= th.ups {
			// It rises nearly all the time: that the stairs are few proves nothing.
			o.kind, o.need = Unsure, math.Max(c.span()*(th.events(first.largest)/math.Max(first.neff, 1)-1), 1)
		}
	default:
		beside, known := s.load.beside(even, found.from, th)
		follows := known && beside.follows(th)
		s.loaded = follows || known && found.to-found.from < th.loadSlope && beside.climbs(th)
		o.settle(even, *found, s, th)
		if o.kind == Leak && (s.load.rises(even, th) || follows && beside.byLoad(th)) {
			o.kind, o.reason, o.need = Unsure, ReasonLoad, math.Max(c.span()/2, 1)
		}
	}
	return o
}

// search looks through the windows for the longest that leaks. It returns
// the whole, the one found, why the whole does not leak, and the steady
// growth, in bytes per hour, that would have been seen.
func search(c curve, th thresholds) (first, found *trend, reason Reason, mdg float64) {
	mdg = math.Inf(1)
	var from [len(windows)]int
	for k, share := range windows {
		from[k] = c.len() - c.since(c.t[c.len()-1]-share*c.span()).len()
	}
	room, handle := borrow(2 * c.len())
	defer giveBack(handle)
	parts := endings(c.lo, room[:c.len()], from[:])
	for k := range windows {
		part := c.slice(from[k], c.len())
		least := th.minSpan
		if first != nil && part.t[0] < c.t[0]+th.startUps*th.startUp {
			least = th.minWindow
		}
		if part.span() < least || part.len() < th.minBlocks {
			break
		}
		var w trend
		y := w.sketch(part, parts[k], room[c.len():], th)
		if first != nil && w.dull(th) {
			continue
		}
		s := w.shape(part, y, th)
		if first != nil && w.hopeless(part, th) {
			continue
		}
		w.measure(s, th)
		if first == nil {
			mdg = th.detectableRate(w.sigma, part.span())
		}
		why := w.refusal(th)
		switch {
		case why == ReasonStaircase && lateStairs(c, w, th):
			why = ""
		case (why == ReasonNoise || why == ReasonStaircase) && inBursts(part, w, th):
			why = ""
		}
		if first == nil {
			first, reason = &w, why
		}
		if why != "" {
			continue
		}
		if slowed(c, w, th) || !newHigh(c, w, th) {
			if first.from == w.from {
				reason = ReasonSeasonal
			}
			continue
		}
		return first, &w, "", mdg
	}
	return first, nil, reason, mdg
}

// dipped looks at a whole curve that was refused for few growth events again,
// without its dips: an allocator that gives back for an hour what it takes again
// hides every event before, and only load does so as a rule.
func dipped(c curve, s setting, th thresholds) *trend {
	if c.span() < th.dipFrom {
		return nil
	}
	w := trendOf(c.filled(th.dip), th)
	if beside, known := s.load.beside(c, w.from, th); known && (beside.climbs(th) || beside.follows(th)) {
		return nil
	}
	if w.refusal(th) != "" || w.fit.slope <= 0 {
		return nil
	}
	return &w
}

// detectableRate is the steady growth, in bytes per hour, that would be seen
// over some hours about which a series scatters by sigma. What is slower than
// matters by its rate is seen once it has added up to what does.
func (th thresholds) detectableRate(sigma, hours float64) float64 {
	return math.Max(math.Max(th.detectable*sigma, th.material)/hours, math.Min(th.materialRate, th.materialSum/hours))
}

// lateStairs reports whether stairs go on long after a process has seen its
// largest work: seven or more, beginning not before a quarter of its life.
func lateStairs(c curve, w trend, th thresholds) bool {
	quiet := w.from - c.t[0]
	return w.neff >= th.neffLate && quiet >= th.lateFrom && quiet >= th.lateShare*c.span() && w.z >= th.z && w.ups >= th.ups
}

// settle turns a window that leaks into an opinion: a leak, unless it may
// still be a warm-up.
func (o *opinion) settle(c curve, w trend, s setting, th thresholds) {
	o.kind, o.reason, o.win = Leak, ReasonLeak, w
	o.bends = s.bendsIn(c, w, th)
	o.warm = warmUpOdds(w, o.bends, s, th)
	if o.warm > th.warmMax {
		o.kind, o.reason = Unsure, ReasonWarmUp
		o.need = hoursUntilNotWarm(w, o.bends, s, th)
	}
	o.onset = onsetOf(c, th)
}

// slowed reports whether the curve rose more than twice as fast in the
// stretch before the window as in it: the tail of a warm-up is straight when
// only its end is looked at. The first hour, or the first twelfth of a
// younger life, is start-up and does not count; nor does what lies before a
// window longer than any warm-up.
func slowed(c curve, w trend, th thresholds) bool {
	length := w.to - w.from
	if length >= th.tailLongest*th.warmHours {
		return false
	}
	startUp := math.Min(th.tailStart, c.span()/th.tailStartPart)
	before := c.since(math.Max(w.from-length, c.t[0]+startUp)).until(w.from)
	if before.len() < 5 || before.span() < th.tailLeast*length {
		return false
	}
	y, _, _ := withoutJumps(before, th)
	s := curve{before.t, y, before.cpu}.coarse(th.blocks)
	return w.fit.slope < th.halves*sen(s.t, s.lo)
}

// newHigh reports whether at least half of the window's growth lies above
// anything held for an hour before it. A rhythm climbs again and again to
// where it has been.
func newHigh(c curve, w trend, th thresholds) bool {
	before := c.until(w.from)
	if before.span() < 1 {
		return true
	}
	highest := 0.0
	for i := 0; i+12 <= before.len(); i += 6 {
		highest = math.Max(highest, slices.Min(before.lo[i:i+12]))
	}
	now := medianOf(c.lo[max(0, c.len()-6):])
	return now-highest >= th.newHigh*w.growth
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
		if c.lo[i] >= c.lo[i-1]-th.fallOnce*th.fallBytes {
			continue
		}
		before = append(before[:0], c.lo[max(0, i-hour):i]...)
		after = append(after[:0], c.lo[i:min(i+hour, c.len())]...)
		slices.Sort(before)
		slices.Sort(after)
		drop := quantile(before, th.fallFrom) - quantile(after, th.fallTo)
		if drop >= th.fallBytes && drop >= th.fall*(top-low) {
			peak, at, ok = quantile(before, th.fallTo), c.t[i], true
		}
	}
	return peak, at, ok
}
