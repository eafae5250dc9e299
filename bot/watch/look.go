package watch

import (
	"context"
	"fmt"
	"time"

	"github.com/dropleak/dropleak/bot/history"
	"github.com/dropleak/dropleak/detector"
)

// View is one droplet as of a moment: its series and what they mean. Under a
// time scale all times in it are scaled, with At as the fixed point.
type View struct {
	At      time.Time
	Droplet Droplet
	Host    detector.Droplet
	Verdict detector.DropletVerdict
	Workers []detector.Worker
	// Verdicts stand in the order of Workers.
	Verdicts []detector.Verdict
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

// Look judges one droplet as of a moment.
func (w *Watch) Look(ctx context.Context, d Droplet, at time.Time) (View, error) {
	q := history.Query{DropletIDs: []string{d.ID}, From: at.Add(-w.o.Scale.Real(w.o.Window)), To: at}
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
	for _, worker := range workers {
		worker = StretchWorker(worker, w.o.Scale, at)
		worker.Limit = w.limit(d, worker, v.Host)
		v.Workers = append(v.Workers, worker)
		v.Verdicts = append(v.Verdicts, detector.Judge(worker, at, detector.Options{}))
	}
	v.Verdict = detector.JudgeDroplet(v.Host, v.Workers, v.Verdicts, at, detector.Options{})
	return v, nil
}

// limit is the line where memory runs out first: what the operator set, what
// the agent read from the cgroup, or all that the droplet has left.
func (w *Watch) limit(d Droplet, worker detector.Worker, host detector.Droplet) detector.Limit {
	if configured := w.o.Limit(d, worker.Name); configured > 0 {
		return detector.Limit{Bytes: configured, Source: "configured"}
	}
	left := detector.Limit{Source: "droplet"}
	if n := len(host.Available); n > 0 {
		left.Bytes = host.Available[n-1].V + footprint(worker)
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
