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
