package detector

import "math"

// poolGrowth looks at the generations of a recycled pool. It reports the
// growth rate of children when every ended life kept growing to its end.
func poolGrowth(b *bench) (Interval, bool) {
	var rates []float64
	straight, lives := 0, 0
	for _, p := range b.procs {
		if p.alive || p.life.Role == RoleParent || p.curve.len() < 8 {
			continue
		}
		lives++
		c := p.curve.since(p.curve.t[0] + 0.15*p.curve.span())
		if c.len() < 6 {
			continue
		}
		l := senLine(c.t, c.lo)
		if l.slope*c.span() >= b.th.poolGrowth && pace(c) >= b.th.halves && lastThird(c) >= b.th.lastThird {
			straight++
			rates = append(rates, l.slope)
		}
	}
	if straight < b.th.poolLives || float64(straight) < 0.7*float64(lives) {
		return Interval{}, false
	}
	alive := 0.0
	for _, p := range b.procs {
		if p.alive && p.life.Role != RoleParent {
			alive++
		}
	}
	m := median(rates) * math.Max(alive, 1)
	sd := mad(rates) / math.Sqrt(float64(len(rates))) * 1.65
	return Interval{m - sd, m, m + sd}, true
}

// medianLifeRate is the median growth per hour of the ended children.
func (b *bench) medianLifeRate() float64 {
	var rates []float64
	for _, p := range b.procs {
		if !p.alive && p.life.Role != RoleParent && p.curve.len() >= 8 {
			c := p.curve.since(p.curve.t[0] + 0.15*p.curve.span())
			rates = append(rates, senLine(c.t, c.lo).slope)
		}
	}
	return median(rates)
}
