package watch

import (
	"context"
	"time"

	"github.com/dropleak/dropleak/bot/history"
	"github.com/dropleak/dropleak/detector"
)

// blameWindow is how far back tasks are set against growth, in scaled time:
// enough for hundreds of spans of each process, and little to read.
const blameWindow = 48 * time.Hour

// blame adds to the verdict on a worker that leaks which of its tasks do,
// where the probe in its processes counted them. A verdict stands without.
func (w *Watch) blame(ctx context.Context, d Droplet, worker string, v detector.Verdict, at time.Time) detector.Verdict {
	if !v.Kind.Leaks() {
		return v
	}
	found, err := w.o.Series.Workers(ctx, history.Query{DropletIDs: []string{d.ID}, Worker: worker,
		From: at.Add(-w.o.Scale.Real(blameWindow)), To: at, Tasks: true})
	if err != nil {
		w.o.Log.Error("tasks were not set against growth", "droplet", d.Name, "worker", worker, "err", err)
		return v
	}
	for _, f := range found {
		if f.Name == worker {
			return detector.Blame(v, StretchWorker(f, w.o.Scale, at), at, detector.Options{})
		}
	}
	return v
}
