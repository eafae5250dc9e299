package watch_test

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/history"
	"github.com/dropleak/dropleak/bot/watch"
	"github.com/dropleak/dropleak/detector"
)

// An outage that no scan fell into is in the samples: what fell silent with it
// has as long to follow as after one that was found. Two hours are scanned,
// hourly; the outage is from 10 minutes on, and the first scan at 60.
func TestAnOutageBetweenTwoScans(t *testing.T) {
	at := func(minutes int) time.Time { return monday.Add(time.Duration(minutes) * time.Minute) }
	told := func(source string, to int) history.Coverage {
		return history.Coverage{DropletID: "1", Worker: "mail", Source: source, Readings: 100, Gaps: []detector.Gap{{From: at(-300), To: at(-200)}, {From: at(10), To: at(to)}}}
	}
	for _, tt := range []struct {
		name  string
		whole []history.Coverage
		stays bool // the rest
		fails error
		want  string
	}{
		{"it has just ended", []history.Coverage{told("prometheus", 50)}, false, nil, ""},
		{"and the rest does not follow", []history.Coverage{told("prometheus", 50)}, true, nil, "2h0m0s opened missing, opened missing"},
		{"it ended long before", []history.Coverage{told("prometheus", 40)}, false, nil, "1h0m0s opened missing, opened missing; 2h0m0s heard missing, heard missing"},
		{"there was none", []history.Coverage{{Worker: "mail", Source: "prometheus", Readings: 100}}, false, nil, "1h0m0s opened missing, opened missing; 2h0m0s heard missing, heard missing"},
		{"one of another", []history.Coverage{told("zabbix", 50), {Worker: "mail", Source: "prometheus", Readings: 10}}, false, nil, "1h0m0s opened missing, opened missing; 2h0m0s heard missing, heard missing"},
		{"one at another time", []history.Coverage{{Worker: "mail", Source: "prometheus", Readings: 100, Gaps: []detector.Gap{{From: at(30), To: at(50)}}}}, false, nil, "1h0m0s opened missing, opened missing; 2h0m0s heard missing, heard missing"},
		{"none that ended", []history.Coverage{{Worker: "mail", Source: "prometheus", Readings: 100, Gaps: []detector.Gap{{From: at(10), To: at(60)}}}}, false, nil, "1h0m0s opened missing, opened missing; 2h0m0s heard missing, heard missing"},
		{"nobody can tell", nil, false, errors.New("the store is away"), "1h0m0s opened missing, opened missing; 2h0m0s heard missing, heard missing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := town(t)
			b.every, b.whole, b.broken["whole"] = time.Hour, tt.whole, tt.fails
			var got []string
			for minutes := 1; minutes <= 120; minutes++ {
				rest := []string{"prometheus/2", "prometheus/3"}
				switch {
				case minutes > 10 && minutes < 50:
					b.pass(at(minutes), []string{"prometheus"})
				case minutes <= 10 || minutes > 70 && !tt.stays:
					b.pass(at(minutes), nil)
				default:
					b.pass(at(minutes), rest)
				}
				if minutes%60 != 0 {
					continue
				}
				if said := b.scan(at(minutes)); said != "" {
					got = append(got, at(minutes).Sub(monday).String()+" "+said)
				}
			}
			if strings.Join(got, "; ") != tt.want {
				t.Errorf("told %q, want %q", got, tt.want)
			}
		})
	}
}

// Two senders share one label in the samples; each is looked for by it.
func TestAnOutageOfASenderBetweenTwoScans(t *testing.T) {
	b := town(t)
	b.sent(map[string][]string{"1": {"sender/east"}, "2": {"sender/east"}, "3": {"sender/west"}})
	b.sources = append(b.sources, watch.Source{Name: "idle", Sends: true})
	b.whole = []history.Coverage{{Worker: "mail", Source: "sender", Readings: 9, Gaps: []detector.Gap{{From: monday, To: monday.Add(50 * time.Minute)}}}}
	b.pass(monday, nil)
	b.pass(monday.Add(time.Hour), []string{"sender/east/2"})
	if told := b.scan(monday.Add(time.Hour)); told != "" {
		t.Errorf("told %q", told)
	}
}
