package main

import (
	"encoding/json"
	"reflect"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/finding"
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

// A source that is silent as a whole stands under both lists with what that
// costs, since when by the terminal's clock; --json keeps to UTC.
func TestSilentSource(t *testing.T) {
	terminalInCET(t)
	d := newDesk(t, "")
	s := d.open()
	defer s.Close()
	began := time.Date(2026, 11, 28, 23, 30, 0, 0, time.UTC)
	f := finding.Finding{ID: "f-source", State: finding.Open, Severity: finding.High, Opened: began, Began: began,
		Subject: finding.Subject{Kind: finding.KindSource, Source: "prom\x1b[2J"}, Outage: &finding.Outage{Workers: 12, Droplets: 5, Trouble: "connection refused"}}
	if err := s.OpenFinding(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	said := "Nothing from the source prom[2J since 29 Nov 00:30 CET: 12 workers on 5 droplets are not watched. See that it runs"
	d.run(0, "findings")
	d.says("high", "source prom?[2J", "f-source: "+said)
	d.run(0, "sources")
	d.says("prom?[2J: " + said)
	d.run(0, "findings", "--json")
	if x := d.list(1)[0]; x["source"] != "prom\x1b[2J" || x["unwatched"].(map[string]any)["workers"] != 12.0 {
		t.Errorf("%v", x)
	}
	d.run(0, "sources", "--json")
	if x := d.list(1)[0]; x["kind"] != "silent" || x["since"] != "2026-11-28T23:30:00Z" || x["workers"] != 12.0 || x["droplets"] != 5.0 || x["finding"] != "f-source" {
		t.Errorf("%v", x)
	}
}

// --json says of a finding about a source how the source stands, as its words do.
func TestUnwatchedJSON(t *testing.T) {
	for name, tt := range map[string]struct {
		of   finding.Outage
		want map[string]any
	}{
		"answers": {finding.Outage{Workers: 12, Droplets: 5, Answers: true}, map[string]any{"workers": 12.0, "droplets": 5.0, "answers": true, "removed": false, "never": false}},
		"removed": {finding.Outage{Workers: 1, Droplets: 1, Removed: true}, map[string]any{"workers": 1.0, "droplets": 1.0, "answers": false, "removed": true, "never": false}},
		"never":   {finding.Outage{Never: true, Trouble: "404"}, map[string]any{"workers": 0.0, "droplets": 0.0, "answers": false, "removed": false, "never": true}},
	} {
		t.Run(name, func(t *testing.T) {
			d := newDesk(t, "")
			s := d.open()
			defer s.Close()
			if err := s.OpenFinding(t.Context(), finding.Finding{ID: "f", State: finding.Open, Subject: finding.Subject{Kind: finding.KindSource, Source: "prom"}, Outage: &tt.of}); err != nil {
				t.Fatal(err)
			}
			d.run(0, "findings", "--json")
			if got := d.list(1)[0]["unwatched"]; !reflect.DeepEqual(got, tt.want) {
				t.Errorf("findings: %v, want %v", got, tt.want)
			}
			d.run(0, "sources", "--json")
			for key, want := range tt.want {
				if got := d.list(1)[0][key]; got != want {
					t.Errorf("sources: %s is %v, want %v", key, got, want)
				}
			}
		})
	}
}

// What went missing together on a droplet is one line that names it.
func TestMissingTogether(t *testing.T) {
	terminalInCET(t)
	d := newDesk(t, "")
	s := d.open()
	defer s.Close()
	began := time.Date(2026, 11, 28, 23, 30, 0, 0, time.UTC)
	f := finding.Finding{ID: "f-missing", State: finding.Open, Severity: finding.High, Opened: began, Began: began, Source: "prometheus",
		Subject: finding.Subject{Kind: finding.KindMissing, DropletID: "4711", DropletName: "web-1"}, Missing: &finding.Missing{Workers: []string{"mail\x1b[2J", "video"}, Memory: true, Off: true}}
	if err := s.OpenFinding(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	d.run(0, "findings")
	d.says("high", "missing", "web-1", "f-missing: 2 workers of this droplet have not been seen since 29 Nov 00:30 CET: mail[2J and video, nor its memory. DigitalOcean says that the droplet is off.")
	d.run(0, "findings", "--json")
	want := map[string]any{"workers": []any{"mail\x1b[2J", "video"}, "back": []any{}, "memory": true, "off": true}
	if x := d.list(1)[0]; !reflect.DeepEqual(x["missing"], want) || x["unwatched"] != nil || x["kind"] != "missing" {
		t.Errorf("%v", x)
	}
}
