package history

import (
	"fmt"
	"strings"
	"testing"

	"github.com/dropleak/dropleak/detector/sample"
)

// TestTaskRises: of a counter, what rose between two passes is told of the
// process that was in the slot; what ran nobody knows when is left out.
func TestTaskRises(t *testing.T) {
	const old = -600.0 // minutes: long before anything was heard
	type pass struct {
		m     float64
		pid   int
		start float64
		runs  float64 // < 0: the counter was not told
	}
	for _, tt := range []struct {
		name   string
		passes []pass
		want   string
	}{
		{"one process", []pass{{0, 7, old, 5}, {1, 7, old, 8}, {2, 7, old, 8}, {3, 7, old, 9}}, "1:7+3 3:7+1"},
		{"from its start", []pass{{1, 7, 0.5, 2}, {2, 7, 0.5, 3}}, "1:7+2 2:7+1"},
		{"a successor in its slot", []pass{{0, 7, old, 50}, {1, 7, old, 51}, {2, 8, 1.2, 4}, {3, 8, 1.2, 9}}, "1:7+1 2:8+4 3:8+5"},
		{"a successor that counts higher", []pass{{0, 7, old, 1}, {1, 8, 0.2, 6}}, "1:8+6"},
		{"an agent that was away", []pass{{0, 7, old, 5}, {60, 7, old, 500}, {61, 7, old, 503}}, "61:7+3"},
		{"an agent that began anew", []pass{{0, 7, old, 5}, {1, 7, old, -1}, {2, 7, old, 7}}, "2:7+2"},
		{"a counter gone mad", []pass{{0, 7, old, 5}, {1, 7, old, 1e15}, {2, 7, old, 1}}, ""},
	} {
		counter := sample.Series{Labels: []sample.Label{{Name: "slot", Value: "0"}, {Name: "task", Value: "app.a"}}}
		l := lifeline{"0": {}}
		for _, p := range tt.passes {
			r := proc(p.m, p.pid, at(p.start), "child", "0", 1)
			l["0"][r.At.UnixMilli()] = r
			v := p.runs
			if v < 0 {
				v = sample.StaleMarker()
			}
			counter.Points = append(counter.Points, sample.Point{At: r.At.UnixMilli(), V: v})
		}
		var got []string
		for _, r := range l.runs(counter, false) {
			if r.Task != "app.a" || !r.Begin.Equal(r.End) {
				t.Errorf("%s: %+v", tt.name, r)
			}
			got = append(got, fmt.Sprintf("%g:%d+%d", r.End.Sub(noon).Minutes(), r.PID, r.Count))
		}
		if s := strings.Join(got, " "); s != tt.want {
			t.Errorf("%s: %q, want %q", tt.name, s, tt.want)
		}
		for _, r := range l.runs(counter, true) {
			if r.Task != "" || r.Count != 0 || r.Beside == 0 {
				t.Errorf("%s, beside: %+v", tt.name, r)
			}
		}
	}
}
