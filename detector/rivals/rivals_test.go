package rivals

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/dropleak/dropleak/detector"
)

// hourly makes a series with one pass every minute.
func hourly(hours float64, limit float64, f func(h float64) float64) Series {
	s := Series{Limit: limit}
	for h := 0.0; h < hours; h += 1.0 / 60 {
		s.Hours, s.Bytes, s.Largest = append(s.Hours, h), append(s.Bytes, f(h)), append(s.Largest, f(h)/2)
	}
	return s
}

func TestRivalsRaiseTheirAlarms(t *testing.T) {
	noise := rand.New(rand.NewPCG(1, 2))
	const mb = 1e6
	flat := hourly(30, 300*mb, func(float64) float64 { return 100*mb + mb*noise.NormFloat64() })
	slow := hourly(30, 1000*mb, func(h float64) float64 { return (100+h)*mb + mb*noise.NormFloat64() })
	steep := hourly(30, 300*mb, func(h float64) float64 { return (100+5*h)*mb + mb*noise.NormFloat64() })
	full := hourly(30, 110*mb, func(float64) float64 { return 100*mb + mb*noise.NormFloat64() })
	for _, c := range []struct {
		name   string
		series Series
		alarms []string
	}{
		{"flat", flat, nil},
		{"slow, far from the limit", slow, []string{"Mann-Kendall", "Hamed-Rao"}},
		{"steep", steep, []string{"predict_linear", "LBR", "Mann-Kendall", "Hamed-Rao", "threshold 80 %"}},
		{"flat, close to the limit", full, []string{"threshold 80 %"}},
	} {
		for _, r := range All() {
			if got, want := r.Alarm(c.series), slices.Contains(c.alarms, r.Name); got != want {
				t.Errorf("%s on %s: alarm %v, want %v", r.Name, c.name, got, want)
			}
		}
	}
}

func TestRivalsBearPoorSeries(t *testing.T) {
	for _, s := range []Series{{Limit: 1}, hourly(0.02, 1e9, func(float64) float64 { return 1 }), hourly(2, math.Inf(1), func(float64) float64 { return 5 })} {
		for _, r := range All() {
			if r.Alarm(s) {
				t.Errorf("%s raises an alarm on %d constant values", r.Name, len(s.Hours))
			}
		}
	}
}

// TestPredictLinearIsExact fits a line without noise: Prometheus' function is
// the line's value Ahead from now.
func TestPredictLinearIsExact(t *testing.T) {
	line := func(limit float64) Series { return hourly(10, limit, func(h float64) float64 { return 1000 + 10*h }) }
	last := line(0).Hours
	at := 1000 + 10*(last[len(last)-1]+24)
	if !(PredictLinear{6, 24}).Alarm(line(at - 0.001)) {
		t.Error("no alarm just below the predicted value")
	}
	if (PredictLinear{6, 24}).Alarm(line(at + 0.001)) {
		t.Error("alarm just above the predicted value")
	}
}

func TestOfAddsUpProcesses(t *testing.T) {
	begin, nan := time.Unix(1_700_000_000, 0), math.NaN()
	at := func(m int, rss, swap float64) detector.Sample {
		return detector.Sample{At: begin.Add(time.Duration(m) * time.Minute), RSS: rss, Swap: swap, PSS: nan, USS: nan, CPU: nan}
	}
	w := detector.Worker{Lives: []detector.Life{
		{PID: 1, Samples: []detector.Sample{at(0, 10, 0), at(1, 11, nan), at(2, nan, nan)}},
		{PID: 2, Samples: []detector.Sample{at(1, 5, 2), at(2, 6, 2)}},
	}}
	s := Of(w)
	if want := []float64{10, 18, 8}; !slices.Equal(s.Bytes, want) {
		t.Errorf("sums %v, want %v", s.Bytes, want)
	}
	if want := []float64{10, 11, 6}; !slices.Equal(s.Largest, want) {
		t.Errorf("largest %v, want %v", s.Largest, want)
	}
	if !math.IsInf(s.Limit, 1) {
		t.Errorf("limit %v, want none", s.Limit)
	}
	if n := len(s.Until(begin.Add(time.Minute)).Hours); n != 2 {
		t.Errorf("%d passes until the first minute, want 2", n)
	}
}

func TestMedianAgreesWithSorting(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for n := 1; n < 60; n++ {
		v := make([]float64, n)
		for i := range v {
			v[i] = float64(r.IntN(12))
		}
		sorted := slices.Sorted(slices.Values(v))
		want := (sorted[(n-1)/2] + sorted[n/2]) / 2
		if got := median(v); got != want {
			t.Fatalf("median of %v is %v, want %v", sorted, got, want)
		}
	}
}

func TestWilson(t *testing.T) {
	// Values of statsmodels 0.13.5 proportion_confint(method="wilson").
	for _, c := range []struct {
		k, n   int
		lo, hi float64
	}{{15, 15, 0.7961167, 1}, {21, 24, 0.6899612, 0.9565567}, {0, 40, 0, 0.0876216}} {
		if lo, hi := wilson(c.k, c.n); math.Abs(lo-c.lo) > 1e-6 || math.Abs(hi-c.hi) > 1e-6 {
			t.Errorf("wilson(%d, %d) = %.6f, %.6f, want %.6f, %.6f", c.k, c.n, lo, hi, c.lo, c.hi)
		}
	}
}
