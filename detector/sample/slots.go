package sample

import (
	"slices"
	"strconv"
	"time"
)

// SameStart is how far two readings of one process's start may lie apart:
// the kernel counts it in ticks since a boot time that itself drifts.
const SameStart = 2 * time.Second

// Slots gives each process of a worker a slot that it keeps for life and
// that its successor takes over, so that a pool of eight stays eight series
// however often its children are recycled. Its zero value is ready for use;
// it is not safe for concurrent use.
type Slots struct{ held map[member]life }

type member struct{ droplet, worker, slot string }

type life struct {
	pid   int
	start time.Time
}

func (l life) is(p Process) bool {
	return l.pid == p.PID && l.start.Sub(p.Start).Abs() <= SameStart
}

// Assign fills the empty slots of a pass: the parent is [SlotMain], a known
// life keeps its slot, a new one takes the lowest free. Slots whose process
// is gone from the pass become free first.
func (s *Slots) Assign(p *Pass) {
	next := make(map[member]life, len(p.Processes))
	var fresh []*Process
	for i := range p.Processes {
		r := &p.Processes[i]
		if r.Slot == "" {
			r.Slot = s.find(*r, next)
		}
		if r.Slot == "" {
			fresh = append(fresh, r)
			continue
		}
		next[member{r.Droplet, r.Worker, r.Slot}] = life{r.PID, r.Start}
	}
	// Oldest first, so that a pool seen for the first time is numbered as
	// it was forked.
	slices.SortStableFunc(fresh, func(a, b *Process) int { return a.Start.Compare(b.Start) })
	for _, r := range fresh {
		for n := 0; ; n++ {
			m := member{r.Droplet, r.Worker, strconv.Itoa(n)}
			if _, taken := next[m]; !taken {
				r.Slot = m.slot
				next[m] = life{r.PID, r.Start}
				break
			}
		}
	}
	s.held = next
}

// find returns the slot p already has, or main for a parent if that is free.
func (s *Slots) find(p Process, taken map[member]life) string {
	if p.Role == "parent" {
		if _, ok := taken[member{p.Droplet, p.Worker, SlotMain}]; !ok {
			return SlotMain
		}
		return ""
	}
	for m, l := range s.held {
		if m.droplet == p.Droplet && m.worker == p.Worker && m.slot != SlotMain && l.is(p) {
			return m.slot
		}
	}
	return ""
}
