package detector

import "math"

// zLambda is a trend test that holds its size whether the noise about the
// trend is stationary or a random walk: a weighted mean of the t ratio of a
// fitted line and of the t ratio of the mean increment, the weight telling
// the two apart from the data. Standard normal under no trend.
//
// Source: D. I. Harvey, S. J. Leybourne, A. M. R. Taylor, A simple, robust
// and powerful test of the trend hypothesis, J. Econometrics 141 (2007).
func zLambda(t, y []float64) float64 {
	n := len(y)
	if n < 8 {
		return 0
	}
	room, handle := borrow(3 * n)
	defer giveBack(handle)
	b, res := ols(t, y, room[:n])
	lr := longRun(res)
	if lr <= 0 {
		return sign(b) * zCap
	}
	z0 := b * math.Sqrt(sumSquares(t)/lr)
	d, dev := room[n:2*n-1], room[2*n:3*n-1]
	for i := range d {
		d[i] = y[i+1] - y[i]
	}
	m := mean(d)
	for i := range d {
		dev[i] = d[i] - m
	}
	z1 := sign(m) * zCap
	if lv := longRun(dev); lv > 0 {
		z1 = m * math.Sqrt(float64(n-1)/lv)
	}
	ratio := dfGLS(y) / math.Max(kpss(res, lr), 1e-9)
	l := math.Exp(-0.00025 * ratio * ratio)
	return clamp((1-l)*z0+l*z1, -zCap, zCap)
}

// zCap bounds test statistics of noiseless lines, which would be infinite.
const zCap = 50

// squares is the line of least squares through the middle of its points.
type squares struct{ mt, my, slope float64 }

func leastSquares(t, y []float64) squares {
	l := squares{mt: mean(t), my: mean(y)}
	var sxy, sxx float64
	for i := range t {
		sxy += (t[i] - l.mt) * (y[i] - l.my)
		sxx += (t[i] - l.mt) * (t[i] - l.mt)
	}
	if sxx > 0 {
		l.slope = sxy / sxx
	}
	return l
}

// rest is what the line leaves of a point.
func (l squares) rest(t, y float64) float64 { return y - l.my - l.slope*(t-l.mt) }

// ols returns the slope of the least-squares line and its residuals, in room.
func ols(t, y, room []float64) (slope float64, res []float64) {
	l := leastSquares(t, y)
	for i := range t {
		room[i] = l.rest(t[i], y[i])
	}
	return l.slope, room[:len(t)]
}

// longRun returns the long-run variance of mean-zero e: Bartlett's kernel
// with Andrews' AR(1) plug-in bandwidth.
//
// Source: D. W. K. Andrews, Econometrica 59 (1991), eq. 6.4.
func longRun(e []float64) float64 {
	n := float64(len(e))
	g0 := autocov(e, 0)
	if g0 <= 0 {
		return 0
	}
	rho := clamp(autocov(e, 1)/g0, -0.97, 0.97)
	alpha := 4 * rho * rho / ((1 - rho*rho) * (1 - rho*rho))
	bw := math.Min(1.1447*math.Cbrt(alpha*n), n/3)
	return bartlett(e, bw)
}

// bartlett sums the autocovariances of mean-zero e with weights that fall in
// a straight line to nought beyond lag bw.
func bartlett(e []float64, bw float64) float64 {
	v := autocov(e, 0)
	for k := 1; float64(k) <= bw; k++ {
		v += 2 * (1 - float64(k)/(bw+1)) * autocov(e, k)
	}
	return math.Max(v, 0)
}

// autocov returns the lag-k autocovariance of mean-zero e.
func autocov(e []float64, k int) float64 {
	s := 0.0
	for i := k; i < len(e); i++ {
		s += e[i] * e[i-k]
	}
	return s / float64(len(e))
}

// kpss returns the KPSS statistic for stationarity about a trend, from the
// detrended residuals and their long-run variance.
//
// Source: Kwiatkowski, Phillips, Schmidt, Shin, J. Econometrics 54 (1992).
func kpss(res []float64, lr float64) float64 {
	n := float64(len(res))
	cum, s := 0.0, 0.0
	for _, r := range res {
		cum += r
		s += cum * cum
	}
	return s / (n * n * lr)
}

// dfGLS returns the Dickey-Fuller t ratio of y after local GLS detrending
// with c = -13.5 and no lagged differences.
//
// Source: Elliott, Rothenberg, Stock, Econometrica 64 (1996).
func dfGLS(y []float64) float64 {
	n := len(y)
	a := 1 - 13.5/float64(n)
	yq, c, x := make([]float64, n), make([]float64, n), make([]float64, n)
	yq[0], c[0], x[0] = y[0], 1, 1
	for i := 1; i < n; i++ {
		yq[i] = y[i] - a*y[i-1]
		c[i] = 1 - a
		x[i] = float64(i+1) - a*float64(i)
	}
	b0, b1 := twoRegressors(c, x, yq)
	d := make([]float64, n)
	for i := range d {
		d[i] = y[i] - b0 - b1*float64(i+1)
	}
	var num, den float64
	for i := 1; i < n; i++ {
		num += d[i-1] * (d[i] - d[i-1])
		den += d[i-1] * d[i-1]
	}
	if den == 0 {
		return 0
	}
	phi, ss := num/den, 0.0
	for i := 1; i < n; i++ {
		e := d[i] - d[i-1] - phi*d[i-1]
		ss += e * e
	}
	se := math.Sqrt(ss / float64(n-2) / den)
	if se == 0 {
		return 0
	}
	return phi / se
}

// twoRegressors returns the least-squares coefficients of y on a and b.
func twoRegressors(a, b, y []float64) (ca, cb float64) {
	var aa, ab, bb, ay, by float64
	for i := range y {
		aa += a[i] * a[i]
		ab += a[i] * b[i]
		bb += b[i] * b[i]
		ay += a[i] * y[i]
		by += b[i] * y[i]
	}
	det := aa*bb - ab*ab
	if det == 0 {
		return 0, 0
	}
	return (ay*bb - by*ab) / det, (by*aa - ay*ab) / det
}

func mean(xs []float64) float64 {
	if len(xs) == 0 {
		return 0
	}
	s := 0.0
	for _, x := range xs {
		s += x
	}
	return s / float64(len(xs))
}

// sumSquares returns Σ(x - mean)².
func sumSquares(xs []float64) float64 {
	m, s := mean(xs), 0.0
	for _, x := range xs {
		s += (x - m) * (x - m)
	}
	return s
}

func sign(x float64) float64 {
	switch {
	case x > 0:
		return 1
	case x < 0:
		return -1
	}
	return 0
}

func clamp(x, lo, hi float64) float64 { return math.Min(math.Max(x, lo), hi) }
