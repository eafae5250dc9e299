package agent

import (
	"maps"
	"slices"
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
// whole or not, since a sum over some of its processes is worth nothing;
// where credit is short, whoever waited longest comes first.
type budget struct {
	huge   bool // processes above 4 GiB too
	credit time.Duration
	spent  time.Duration // of it, promised in this pass
	last   time.Time     // of the last pass
	needs  map[int]*need // by main pid
	cost   map[int]time.Duration
}

// need is what one worker would cost and when it last got it.
type need struct {
	cost    time.Duration
	slow    bool // read seldom
	read    time.Time
	granted bool // in this pass
}

// begin credits the time since the last pass, at most ten minutes' worth,
// and grants it to the workers known, longest waiting first. Who cannot be
// paid yet is saved for, and those behind wait too.
func (b *budget) begin(at time.Time) {
	if b.needs == nil {
		b.needs, b.cost = map[int]*need{}, map[int]time.Duration{}
		b.credit = time.Duration(wallShare * float64(time.Minute)) // so that the first pass has PSS
	}
	if !b.last.IsZero() && at.After(b.last) {
		b.credit += time.Duration(wallShare * float64(at.Sub(b.last)))
	}
	most := time.Duration(wallShare * float64(seldom))
	b.credit, b.last, b.spent = min(b.credit, most), at, 0
	var waiting []*need
	for _, pid := range slices.Sorted(maps.Keys(b.needs)) {
		n := b.needs[pid]
		n.granted = false
		if n.cost <= most && !(n.slow && at.Sub(n.read) < seldom) {
			waiting = append(waiting, n)
		}
	}
	slices.SortStableFunc(waiting, func(a, b *need) int { return a.read.Compare(b.read) })
	for _, n := range waiting {
		if b.spent+n.cost > b.credit {
			break
		}
		n.granted = true
		b.spent += n.cost
	}
}

// want decides for one worker of known resident sizes.
func (b *budget) want(node procfs.Node, rss []float64) bool {
	main := node.Main().PID
	n, known := b.needs[main]
	if !known {
		n = &need{}
		b.needs[main] = n
	}
	n.cost, n.slow = 0, false
	for i, m := range node.Members {
		cost, timed := b.cost[m.PID]
		if !timed {
			cost = time.Duration(rss[i] / (1 << 20) * float64(perMiB))
		}
		n.cost += cost
		n.slow = n.slow || cost > perProcess || rss[i] > largeRSS
		if rss[i] > hugeRSS && !b.huge {
			n.granted = false
			return false
		}
	}
	if !known && b.spent+n.cost <= b.credit {
		n.granted = true
		b.spent += n.cost
	}
	if n.granted {
		n.read = b.last
	}
	return n.granted
}

// end settles what the pass truly cost and forgets who is gone.
func (b *budget) end(r procfs.Reading) {
	for _, c := range r.Cost {
		b.credit -= c
	}
	cost, needs := map[int]time.Duration{}, map[int]*need{}
	for _, n := range r.Nodes {
		for _, m := range n.Members {
			if c, ok := r.Cost[m.PID]; ok {
				cost[m.PID] = c
			} else if c, ok := b.cost[m.PID]; ok {
				cost[m.PID] = c
			}
		}
		if w, ok := b.needs[n.Main().PID]; ok {
			needs[n.Main().PID] = w
		}
	}
	b.cost, b.needs = cost, needs
}
