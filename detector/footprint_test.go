package detector

import (
	"math"
	"testing"
	"time"
)

func TestFootprintSumsCompletePasses(t *testing.T) {
	nan := math.NaN()
	at := func(m int) time.Time { return time.Unix(int64(m)*60, 0).UTC() }
	w := Worker{Lives: []Life{
		{PID: 1, Role: RoleParent, Samples: []Sample{{At: at(0), RSS: 10, PSS: 5, USS: nan, Swap: 1}, {At: at(1), RSS: 11, PSS: nan, USS: nan, Swap: nan}, {At: at(2), RSS: 12, PSS: 6, USS: nan, Swap: 1}}},
		{PID: 2, Role: RoleChild, Samples: []Sample{{At: at(0), RSS: 20, PSS: 7, USS: nan, Swap: 0}, {At: at(2), RSS: 22, PSS: 8, USS: nan, Swap: 0}}},
		{PID: 3, Role: RoleOther, Samples: []Sample{{At: at(0), RSS: 1000, PSS: 1000, USS: nan, Swap: 0}}},
	}}
	got, metric := Footprint(w, Options{})
	if metric != "pss+swap" || len(got) != 2 || got[0].V != 13 || got[1].V != 15 {
		t.Errorf("PSS: %v %s", got, metric)
	}
	got, metric = Footprint(w, Options{Metric: "rss"})
	// At one minute the child was alive and not read: no sum, not a smaller one.
	if metric != "rss+swap" || len(got) != 2 || got[0].V != 31 || got[1].V != 35 {
		t.Errorf("RSS: %v %s", got, metric)
	}
	if got, metric := Footprint(Worker{}, Options{}); got != nil || metric != "" {
		t.Errorf("nothing: %v %s", got, metric)
	}
}

// TestFootprintIsOfNow: PSS that was read last three hours ago does not tell
// what the worker holds; what RSS did since does.
func TestFootprintIsOfNow(t *testing.T) {
	for _, c := range []struct {
		name string
		read float64 // hours in which PSS was read
		want float64 // MiB: 0.8 of RSS, as long as both were read
	}{
		{"read to the end", 20, 0.8 * (60 + 80 + 19.9*4)},
		{"read until ten minutes ago", 19.85, 0.8 * (60 + 80 + 19.8*4)},
		{"read until three hours ago", 17, 0.8 * (60 + 80 + 19.9*4)},
	} {
		w := node(20, noisy(0.1, func(h float64) float64 { return 80 + 4*h }))
		for _, l := range w.Lives {
			for i := range l.Samples {
				if l.Samples[i].At.After(at(c.read)) {
					l.Samples[i].PSS, l.Samples[i].USS = math.NaN(), math.NaN()
				}
			}
		}
		v := Judge(w, time.Time{}, Options{})
		if got := v.Footprint / MiB; v.Metric != "pss+swap" || math.Abs(got-c.want) > 1.5 {
			t.Errorf("%s: %.1f MiB of %s, want %.1f", c.name, got, v.Metric, c.want)
		}
	}
}
