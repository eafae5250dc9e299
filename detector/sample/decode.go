package sample

import (
	"cmp"
	"slices"
	"time"
)

// Decode assembles passes back from series: one pass for each droplet and
// timestamp, ascending. Series under names this package does not speak come
// back as foreign, untouched. Stale markers and NaN are "nothing here".
func Decode(series []Series) (passes []Pass, foreign []Series) {
	d := decoder{passes: map[passKey]*assembly{}}
	for _, s := range series {
		if !d.add(s) {
			foreign = append(foreign, s)
		}
	}
	return d.finish(), foreign
}

// Known reports whether name is one of the names [Encode] writes.
func Known(name string) bool {
	if name == nameMemory || name == nameInfo || name == nameOther {
		return true
	}
	key := [2]string{name, ""}
	_, p := processByName[key]
	_, w := workerByName[key]
	_, d := dropletByName[key]
	return p || w || d
}

type passKey struct {
	droplet string
	at      int64
}

type memberKey struct{ worker, slot, role string }

// assembly is a pass in the making, its records found by what names them.
type assembly struct {
	processes map[memberKey]*Process
	workers   map[string]*Worker
	droplet   *Droplet
	others    []Other
}

type decoder struct{ passes map[passKey]*assembly }

func (d *decoder) at(droplet string, ms int64) (*assembly, time.Time) {
	key := passKey{droplet, ms}
	a := d.passes[key]
	if a == nil {
		a = &assembly{processes: map[memberKey]*Process{}, workers: map[string]*Worker{}}
		d.passes[key] = a
	}
	return a, time.UnixMilli(ms).UTC()
}

// add sorts the points of one series into their passes; false: foreign.
func (d *decoder) add(s Series) bool {
	name, kind := s.Name(), s.Get("kind")
	key := [2]string{name, kind}
	if f, ok := processByName[key]; ok {
		d.each(s, func(a *assembly, at time.Time, v float64) { f.set(a.process(s, at), v) })
	} else if f, ok := workerByName[key]; ok {
		d.each(s, func(a *assembly, at time.Time, v float64) { f.set(a.worker(s, at), v) })
	} else if f, ok := dropletByName[key]; ok {
		d.each(s, func(a *assembly, at time.Time, v float64) { f.set(a.host(s, at), v) })
	} else if name == nameInfo {
		d.each(s, func(a *assembly, at time.Time, _ float64) { a.worker(s, at).describe(s) })
	} else if name == nameOther {
		d.each(s, func(a *assembly, at time.Time, v float64) {
			a.others = append(a.others, Other{At: at, Droplet: s.Get("droplet"), Name: s.Get("name"), Memory: v})
		})
	} else {
		return false
	}
	return true
}

func (d *decoder) each(s Series, use func(*assembly, time.Time, float64)) {
	droplet := s.Get("droplet")
	for _, p := range s.Points {
		if Measured(p.V) {
			a, at := d.at(droplet, p.At)
			use(a, at, p.V)
		}
	}
}

func (a *assembly) process(s Series, at time.Time) *Process {
	key := memberKey{s.Get("worker"), s.Get("slot"), s.Get("role")}
	p := a.processes[key]
	if p == nil {
		p = &Process{At: at, Droplet: s.Get("droplet"), Worker: key.worker, Slot: key.slot, Role: key.role,
			RSS: NaN, PSS: NaN, USS: NaN, Swap: NaN, CPU: NaN}
		a.processes[key] = p
	}
	return p
}

func (a *assembly) worker(s Series, at time.Time) *Worker {
	name := s.Get("worker")
	w := a.workers[name]
	if w == nil {
		w = &Worker{At: at, Droplet: s.Get("droplet"), Worker: name,
			Limit: NaN, High: NaN, Current: NaN, Pressure: NaN, OOMKills: NaN}
		a.workers[name] = w
	}
	return w
}

func (w *Worker) describe(s Series) {
	w.Node, w.Pool, w.App = s.Get("node"), s.Get("pool"), s.Get("app")
	w.Unit, w.Manager = s.Get("unit"), s.Get("manager")
}

func (a *assembly) host(s Series, at time.Time) *Droplet {
	if a.droplet == nil {
		a.droplet = &Droplet{At: at, Droplet: s.Get("droplet"), Available: NaN, Total: NaN,
			Shmem: NaN, Slab: NaN, SwapUsed: NaN, OOMKills: NaN}
	}
	return a.droplet
}

// finish orders everything, so that equal input gives equal passes.
func (d *decoder) finish() []Pass {
	keys := make([]passKey, 0, len(d.passes))
	for k := range d.passes {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b passKey) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.droplet, b.droplet))
	})
	out := make([]Pass, 0, len(keys))
	for _, k := range keys {
		out = append(out, d.passes[k].pass())
	}
	return out
}

func (a *assembly) pass() Pass {
	p := Pass{Droplet: a.droplet, Others: a.others}
	for _, r := range a.processes {
		p.Processes = append(p.Processes, *r)
	}
	for _, w := range a.workers {
		p.Workers = append(p.Workers, *w)
	}
	p.Sort()
	return p
}
