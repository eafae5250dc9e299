package detector

import (
	"math"
	"slices"
)

// workOf is the CPU seconds a process used per hour, NaN where unknown.
func workOf(c curve) float64 {
	n := c.len()
	if n < 2 || c.span() <= 0 {
		return math.NaN()
	}
	return (c.cpu[n-1] - c.cpu[0]) / c.span()
}

// lag is how many times more than p its busiest living sibling works.
func (b *bench) lag(p *judged) float64 {
	most := p.work
	for _, q := range b.procs {
		if q.life.Role == p.life.Role && q.alive && q.work > most {
			most = q.work
		}
	}
	if !(p.work > 0) || p.life.Role == RoleParent {
		return 1
	}
	return math.Min(most/p.work, b.th.lagMost)
}

// excuse turns a leak into unsure where a sibling has gained as much and
// then stopped: the same code with less work gets there later.
func (b *bench) excuse() {
	for i := range b.procs {
		p := &b.procs[i]
		if p.kind != Leak || p.life.Role == RoleParent {
			continue
		}
		for j := range b.procs {
			q := &b.procs[j]
			if i == j || q.life.Role != p.life.Role || !q.settled(b.th) || q.gain() < b.th.fallBytes {
				continue
			}
			if p.gain() < b.th.likeGain*q.gain() && !(p.work*p.age > b.th.likeWork*q.work*q.age) {
				p.kind, p.reason = Unsure, ReasonWarmUp
				p.need = math.Max((b.th.likeGain*q.gain()-p.gain())/p.win.fit.slope, 0.5)
				p.like, p.likeGain = q.life.PID, q.gain()
			}
		}
	}
}

// follow makes the growth of a slow child a leak too where a sibling of the
// same role, judged by itself, leaks.
func (b *bench) follow() {
	for i := range b.procs {
		p := &b.procs[i]
		if p.kind != Unsure || p.reason != ReasonWarmUp || p.like != 0 || p.lag < b.th.lagSlow {
			continue
		}
		for _, q := range b.procs {
			if q.kind == Leak && q.life.Role == p.life.Role && q.work > p.work && p.warm > 0 {
				p.kind, p.reason = Leak, ReasonLeak
			}
		}
	}
}

// settled reports whether a process grew and then stopped or fell back.
func (p *judged) settled(th thresholds) bool {
	switch p.reason {
	case ReasonWarmUp, ReasonBounded, ReasonStep, ReasonStaircase, ReasonFlat, ReasonNoise, ReasonSeasonal:
		return p.kind == Healthy && p.curve.span() > th.settledAfter
	}
	return false
}

// gain is how far a process's floor has risen above its first.
func (p *judged) gain() float64 { return slices.Max(p.curve.lo) - p.curve.lo[0] }

// quiet returns how much an earlier, ended life of the same role grew by
// this age, NaN where there is none old enough.
func (b *bench) quiet(l LifeSummary, age float64) float64 {
	best := math.NaN()
	for _, p := range b.procs {
		c := p.curve
		if p.life.Role != l.Role || c.len() < 6 || c.t[c.len()-1] > hours(l.Judged[0].First-b.origin) {
			continue
		}
		if c.span() < math.Min(age, b.th.quietAfter) {
			continue
		}
		part := c.until(c.t[0] + age)
		grown := part.lo[part.len()-1] - part.lo[min(2, part.len()-1)]
		if math.IsNaN(best) || grown > best {
			best = grown
		}
	}
	return best
}
