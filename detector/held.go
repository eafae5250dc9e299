package detector

import (
	"fmt"
	"math"
	"slices"
)

// backlog is what tasks held until their time have to do with the growth of
// the process that holds them.
type backlog struct {
	first, last float64 // tasks held at the window's begin and end
	each        float64 // bytes of memory a task
}

// heldOf lays out how many tasks the main process held until their time.
func heldOf(points []Point, origin int64) load {
	var l load
	ascending := slices.Clone(points)
	slices.SortStableFunc(ascending, func(a, b Point) int { return a.At.Compare(b.At) })
	for _, p := range ascending {
		if p.V >= 0 && p.V < 1e12 {
			l.t, l.v = append(l.t, hours(p.At.UnixNano()-origin)), append(l.v, p.V)
		}
	}
	return l
}

// holds reports whether a process is the one that holds its worker's tasks
// until their time: the parent, or the only process there is.
func (b *bench) holds(p *judged) bool {
	return len(b.sum.Held) > 0 && (p.life.Role == RoleParent || !b.hasChildren() && len(b.sum.Lives) == 1)
}

// unhold takes out of a curve what the tasks held until their time need: a
// task has its message, its request and what the allocator keeps of it once it
// is gone. There is no line beside them in the fit: a backlog that piles up is
// a line by itself, and what the tasks can carry is theirs first. ok is false
// where they cannot: a task would need more memory than any message has.
func (l load) unhold(c curve, th thresholds) (rest curve, seen backlog, ok bool) {
	if len(l.t) < th.minBlocks || c.len() < th.minBlocks {
		return c, seen, false
	}
	n := c.len()
	one, now, most := make([]float64, n), make([]float64, n), make([]float64, n)
	for i, t := range c.t {
		one[i], now[i] = 1, l.at(t)
		most[i] = now[i]
		if i > 0 {
			most[i] = math.Max(most[i-1], now[i])
		}
	}
	x := nnls([][]float64{one, now, most}, c.lo, 1)
	seen = backlog{first: now[0], last: now[n-1], each: x[1] + x[2]}
	if seen.each <= 0 || seen.each > th.heldTask {
		return c, seen, false
	}
	rest = c.slice(0, n)
	rest.lo = make([]float64, n)
	for i := range n {
		rest.lo[i] = c.lo[i] - x[1]*(now[i]-now[0]) - x[2]*(most[i]-most[0])
	}
	return rest, seen, true
}

// fell reports whether the backlog gave back much of what it grew: then what
// memory did meanwhile tells tasks that wait from a leak.
func (l load) fell(from, to, share float64) bool {
	top, drop, low := 0.0, 0.0, math.Inf(1)
	for i, t := range l.t {
		if t < from || t > to {
			continue
		}
		top, low = math.Max(top, l.v[i]), math.Min(low, l.v[i])
		drop = math.Max(drop, top-l.v[i])
	}
	return drop >= share*(top-low) && drop > 0
}

// explained lets the backlog answer for a growth: without it nothing leaks.
// Where it has only risen so far, nobody can tell yet.
func (o *opinion) explained(c curve, first trend, s setting, th thresholds) bool {
	rest, seen, ok := s.held.unhold(c, th)
	if !ok {
		return false
	}
	if _, own, _, _ := search(rest, th); own != nil {
		return false
	}
	o.kind, o.reason, o.win, o.held = Healthy, ReasonLoad, first, &seen
	if !s.held.fell(first.from, first.to, th.heldFell) {
		o.kind, o.need = Unsure, math.Max(c.span()/2, 1)
	}
	return true
}

// sentence says how the tasks held carry a growth, without saying whose.
func (h backlog) sentence(k Kind, w trend, hours string) string {
	said := fmt.Sprintf(" grew %s in %s with the tasks that it holds until their time (ETA, countdown): from %.0f to %.0f of them, %s each", size(w.growth), hours,
		h.first, h.last, size(h.each))
	if k == Unsure {
		return said + "; whether it gives that back shows when they come due."
	}
	return said + "; as they came due it gave memory back, and no growth is left beside them."
}
