package detector

// onsetOf returns when growth began: the knee of the best fit of a level
// followed by a straight rise that ends where the curve ends. The start of
// the curve wins unless a later knee explains a fifth of what it leaves.
//
// Source: D. V. Hinkley, Inference about the intersection in two-phase
// regression, Biometrika 56 (1969), with a level for the first phase.
func onsetOf(c curve, th thresholds) float64 {
	s := c.coarse(th.blocks)
	n := s.len()
	x := make([]float64, n)
	fit := func(knee float64) float64 {
		for i, t := range s.t {
			x[i] = max(t-knee, 0)
		}
		return residualOn(x, s.lo)
	}
	best, bestAt := th.onsetKnee*fit(s.t[0]), s.t[0]
	for i := 1; i < n-n/10-1; i++ {
		if r := fit(s.t[i]); r < best {
			best, bestAt = r, s.t[i]
		}
	}
	return bestAt
}
