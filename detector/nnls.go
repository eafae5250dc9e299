package detector

import (
	"math"

	"gonum.org/v1/gonum/mat"
)

// nnls returns the coefficients that minimise |Σ x_j·cols[j] - y|² where the
// first free coefficients may take any sign and the others are not negative.
//
// Source: C. L. Lawson and R. J. Hanson, Solving Least Squares Problems
// (1974), algorithm 23.10, on the normal equations.
func nnls(cols [][]float64, y []float64, free int) []float64 {
	n := len(cols)
	x, passive := make([]float64, n), make([]bool, n)
	for j := range free {
		passive[j] = true
	}
	scale := make([]float64, n)
	for j, c := range cols {
		scale[j] = math.Sqrt(dot(c, c))
		if scale[j] == 0 {
			scale[j] = 1
		}
	}
	tol := 1e-10 * math.Sqrt(dot(y, y))
	for range 3*n + 1 {
		s := solvePassive(cols, y, passive)
		for blocked(s, passive, free) {
			step := 1.0
			for j := free; j < n; j++ {
				if passive[j] && s[j] <= 0 {
					step = math.Min(step, x[j]/(x[j]-s[j]))
				}
			}
			for j := range x {
				if x[j] += step * (s[j] - x[j]); j >= free && passive[j] && x[j] <= 1e-300 {
					x[j], passive[j] = 0, false
				}
			}
			s = solvePassive(cols, y, passive)
		}
		copy(x, s)
		next, best := -1, tol
		r := residualOf(cols, y, x)
		for j := free; j < n; j++ {
			if g := dot(cols[j], r) / scale[j]; !passive[j] && g > best {
				next, best = j, g
			}
		}
		if next < 0 {
			break
		}
		passive[next] = true
	}
	return x
}

// blocked reports whether a constrained coefficient came out not positive.
func blocked(s []float64, passive []bool, free int) bool {
	for j := free; j < len(s); j++ {
		if passive[j] && s[j] <= 0 {
			return true
		}
	}
	return false
}

// residualOf returns y less the fit.
func residualOf(cols [][]float64, y, x []float64) []float64 {
	r := make([]float64, len(y))
	for i := range y {
		r[i] = y[i]
		for j := range cols {
			r[i] -= x[j] * cols[j][i]
		}
	}
	return r
}

// solvePassive is least squares over the passive columns, with a trace of
// ridge so that collinear ones share instead of failing; the others get 0.
func solvePassive(cols [][]float64, y []float64, passive []bool) []float64 {
	x := make([]float64, len(cols))
	var at []int
	for j, p := range passive {
		if p {
			at = append(at, j)
		}
	}
	if len(at) == 0 {
		return x
	}
	a, b := mat.NewSymDense(len(at), nil), mat.NewVecDense(len(at), nil)
	for p, j := range at {
		for q := p; q < len(at); q++ {
			v := dot(cols[j], cols[at[q]])
			if p == q {
				v += 1e-12*v + 1e-300
			}
			a.SetSym(p, q, v)
		}
		b.SetVec(p, dot(cols[j], y))
	}
	var chol mat.Cholesky
	if !chol.Factorize(a) {
		return x
	}
	var out mat.VecDense
	if err := chol.SolveVecTo(&out, b); err != nil && !isCondition(err) {
		return x
	}
	for p, j := range at {
		x[j] = out.AtVec(p)
	}
	return x
}

// isCondition reports whether err only warns of a bad condition number.
func isCondition(err error) bool {
	_, ok := err.(mat.Condition)
	return ok
}
