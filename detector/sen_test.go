package detector

import (
	"math/rand/v2"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// TestMedian: of few numbers and of many, in whatever order and however many
// are equal, the median is what sorting all of them says.
func TestMedian(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		n := rapid.OneOf(rapid.IntRange(1, 40), rapid.IntRange(1000, 5000)).Draw(rt, "n")
		kinds := rapid.IntRange(1, 2000).Draw(rt, "kinds")
		order := rapid.SampledFrom([]string{"as drawn", "up", "down", "waves"}).Draw(rt, "order")
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 1))
		xs := make([]float64, n)
		for i := range xs {
			xs[i] = float64(r.IntN(kinds)-kinds/2) / 3
		}
		sorted := slices.Sorted(slices.Values(xs))
		want := sorted[n/2]
		if n%2 == 0 {
			want = sorted[n/2-1]/2 + sorted[n/2]/2
		}
		switch order {
		case "up":
			copy(xs, sorted)
		case "down":
			copy(xs, sorted)
			slices.Reverse(xs)
		case "waves": // of the length at which a sample is taken
			for i := range xs {
				xs[i] = sorted[(i*max(n/128, 1))%n]
			}
			sorted = slices.Sorted(slices.Values(xs))
			if want = sorted[n/2]; n%2 == 0 {
				want = sorted[n/2-1]/2 + sorted[n/2]/2
			}
		}
		if got := median(xs); got != want {
			rt.Fatalf("%v, want %v", got, want)
		}
	})
}

// TestMedianBesideSample: where what a sample sees lies all above the middle,
// the smaller of the two middle ones is not lost.
func TestMedianBesideSample(t *testing.T) {
	xs := make([]float64, 1024)
	for i := range xs {
		xs[i] = 1
		if i%8 > 0 && i%8 <= 4 { // the sample takes every eighth
			xs[i] = -1
		}
	}
	if got := median(xs); got != 0 {
		t.Errorf("%v, want the mean of -1 and 1", got)
	}
}
