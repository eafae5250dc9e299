package detector

import "math"

// saturationGain returns by how much (in AIC) the best saturating curve,
// a + b(1-exp(-t/τ)) with τ at most half the span or a + b·log(1+t/τ),
// explains y better than a straight line; negative where the line wins. The
// sample size is what is left of it after lag-1 correlation of the line's
// residuals.
//
// Source: H. Akaike, IEEE Trans. Automatic Control 19 (1974). The small-sample
// correction is left out: at the few independent readings of a short window
// it would forbid the curve whatever the data say.
func saturationGain(t, y []float64) float64 {
	n := len(t)
	span := t[n-1] - t[0]
	if n < 8 || span <= 0 {
		return 0
	}
	room, handle := borrow(2 * n)
	defer giveBack(handle)
	_, res := ols(t, y, room[:n])
	rssLine := dot(res, res)
	r1 := clamp(autocov(res, 1)/math.Max(autocov(res, 0), 1e-300), 0, 0.95)
	eff := math.Max(float64(n)*(1-r1)/(1+r1), 8)
	best := math.Inf(1)
	x := room[n:]
	for _, f := range []float64{0.08, 0.15, 0.25, 0.35, 0.5} {
		tau := f * span
		for i := range t {
			x[i] = -math.Exp(-(t[i] - t[0]) / tau)
		}
		best = math.Min(best, residualOn(x, y))
		for i := range t {
			x[i] = math.Log1p((t[i] - t[0]) / (tau / 4))
		}
		best = math.Min(best, residualOn(x, y))
	}
	floor := 1e-12 * (rssLine + 1)
	return eff*math.Log((rssLine+floor)/(best+floor)) - 2
}

// residualOn returns the residual sum of squares of y regressed on x.
func residualOn(x, y []float64) float64 {
	l := leastSquares(x, y)
	s := 0.0
	for i := range x {
		r := l.rest(x[i], y[i])
		s += r * r
	}
	return s
}

func dot(a, b []float64) float64 {
	s := 0.0
	for i := range a {
		s += a[i] * b[i]
	}
	return s
}
