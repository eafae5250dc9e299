package rivals

import (
	"math"
	"slices"
	"sort"
)

// Trend is what the Mann-Kendall test and Sen's slope say of a series.
type Trend struct {
	S, Var float64 // Kendall's S and the variance it is held against
	Z, P   float64 // continuity-corrected normal score, two-sided p
	Slope  float64 // Sen's, per step
}

// MannKendall tests y, taken at even steps, for a monotonic trend (Mann 1945,
// Kendall 1975; variance with ties as in Gilbert 1987).
func MannKendall(y []float64) Trend {
	t := Trend{S: kendallS(y), Slope: senSlope(y), Var: kendallVar(y)}
	t.score()
	return t
}

// HamedRao is MannKendall with the variance inflated by the significant rank
// autocorrelations of the series less its Sen trend (Hamed and Rao 1998).
func HamedRao(y []float64) Trend {
	t := Trend{S: kendallS(y), Slope: senSlope(y)}
	n := len(y)
	detrended := make([]float64, n)
	for i, v := range y {
		detrended[i] = v - float64(i+1)*t.Slope
	}
	rho := autocorrelation(ranks(detrended))
	bound := 1.959963984540054 / math.Sqrt(float64(n))
	sum := 0.0
	for i := 1; i < n-1; i++ {
		if r := rho[i]; math.Abs(r) > bound {
			f := float64(n - i)
			sum += f * (f - 1) * (f - 2) * r
		}
	}
	f := float64(n)
	t.Var = kendallVar(y) * (1 + 2/(f*(f-1)*(f-2))*sum)
	t.score()
	return t
}

func (t *Trend) score() {
	if t.Var <= 0 {
		return
	}
	sd := math.Sqrt(t.Var)
	switch {
	case t.S > 0:
		t.Z = (t.S - 1) / sd
	case t.S < 0:
		t.Z = (t.S + 1) / sd
	}
	t.P = math.Erfc(math.Abs(t.Z) / math.Sqrt2)
}

func kendallS(y []float64) float64 {
	s := 0.0
	for i := range y {
		for j := i + 1; j < len(y); j++ {
			switch {
			case y[j] > y[i]:
				s++
			case y[j] < y[i]:
				s--
			}
		}
	}
	return s
}

func kendallVar(y []float64) float64 {
	n := float64(len(y))
	v := n * (n - 1) * (2*n + 5)
	sorted := slices.Sorted(slices.Values(y))
	for i := 0; i < len(sorted); {
		j := sort.Search(len(sorted)-i, func(k int) bool { return sorted[i+k] > sorted[i] }) + i
		t := float64(j - i)
		v -= t * (t - 1) * (2*t + 5)
		i = j
	}
	return v / 18
}

// senSlope is the median of all pairwise slopes.
func senSlope(y []float64) float64 {
	slopes := make([]float64, 0, len(y)*(len(y)-1)/2)
	for i := range y {
		for j := i + 1; j < len(y); j++ {
			slopes = append(slopes, (y[j]-y[i])/float64(j-i))
		}
	}
	return median(slopes)
}

// median reorders v.
func median(v []float64) float64 {
	n := len(v)
	if n == 0 {
		return 0
	}
	upper := nth(v, n/2)
	if n%2 == 1 {
		return upper
	}
	return (slices.Max(v[:n/2]) + upper) / 2
}

// nth puts the k-th smallest value of v in its place, smaller ones before it,
// and returns it (Hoare 1961). Three hundred blocks have 45,000 slopes, and
// sorting them is what a measurement would wait for.
func nth(v []float64, k int) float64 {
	lo, hi := 0, len(v)-1
	for lo < hi {
		pivot := v[lo+(hi-lo)/2]
		i, j := lo, hi
		for i <= j {
			for v[i] < pivot {
				i++
			}
			for v[j] > pivot {
				j--
			}
			if i <= j {
				v[i], v[j] = v[j], v[i]
				i, j = i+1, j-1
			}
		}
		switch {
		case k <= j:
			hi = j
		case k >= i:
			lo = i
		default:
			return v[k]
		}
	}
	return v[k]
}

// ranks gives tied values their mean rank, from 1.
func ranks(y []float64) []float64 {
	order := make([]int, len(y))
	for i := range order {
		order[i] = i
	}
	slices.SortStableFunc(order, func(a, b int) int {
		switch {
		case y[a] < y[b]:
			return -1
		case y[a] > y[b]:
			return 1
		}
		return 0
	})
	out := make([]float64, len(y))
	for i := 0; i < len(order); {
		j := i
		for j < len(order) && y[order[j]] == y[order[i]] {
			j++
		}
		for _, k := range order[i:j] {
			out[k] = float64(i+j+1) / 2
		}
		i = j
	}
	return out
}

// autocorrelation is the biased sample autocorrelation at every lag.
func autocorrelation(y []float64) []float64 {
	n, mean := len(y), 0.0
	for _, v := range y {
		mean += v / float64(n)
	}
	out := make([]float64, n)
	for lag := range n {
		for i := lag; i < n; i++ {
			out[lag] += (y[i] - mean) * (y[i-lag] - mean)
		}
	}
	if c := out[0]; c > 0 {
		for i := range out {
			out[i] /= c
		}
	}
	return out
}

// trending is a significant rise at 5 % over 300 block medians.
func trending(s Series, corrected bool) bool {
	_, y := thin(s, 300)
	if len(y) < 10 {
		return false
	}
	t := MannKendall(y)
	if corrected {
		t = HamedRao(y)
	}
	return t.P > 0 && t.P < 0.05 && t.S > 0 && t.Slope > 0
}

// thin cuts a series into at most n blocks of even length in passes and
// returns the mean hour and the median of each.
func thin(s Series, n int) (x, y []float64) {
	n = min(n, len(s.Hours))
	for i := range n {
		from, to := i*len(s.Hours)/n, (i+1)*len(s.Hours)/n
		x = append(x, (s.Hours[from]+s.Hours[to-1])/2)
		y = append(y, median(slices.Clone(s.Bytes[from:to])))
	}
	return x, y
}
