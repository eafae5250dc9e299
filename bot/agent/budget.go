package agent

import (
	"time"

	"github.com/dropleak/dropleak/detector/procfs"
)

// The price of PSS: the kernel walks every page and holds the process's
// memory lock while it does, so a large worker would feel a careless reader.
const (
	perProcess = 20 * time.Millisecond // above it a process is read seldom
	wallShare  = 0.01                  // of all time, over all processes
	seldom     = 10 * time.Minute
	largeRSS   = 1 << 30
	hugeRSS    = 4 << 30
	perMiB     = 35 * time.Microsecond // before a process was timed
)

// budget decides whose smaps_rollup is read in a pass. A worker is read
// whole or not, since a sum over some of its processes is worth nothing.
type budget struct {
	huge   bool // processes above 4 GiB too
	credit time.Duration
	spent  time.Duration         // of it, promised in this pass
	last   time.Time             // of the last pass
	read   map[int]time.Time     // by main pid: when its worker was last read
	cost   map[int]time.Duration // by pid: what it took last time
}

// begin credits the time since the last pass, at most ten minutes' worth.
func (b *budget) begin(at time.Time) {
	if b.read == nil {
		b.read, b.cost = map[int]time.Time{}, map[int]time.Duration{}
		b.credit = time.Duration(wallShare * float64(time.Minute)) // so that the first pass has PSS
	}
	if !b.last.IsZero() && at.After(b.last) {
		b.credit += time.Duration(wallShare * float64(at.Sub(b.last)))
	}
	b.credit = min(b.credit, time.Duration(wallShare*float64(seldom)))
	b.last = at
}

// want decides for one worker and reserves what it will cost.
func (b *budget) want(n procfs.Node, rss []float64) bool {
	var total time.Duration
	slow := false
	for i, m := range n.Members {
		cost, known := b.cost[m.PID]
		if !known {
			cost = time.Duration(rss[i] / (1 << 20) * float64(perMiB))
		}
		total += cost
		slow = slow || cost > perProcess || rss[i] > largeRSS
		if rss[i] > hugeRSS && !b.huge {
			return false
		}
	}
	main := n.Main().PID
	if slow && b.last.Sub(b.read[main]) < seldom {
		return false
	}
	if b.spent+total > b.credit {
		return false
	}
	b.spent += total
	b.read[main] = b.last
	return true
}

// end settles what the pass truly cost and forgets who is gone.
func (b *budget) end(r procfs.Reading) {
	b.spent = 0
	for _, c := range r.Cost {
		b.credit -= c
	}
	cost, read := map[int]time.Duration{}, map[int]time.Time{}
	for _, n := range r.Nodes {
		for _, m := range n.Members {
			if c, ok := r.Cost[m.PID]; ok {
				cost[m.PID] = c
			} else if c, ok := b.cost[m.PID]; ok {
				cost[m.PID] = c
			}
		}
		if t, ok := b.read[n.Main().PID]; ok {
			read[n.Main().PID] = t
		}
	}
	b.cost, b.read = cost, read
}
