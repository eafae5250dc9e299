package history

import (
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/dropleak/dropleak/detector"
	"github.com/dropleak/dropleak/detector/sample"
)

// FromSamples assembles workers out of the readings of their processes, in
// any order. Workers are told apart by droplet and name, and come in that
// order; lives by pid and start, or by slot where no pid is known. Of two
// readings of one process at one time the last wins.
func FromSamples(readings []sample.Process) []detector.Worker {
	by := map[workerKey]*assembly{}
	ordered := slices.Clone(readings)
	slices.SortStableFunc(ordered, func(a, b sample.Process) int { return a.At.Compare(b.At) })
	for i := range ordered {
		p := &ordered[i]
		key := workerKey{p.Droplet, p.Worker}
		a := by[key]
		if a == nil {
			a = newAssembly(key)
			by[key] = a
		}
		a.read(ordered[i:i+1], &follow{})
	}
	return finish(by)
}

type workerKey struct{ droplet, worker string }

func (k workerKey) compare(l workerKey) int {
	return cmp.Or(cmp.Compare(k.droplet, l.droplet), cmp.Compare(k.worker, l.worker))
}

// finish lists what was assembled, by droplet and name.
func finish(by map[workerKey]*assembly) []detector.Worker {
	keys := make([]workerKey, 0, len(by))
	for k := range by {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, workerKey.compare)
	out := make([]detector.Worker, 0, len(keys))
	for _, k := range keys {
		if w, ok := by[k].finish(); ok {
			out = append(out, w)
		}
	}
	return out
}

// assembly is a worker in the making. It is fed ascending in time.
type assembly struct {
	w      detector.Worker
	lives  map[lifeKey][]*detector.Life // of one pid or slot, earliest first
	order  []*detector.Life
	times  []time.Time
	kills  float64 // last seen count of OOM kills; NaN before
	counts counts  // of OOM kills
	boots  []time.Time
}

// lifeKey finds the lives a reading may belong to.
type lifeKey struct {
	pid  int
	slot string // only where no pid is known
}

func newAssembly(k workerKey) *assembly {
	return &assembly{w: detector.Worker{Name: k.worker, Droplet: k.droplet},
		lives: map[lifeKey][]*detector.Life{}, kills: sample.NaN}
}

// readAll adds readings: ascending streams, each of one slot.
func (a *assembly) readAll(streams [][]sample.Process) {
	last := make([]follow, len(streams))
	for {
		next := -1
		for i, s := range streams {
			if len(s) > 0 && (next < 0 || s[0].At.Before(streams[next][0].At)) {
				next = i
			}
		}
		if next < 0 {
			return
		}
		at := streams[next][0].At
		for i, s := range streams { // of one time in their order
			if len(s) > 0 && s[0].At.Equal(at) {
				a.read(s, &last[i])
				streams[i] = s[1:]
			}
		}
	}
}

// follow is the life that a slot's last reading belongs to, when the assembly
// had so many lives: the next one mostly belongs to it too.
type follow struct {
	life  *detector.Life
	pid   int
	start time.Time
	lives int
}

// read adds the first of ascending readings of one slot.
func (a *assembly) read(ps []sample.Process, last *follow) {
	p := &ps[0]
	if n := len(a.times); n == 0 || a.times[n-1].Before(p.At) {
		a.times = append(a.times, p.At)
	}
	l := last.life
	if l == nil || last.pid != p.PID || last.start != p.Start || last.lives != len(a.order) {
		l = a.life(p)
		*last = follow{l, p.PID, p.Start, len(a.order)}
	} else {
		learn(l, p)
	}
	s := detector.Sample{At: p.At, RSS: p.RSS, PSS: p.PSS, USS: p.USS, Swap: p.Swap, CPU: p.CPU}
	switch n := len(l.Samples); {
	case n > 0 && l.Samples[n-1].At.Equal(p.At):
		l.Samples[n-1] = s
		return
	case n == 0:
		for n < len(ps) && ps[n].PID == p.PID {
			n++
		}
		l.Samples = make([]detector.Sample, 0, n)
	}
	l.Samples = append(l.Samples, s)
}

// life finds or begins the life a reading belongs to.
func (a *assembly) life(p *sample.Process) *detector.Life {
	key := lifeKey{pid: p.PID}
	if p.PID == 0 {
		key.slot = p.Slot
	}
	for _, l := range slices.Backward(a.lives[key]) {
		// A start that is not told contradicts nothing.
		if p.Start.IsZero() || l.Start.IsZero() || p.Start.Sub(l.Start).Abs() <= sample.SameStart {
			learn(l, p)
			return l
		}
	}
	l := &detector.Life{PID: p.PID, Start: p.Start, Role: role(p), Slot: p.Slot}
	a.lives[key] = append(a.lives[key], l)
	a.order = append(a.order, l)
	return l
}

// learn takes over what a life's reading tells of it.
func learn(l *detector.Life, p *sample.Process) {
	l.Start = cmp.Or(l.Start, p.Start)
	l.Slot = cmp.Or(p.Slot, l.Slot)
	if l.Role == detector.RoleUnknown {
		l.Role = role(p)
	}
}

func role(p *sample.Process) detector.Role {
	switch r := detector.Role(p.Role); r {
	case detector.RoleParent, detector.RoleChild, detector.RoleOther:
		return r
	}
	if p.Slot == sample.SlotMain {
		return detector.RoleParent
	}
	return detector.RoleUnknown
}

// counts are the readings of a counter that say something new: the first of
// each chunk and those that differ from the one before.
type counts []sample.Point

func (c counts) news(at int64, v float64) bool {
	n := len(c)
	return n == 0 || c[n-1].V != v || c[n-1].At/chunkSpan != at/chunkSpan
}

// describe adds what a pass says of the worker as a whole.
func (a *assembly) describe(w *sample.Worker) {
	if w.Pool != "" {
		a.w.Pool = detector.Pool(w.Pool)
	}
	a.w.App, a.w.Unit, a.w.Manager = cmp.Or(w.App, a.w.App), cmp.Or(w.Unit, a.w.Unit), cmp.Or(w.Manager, a.w.Manager)
	if w.Limit > 0 {
		a.w.Limit = detector.Limit{Bytes: w.Limit, Source: "memory.max"}
	}
	if w.High > 0 {
		a.w.High = w.High
	}
	if sample.Measured(w.Pressure) {
		a.w.Pressure = append(a.w.Pressure, detector.Point{At: w.At, V: w.Pressure})
	}
	a.w.Events = append(a.w.Events, killed(&a.kills, w.OOMKills, w.At)...)
	if sample.Measured(w.OOMKills) && a.counts.news(w.At.UnixMilli(), w.OOMKills) {
		a.counts = append(a.counts, sample.Point{At: w.At.UnixMilli(), V: w.OOMKills})
	}
}

// killed lists an event for each kill that a counter went up by. A counter
// that went down began anew, with a new cgroup or boot, from nought. The
// first reading tells nothing of when.
func killed(last *float64, count float64, at time.Time) []detector.Event {
	if !sample.Measured(count) {
		return nil
	}
	was := *last
	*last = count
	if count < was {
		was = 0
	}
	if !(count > was) {
		return nil
	}
	const most = 100 // of one reading; more is a counter gone mad
	return slices.Repeat([]detector.Event{{At: at, Kind: detector.EventOOMKill, Text: "OOM kill"}}, int(min(count-was, most)))
}

// finish closes the assembly; false when no process was read.
func (a *assembly) finish() (detector.Worker, bool) {
	for _, l := range a.order {
		a.w.Lives = append(a.w.Lives, *l)
	}
	a.w.Events = append(a.w.Events, a.restarts()...)
	slices.SortStableFunc(a.w.Events, func(x, y detector.Event) int { return x.At.Compare(y.At) })
	a.w.Gaps = gaps(a.times)
	return a.w, len(a.w.Lives) > 0
}

// restarts lists when another main process began, and whether the droplet
// had booted in between.
func (a *assembly) restarts() (out []detector.Event) {
	var before *detector.Life
	for _, l := range a.order {
		if l.Role != detector.RoleParent {
			continue
		}
		if before != nil {
			at := l.Start
			if first := l.Samples[0].At; at.IsZero() || at.After(first) {
				at = first
			}
			e := detector.Event{At: at, Kind: detector.EventRestart,
				Text: fmt.Sprintf("restarted: main process %d follows %d", l.PID, before.PID)}
			for _, b := range a.boots {
				if b.After(before.Samples[0].At) && !b.After(at.Add(bootSlack)) {
					e.Kind, e.Text = detector.EventReboot, "the droplet booted"
				}
			}
			out = append(out, e)
		}
		before = l
	}
	return out
}

// bootSlack is how far a process's start may seem to lie before its boot.
const bootSlack = 2 * time.Second

// gaps lists the holes in ascending times: more than three usual steps.
func gaps(times []time.Time) (out []detector.Gap) {
	if len(times) < 3 {
		return nil
	}
	steps := make([]time.Duration, len(times)-1)
	for i := range steps {
		steps[i] = times[i+1].Sub(times[i])
	}
	usual := slices.Sorted(slices.Values(steps))[len(steps)/2]
	for i, step := range steps {
		if step > 3*usual {
			out = append(out, detector.Gap{From: times[i], To: times[i+1]})
		}
	}
	return out
}
