package watch

import (
	"time"

	"github.com/dropleak/dropleak/bot/schedule"
	"github.com/dropleak/dropleak/detector"
)

// StretchWorker maps real to scaled time, with now as the fixed point. In
// production the scale is one and the worker is returned as it is.
func StretchWorker(w detector.Worker, s schedule.Scale, now time.Time) detector.Worker {
	if s <= 1 {
		return w
	}
	lives := make([]detector.Life, len(w.Lives))
	for i, l := range w.Lives {
		samples := make([]detector.Sample, len(l.Samples))
		for j, x := range l.Samples {
			x.At, x.CPU = s.Stretch(x.At, now), x.CPU*float64(s)
			samples[j] = x
		}
		l.Start, l.Samples = s.Stretch(l.Start, now), samples
		lives[i] = l
	}
	w.Lives = lives
	w.Pressure = stretchPoints(w.Pressure, s, now)
	w.Events = stretchEvents(w.Events, s, now)
	gaps := make([]detector.Gap, len(w.Gaps))
	for i, g := range w.Gaps {
		gaps[i] = detector.Gap{From: s.Stretch(g.From, now), To: s.Stretch(g.To, now)}
	}
	w.Gaps = gaps
	tasks := make([]detector.TaskRun, len(w.Tasks))
	for i, t := range w.Tasks {
		t.Start, t.Begin, t.End = s.Stretch(t.Start, now), s.Stretch(t.Begin, now), s.Stretch(t.End, now)
		tasks[i] = t
	}
	w.Tasks = tasks
	return w
}

func stretchDroplet(d detector.Droplet, s schedule.Scale, now time.Time) detector.Droplet {
	if s <= 1 {
		return d
	}
	d.Available = stretchPoints(d.Available, s, now)
	d.Events = stretchEvents(d.Events, s, now)
	others := make([]detector.Other, len(d.Others))
	for i, o := range d.Others {
		others[i] = detector.Other{Name: o.Name, Memory: stretchPoints(o.Memory, s, now)}
	}
	d.Others = others
	return d
}

func stretchPoints(ps []detector.Point, s schedule.Scale, now time.Time) []detector.Point {
	out := make([]detector.Point, len(ps))
	for i, p := range ps {
		out[i] = detector.Point{At: s.Stretch(p.At, now), V: p.V}
	}
	return out
}

func stretchEvents(es []detector.Event, s schedule.Scale, now time.Time) []detector.Event {
	out := make([]detector.Event, len(es))
	for i, e := range es {
		e.At = s.Stretch(e.At, now)
		out[i] = e
	}
	return out
}
