package detector

import (
	"fmt"
	"math"
	"slices"
	"time"

	"gonum.org/v1/gonum/stat/distuv"
)

// RecoveryNumbers are what [Recovered] decided on, in bytes of Metric. Zero
// where not yet known.
type RecoveryNumbers struct {
	Metric        string
	Before, After float64 // footprint just before the restart and now
	Baseline      float64 // footprint of the old life when it was young
	Freed         float64 // Before less After; negative when memory grew
	FreedLow      float64 // its 90 % interval, by the scatter of both
	FreedHigh     float64
	Passes        int // complete readings of the new life so far
}

// recoveryPasses is how many complete readings the new life must have: one
// may fall before the pool has forked, two before its imports are done.
const recoveryPasses = 3

// recoveryFills is how long a new life may take to fill: until then memory
// that rises from reading to reading has not come back yet.
const recoveryFills = 10 * time.Minute

// Recovered answers "did memory come back?" after a restart, up to at.
// Only lives in after that before does not know count. Memory came back when
// at least half of what the old life had gained is gone, or, where it had
// not gained anything visible, a tenth of its footprint; and never while the
// new footprint stands above nine tenths of the limit. It is too early while a
// life of less than ten minutes still fills: by a quarter of that between its
// last two readings.
func Recovered(before, after Worker, limit Limit, at time.Time) (Recovery, RecoveryNumbers) {
	after = onlyNew(before, upTo(after, at))
	old, new := bothIn(before, after)
	n := RecoveryNumbers{Metric: old.Metric}
	if len(old.Total) == 0 {
		return TooEarly, n
	}
	n.Before = lastLevel(old.Total)
	n.Baseline = firstLevel(old.Total)
	for _, b := range new.Total {
		n.Passes += b.N
	}
	if n.Passes < recoveryPasses || !mainSeen(after) {
		return TooEarly, n
	}
	n.After = lastLevel(new.Total)
	n.Freed = n.Before - n.After
	half := 1.645 * math.Hypot(levelError(old.Total), levelError(new.Total))
	n.FreedLow, n.FreedHigh = n.Freed-half, n.Freed+half
	th := Options{}.defaults()
	need := th.freedShare * n.Before
	if gained := n.Before - n.Baseline; gained > need {
		need = th.freedGain * gained
	}
	full := limit.Bytes > 0 && n.After > th.freedFull*limit.Bytes
	switch {
	case n.Freed < need || full:
		return DidNotRecover, n
	case lastRise(after) > th.freedStill*need:
		return TooEarly, n
	}
	return DidRecover, n
}

// lastRise is by how much the resident memory of young lives that run on rose
// between their last two readings, in bytes.
func lastRise(w Worker) (rise float64) {
	end := lastSample(w)
	for _, l := range w.Lives {
		n := len(l.Samples)
		if n < 2 || end.Sub(l.Samples[0].At) > recoveryFills {
			continue
		}
		if now, before := l.Samples[n-1], l.Samples[n-2]; now.RSS > before.RSS && end.Sub(now.At) < Stale {
			rise += now.RSS - before.RSS
		}
	}
	return rise
}

// onlyNew keeps the lives of after that before did not have.
func onlyNew(before, after Worker) Worker {
	after.Lives = slices.DeleteFunc(slices.Clone(after.Lives), func(l Life) bool {
		return slices.ContainsFunc(before.Lives, func(k Life) bool { return sameLife(k, l) })
	})
	return after
}

// sameLife reports whether two lives are the same process: the same pid and
// a start within two seconds.
func sameLife(a, b Life) bool {
	return a.PID == b.PID && a.Start.Sub(b.Start).Abs() <= sameStart
}

// mainSeen reports whether the new main process was read, where roles are
// known at all.
func mainSeen(w Worker) bool {
	known := false
	for _, l := range w.Lives {
		if l.Role == RoleParent {
			return true
		}
		known = known || l.Role == RoleChild
	}
	return !known && len(w.Lives) > 0
}

// Stale is how far the newest reading of a metric that is read seldom may lie
// behind a worker's newest sample and still tell what it holds. Agents read
// the PSS of large or slow processes every ten minutes.
const Stale = 15 * time.Minute

// bothIn summarises both workers in the best metric that both were measured
// in, the first of them until its end.
func bothIn(before, after Worker) (old, new Summary) {
	ended := lastSample(before).UnixNano()
	for _, m := range []string{"pss", "rss", "uss"} {
		o := Options{Metric: m}
		old, new = Summarize(before, o), Summarize(after, o)
		if k := len(old.Total); k > 0 && ended-old.Total[k-1].Last <= int64(Stale) && len(new.Total) > 0 {
			return old, new
		}
	}
	o := Options{Metric: "rss"}
	return Summarize(before, o), Summarize(after, o)
}

// lastSample is the time of a worker's newest sample, zero without one.
func lastSample(w Worker) (last time.Time) {
	for _, l := range w.Lives {
		if n := len(l.Samples); n > 0 && l.Samples[n-1].At.After(last) {
			last = l.Samples[n-1].At
		}
	}
	return last
}

// lastLevel is the median of the last three blocks; of a metric that is read
// seldom, of those that still tell of the end.
func lastLevel(ts []TotalBlock) float64 {
	i := len(ts) - 1
	for i > 0 && i > len(ts)-3 && ts[len(ts)-1].Last-ts[i-1].Last <= int64(Stale) {
		i--
	}
	return medianLevel(ts[max(i, 0):])
}

// levelError is the standard error of lastLevel: by how much the blocks of the
// last hour scatter about their line, or by how much the passes do within the
// blocks that the level is of. A median of n readings errs by √(π/2n) of their
// spread.
func levelError(ts []TotalBlock) float64 {
	var t, mid []float64
	used, passes, gaps, scores := 0.0, 0.0, 0.0, 0.0
	for i := len(ts) - 1; i >= 0 && ts[len(ts)-1].Last-ts[i].Last <= int64(time.Hour); i-- {
		t, mid = append(t, hours(ts[i].Last)), append(mid, ts[i].Mid+known(ts[i].Swap))
		if used < 3 {
			used, passes = used+1, passes+float64(ts[i].N)
			gaps, scores = gaps+ts[i].Mid-ts[i].Low, scores+score(ts[i].N, 0.5)-score(ts[i].N, lowQuantile)
		}
	}
	between, within := 0.0, 0.0
	if len(t) >= 4 {
		l := senLine(t, mid)
		free := float64(len(t)) / float64(len(t)-2) // a line took two degrees of freedom
		between = mad(l.residuals(t, mid)) * math.Sqrt(free*math.Pi/2/used)
	}
	if scores > 0 {
		within = gaps / scores * math.Sqrt(math.Pi/2/passes)
	}
	return math.Max(between, within)
}

// score is where the q-th of n sorted readings lies in a normal sample, in
// standard deviations.
//
// Source: G. Blom, Statistical Estimates and Transformed Beta-Variables (1958).
func score(n int, q float64) float64 {
	k := int(q * float64(n-1))
	return distuv.UnitNormal.Quantile((float64(k+1) - 0.375) / (float64(n) + 0.25))
}

// firstLevel is the low of the first hour.
func firstLevel(ts []TotalBlock) float64 {
	n := 1
	for n < len(ts) && cellAt(ts[n].First)-cellAt(ts[0].First) < 12 {
		n++
	}
	return medianLevel(ts[:n])
}

func medianLevel(ts []TotalBlock) float64 {
	var xs []float64
	for _, t := range ts {
		xs = append(xs, t.Mid+known(t.Swap))
	}
	return median(xs)
}

// Compare answers "did the fix work?": the worker's growth before and after,
// with 90 % intervals. The fix worked when nothing leaks any more and growth is
// now surely less than a quarter of what it surely was, or than half of it and
// too slow to matter; it did not when the
// worker still leaks, however slowly.
func Compare(before, after Worker, o Options) Comparison {
	th := o.defaults()
	vb, va := Judge(before, time.Time{}, o), Judge(after, time.Time{}, o)
	rb, hb := growthOf(before, vb, o)
	ra, ha := growthOf(after, va, o)
	c := Comparison{Answer: FixUnsure, Leaks: va.Kind.Leaks()}
	if hb >= th.minSpan {
		c.Before = &rb
		c.Evidence = append(c.Evidence, fmt.Sprintf("Before: %s (%s to %s) an hour over %.1f h.", size(rb.Value), size(rb.Low), size(rb.High), hb))
	}
	if ha >= th.minSpan {
		c.After = &ra
		c.Evidence = append(c.Evidence, fmt.Sprintf("After: %s (%s to %s) an hour over %.1f h.", size(ra.Value), size(ra.Low), size(ra.High), ha))
	}
	if c.Before == nil || c.After == nil {
		if c.Before != nil {
			c.HoursNeeded = ptr(math.Max(th.minSpan-ha, 0.5))
		}
		c.Evidence = append(c.Evidence, fmt.Sprintf("Measured for %.1f h before and %.1f h after; both need at least %.1f h.", hb, ha, th.minSpan))
		if c.Leaks {
			c.Evidence = append(c.Evidence, leaksNow(va))
		}
		return c
	}
	// What does not matter by its rate is no sign of a leak, unless the leak itself was hardly faster.
	left := math.Max(th.fixedShare*rb.Low, math.Min(th.materialRate, th.fixedSlow*rb.Low))
	switch {
	case rb.Low <= 0 || !vb.Kind.Leaks():
		c.Evidence = append(c.Evidence, unproved(vb))
		if c.Leaks {
			c.Evidence = append(c.Evidence, leaksNow(va))
		}
		return c
	case va.Kind.Leaks():
		c.Answer = NotFixed
		if ra.High < rb.Low && ra.Value > 0 {
			c.Evidence = append(c.Evidence, fmt.Sprintf("It leaks at %.0f %% of its earlier pace: a part is fixed.", 100*ra.Value/rb.Value))
		} else {
			c.Evidence = append(c.Evidence, fmt.Sprintf("It leaks after it too: %s.", plain(va.Reason)))
		}
	case ra.High < left:
		c.Answer = Fixed
		c.Evidence = append(c.Evidence, fmt.Sprintf("Nothing leaks any more: growth is at most %s an hour, where %s are left to a fix.", size(ra.High), size(left)))
	default:
		c.HoursNeeded = ptr(hoursToTell(rb, ra, ha, th))
		c.Evidence = append(c.Evidence, fmt.Sprintf("No leak is seen after it, but growth may still be %s an hour, and a fix leaves at most %s.", size(ra.High), size(left)))
	}
	return c
}

// leaksNow says that the time after shows a leak of which the time before does
// not tell.
func leaksNow(after Verdict) string {
	return fmt.Sprintf("The time after does leak: %s. Were the two swapped?", plain(after.Reason))
}

// unproved says that a fix cannot be judged by a time before it that shows no
// leak: no hours after it would change that.
func unproved(before Verdict) string {
	const nothing = "Growth before is not proved, so there is nothing that a fix could be seen to end."
	if before.HoursNeeded != nil {
		return fmt.Sprintf("%s The time before would have had to be %s longer.", nothing, span(*before.HoursNeeded))
	}
	return nothing + " Take a time before it that shows the growth."
}

// hoursToTell is how much longer "after" must be watched until its interval,
// which shrinks with time to the power 3/2, is a quarter of the old rate.
func hoursToTell(before, after Interval, span float64, th thresholds) float64 {
	want, have := th.fixedShare*math.Abs(before.Value), (after.High-after.Low)/2
	if want <= 0 || have <= want {
		return math.Max(span/2, 1)
	}
	return math.Min(span*(math.Pow(have/want, 2.0/3)-1)+1, 14*24)
}

// growthOf is the worker's growth per hour over the span of its last
// processes, less their first third where a start shows.
func growthOf(w Worker, v Verdict, o Options) (Interval, float64) {
	b := &bench{sum: Summarize(w, o), th: o.defaults()}
	if !b.open(time.Time{}) {
		return Interval{}, 0
	}
	b.judgeProcesses()
	if v.Rate != nil {
		return *v.Rate, b.now
	}
	var sum Interval
	for _, p := range b.procs {
		if !p.alive || p.curve.len() < 6 {
			continue
		}
		r := rateInterval(p.curve.since(p.curve.t[0]+p.curve.span()/3), b.th)
		sum = Interval{sum.Low + r.Low, sum.Value + r.Value, sum.High + r.High}
	}
	return sum, b.now
}
