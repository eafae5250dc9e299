package detector

import (
	"math"
	"slices"
	"time"
)

// Judge decides whether a worker leaks, from everything known of it up to
// at. It is deterministic: the same worker, moment and options give the same
// verdict.
func Judge(w Worker, at time.Time, o Options) Verdict {
	return JudgeSummary(Summarize(upTo(w, at), o), at, o)
}

// upTo drops what lies after at (unless at is zero).
func upTo(w Worker, at time.Time) Worker {
	if at.IsZero() {
		return w
	}
	lives := make([]Life, 0, len(w.Lives))
	for _, l := range w.Lives {
		n := 0
		for _, s := range l.Samples {
			if !s.At.After(at) {
				n++
			}
		}
		if n < len(l.Samples) {
			kept := make([]Sample, 0, n)
			for _, s := range l.Samples {
				if !s.At.After(at) {
					kept = append(kept, s)
				}
			}
			l.Samples = kept
		}
		lives = append(lives, l)
	}
	w.Lives = lives
	return w
}

// judged is one process with its opinion.
type judged struct {
	life LifeSummary
	opinion
	alive bool
	first float64 // hours
	last  float64
	work  float64 // CPU seconds per hour, NaN unknown

	like     int // pid of the sibling that excuses it, 0: none
	likeGain float64
}

// bench is a judgement in the making.
type bench struct {
	sum    Summary
	th     thresholds
	origin int64 // Unix nanoseconds of hour 0
	now    float64
	procs  []judged
	load   load
	room   *arena // of its curves
	down   bool   // the sum stands at the ceiling that holds it down
}

// JudgeSummary is the verdict as one pure function of a worker's blocks:
// each process by itself, then the pool over its generations, then the
// worker as a whole.
func JudgeSummary(s Summary, at time.Time, o Options) Verdict {
	return judgeWith(s, at, o.defaults())
}

func judgeWith(s Summary, at time.Time, th thresholds) Verdict {
	b := &bench{sum: s, th: th, room: arenas.Get().(*arena)}
	defer b.room.end()
	if !b.open(at) {
		return Verdict{Kind: Unsure, Reason: ReasonNoData, HoursNeeded: ptr(b.th.minSpan), Metric: s.Metric,
			Evidence: []string{"No usable reading of this worker's memory."}}
	}
	b.judgeProcesses()
	v := b.combine()
	v.Tasks = s.Tasks
	b.quantify(&v)
	b.throttle(&v)
	settleTasks(&v)
	b.explain(&v)
	return v.finite()
}

// open lays the blocks out in hours and reports whether there are any.
func (b *bench) open(at time.Time) bool {
	first, last := int64(math.MaxInt64), int64(math.MinInt64)
	for _, l := range b.sum.Lives {
		if n := len(l.Judged); n > 0 {
			first, last = min(first, l.Judged[0].First), max(last, l.Judged[n-1].Last)
		}
	}
	if first > last {
		return false
	}
	b.origin = first
	b.now = hours(last - first)
	if from := b.now - b.th.window; from > 0 {
		b.origin += int64(from * float64(time.Hour))
		b.now = b.th.window
	}
	return true
}

func hours(ns int64) float64 { return float64(ns) / float64(time.Hour) }

func (b *bench) time(h float64) time.Time {
	return time.Unix(0, b.origin+int64(h*float64(time.Hour))).UTC()
}

// judgeProcesses forms an opinion on each process by itself, then lets
// siblings speak for each other.
func (b *bench) judgeProcesses() {
	for _, l := range b.sum.Lives {
		full := curveOf(l.Judged, b.origin, b.room)
		c := full.since(0)
		if c.len() == 0 {
			continue
		}
		p := judged{life: l, first: full.t[0], last: c.t[c.len()-1], work: workOf(c)}
		p.curve, p.alive = c, b.now-p.last < b.silence()
		p.age = p.last - p.first
		if !l.Start.IsZero() {
			if a := p.last - hours(l.Start.UnixNano()-b.origin); a > p.age && a < 24*366 {
				p.age = a
			}
		}
		b.procs = append(b.procs, p)
	}
	var curves []curve
	for _, p := range b.procs {
		curves = append(curves, p.curve)
	}
	b.load = loadOf(curves, b.room)
	held := heldOf(b.sum.Held, b.origin)
	for i := range b.procs {
		p := &b.procs[i]
		s := setting{age: p.age, quiet: b.quiet(p.life, p.age), lag: b.lag(p), odds: 1, load: b.load,
			arenas: b.sum.Pool == PoolThreads}
		if b.holds(p) {
			s.held = held
		}
		if p.life.Role == RoleParent && b.hasChildren() {
			s.odds, s.manages = b.th.parentOdds, true
		}
		p.opinion = assess(p.curve, s, b.th)
	}
	b.hurry()
	b.excuse()
	b.follow()
}

// silence is how long after its last reading a process still counts as
// there: a pass or two.
func (b *bench) silence() float64 {
	var gaps []float64
	for _, l := range b.sum.Lives {
		for i := max(1, len(l.Judged)-20); i < len(l.Judged); i++ {
			gaps = append(gaps, hours(l.Judged[i].Last-l.Judged[i-1].Last))
		}
	}
	return math.Max(b.th.silentGaps*median(gaps), b.th.silentLeast)
}

// lastStable returns the newest run of total blocks with the same members.
func (b *bench) lastStable() []TotalBlock {
	ts := b.sum.Total
	for i := len(ts) - 1; i > 0; i-- {
		if !slices.Equal(ts[i-1].Members, ts[i].Members) {
			return ts[i:]
		}
	}
	return ts
}

// steady is the worker's sum since its members last changed.
func (b *bench) steady() curve { return b.sumOf(b.lastStable()) }

// sumOf lays blocks of the worker's sum out.
func (b *bench) sumOf(ts []TotalBlock) curve {
	blocks := make([]Block, len(ts))
	for i, t := range ts {
		blocks[i] = t.Block
	}
	return curveOf(blocks, b.origin, b.room).since(0)
}

// combine turns the opinions into the worker's verdict.
func (b *bench) combine() Verdict {
	v := Verdict{Kind: Healthy, Reason: ReasonFlat, Metric: b.sum.Metric}
	for _, p := range b.procs {
		v.Processes = append(v.Processes, b.processVerdict(p))
	}
	if pool, ok := b.masked(); ok {
		v.Kind, v.Reason = LeakMasked, ReasonRecycled
		v.Rate = &pool
		return v
	}
	var worst *judged
	for i := range b.procs {
		p := &b.procs[i]
		if p.alive && (worst == nil || rank(p.opinion) > rank(worst.opinion)) {
			worst = p
		}
	}
	if worst == nil {
		return v
	}
	v.Kind, v.Reason = worst.kind, worst.reason
	if v.Kind == Leak && worst.life.Role == RoleParent && b.hasChildren() {
		v.Reason = ReasonLeakingParent
	}
	if v.Kind == Healthy && b.unseen() {
		v.Kind, v.Reason = Unsure, ReasonTooShort
	}
	return v
}

// hasChildren reports whether the worker ever had pool children: in a
// one-process pool the parent does the work itself.
func (b *bench) hasChildren() bool {
	return slices.ContainsFunc(b.procs, func(p judged) bool { return p.life.Role == RoleChild })
}

// rank orders opinions by what they mean for the worker.
func rank(o opinion) float64 {
	switch {
	case o.kind == Leak:
		return 1e12 + o.win.fit.slope
	case o.kind == Unsure && o.reason == ReasonWarmUp:
		return 5e11 + o.win.fit.slope
	case o.kind == Unsure && o.reason != ReasonTooShort && o.reason != ReasonNoData:
		return 4e11
	case o.kind == Unsure:
		return 0
	}
	return 1 + slices.Max(o.curve.lo) - slices.Min(o.curve.lo)
}

// processVerdict is one process's line.
func (b *bench) processVerdict(p judged) ProcessVerdict {
	v := ProcessVerdict{PID: p.life.PID, Start: p.life.Start, Role: p.life.Role, Kind: p.kind, Reason: p.reason}
	if p.kind == Leak {
		r := rateInterval(p.curve.since(p.onset), b.th)
		v.Rate = &r
		onset := b.time(p.onset)
		v.Onset = &onset
	}
	return v
}

// masked reports whether children leak in every life while recycling hides
// it, and the rate at which they do.
func (b *bench) masked() (Interval, bool) {
	return poolGrowth(b)
}

// quantify adds the numbers people act on.
func (b *bench) quantify(v *Verdict) {
	mdg := 0.0
	for _, p := range b.procs {
		if p.alive {
			mdg = math.Max(mdg, p.mdg)
		}
		if v.Kind == Unsure && p.alive && p.need > 0 && (v.HoursNeeded == nil || p.need > *v.HoursNeeded) {
			v.HoursNeeded = ptr(p.need)
		}
	}
	v.MinDetectable = ptr(b.detectable(mdg))
	if v.Kind == Unsure && v.HoursNeeded == nil {
		v.HoursNeeded = ptr(b.th.minSpan)
	}
	v.Footprint = b.footprint()
	v.Confidence = confidence(*v, b)
	if v.Kind == Leak {
		b.rate(v)
		b.exhaust(v)
	}
}

// detectable is the growth that would have been seen, in bytes an hour: where
// no window was long enough to measure it, what would matter over the time there is.
func (b *bench) detectable(measured float64) float64 {
	if measured == 0 || math.IsInf(measured, 0) {
		return b.th.detectableRate(0, math.Max(b.now, 0.5))
	}
	return measured
}

// footprint is the last known sum, and where that is stale, what has become
// of it since: the processes' own readings then and now tell by how much.
func (b *bench) footprint() float64 {
	n := len(b.sum.Total)
	if n == 0 {
		return b.heldAt(b.now)
	}
	last := b.sum.Total[n-1]
	told, held := hours(last.Last-b.origin), last.Mid+known(last.Swap)
	if then := b.heldAt(told); b.now-told > Stale.Hours() && then > 0 {
		held *= b.heldAt(b.now) / then
	}
	return held
}

// heldAt adds up what the processes alive at hour t held.
func (b *bench) heldAt(t float64) float64 {
	f := 0.0
	for _, p := range b.procs {
		if c := p.curve.until(t); c.len() > 0 && t-p.last < b.silence() {
			f += c.lo[c.len()-1]
		}
	}
	return f
}

func ptr[T any](x T) *T { return &x }

// finite replaces what is not a number by nothing: the zero or nil.
func (v Verdict) finite() Verdict {
	if v.Rate != nil && !v.Rate.finite() {
		v.Rate = nil
	}
	for i := range v.Processes {
		if r := v.Processes[i].Rate; r != nil && !r.finite() {
			v.Processes[i].Rate = nil
		}
	}
	return v
}

func (i Interval) finite() bool {
	s := i.Low + i.Value + i.High
	return !math.IsNaN(s) && !math.IsInf(s, 0)
}
