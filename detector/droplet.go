package detector

import (
	"fmt"
	"math"
	"slices"
	"time"
)

// DropletSummary is all that a verdict on a droplet depends on beside its
// workers.
type DropletSummary struct {
	ID     string
	Total  float64 // MemTotal, bytes
	Used   []Block // total less MemAvailable, so that page cache does not count
	Others []OtherSummary
}

// OtherSummary is what is not Celery, by name, in blocks.
type OtherSummary struct {
	Name   string
	Blocks []Block
}

// SummarizeDroplet folds a droplet's readings up to at (zero: all) into
// blocks.
func SummarizeDroplet(d Droplet, at time.Time) DropletSummary {
	s := DropletSummary{ID: d.ID, Total: d.Total, Used: summarise(pointReadings(d.Available, at, func(v float64) float64 { return d.Total - v }))}
	for _, o := range d.Others {
		s.Others = append(s.Others, OtherSummary{o.Name, summarise(pointReadings(o.Memory, at, func(v float64) float64 { return v }))})
	}
	return s
}

// pointReadings makes readings of the usable points up to at, as f makes of
// them.
func pointReadings(ps []Point, at time.Time, f func(float64) float64) []reading {
	var rs []reading
	for _, p := range tidyPoints(ps, at) {
		if v := f(p.V); usable(p.V) && usable(v) {
			rs = append(rs, reading{at: p.At.UnixNano(), v: v, swap: math.NaN(), cpu: math.NaN()})
		}
	}
	return rs
}

// JudgeDroplet is [JudgeDropletSummary] from samples up to at (zero: all).
func JudgeDroplet(d Droplet, workers []Worker, verdicts []Verdict, at time.Time, o Options) DropletVerdict {
	sums := make([]Summary, len(workers))
	for i, w := range workers {
		w.Tasks = nil // which task leaks does not count here
		sums[i] = Summarize(upTo(w, at), o)
	}
	return JudgeDropletSummary(SummarizeDroplet(d, at), sums, verdicts, o)
}

// JudgeDropletSummary decides whether a droplet's used memory grows without
// bound, and how much of the growth each of its workers and other processes
// explains. verdicts[i] belongs to workers[i].
func JudgeDropletSummary(d DropletSummary, workers []Summary, verdicts []Verdict, o Options) DropletVerdict {
	th := o.defaults().forDroplet(d.Total)
	if len(d.Used) == 0 {
		return DropletVerdict{Kind: Unsure, Reason: ReasonNoData, Confidence: 0.5, HoursNeeded: ptr(th.minSpan),
			Evidence: []string{"No reading of this droplet's available memory."}}
	}
	origin := d.Used[0].First
	c := curveOf(d.Used, origin, nil)
	b := &bench{th: th, origin: origin, now: c.t[c.len()-1]}
	op := assess(c, setting{age: c.span(), quiet: math.NaN()}, th)
	if op.kind == Leak && c.span() < th.hostDays && !anyLeaks(verdicts) {
		// A host follows its users' day; before two of them are seen only
		// growth far beyond its ups and downs counts.
		if swing := swingOf(c, op.win); op.win.growth < th.hostSwing*swing {
			op.kind, op.reason, op.need, op.swing = Unsure, ReasonSeasonal, th.hostDays-c.span(), swing
		}
	}
	if near := c.lo[c.len()-1] + (th.patience+th.headStart)*op.win.fit.slope; op.fresh && near >= d.Total {
		op.kind, op.reason, op.fresh = Leak, ReasonLeak, false // as hurry does
	}
	v := DropletVerdict{Kind: op.kind, Reason: op.reason}
	from := c.t[0]
	if op.kind == Leak {
		from = op.onset
	} else {
		from = latestOnset(verdicts, origin, from, b.now)
	}
	part := c.since(from)
	rate := rateInterval(part, th)
	v.Rate = &rate
	v.Workers = workerShares(workers, b, from, rate)
	v.Others = otherShares(d.Others, b, from, rate)
	b.blame(&v, workers, verdicts)
	v.Confidence = hostConfidence(v.Kind, b.now)
	v.MinDetectable = ptr(b.detectable(op.mdg))
	if v.Kind == Unsure {
		v.HoursNeeded = ptr(math.Max(op.need, 0.5))
	}
	b.explainDroplet(&v, op, part.span())
	if v.Kind.Leaks() {
		onset := b.time(from)
		v.Onset = &onset
		b.sum.Limit = Limit{d.Total, "droplet"}
		w := Verdict{Rate: v.Rate, Footprint: c.lo[c.len()-1]}
		b.exhaust(&w)
		v.Exhaustion = w.Exhaustion
	}
	if !rate.finite() {
		v.Rate = nil
	}
	return v
}

// forDroplet raises the floors from a process's to a host's: what dozens of
// processes do at random is larger than what one does.
func (th thresholds) forDroplet(total float64) thresholds {
	th.material = math.Max(th.hostMaterial*th.material, th.hostShare*total)
	th.materialRate *= th.hostTimes
	th.warmBytes *= th.hostTimes
	th.sure, th.sureOld = math.Inf(-1), math.Inf(-1) // fitted to processes
	th.sureAlone = math.Inf(1)                       // likewise: patience is always asked
	return th
}

// tidyPoints returns the points up to at in order, the last of equal times.
func tidyPoints(in []Point, at time.Time) []Point {
	ps := slices.Clone(in)
	slices.SortStableFunc(ps, func(a, b Point) int { return a.At.Compare(b.At) })
	out := ps[:0]
	for _, p := range ps {
		if !at.IsZero() && p.At.After(at) {
			break
		}
		if n := len(out); n > 0 && out[n-1].At.Equal(p.At) {
			out[n-1] = p
			continue
		}
		out = append(out, p)
	}
	return out
}

// latestOnset returns the earliest onset of the leaking workers, in hours.
func latestOnset(vs []Verdict, origin int64, from, now float64) float64 {
	first := math.Inf(1)
	for _, v := range vs {
		if v.Kind.Leaks() && v.Onset != nil {
			first = math.Min(first, hours(v.Onset.UnixNano()-origin))
		}
	}
	if math.IsInf(first, 1) || first > now-1 {
		return from
	}
	return math.Max(from, first)
}

// workerShares says what part of the droplet's growth each worker's sum is.
func workerShares(ws []Summary, b *bench, from float64, total Interval) []Share {
	var out []Share
	for _, s := range ws {
		out = append(out, shareOf(s.Name, total, b.th, func() curve { return b.sumOf(s.Total).since(from) }))
	}
	sortShares(out)
	return out
}

// otherShares does the same for what is not Celery.
func otherShares(os []OtherSummary, b *bench, from float64, total Interval) []Share {
	var out []Share
	for _, p := range os {
		out = append(out, shareOf(p.Name, total, b.th, func() curve { return curveOf(p.Blocks, b.origin, nil).since(from) }))
	}
	sortShares(out)
	return out
}

// shareOf divides one growth by another, which need not be laid out where
// there is none to divide by.
func shareOf(name string, total Interval, th thresholds, of func() curve) Share {
	s := Share{Name: name}
	if total.Value <= 0 {
		return s
	}
	c := of()
	if c.len() < 3 {
		return s
	}
	r := rateInterval(c, th)
	s.Rate = r.Value
	s.Share = Interval{clamp(r.Low/total.Value, 0, 1), clamp(r.Value/total.Value, 0, 1), clamp(r.High/total.Value, 0, 1)}
	return s
}

func sortShares(s []Share) {
	slices.SortStableFunc(s, func(a, b Share) int {
		switch {
		case a.Share.Value > b.Share.Value:
			return -1
		case a.Share.Value < b.Share.Value:
			return 1
		}
		return 0
	})
}

// blame settles who is behind the growth. A droplet whose growth its own
// curve cannot yet prove still leaks when a leaking worker explains most of
// it; and growth that workers do not explain is named after the process that
// grew most.
func (b *bench) blame(v *DropletVerdict, ws []Summary, vs []Verdict) {
	left := 1.0
	for _, s := range v.Workers {
		left -= s.Share.Value
	}
	byOthers := 0.0
	for _, s := range v.Others {
		byOthers += s.Share.Value
	}
	v.Unexplained = clamp(left-byOthers, 0, 1)
	leaking := ""
	for i, w := range ws {
		if i < len(vs) && vs[i].Kind == Leak {
			for _, s := range v.Workers {
				if s.Name == w.Name && s.Share.Value > b.th.blameShare && v.Rate.Value > 0 {
					leaking = w.Name
				}
			}
		}
	}
	if v.Kind != Leak && leaking != "" {
		v.Kind, v.Reason = Leak, ReasonLeak
	}
	if v.Kind == Leak && left > b.th.suspectLeft && len(v.Others) > 0 && v.Others[0].Share.Value > b.th.suspectShare*left {
		v.Suspect = v.Others[0].Name
	}
}

// hostConfidence is how often verdicts like this one turned out right, on made
// droplets judged at every tenth of their length, four families of seven
// leaking (seeds 950000 to 950024 of each: a leak 178 of 183 times on the first
// day and 388 of 388 later, healthy 380 of 610 and 361 of 461), shrunk towards
// a half. A worker's leak shows late in a droplet's sum.
func hostConfidence(k Kind, hours float64) float64 {
	old := hours > 24
	switch {
	case k.Leaks() && old:
		return 0.98
	case k.Leaks():
		return 0.95
	case k == Unsure:
		return 0.5
	case old:
		return 0.77
	}
	return 0.62
}

// hostStory is what used memory did, in the words for a process.
const hostStory = "Used memory (total less available, page cache not counted)"

// explainDroplet puts the droplet's curve and the shares of its growth into
// words: the numbers that decided. grown is how many hours that growth took.
func (b *bench) explainDroplet(v *DropletVerdict, op opinion, grown float64) {
	say := func(format string, args ...any) { v.Evidence = append(v.Evidence, fmt.Sprintf(format, args...)) }
	switch {
	case v.Kind == Unsure && op.swing > 0:
		say("%s grew %s in %s, less than %.0f times its ups and downs of %s: before two whole days are seen that may be the rhythm of a day.",
			hostStory, size(op.win.growth), span(op.win.to-op.win.from), b.th.hostSwing, size(op.swing))
	case v.Kind == op.kind:
		say("%s", b.story(hostStory, "it has been watched for %s only", judged{opinion: op}))
	default:
		say("%s grows by %s an hour (%s to %s) over %s. By itself that is no leak yet (%s), but a worker that leaks explains most of it.",
			hostStory, size(v.Rate.Value), size(v.Rate.Low), size(v.Rate.High), span(grown), plain(op.reason))
	}
	if v.Kind == Unsure {
		say("About %s more would tell.", span(*v.HoursNeeded))
	}
	if v.Kind != Leak {
		say("Growth below %s an hour would not be visible in these data.", size(*v.MinDetectable))
		return
	}
	for _, s := range v.Workers {
		if s.Share.Value >= b.th.tellShare {
			say("Worker %s explains %.0f %% of it (%.0f to %.0f %%).", s.Name, 100*s.Share.Value, 100*s.Share.Low, 100*s.Share.High)
		}
	}
	if v.Suspect != "" {
		s := v.Others[0].Share
		say("%s, which is no worker, explains %.0f %% of it (%.0f to %.0f %%).", v.Suspect, 100*s.Value, 100*s.Low, 100*s.High)
	}
	if v.Unexplained >= b.th.tellLeft {
		say("%.0f %% of it is in no process that was measured.", 100*v.Unexplained)
	}
}

// swingOf is the range of a curve about a window's line, spikes aside.
func swingOf(c curve, w trend) float64 {
	s := c.since(w.from).coarse(48)
	r := w.fit.residuals(s.t, s.lo)
	slices.Sort(r)
	return quantile(r, 0.95) - quantile(r, 0.05)
}

func anyLeaks(vs []Verdict) bool {
	return slices.ContainsFunc(vs, func(v Verdict) bool { return v.Kind.Leaks() })
}
