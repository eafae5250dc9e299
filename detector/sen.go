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
	xs, k, handle := bracket(xs, n/2)
	if handle != nil {
		defer giveBack(handle)
	}
	hi := nth(xs, k)
	if n%2 == 1 {
		return hi
	}
	return slices.Max(xs[:k])/2 + hi/2
}

// bracket returns those of many numbers that lie about the k-th smallest,
// which is near their middle, and which of these it is: at least one smaller
// or equal one is with it. A sample says between which numbers it lies; where
// that is wrong, and of few numbers, it returns all. Telling for each number
// whether it lies there takes no guess of a processor, of which a partition
// of slopes takes thousands that are wrong half the time.
//
// Source: R. W. Floyd and R. L. Rivest, Expected time bounds for selection,
// CACM 18 (1975).
func bracket(xs []float64, k int) (part []float64, at int, handle *[]float64) {
	const sampled, beside, least = 128, 14, 8 * 128 // beside: two and a half standard deviations
	n := len(xs)
	if n < least {
		return xs, k, nil
	}
	var some [sampled]float64
	for i := range some {
		some[i] = xs[i*n/sampled]
	}
	slices.Sort(some[:])
	lo, hi := some[sampled/2-beside], some[sampled/2+beside]
	part, handle = borrow(n)
	m, below := 0, 0
	for _, x := range xs {
		part[m] = x // to stay, if it lies between
		less, between := 0, 1
		if x < lo {
			less, between = 1, 0
		}
		if x > hi {
			between = 0
		}
		below += less
		m += between
	}
	if at = k - below; at < 1 || at >= m {
		giveBack(handle)
		return xs, k, nil
	}
	return part[:m], at, handle
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
