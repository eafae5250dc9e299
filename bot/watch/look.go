package watch

import (
	"context"
	"fmt"
	"time"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/history"
	"github.com/dropleak/dropleak/detector"
)

// View is one droplet as of a moment: its series and what they mean. Under a
// time scale all times in it are scaled, with At as the fixed point. A light
// view, as a scan of the fleet has it, holds no samples.
type View struct {
	At      time.Time
	Droplet Droplet
	Host    detector.Droplet
	Verdict detector.DropletVerdict
	Workers []detector.Worker
	// Verdicts stand in the order of Workers.
	Verdicts []detector.Verdict

	light bool
	// Of the workers, in their order: what each holds, and whether it would
	// leak but for the tasks that wait in it.
	holds   []holding
	carried []bool
}

// holding is what a worker's processes hold, and when that was read last.
type holding struct {
	bytes float64
	at    time.Time
}

// Share returns how much of the droplet's growth a worker explains, 0 where
// unknown.
func (v View) Share(worker string) float64 {
	for _, s := range v.Verdict.Workers {
		if s.Name == worker {
			return s.Share.Value
		}
	}
	return 0
}

// Look judges one droplet as of a moment, from all its samples.
func (w *Watch) Look(ctx context.Context, d Droplet, at time.Time) (View, error) {
	q := history.Query{DropletIDs: []string{d.ID}, From: w.from(at), To: at}
	workers, err := w.o.Series.Workers(ctx, q)
	if err != nil {
		return View{}, fmt.Errorf("read its workers: %w", err)
	}
	hosts, err := w.o.Series.Droplets(ctx, q)
	if err != nil {
		return View{}, fmt.Errorf("read its memory: %w", err)
	}
	v := View{At: at, Droplet: d, Host: detector.Droplet{ID: d.ID}}
	if len(hosts) > 0 {
		v.Host = stretchDroplet(hosts[0], w.o.Scale, at)
	}
	available := 0.0
	if n := len(v.Host.Available); n > 0 {
		available = v.Host.Available[n-1].V
	}
	for _, worker := range workers {
		worker = StretchWorker(worker, w.o.Scale, at)
		worker.Limit = w.limit(d, worker, available)
		v.Workers, v.holds = append(v.Workers, worker), append(v.holds, holding{footprint(worker), newest(worker)})
		verdict, carried := w.beside(ctx, v, worker.Name, detector.Judge(worker, at, detector.Options{}), func(held []detector.Point) detector.Verdict {
			worker.Held = held
			return detector.Judge(worker, at, detector.Options{})
		})
		verdict = w.unhurried(ctx, d, worker.Name, verdict, func(o detector.Options) detector.Verdict { return detector.Judge(worker, at, o) })
		v.carried, v.Verdicts = append(v.carried, carried), append(v.Verdicts, w.blame(ctx, d, worker.Name, verdict, at))
	}
	v.Verdict = w.unhurriedHost(ctx, d, func(o detector.Options) detector.DropletVerdict {
		return detector.JudgeDroplet(v.Host, v.Workers, v.Verdicts, at, o)
	})
	return v, nil
}

// patience is how long a leak that nobody knows of yet must have stood: a scan
// looks every hour, for months, and each look is one more chance to be fooled.
// What that costs and brings is measured on docs/detection.md.
const patience = 3 * time.Hour

// unhurried asks a worker's leak to have stood. A leak with a live finding is
// told of as it is seen.
func (w *Watch) unhurried(ctx context.Context, d Droplet, worker string, seen detector.Verdict, judge func(detector.Options) detector.Verdict) detector.Verdict {
	if !seen.Kind.Leaks() || w.live(ctx, finding.Subject{Kind: finding.KindLeak, DropletID: d.ID, DropletName: d.Name, Worker: worker}) {
		return seen
	}
	return judge(detector.Options{Patience: patience})
}

// unhurriedHost does the same with the growth of a droplet.
func (w *Watch) unhurriedHost(ctx context.Context, d Droplet, judge func(detector.Options) detector.DropletVerdict) detector.DropletVerdict {
	seen := judge(detector.Options{})
	if !seen.Kind.Leaks() || w.live(ctx, finding.Subject{Kind: finding.KindUnexplained, DropletID: d.ID, DropletName: d.Name}) {
		return seen
	}
	return judge(detector.Options{Patience: patience})
}

// live reports whether there is a finding that is not over. Where the store
// cannot say, the finding's own turn says why.
func (w *Watch) live(ctx context.Context, s finding.Subject) bool {
	_, err := w.o.Findings.LiveFinding(ctx, s.Key())
	return err == nil
}

// from is where the window begins that is judged as of a moment: with the
// chunk it falls into, so that summaries that were kept are whole.
func (w *Watch) from(at time.Time) time.Time {
	if w.o.Scale > 1 {
		return at.Add(-w.o.Scale.Real(w.o.Window))
	}
	return at.Add(-w.o.Window).Truncate(detector.ChunkWidth)
}

// glance judges as Look does, to the same verdicts, but reads only samples
// that no glance has read before. The view it returns is light.
func (w *Watch) glance(ctx context.Context, d Droplet, at time.Time) (View, error) {
	if w.o.Scale > 1 {
		return w.Look(ctx, d, at) // what is kept is in real time
	}
	g, err := w.o.Series.Digest(ctx, d.ID, w.from(at), at)
	if err != nil {
		return View{}, err
	}
	defer g.Release()
	v := View{At: at, Droplet: d, Host: detector.Droplet{ID: d.ID, Total: g.Host.Total}, light: true}
	sums := make([]detector.Summary, len(g.Workers))
	for i, x := range g.Workers {
		recent := x.Recent
		if len(recent.Lives) == 0 {
			if recent, err = w.lately(ctx, d, x); err != nil {
				return View{}, err
			}
		}
		x.Summary.Limit = w.limit(d, recent, g.Available)
		sums[i] = x.Summary
		v.holds = append(v.holds, holding{footprint(recent), newest(recent)})
		recent.Limit, recent.Lives, recent.Pressure = x.Summary.Limit, nil, nil
		v.Workers = append(v.Workers, recent)
		verdict, carried := w.beside(ctx, v, recent.Name, detector.JudgeSummary(x.Summary, at, detector.Options{}), func(held []detector.Point) detector.Verdict {
			x.Summary.Held = held
			return detector.JudgeSummary(x.Summary, at, detector.Options{})
		})
		verdict = w.unhurried(ctx, d, recent.Name, verdict, func(o detector.Options) detector.Verdict { return detector.JudgeSummary(x.Summary, at, o) })
		v.carried, v.Verdicts = append(v.carried, carried), append(v.Verdicts, w.blame(ctx, d, recent.Name, verdict, at))
	}
	v.Verdict = w.unhurriedHost(ctx, d, func(o detector.Options) detector.DropletVerdict {
		return detector.JudgeDropletSummary(g.Host, sums, v.Verdicts, o)
	})
	return v, nil
}

// lately reads the last samples of a worker that has fallen silent.
func (w *Watch) lately(ctx context.Context, d Droplet, x history.WorkerDigest) (detector.Worker, error) {
	last := x.Summary.Newest()
	if last.IsZero() {
		return x.Recent, nil
	}
	const enough = 30 * time.Minute
	found, err := w.o.Series.Workers(ctx, history.Query{DropletIDs: []string{d.ID}, Worker: x.Recent.Name, From: last.Add(-enough), To: last})
	if err != nil {
		return x.Recent, fmt.Errorf("read the last of worker %s: %w", x.Recent.Name, err)
	}
	for _, f := range found {
		if f.Name == x.Recent.Name {
			x.Recent.Lives = f.Lives
		}
	}
	return x.Recent, nil
}

// limit is the line where memory runs out first: what the operator set, what
// the agent read from the cgroup, or all that the droplet has left.
func (w *Watch) limit(d Droplet, worker detector.Worker, available float64) detector.Limit {
	if configured := w.o.Limit(d, worker.Name); configured > 0 {
		return detector.Limit{Bytes: configured, Source: "configured"}
	}
	left := detector.Limit{Source: "droplet"}
	if available > 0 {
		left.Bytes = available + footprint(worker)
	}
	if worker.Limit.Bytes > 0 && (left.Bytes == 0 || worker.Limit.Bytes < left.Bytes) {
		return worker.Limit
	}
	return left
}

// footprint is what the worker's living processes hold now, as far as one
// pass tells: PSS where it was measured, else RSS, and swap.
func footprint(w detector.Worker) (sum float64) {
	last := newest(w)
	for _, l := range w.Lives {
		n := len(l.Samples)
		if n == 0 || l.Samples[n-1].At.Before(last.Add(-5*time.Minute)) {
			continue
		}
		sum += held(l.Samples)
	}
	return sum
}

// held returns the newest measured footprint of one process.
func held(samples []detector.Sample) float64 {
	var rss, swap float64
	for i := len(samples) - 1; i >= 0 && i >= len(samples)-10; i-- {
		s := samples[i]
		if rss == 0 && s.RSS > 0 {
			rss = s.RSS
		}
		if swap == 0 && s.Swap > 0 {
			swap = s.Swap
		}
		if s.PSS > 0 {
			return s.PSS + max(swap, 0)
		}
	}
	return rss + swap
}
