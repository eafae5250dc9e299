package watch_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/history"
)

// alone stores what an earlier version found of a worker that is missing, and
// returns its id.
func alone(b *bed, worker string) string {
	f := finding.Finding{ID: "f-" + worker, Version: 1, State: finding.Open, Opened: monday, LastSeen: monday, Began: monday, MessageTS: "1",
		Subject: finding.Subject{Kind: finding.KindNoMetrics, DropletID: "1", DropletName: "web-1", Worker: worker}, Source: "prometheus"}
	if err := b.store.OpenFinding(b.t.Context(), f); err != nil {
		b.t.Fatal(err)
	}
	return f.ID
}

// dismiss calls a finding a false alarm.
func dismiss(b *bed, id string, at time.Time) {
	b.change(id, func(f *finding.Finding) {
		if err := f.Dismiss("U1", "retired", at); err != nil {
			b.t.Fatal(err)
		}
	})
}

// knownTogether are workers that go missing together where somebody or something
// knows of them, and what is told then.
var knownTogether = []struct {
	name  string
	first func(*bed)
	away  func(*bed, time.Duration) []string
	want  string
}{
	{"each has a finding by an earlier version", func(b *bed) { alone(b, "mail"); alone(b, "video") }, nil, "5m0s heard no_metrics mail, heard no_metrics video, 20m0s hushed no_metrics mail, hushed no_metrics video"},
	{"each was a false alarm", func(b *bed) { dismiss(b, alone(b, "mail"), monday); dismiss(b, alone(b, "video"), monday) }, nil, ""},
	{"one was", func(b *bed) { dismiss(b, alone(b, "mail"), monday) }, nil, "20m0s opened no_metrics video"},
	{"both together were, and one comes back", nil, func(b *bed, after time.Duration) []string {
		if after == 30*time.Minute {
			dismiss(b, b.the().ID, monday.Add(after))
		}
		if after > 45*time.Minute {
			return []string{"prometheus/1/video"}
		}
		return []string{"prometheus/1"}
	}, "20m0s opened missing"},
	{"and goes again", nil, func(b *bed, after time.Duration) []string {
		if after == 30*time.Minute {
			dismiss(b, b.the().ID, monday.Add(after))
		}
		if after > 45*time.Minute && after < 60*time.Minute {
			return []string{"prometheus/1/video"}
		}
		return []string{"prometheus/1"}
	}, "20m0s opened missing, 1h15m0s opened no_metrics mail"},
	{"a run restarts one", func(b *bed) {
		f := finding.Finding{ID: "f-leak", Version: 1, State: finding.InHand, Subject: finding.Subject{Kind: finding.KindLeak, DropletID: "1", Worker: "mail"}, LastSeen: monday}
		if err := b.store.OpenFinding(b.t.Context(), f); err != nil {
			b.t.Fatal(err)
		}
	}, nil, "20m0s opened no_metrics video"},
	{"a run restarts one while they are heard of again", nil, func(b *bed, after time.Duration) []string {
		if after == 60*time.Minute {
			f := finding.Finding{ID: "f-leak", Version: 1, State: finding.InHand, Subject: finding.Subject{Kind: finding.KindLeak, DropletID: "1", Worker: "mail"}, LastSeen: monday}
			if err := b.store.OpenFinding(b.t.Context(), f); err != nil {
				b.t.Fatal(err)
			}
		}
		if after > 30*time.Minute {
			return since(60*time.Minute, "prometheus/1/mail")(after)
		}
		return []string{"prometheus/1"}
	}, "20m0s opened missing, 35m0s heard missing, 1h35m0s resolved missing"},
	{"another goes after both were called false alarms", nil, func(b *bed, after time.Duration) []string {
		if after == 5*time.Minute {
			p := history.Presence{DropletID: "1", Worker: "beat", Source: "prometheus", Last: monday, Interval: time.Minute}
			b.seen = append(b.seen, p)
		}
		if after == 30*time.Minute {
			dismiss(b, b.the().ID, monday.Add(after))
		}
		return append(since(20*time.Minute, "prometheus/1/beat")(after), "prometheus/1/mail", "prometheus/1/video")
	}, "20m0s opened missing, 40m0s opened no_metrics beat"},
	{"their source falls silent, too", nil, func(_ *bed, after time.Duration) []string {
		if after > 30*time.Minute && after < 70*time.Minute {
			return []string{"prometheus"}
		}
		return []string{"prometheus/1"}
	}, "20m0s opened missing, 50m0s opened source prometheus, 1h10m0s heard source prometheus"},
	{"their source falls silent while they are heard of again", nil, func(_ *bed, after time.Duration) []string {
		switch {
		case after < 35*time.Minute:
			return []string{"prometheus/1"}
		case after > 60*time.Minute && after < 100*time.Minute:
			return []string{"prometheus"}
		}
		return nil
	}, "20m0s opened missing, 35m0s heard missing, 1h20m0s opened source prometheus, 1h40m0s heard source prometheus"},
	{"their source is removed", nil, func(b *bed, after time.Duration) []string {
		if after == 30*time.Minute {
			b.sources[1].Name = "elsewhere"
		}
		return []string{"prometheus/1"}
	}, "20m0s opened missing, 30m0s left missing"},
	{"they are forgotten", nil, func(b *bed, after time.Duration) []string {
		if after == 30*time.Minute {
			b.seen = slices.DeleteFunc(b.seen, func(p history.Presence) bool { return p.DropletID == "1" && p.Worker != "" })
		}
		return []string{"prometheus/1"}
	}, "20m0s opened missing, 30m0s left missing"},
}

// What a person knows of, what an earlier version found and what a run does
// opens no finding about several.
func TestTogetherIsKnown(t *testing.T) {
	for _, tt := range knownTogether {
		t.Run(tt.name, func(t *testing.T) {
			b := town(t)
			if tt.first != nil {
				tt.first(b)
			}
			got := strings.Join(b.play(func(after time.Duration) []string {
				if tt.away == nil {
					return []string{"prometheus/1"}
				}
				return tt.away(b, after)
			}), ", ")
			if got != tt.want {
				t.Errorf("told %q, want %q", got, tt.want)
			}
		})
	}
}
