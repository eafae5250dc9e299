package main

import (
	"encoding/json"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/source"
)

// What is pulled is listed with what it lacks, also what was never asked.
func TestPulledSources(t *testing.T) {
	d := newDesk(t, `sources:
- {type: prometheus, url: "http://127.0.0.1:9090"}
- {type: exporter, name: web-2, url: "http://127.0.0.1:9256/metrics"}
`)
	s := d.open()
	defer s.Close()
	at := time.Now().UTC()
	text, err := json.Marshal(source.FeedState{Asked: at.Add(-time.Minute), Answered: at, Newest: at.Add(-2 * time.Minute), Samples: 3,
		Error: "connection\nrefused", Missing: []string{"m"}, Unplaced: []string{"elsewhere:1"}, Nameless: []string{"web-1:80"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := s.SetCursor(t.Context(), "source/prometheus", string(text)); err != nil {
		t.Fatal(err)
	}
	d.run(0, "sources")
	d.says("PULLED", "http://127.0.0.1:9090", "60 s ago", "2 min ago", "prometheus: does not answer: connection refused", "prometheus: has no data for m",
		"elsewhere:1 is no droplet of ours", "web-1:80 names no worker", "web-2: was not asked yet", "never")
	d.run(0, "sources", "--json")
	all := d.list(2)
	if p := all[0]; p["kind"] != "pull" || p["source"] != "prometheus" || p["samples"] != 3.0 || len(p["trouble"].([]any)) != 4 {
		t.Errorf("%v", p)
	}
}
