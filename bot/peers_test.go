package bot

import (
	"strings"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/history"
	"github.com/dropleak/dropleak/bot/watch"
)

// TestPeers: who can be counted on, and what is said of the others.
func TestPeers(t *testing.T) {
	now := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	ago := func(d time.Duration) time.Time { return now.Add(-d) }
	agent := history.Presence{DropletID: "1", Last: ago(10 * time.Second), Interval: time.Minute}
	well := history.Presence{DropletID: "1", Worker: "mail", Last: ago(time.Minute), Interval: time.Minute}
	with := func(change func(*history.Presence)) history.Presence { p := well; change(&p); return p }
	silent := func(worker string, state finding.State) []finding.Finding {
		return []finding.Finding{{State: state, Subject: finding.Subject{Kind: finding.KindSilent, DropletID: "1", Worker: worker}}}
	}
	together := func(worker string, state finding.State) []finding.Finding {
		return []finding.Finding{{State: state, Subject: finding.Subject{Kind: finding.KindMissing, DropletID: "1"}, Missing: &finding.Missing{Workers: []string{worker, "x"}, Back: []string{"y"}}}}
	}
	again := silent("mail", finding.Open)
	again[0].Heard = ago(time.Minute)
	for name, c := range map[string]struct {
		seen    []history.Presence
		live    []finding.Finding
		none    bool
		missing string
	}{
		"heard of":                       {seen: []history.Presence{agent, well}},
		"three intervals ago":            {seen: []history.Presence{agent, with(func(p *history.Presence) { p.Last = ago(3 * time.Minute) })}},
		"longer ago":                     {seen: []history.Presence{agent, with(func(p *history.Presence) { p.Last = ago(181 * time.Second) })}, missing: "not seen since 2026-11-22T11:56:00Z"},
		"heard of once":                  {seen: []history.Presence{agent, with(func(p *history.Presence) { p.Interval = 0 })}},
		"once, its agent too":            {seen: []history.Presence{with(func(p *history.Presence) { p.Interval = 0 })}, missing: "heard of only once"},
		"another source hears it":        {seen: []history.Presence{with(func(p *history.Presence) { p.Last = ago(time.Hour) }), with(func(p *history.Presence) { p.Source = "ssh" })}},
		"another source does not":        {seen: []history.Presence{well, with(func(p *history.Presence) { p.Source, p.Last = "ssh", ago(time.Hour) })}},
		"it is silent":                   {seen: []history.Presence{agent, well}, live: silent("mail", finding.Open), missing: "silent is open"},
		"it is silent, and muted":        {seen: []history.Presence{agent, well}, live: silent("mail", finding.Muted), missing: "silent is open"},
		"its agent is silent":            {seen: []history.Presence{agent, well}, live: silent("", finding.Open), missing: "silent is open"},
		"heard of again":                 {seen: []history.Presence{agent, well}, live: again},
		"another is silent":              {seen: []history.Presence{agent, well}, live: silent("web", finding.Open)},
		"missing with others":            {seen: []history.Presence{agent, well}, live: together("mail", finding.Open), missing: "silent is open"},
		"others are missing":             {seen: []history.Presence{agent, well}, live: together("web", finding.Open)},
		"they were missing":              {seen: []history.Presence{agent, well}, live: together("mail", finding.Resolved)},
		"it leaks":                       {seen: []history.Presence{agent, well}, live: []finding.Finding{{State: finding.Open, Subject: finding.Subject{Kind: finding.KindLeak, DropletID: "1", Worker: "mail"}}}},
		"from a file":                    {seen: []history.Presence{with(func(p *history.Presence) { p.Source = history.SourceImport })}, none: true},
		"on a droplet that left":         {seen: []history.Presence{with(func(p *history.Presence) { p.DropletID = "2" })}, none: true},
		"a droplet that has none of all": {seen: []history.Presence{agent}, none: true},
	} {
		t.Run(name, func(t *testing.T) {
			got := peersOf(watch.Fleet{Droplets: []watch.Droplet{{ID: "1", Name: "web-1"}}}, c.seen, c.live, now)
			if c.none {
				if len(got) != 0 {
					t.Fatalf("knows %+v", got)
				}
				return
			}
			if len(got) != 1 || got[0].Title() != "mail on web-1" {
				t.Fatalf("knows %+v", got)
			}
			if m := got[0].Missing; (m == "") != (c.missing == "") || !strings.Contains(m, c.missing) {
				t.Errorf("missing %q, want %q", m, c.missing)
			}
		})
	}
}
