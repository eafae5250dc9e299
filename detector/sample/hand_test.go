package sample

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestOnHand: counts come back as they were told, by time, and a moment of
// which a part is missing is none.
func TestOnHand(t *testing.T) {
	at := time.Date(2026, 11, 29, 3, 0, 0, 0, time.UTC)
	count := func(minute int, n float64) OnHand {
		return OnHand{At: at.Add(time.Duration(minute) * time.Minute), Droplet: "42", Worker: "w", Running: n, Late: n - 1, Reserved: n + 1, ETA: n + 2}
	}
	later, first := EncodeOnHand([]OnHand{count(5, 7)}), EncodeOnHand([]OnHand{count(0, 3)})
	var series []Series
	for i := range later {
		s := later[i]
		s.Points = append(s.Points, first[i].Points...)
		if s.Get("state") != "eta" { // half told, and a worker that is gone
			s.Points = append(s.Points, Point{at.Add(time.Hour).UnixMilli(), 9})
		}
		s.Points = append(s.Points, Point{at.Add(2 * time.Hour).UnixMilli(), StaleMarker()})
		series = append(series, s)
	}
	if d := cmp.Diff([]OnHand{count(0, 3), count(5, 7)}, DecodeOnHand(series)); d != "" {
		t.Error(d)
	}
	if got := series[1].Key(); !strings.Contains(got, "running_acks_late") {
		t.Errorf("the series is called %s", got)
	}
}
