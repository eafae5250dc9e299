package detector

import (
	"math"
	"slices"
)

// sen returns the Theil-Sen slope of y over t: the median of the slopes
// between all pairs with different t. It withstands 29 % of outliers.
//
// Source: P. K. Sen, Estimates of the regression coefficient based on
// Kendall's tau, JASA 63 (1968); H. Theil (1950).
func sen(t, y []float64) float64 {
	slopes, handle := borrow(len(t) * (len(t) - 1) / 2)
	defer giveBack(handle)
	n := 0
	for i := range t {
		for j := i + 1; j < len(t); j++ {
			if dt := t[j] - t[i]; dt != 0 {
				slopes[n] = (y[j] - y[i]) / dt
				n++
			}
		}
	}
	return median(slopes[:n])
}

// median returns the middle of xs (the mean of the two middle ones), 0 for
// none. It reorders xs.
func median(xs []float64) float64 {
	n := len(xs)
	if n == 0 {
		return 0
	}
	hi := nth(xs, n/2)
	if n%2 == 1 {
		return hi
	}
	return slices.Max(xs[:n/2])/2 + hi/2
}

// nth moves the k-th smallest of xs to its place, no larger one before it,
// and returns it.
//
// Source: C. A. R. Hoare, Algorithm 65: Find, CACM 4 (1961), with the median
// of three as pivot.
func nth(xs []float64, k int) float64 {
	lo, hi := 0, len(xs)-1
	for hi-lo > 16 {
		mid := lo + (hi-lo)/2
		p := max(min(xs[lo], xs[mid]), min(max(xs[lo], xs[mid]), xs[hi]))
		i, j := lo, hi
		for i <= j {
			for xs[i] < p {
				i++
			}
			for xs[j] > p {
				j--
			}
			if i <= j {
				xs[i], xs[j] = xs[j], xs[i]
				i++
				j--
			}
		}
		switch {
		case k <= j:
			hi = j
		case k >= i:
			lo = i
		default:
			return xs[k]
		}
	}
	slices.Sort(xs[lo : hi+1])
	return xs[k]
}

// medianOf is median on a copy.
func medianOf(xs []float64) float64 {
	ys, handle := borrow(len(xs))
	defer giveBack(handle)
	copy(ys, xs)
	return median(ys)
}

// normalMAD scales a median absolute deviation to the standard deviation of a
// normal sample.
const normalMAD = 1.4826

// mad returns the median absolute deviation about zero, scaled to be the
// standard deviation of a normal sample.
func mad(xs []float64) float64 {
	abs, handle := borrow(len(xs))
	defer giveBack(handle)
	for i, x := range xs {
		abs[i] = math.Abs(x)
	}
	return normalMAD * median(abs)
}

// line is a straight line: value at hour t0 and slope per hour.
type line struct{ t0, at0, slope float64 }

func (l line) at(t float64) float64 { return l.at0 + l.slope*(t-l.t0) }

// senLine returns the Theil-Sen line with the median residual as intercept.
func senLine(t, y []float64) line {
	s := sen(t, y)
	r, handle := borrow(len(t))
	defer giveBack(handle)
	for i := range t {
		r[i] = y[i] - s*(t[i]-t[0])
	}
	return line{t[0], median(r), s}
}

// residuals returns y less the line.
func (l line) residuals(t, y []float64) []float64 {
	r := make([]float64, len(t))
	for i := range t {
		r[i] = y[i] - l.at(t[i])
	}
	return r
}
