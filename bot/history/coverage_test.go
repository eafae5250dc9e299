package history_test

import (
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/history"
	"github.com/dropleak/dropleak/bot/store"
	"github.com/dropleak/dropleak/detector/sample"
)

// Each source's gaps are its own, and silence up to the end is one.
func TestCoverage(t *testing.T) {
	s, err := store.Open(t.Context(), "sqlite:"+t.TempDir(), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	h := history.New(s, history.Options{})
	now := time.Now().Truncate(time.Minute)
	told := func(source string, minutes ...int) {
		t.Helper()
		one := sample.Series{Labels: []sample.Label{{Name: sample.MetricName, Value: "dropleak_process_memory_bytes"}, {Name: "droplet", Value: "42"},
			{Name: "kind", Value: "rss"}, {Name: "slot", Value: "main"}, {Name: "source", Value: source}, {Name: "worker", Value: "mail"}}}
		for _, m := range minutes {
			one.Points = append(one.Points, sample.Point{At: now.Add(time.Duration(m-60) * time.Minute).UnixMilli(), V: 1})
		}
		if err := h.Write(t.Context(), []sample.Series{one}); err != nil {
			t.Fatal(err)
		}
	}
	told("whole", 50, 52, 54, 56, 58, 60)
	told("holed", 1, 2, 3, 4, 20, 21, 22, 23)
	all, err := h.Coverage(t.Context(), "42", now.Add(-time.Hour), now)
	if err != nil || len(all) != 2 {
		t.Fatalf("%+v, %v", all, err)
	}
	for _, c := range all {
		switch c.Source {
		case "whole":
			if c.Readings != 6 || len(c.Gaps) != 0 || c.Worker != "mail" {
				t.Errorf("%+v", c)
			}
		case "holed":
			if len(c.Gaps) != 2 || c.Gaps[0].To.Sub(c.Gaps[0].From) != 16*time.Minute || c.Gaps[1].To.Sub(c.Gaps[1].From) != 37*time.Minute {
				t.Errorf("%+v", c)
			}
		}
	}
}
