package synth

import (
	"fmt"
	"math"
	"time"

	"github.com/dropleak/dropleak/detector"
)

// dirt is what goes wrong between the node and the series.
type dirt struct {
	gaps    [][2]float64 // hours without readings
	known   bool         // whether Worker.Gaps tells of them
	steps   []clockStep
	quantum float64 // bytes; readings are rounded to it, 0: a page
	noSwap  bool    // swap is read with PSS only
}

// clockStep moves the clock that stamps the readings.
type clockStep struct{ at, by float64 } // hours

// shown is the hour the readings' clock shows at a true hour.
func (d dirt) shown(hour float64) float64 {
	out := hour
	for _, s := range d.steps {
		if hour >= s.at {
			out += s.by
		}
	}
	return out
}

func (d dirt) missing(hour float64) bool {
	for _, g := range d.gaps {
		if hour >= g[0] && hour < g[1] {
			return true
		}
	}
	return false
}

// record hands the run out as a case.
func (p *plan) record(r, twin *run) Case {
	c := Case{Family: p.family.Name, Seed: p.seed, At: p.when(p.dirt.shown(p.hours - p.every))}
	c.Worker = detector.Worker{Name: fmt.Sprintf("%s-%d", p.family.Name, p.seed), Droplet: "droplet-" + fmt.Sprint(p.seed%97), Pool: p.pool}
	for _, pr := range r.procs {
		if life := p.life(pr); len(life.Samples) > 0 {
			c.Worker.Lives = append(c.Worker.Lives, life)
		}
	}
	for _, e := range r.events {
		c.Worker.Events = append(c.Worker.Events, detector.Event{At: p.when(p.dirt.shown(e.hour)), Kind: e.kind, Text: e.text})
	}
	for _, e := range r.ran {
		c.Worker.Tasks = append(c.Worker.Tasks, detector.TaskRun{PID: e.pid, Start: p.when(e.start), Task: e.task, Begin: p.when(e.begin), End: p.when(e.end)})
	}
	if p.dirt.known {
		for _, g := range p.dirt.gaps {
			c.Worker.Gaps = append(c.Worker.Gaps, detector.Gap{From: p.when(p.dirt.shown(g[0])), To: p.when(p.dirt.shown(g[1]))})
		}
	}
	p.lines(&c.Worker, r)
	c.Truth = p.truth(r, twin)
	return c
}

// lines sets what the worker knows of limits and pressure.
func (p *plan) lines(w *detector.Worker, r *run) {
	if p.highBytes > 0 {
		w.High = math.Round(p.highBytes/mib) * mib
	}
	if r.stalled {
		for i, v := range r.pressure {
			w.Pressure = append(w.Pressure, detector.Point{At: p.when(p.dirt.shown(float64(i) * p.every)), V: v})
		}
	}
	if p.params.Held {
		for i, v := range p.held[:min(len(p.held), len(r.totals))] {
			w.Held = append(w.Held, detector.Point{At: p.when(p.dirt.shown(float64(i) * p.every)), V: v})
		}
	}
	rng := p.stream("line")
	switch {
	case p.limitBytes > 0 && !math.IsInf(p.limitBytes, 0):
		w.Limit = detector.Limit{Bytes: p.limitBytes, Source: "memory.max"}
	case p.leak == nil && rng.IntN(5) > 0:
		top := 0.0
		for _, v := range r.totals {
			top = max(top, v)
		}
		w.Limit = detector.Limit{Bytes: math.Round(top*ratio(rng, 1.15, 4)/mib) * mib, Source: "memory.max"}
	}
}

// truth says what the run was made to be.
func (p *plan) truth(r, twin *run) Truth {
	t := Truth{Kind: p.kindOf(), Reasons: p.reasons}
	if p.leak == nil {
		return t
	}
	t.Leaks, t.LeakyRole, t.MDE = true, p.leak.role, p.leak.mde
	t.Started = p.when(p.dirt.shown(p.leak.onset))
	t.Onset = p.when(p.dirt.shown(p.leak.shown))
	grown, from := r.grown(twin), p.leak.shown
	for _, rs := range p.restarts {
		from = max(from, rs.at)
	}
	if p.leak.masked || r.stalled || r.oomKills > 0 {
		grown, from = r.leaked, p.leak.onset
	}
	t.RateBytesPerHour = grown / max(p.hours-from, p.every)
	if len(p.tasks) > 1 && p.leak.task >= 0 {
		t.LeakyTask = p.tasks[p.leak.task]
	}
	for i := len(r.procs) - 1; i >= 0; i-- {
		if pr := r.procs[i]; pr.leaked > 0 && len(pr.samples) > 0 {
			t.LeakyPIDs = append(t.LeakyPIDs, pr.pid)
		}
	}
	if r.exhausted > 0 {
		t.Exhausts = p.when(p.dirt.shown(r.exhausted))
	}
	return t
}

// life is what was read of one process.
func (p *plan) life(pr *proc) detector.Life {
	l := detector.Life{PID: pr.pid, Start: p.when(pr.start), Role: pr.role, Slot: fmt.Sprint(pr.slot)}
	if pr.role == detector.RoleParent {
		l.Slot = "main"
	}
	var last time.Time
	for _, r := range pr.samples {
		at := p.when(p.dirt.shown(r.hour))
		// A clock set back repeats times already used; the reader keeps
		// only what ascends.
		if p.dirt.missing(r.hour) || !at.After(last) {
			continue
		}
		last = at
		l.Samples = append(l.Samples, p.sample(at, r))
	}
	return l
}

// sample rounds a reading as the kernel and the source do.
func (p *plan) sample(at time.Time, r reading) detector.Sample {
	q := max(p.dirt.quantum, 4096)
	round := func(v float64) float64 { return math.Round(v/q) * q }
	s := detector.Sample{At: at, RSS: round(r.rss), PSS: math.NaN(), USS: math.NaN(), Swap: round(r.swap), CPU: r.cpu}
	full := p.params.PSSEvery > 0 && int(math.Round(r.hour/p.every))%p.params.PSSEvery == 0
	if full {
		s.PSS, s.USS = math.Round(r.pss/max(p.dirt.quantum, 1024))*max(p.dirt.quantum, 1024), round(r.uss)
	} else if p.dirt.noSwap {
		s.Swap = math.NaN()
	}
	return s
}

func (p *plan) when(hour float64) time.Time {
	return p.origin.Add(time.Duration(math.Round(hour*3600)) * time.Second)
}
