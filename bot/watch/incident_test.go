package watch_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/watch"
	"github.com/dropleak/dropleak/detector"
)

// deployed is a bed of n droplets on which mailer leaks since their own hour.
func deployed(t *testing.T, began ...float64) *bed {
	b := newBed(t)
	b.fleet = nil
	for i, hour := range began {
		d := watch.Droplet{ID: fmt.Sprint(i + 1), Name: fmt.Sprint("web-", i+1)}
		w := line("mailer", monday, monday.Add(hours(60)), func(h float64) float64 {
			return 200*mib + 40*mib*max(h-hour, 0)
		})
		w.Droplet, w.App = d.ID, "shop"
		b.fleet, b.workers[d.ID] = append(b.fleet, d), []detector.Worker{w}
	}
	return b
}

// One bad deploy is one incident before anybody is told of it, also where
// another replica gathers the same findings; a leak of another hour is not
// part of it.
func TestOneDeployIsOneIncident(t *testing.T) {
	b := deployed(t, 24, 24, 25, 40)
	at := monday.Add(hours(60))
	b.scan(at)
	incidents := map[string]int{}
	for _, c := range b.told {
		if c.Finding.App != "shop" || c.Finding.Began.IsZero() {
			t.Errorf("%s: app %q, began %v", c.Finding.Subject.Title(), c.Finding.App, c.Finding.Began)
		}
		incidents[c.Finding.Incident]++
	}
	if len(b.told) != 4 || len(incidents) != 2 || incidents[""] != 1 {
		for _, c := range b.told {
			t.Logf("%s began %v, incident %q", c.Finding.Subject.Title(), c.Finding.Began.Sub(monday), c.Finding.Incident)
		}
		t.Fatalf("incidents %v", incidents)
	}
	b.w = b.watch()
	b.scan(at.Add(time.Minute))
	again, err := b.store.Findings(t.Context(), finding.Filter{Live: true})
	if err != nil {
		t.Fatal(err)
	}
	for _, f := range again {
		for _, c := range b.told {
			if c.Finding.ID == f.ID && c.Finding.Incident != f.Incident {
				t.Errorf("%s moved from %q to %q", f.ID, c.Finding.Incident, f.Incident)
			}
		}
	}
}
