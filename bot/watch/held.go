package watch

import (
	"context"
	"slices"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/detector"
)

// beside judges a worker that leaks again, with the tasks that its main
// process held until their time (ETA, countdown), where the probe counted
// them: a backlog fills the process as a leak would. judge is given their
// numbers. A verdict stands where nobody counted. carried: the growth was that
// of these tasks, and went as they did.
func (w *Watch) beside(ctx context.Context, v View, worker string, first detector.Verdict, judge func(held []detector.Point) detector.Verdict) (verdict detector.Verdict, carried bool) {
	if !first.Kind.Leaks() {
		return first, false
	}
	held, err := w.o.Series.Held(ctx, v.Droplet.ID, worker, w.from(v.At), v.At)
	if err != nil {
		w.o.Log.Error("tasks that wait were not set against growth", "droplet", v.Droplet.Name, "worker", worker, "err", err)
		return first, false
	}
	most := 0.0
	for i := range held {
		held[i].At = w.o.Scale.Stretch(held[i].At, v.At)
		most = max(most, held[i].V)
	}
	if most == 0 {
		return first, false
	}
	verdict = judge(held)
	return verdict, verdict.Kind == detector.Healthy
}

// carried ends a finding that was opened before anybody counted what waits in
// the worker, once its tasks have come due and memory went with them, seen for
// as long as another growth must be seen to have stopped. While they pile up
// nobody can tell yet, and growth is growth.
func (w *Watch) carried(ctx context.Context, v View, f finding.Finding, worker detector.Worker, verdict detector.Verdict) (*Change, error) {
	i := slices.IndexFunc(v.Workers, func(x detector.Worker) bool { return x.Name == worker.Name })
	if f.State == finding.InHand || v.holds[i].at.Sub(w.o.Scale.Stretch(f.LastSeen, v.At)) < w.calm(f) {
		return nil, nil
	}
	return w.resolve(ctx, v, f, verdict, firstOf(verdict.Evidence, "its tasks that wait carry the growth"))
}
