package watch

import (
	"context"

	"github.com/dropleak/dropleak/detector"
)

// beside judges a worker that leaks again, with the tasks that its main
// process held until their time (ETA, countdown), where the probe counted
// them: a backlog fills the process as a leak would. judge is given their
// numbers. A verdict stands where nobody counted.
func (w *Watch) beside(ctx context.Context, v View, worker string, first detector.Verdict, judge func(held []detector.Point) detector.Verdict) detector.Verdict {
	if !first.Kind.Leaks() {
		return first
	}
	held, err := w.o.Series.Held(ctx, v.Droplet.ID, worker, w.from(v.At), v.At)
	if err != nil {
		w.o.Log.Error("tasks that wait were not set against growth", "droplet", v.Droplet.Name, "worker", worker, "err", err)
		return first
	}
	most := 0.0
	for i := range held {
		held[i].At = w.o.Scale.Stretch(held[i].At, v.At)
		most = max(most, held[i].V)
	}
	if most == 0 {
		return first
	}
	return judge(held)
}
