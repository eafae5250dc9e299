package detector

import (
	"math"
	"strings"
	"testing"
	"time"
)

// coarse keeps every n-th sample of each life, the same passes for all.
func coarse(w Worker, n int) Worker {
	for i, l := range w.Lives {
		var ss []Sample
		for _, s := range l.Samples {
			if int(math.Round(s.At.Sub(epoch).Minutes()))%n == 0 {
				ss = append(ss, s)
			}
		}
		w.Lives[i].Samples = ss
	}
	return w
}

// TestStory: a worker that leaks from its first minute, read 150 times over
// ten hours, is called whatever its pace; a level one beside it is not.
func TestStory(t *testing.T) {
	for _, pace := range []float64{2, 4, 6, 8, 10, 15, 25, 60, 200, 1000} {
		for _, every := range []int{2, 4} {
			for _, grain := range []float64{0.3, 5} {
				w := coarse(node(10.1, noisy(grain, func(h float64) float64 { return 60 + 20*math.Min(h, 0.2)*5 + pace*h })), every)
				v := Judge(w, time.Time{}, Options{})
				if v.Kind != Leak && pace > 2*grain {
					t.Errorf("%v MiB an hour, every %d min, noise %v: %s (%s)\n%s", pace, every, grain, v.Kind, v.Reason, strings.Join(v.Evidence, "\n"))
				}
			}
		}
	}
	for _, every := range []int{2, 4, 10} {
		v := Judge(coarse(node(10.1, noisy(2, func(h float64) float64 { return 60 + 20*math.Min(h, 0.2)*5 })), every), time.Time{}, Options{})
		if v.Kind != Healthy {
			t.Errorf("level, every %d min: %s (%s)", every, v.Kind, v.Reason)
		}
	}
}
