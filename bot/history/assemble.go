package history

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/dropleak/dropleak/detector"
	"github.com/dropleak/dropleak/detector/sample"
)

// Query says what to assemble. Both ends of the time are included.
type Query struct {
	DropletIDs []string
	Worker     string // "": every worker
	From, To   time.Time
}

// Workers assembles the workers of droplets from what was kept: every process
// life with its samples, the limits, and what happened. They are ordered by
// droplet, then name.
func (h *History) Workers(ctx context.Context, q Query) ([]detector.Worker, error) {
	var out []detector.Worker
	for _, id := range q.DropletIDs {
		matchers := []Matcher{Is(labelDroplet, id), Is(LabelSource, "")}
		if q.Worker != "" {
			matchers = append(matchers, Is(labelWorker, q.Worker))
		}
		series, err := h.Select(ctx, matchers, q.From, q.To)
		if err != nil {
			return nil, err
		}
		passes, _ := sample.Decode(series)
		out = append(out, fromPasses(passes)...)
	}
	return out, nil
}

// Droplets assembles the memory of droplets: the agent's own readings where
// there are any, else DigitalOcean's, never both in one series.
func (h *History) Droplets(ctx context.Context, q Query) ([]detector.Droplet, error) {
	var out []detector.Droplet
	for _, id := range q.DropletIDs {
		for _, source := range []string{"", "digitalocean"} {
			series, err := h.Select(ctx, []Matcher{Is(labelDroplet, id), Is(LabelSource, source), Is(labelWorker, "")}, q.From, q.To)
			if err != nil {
				return nil, err
			}
			passes, _ := sample.Decode(series)
			if d := dropletOf(id, passes); len(d.Available) > 0 {
				out = append(out, d)
				break
			}
		}
	}
	return out, nil
}

// dropletOf collects one droplet's readings.
func dropletOf(id string, passes []sample.Pass) detector.Droplet {
	d := detector.Droplet{ID: id}
	others := map[string]*detector.Other{}
	var boot time.Time
	kills := counter(-1)
	for _, p := range passes {
		for _, o := range p.Others {
			if others[o.Name] == nil {
				others[o.Name] = &detector.Other{Name: o.Name}
			}
			others[o.Name].Memory = append(others[o.Name].Memory, detector.Point{At: o.At, V: o.Memory})
		}
		r := p.Droplet
		if r == nil {
			continue
		}
		if sample.Measured(r.Available) {
			d.Available = append(d.Available, detector.Point{At: r.At, V: r.Available})
		}
		if sample.Measured(r.Total) {
			d.Total = r.Total
		}
		if !r.Boot.IsZero() {
			if !boot.IsZero() && r.Boot.Sub(boot) > time.Minute {
				d.Events = append(d.Events, detector.Event{At: r.At, Kind: detector.EventReboot, Text: "droplet booted"})
			}
			boot = r.Boot
		}
		oomEvents(&d.Events, r.At, r.OOMKills, &kills)
	}
	for _, o := range others {
		d.Others = append(d.Others, *o)
	}
	slices.SortFunc(d.Others, func(a, b detector.Other) int { return cmp.Compare(a.Name, b.Name) })
	return d
}

// counter is a counter that may be reset; -1 before its first reading.
type counter float64

// oomEvents notes the kills that a counter counted since it last was read.
// The first reading tells nothing of when; a counter that fell was reset, and
// all it shows is new.
func oomEvents(events *[]detector.Event, at time.Time, now float64, before *counter) {
	if !sample.Measured(now) {
		return
	}
	seen := now - float64(*before)
	switch {
	case *before < 0:
		seen = 0
	case seen < 0:
		seen = now
	}
	*before = counter(now)
	for range int(min(seen, 100)) {
		*events = append(*events, detector.Event{At: at, Kind: detector.EventOOMKill, Text: "OOM kill"})
	}
}

// FromSamples assembles workers from the rows of files.
func FromSamples(rows []sample.Process) []detector.Worker {
	byTime := slices.Clone(rows)
	slices.SortStableFunc(byTime, func(a, b sample.Process) int { return a.At.Compare(b.At) })
	return fromPasses([]sample.Pass{{Processes: byTime}})
}

// fromPasses assembles the workers of ascending passes.
func fromPasses(passes []sample.Pass) []detector.Worker {
	byName := map[[2]string]*assembler{}
	at := func(droplet, worker string) *assembler {
		key := [2]string{droplet, worker}
		if byName[key] == nil {
			byName[key] = &assembler{w: detector.Worker{Name: worker, Droplet: droplet}, oom: -1}
		}
		return byName[key]
	}
	for _, p := range passes {
		for _, r := range p.Processes {
			at(r.Droplet, r.Worker).process(r)
		}
		for _, r := range p.Workers {
			at(r.Droplet, r.Worker).describe(r)
		}
	}
	var out []detector.Worker
	for _, a := range byName {
		if len(a.lives) > 0 {
			out = append(out, a.finish())
		}
	}
	slices.SortFunc(out, func(a, b detector.Worker) int {
		return cmp.Or(cmp.Compare(a.Droplet, b.Droplet), cmp.Compare(a.Name, b.Name))
	})
	return out
}

// assembler is one worker in the making.
type assembler struct {
	w     detector.Worker
	lives []*detector.Life
	byPID map[int][]*detector.Life
	oom   counter
}

// process adds one reading to the life it belongs to.
func (a *assembler) process(r sample.Process) {
	l := a.life(r)
	s := detector.Sample{At: r.At, RSS: r.RSS, PSS: r.PSS, USS: r.USS, Swap: r.Swap, CPU: r.CPU}
	if n := len(l.Samples); n > 0 && l.Samples[n-1].At.Equal(r.At) {
		l.Samples[n-1] = s // the last word on a moment counts
		return
	}
	l.Samples = append(l.Samples, s)
}

// life finds the life a reading belongs to: the same pid, and a start within
// two seconds where both are known. Rows without a pid are told by their slot.
func (a *assembler) life(r sample.Process) *detector.Life {
	if a.byPID == nil {
		a.byPID = map[int][]*detector.Life{}
	}
	for _, l := range slices.Backward(a.byPID[r.PID]) {
		sameStart := l.Start.IsZero() || r.Start.IsZero() || l.Start.Sub(r.Start).Abs() <= sample.SameStart
		if sameStart && (r.PID != 0 || l.Slot == r.Slot) {
			if l.Start.IsZero() {
				l.Start = r.Start
			}
			return l
		}
	}
	l := &detector.Life{PID: r.PID, Start: r.Start, Role: role(r), Slot: r.Slot}
	a.lives = append(a.lives, l)
	a.byPID[r.PID] = append(a.byPID[r.PID], l)
	return l
}

func role(r sample.Process) detector.Role {
	switch r.Role {
	case "parent", "child", "other":
		return detector.Role(r.Role)
	}
	if r.Slot == sample.SlotMain {
		return detector.RoleParent
	}
	return detector.RoleUnknown
}

// describe adds what was read of the worker as a whole.
func (a *assembler) describe(r sample.Worker) {
	if r.Pool != "" {
		a.w.Pool = detector.Pool(r.Pool)
	}
	if sample.Measured(r.Limit) && r.Limit > 0 {
		a.w.Limit = detector.Limit{Bytes: r.Limit, Source: "memory.max"}
	}
	if sample.Measured(r.High) {
		a.w.High = r.High
	}
	if sample.Measured(r.Pressure) {
		a.w.Pressure = append(a.w.Pressure, detector.Point{At: r.At, V: r.Pressure})
	}
	oomEvents(&a.w.Events, r.At, r.OOMKills, &a.oom)
}

// finish orders the lives and notes each time the main process changed.
func (a *assembler) finish() detector.Worker {
	slices.SortStableFunc(a.lives, func(x, y *detector.Life) int { return x.Samples[0].At.Compare(y.Samples[0].At) })
	mains := 0
	for _, l := range a.lives {
		a.w.Lives = append(a.w.Lives, *l)
		if l.Role != detector.RoleParent {
			continue
		}
		if mains++; mains > 1 {
			at := l.Start
			if at.IsZero() || at.After(l.Samples[0].At) {
				at = l.Samples[0].At
			}
			a.w.Events = append(a.w.Events, detector.Event{At: at, Kind: detector.EventRestart,
				Text: fmt.Sprintf("restarted, pid %d", l.PID)})
		}
	}
	slices.SortStableFunc(a.w.Events, func(x, y detector.Event) int { return x.At.Compare(y.At) })
	return a.w
}
