package detector

import "math"

// bend is how a growth bends over the work that made it: the curvature of a
// parabola over its slope, and the standard error of that. Nought is a
// straight line, -1 a growth that has just come to rest. The pace at three
// quarters of the work over that at one quarter is (1+by)/(1-by).
//
// A leak grows by what every call leaves behind: straight over work, however
// work is spread over time. What fills up bends down. What follows the load
// up a rising load bends down too, for it is straight over load and the work
// done is load's integral.
type bend struct{ by, se float64 }

// bendOf fits y = a + b·u + c·u² by least squares, u running from -1 to 1
// along x. The standard error of c takes the residuals for an AR(1) process
// and corrects its correlation for the bias of short samples.
//
// Source: the correction is that of [rateInterval], with three coefficients
// fitted.
func bendOf(x, y []float64) bend {
	n := len(x)
	if n < 8 || x[n-1] <= x[0] {
		return bend{se: math.Inf(1)}
	}
	room, handle := borrow(5 * n)
	defer giveBack(handle)
	u, square, e := room[:n], room[n:2*n], room[2*n:3*n]
	for i := range x {
		u[i] = 2*(x[i]-x[0])/(x[n-1]-x[0]) - 1
		square[i] = u[i] * u[i]
	}
	_, q := ols(u, square, room[3*n:4*n])
	b, r := ols(u, y, room[4*n:])
	qq := dot(q, q)
	if b <= 0 || qq <= 0 {
		return bend{by: -1}
	}
	c := dot(q, r) / qq
	for i := range e {
		e[i] = r[i] - c*q[i]
	}
	g0 := autocov(e, 0)
	r1 := autocov(e, 1) / math.Max(g0, 1e-300)
	rho := clamp(r1+(3+4*r1)/float64(n), 0, 0.95)
	return bend{by: c / b, se: math.Sqrt(g0*float64(n)/float64(n-3)*(1+rho)/(1-rho)/qq) / b}
}

// along returns the work done by each block's time: the process's own CPU
// seconds, or the worker's for a parent whose children do the work. ok is
// false where CPU time was not measured or did not move.
func (s setting) along(c curve) (work []float64, ok bool) {
	n := c.len()
	work = make([]float64, n)
	if s.manages {
		if len(s.load.t) == 0 {
			return nil, false
		}
		for i := 1; i < n; i++ {
			work[i] = work[i-1] + (c.t[i]-c.t[i-1])*s.load.at(c.t[i])
		}
		return work, work[n-1] > 0
	}
	unread := 0
	for i, v := range c.cpu {
		switch {
		case !math.IsNaN(v):
			work[i] = v
		case i > 0:
			work[i] = work[i-1]
			unread++
		default:
			unread++
		}
	}
	return work, unread <= n/5 && !math.IsNaN(c.cpu[0]) && work[n-1] > work[0]
}

// bends are a window's bend over the work done and over time.
type bends struct{ work, clock bend }

// bendsIn measures a window, leaving out a process's start-up.
func (s setting) bendsIn(c curve, w trend, th thresholds) bends {
	unknown := bend{se: math.Inf(1)}
	c = c.since(math.Max(w.from, c.t[0]+th.startUp))
	if c.len() < 8 {
		return bends{unknown, unknown}
	}
	c.lo, _, _ = withoutJumps(c, th)
	b := bends{unknown, bendOf(c.t, c.lo)}
	if work, ok := s.along(c); ok {
		b.work = bendOf(work, c.lo)
	}
	return b
}

// odds are the odds, against a leak, that growth which bends like this
// passes. A leak is straight over work; some make every call work harder the
// longer they last, and are straight over time.
func (b bends) odds(th thresholds) float64 {
	switch {
	case math.IsInf(b.clock.se, 1):
		return 1
	case math.IsInf(b.work.se, 1):
		return b.clock.passing(th) / b.clock.leak(th.bendClock, th)
	}
	leak := (1-th.bendTimed)*b.work.leak(th.bendLeak, th) + th.bendTimed*b.clock.leak(th.bendLeak, th)
	return b.work.passing(th) / leak
}

// passing is how likely this bend is where growth passes: widely spread about
// a bend that nearly halves the pace.
func (b bend) passing(th thresholds) float64 {
	return density(clamp(b.by, -th.bendPassing, 0), -th.bendPassing, math.Hypot(th.bendPassing, b.se))
}

// leak is how likely this bend is where a leak makes it: near nought, and now
// and then far from it.
func (b bend) leak(spread float64, th thresholds) float64 {
	by := math.Min(b.by, 0)
	return (1-th.bendOdd)*density(by, 0, math.Hypot(spread, b.se)) + th.bendOdd*density(by, 0, math.Hypot(4*spread, b.se))
}

// density is the normal one.
func density(x, mu, sigma float64) float64 {
	z := (x - mu) / sigma
	return math.Exp(-z*z/2) / (sigma * math.Sqrt(2*math.Pi))
}
