package detector

import (
	"fmt"
	"math"
)

// generations is what the ended children of a pool say together.
type generations struct {
	lives    int       // ended children that lived for eight blocks
	rates    []float64 // bytes per hour of those that kept growing to their end
	growth   float64   // bytes per hour, past their starts, mean over all
	pace     float64   // growth in their second halves by that in their first
	finished bool      // one of them lived long enough to be judged by itself, and is healthy
}

// generations looks at the children that ended, whatever ended them: recycling
// or a pool that shrinks.
func (b *bench) generations() (g generations) {
	var first, second, hours float64
	for _, p := range b.procs {
		if p.alive || p.life.Role == RoleParent || p.curve.len() < b.th.poolBlocks {
			continue
		}
		g.lives++
		g.finished = g.finished || p.kind == Healthy
		c := p.curve.since(p.curve.t[0] + b.th.poolStart*p.curve.span())
		n := c.len()
		if n < 6 {
			continue
		}
		first, second, hours = first+c.lo[n/2]-c.lo[0], second+c.lo[n-1]-c.lo[n/2], hours+c.span()
		l := senLine(c.t, c.lo)
		if l.slope*c.span() >= b.th.poolGrowth && pace(c) >= b.th.halves && lastThird(c) >= b.th.lastThird {
			g.rates = append(g.rates, l.slope)
		}
	}
	if hours > 0 {
		g.growth = (first + second) / hours
	}
	if first > 0 {
		g.pace = second / first
	}
	return g
}

// leak reports whether lives keep growing to their ends: seven in ten each by
// itself, or, of many, half, where together they do not slow either. A pool
// that shrinks ends lives early and lets its newest children work little, so
// some have nothing to show.
func (g generations) leak(th thresholds) bool {
	straight, share := len(g.rates), float64(len(g.rates))/float64(g.lives)
	return straight >= th.poolLives && (share >= th.poolMost ||
		share >= th.poolShare && g.lives >= th.poolMany && g.pace >= th.poolPace)
}

// settled reports whether the lives that ended show that children of this
// pool stop growing.
func (g generations) settled(th thresholds) bool {
	return g.finished || g.lives >= th.poolLives && (g.growth < th.materialRate || g.pace < th.halves)
}

// unseen reports whether nothing is known of a pool's children: those alive
// are too young to be judged, and those that ended do not show that their
// growth ends.
func (b *bench) unseen() bool {
	alive := 0
	for _, p := range b.procs {
		if !p.alive || p.life.Role != RoleChild {
			continue
		}
		if p.reason != ReasonTooShort {
			return false
		}
		alive++
	}
	return alive > 0 && !b.generations().settled(b.th)
}

// poolGrowth is the growth rate of the living children of a recycled pool
// whose ended lives kept growing.
func poolGrowth(b *bench) (Interval, bool) {
	g := b.generations()
	if !g.leak(b.th) {
		return Interval{}, false
	}
	alive := 0.0
	for _, p := range b.procs {
		if p.alive && p.life.Role != RoleParent {
			alive++
		}
	}
	m := median(g.rates) * math.Max(alive, 1)
	sd := mad(g.rates) / math.Sqrt(float64(len(g.rates))) * 1.65
	return Interval{m - sd, m, m + sd}, true
}

// sentence says how the lives of a masked leak went.
func (g generations) sentence() string {
	return fmt.Sprintf("%d of %d ended children grew to their last reading, by %s an hour in the median; that they are replaced hides it.",
		len(g.rates), g.lives, size(median(g.rates)))
}
