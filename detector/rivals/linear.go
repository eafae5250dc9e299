package rivals

import (
	"math"
	"sort"
)

// PredictLinear is the alert rule predict_linear(memory[Range]) >= limit,
// Ahead from now; both in hours. Prometheus fits ordinary least squares to
// the range and puts the intercept at the evaluation time.
type PredictLinear struct{ Range, Ahead float64 }

// Alarm reports whether the rule fires at the end of the series.
func (p PredictLinear) Alarm(s Series) bool {
	n := len(s.Hours)
	if n < 2 {
		return false
	}
	now := s.Hours[n-1]
	from := sort.SearchFloat64s(s.Hours, now-p.Range)
	slope, at, _ := leastSquares(s.Hours[from:], s.Bytes[from:], now)
	return at+slope*p.Ahead >= s.Limit
}

// leastSquares fits y = at + slope (x − x0) and returns R² with it. R² is 0
// where y does not vary.
func leastSquares(x, y []float64, x0 float64) (slope, at, r2 float64) {
	var n, sx, sy, sxx, sxy, syy float64
	for i := range x {
		dx, dy := x[i]-x0, y[i]-y[0]
		n, sx, sy = n+1, sx+dx, sy+dy
		sxx, sxy, syy = sxx+dx*dx, sxy+dx*dy, syy+dy*dy
	}
	cxx, cxy, cyy := sxx-sx*sx/n, sxy-sx*sy/n, syy-sy*sy/n
	if cxx <= 0 {
		return 0, y[0] + sy/n, 0
	}
	slope = cxy / cxx
	if cyy > 0 {
		r2 = cxy * cxy / (cxx * cyy)
	}
	return slope, y[0] + sy/n - slope*sx/n, r2
}

// Backward is linear backward regression (Jindal et al., "Memory leak
// detection algorithms in the cloud-based infrastructure", 2021): a window
// that ends now grows backwards; where its least-squares line has at least
// R2 and meets the limit within Critical hours, there is a leak. The series
// is first thinned to medians of a hundredth of its length, at least 5
// minutes, as their data are.
type Backward struct{ R2, Critical float64 }

// Alarm reports whether any backward window calls for one.
func (b Backward) Alarm(s Series) bool {
	x, y := thin(s, 100)
	n := len(x)
	if n < 10 {
		return false
	}
	for from := n - 10; from >= 0; from-- {
		slope, at, r2 := leastSquares(x[from:], y[from:], x[n-1])
		if slope <= 0 || r2 < b.R2 {
			continue
		}
		if math.IsInf(s.Limit, 1) || at+slope*b.Critical >= s.Limit {
			return true
		}
	}
	return false
}
