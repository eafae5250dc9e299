package bot

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/history"
	"github.com/dropleak/dropleak/bot/order"
	"github.com/dropleak/dropleak/bot/remedy"
	"github.com/dropleak/dropleak/bot/watch"
	"github.com/dropleak/dropleak/detector"
	"github.com/dropleak/dropleak/detector/sample"
)

// measure answers a run's questions about its worker from what was sampled.
type measure struct{ s *Service }

// recent is how far back "now" may lie, in real time.
const recent = 15 * time.Minute

// Measure implements [remedy.Watcher].
func (m measure) Measure(ctx context.Context, droplet, worker string) (remedy.Numbers, error) {
	now := time.Now()
	w, _, err := m.worker(ctx, droplet, worker, now.Add(-recent), now)
	if err != nil {
		return remedy.Numbers{}, err
	}
	n := numbers(w, "", m.s.d.Scale.Real(detector.Stale))
	key := finding.Subject{Kind: finding.KindLeak, DropletID: droplet, Worker: worker}.Key()
	if f, err := m.s.d.Store.LiveFinding(ctx, key); err == nil && f.Verdict.Rate != nil {
		n.Rate = &f.Verdict.Rate.Value
	}
	return n, nil
}

// worker reads one worker and the passes of its droplet.
func (m measure) worker(ctx context.Context, droplet, worker string, from, to time.Time) (detector.Worker, []time.Time, error) {
	q := history.Query{DropletIDs: []string{droplet}, From: from, To: to}
	workers, err := m.s.history.Workers(ctx, q)
	if err != nil {
		return detector.Worker{}, nil, err
	}
	series, err := m.s.history.Select(ctx, []history.Matcher{history.Is(sample.MetricName, "dropleak_droplet_memory_available_bytes"),
		history.Is("droplet", droplet)}, from, to)
	if err != nil {
		return detector.Worker{}, nil, err
	}
	found := detector.Worker{Name: worker, Droplet: droplet}
	for _, w := range workers {
		if w.Name == worker {
			found = w
		}
	}
	return found, m.s.passes(series, found), nil
}

// passes are the times of the passes that a worker is seen in: the agent's, or
// those of the source over SSH that tells of it. Two that both look at the
// droplet look at different moments.
func (s *Service) passes(available []sample.Series, w detector.Worker) []time.Time {
	seen := map[time.Time]bool{}
	for _, l := range w.Lives {
		for _, x := range l.Samples {
			seen[x.At.UTC()] = true
		}
	}
	by := map[string][]time.Time{}
	hits := map[string]int{}
	for _, one := range available {
		source := one.Get(history.LabelSource)
		if source != "" && !slices.ContainsFunc(s.shells, func(x shellOf) bool { return x.name == source }) {
			continue // not everybody who measures a droplet looks at its workers
		}
		for _, p := range one.Points {
			at := time.UnixMilli(p.At).UTC()
			by[source] = append(by[source], at)
			if seen[at] {
				hits[source]++
			}
		}
	}
	best := ""
	for source := range by {
		if hits[source] > hits[best] || len(by[best]) == 0 {
			best = source
		}
	}
	return by[best]
}

// numbers are a worker's memory at its newest complete pass, of one metric if
// it is named, else of the best that is not stale.
func numbers(w detector.Worker, metric string, stale time.Duration) remedy.Numbers {
	var n remedy.Numbers
	newest := newestSample(w)
	metric, _, _ = strings.Cut(metric, "+")
	points, name := detector.Footprint(w, detector.Options{Metric: metric})
	if k := len(points); metric == "" && (k == 0 || newest.Sub(points[k-1].At) > stale) {
		points, name = detector.Footprint(w, detector.Options{Metric: "rss"})
	}
	if k := len(points); k > 0 {
		n.At, n.Bytes, n.Metric = points[k-1].At, points[k-1].V, name
	}
	for _, l := range w.Lives {
		if !ends(l).Equal(newest) {
			continue
		}
		if isMain(l) {
			n.PID, n.Start = l.PID, l.Start
		} else if l.Role == detector.RoleChild {
			n.Processes++
		}
	}
	return n
}

func isMain(l detector.Life) bool {
	return l.Slot == sample.SlotMain || l.Role == detector.RoleParent
}

func ends(l detector.Life) time.Time {
	if n := len(l.Samples); n > 0 {
		return l.Samples[n-1].At
	}
	return time.Time{}
}

func newestSample(w detector.Worker) (newest time.Time) {
	for _, l := range w.Lives {
		if t := ends(l); t.After(newest) {
			newest = t
		}
	}
	return newest
}

// NewLife implements [remedy.Watcher]. What the restart ended is every life
// that began before it; the fingerprint's own is never taken for new.
func (m measure) NewLife(ctx context.Context, droplet, worker string, old order.Fingerprint, before remedy.Numbers, restarted time.Time) (remedy.Life, error) {
	now := time.Now()
	w, passes, err := m.worker(ctx, droplet, worker, restarted.Add(-2*recent), now)
	if err != nil {
		return remedy.Life{}, err
	}
	was, is := split(w, old, restarted)
	l := remedy.Life{Now: numbers(is, before.Metric, m.s.d.Scale.Real(detector.Stale)), Working: working(is)}
	for _, x := range is.Lives {
		if isMain(x) {
			l.Lives++
		}
	}
	l.Seen = l.Lives > 0
	l.Passes, l.Absent = attendance(w, passes, restarted)
	l.Pool = l.Now.Processes
	for _, e := range w.Events {
		if e.Kind == detector.EventOOMKill && e.At.After(restarted) {
			l.OOMKills++
		}
	}
	scale := m.s.d.Scale
	var found detector.RecoveryNumbers
	l.Recovery, found = detector.Recovered(watch.StretchWorker(untilTold(was, before.At), scale, now), watch.StretchWorker(is, scale, now), w.Limit, now)
	l.Freed = freed(found)
	key := finding.Subject{Kind: finding.KindLeak, DropletID: droplet, Worker: worker}.Key()
	if f, err := m.s.d.Store.LiveFinding(ctx, key); err == nil && f.Verdict.Onset != nil {
		l.Tells = m.s.watch.Tells(f, restarted)
	}
	return l, nil
}

// freed is what a restart freed, nil where it cannot be told yet.
func freed(n detector.RecoveryNumbers) *remedy.Freed {
	if n.After == 0 {
		return nil
	}
	return &remedy.Freed{Metric: n.Metric, Bytes: n.Freed, Low: n.FreedLow, High: n.FreedHigh}
}

// split parts a worker's lives into those before a restart and those since.
func split(w detector.Worker, old order.Fingerprint, restarted time.Time) (was, is detector.Worker) {
	was, is = w, w
	was.Lives, is.Lives = nil, nil
	for _, l := range w.Lives {
		began := l.Start
		if began.IsZero() && len(l.Samples) > 0 {
			began = l.Samples[0].At
		}
		sameAsOld := l.PID == old.PID && l.Start.Sub(old.Start).Abs() <= order.SameStart
		if sameAsOld || began.Before(restarted.Add(-order.SameStart)) {
			was.Lives = append(was.Lives, l)
		} else {
			is.Lives = append(is.Lives, l)
		}
	}
	return was, is
}

// untilTold leaves out what was read after the numbers from before a restart
// were taken: a worker that stops warmly loses its pool before its parent, and
// what is left of it then is no level to compare with. A worker that has
// nothing older keeps all.
func untilTold(w detector.Worker, at time.Time) detector.Worker {
	out := w
	out.Lives = nil
	for _, l := range w.Lives {
		l.Samples = slices.DeleteFunc(slices.Clone(l.Samples), func(s detector.Sample) bool { return s.At.After(at) })
		if len(l.Samples) > 0 {
			out.Lives = append(out.Lives, l)
		}
	}
	if at.IsZero() || len(out.Lives) == 0 {
		return w
	}
	return out
}

// attendance counts the droplet's passes since a restart, and how many of the
// latest in a row saw no main process, neither a new one nor the old one that
// may take its time to stop.
func attendance(w detector.Worker, passes []time.Time, restarted time.Time) (n, absent int) {
	seen := map[time.Time]bool{}
	for _, l := range w.Lives {
		if isMain(l) {
			for _, s := range l.Samples {
				seen[s.At.UTC()] = true
			}
		}
	}
	for _, at := range passes {
		if !at.After(restarted) {
			continue
		}
		n++
		if absent++; seen[at] {
			absent = 0
		}
	}
	return n, absent
}

// work is how much CPU time shows that a pool process did something: five
// clock ticks, more than it spends waiting.
const work = 0.05

// working says whether the new life gets anything done. An idle pool process
// spends no CPU time at all; a node of one process also spends some on its
// own upkeep, so more is asked of it.
func working(is detector.Worker) remedy.Working {
	answer := remedy.WorkUnknown
	children := false
	for _, l := range is.Lives {
		children = children || l.Role == detector.RoleChild
	}
	for _, l := range is.Lives {
		if children && l.Role != detector.RoleChild {
			continue
		}
		spent, over, ok := cpu(l)
		if !ok {
			continue
		}
		need := work
		if !children {
			need = max(work, 0.01*over.Seconds())
		}
		if spent >= need {
			return remedy.Advancing
		}
		answer = remedy.Idle
	}
	return answer
}

// cpu is the CPU time a life spent since its second sample, so that its
// start-up does not count.
func cpu(l detector.Life) (spent float64, over time.Duration, ok bool) {
	var measured []detector.Sample
	for _, s := range l.Samples {
		if sample.Measured(s.CPU) {
			measured = append(measured, s)
		}
	}
	if len(measured) < 3 {
		return 0, 0, false
	}
	a, b := measured[1], measured[len(measured)-1]
	return b.CPU - a.CPU, b.At.Sub(a.At), true
}
