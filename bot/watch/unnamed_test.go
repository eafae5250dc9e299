package watch_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/watch"
)

// What was removed from the configuration is not waited for, however fresh its
// traces: its findings end with these words. What it alone told of is said
// once, a while later, until somebody else tells of it or a person meant that.
func TestARemovedSource(t *testing.T) {
	for _, tt := range []struct {
		name      string
		away      []string
		want      []string
		unwatched int
	}{
		{"that was silent", []string{"prometheus"}, []string{"1h5m0s seen source prometheus"}, 6},
		{"that missed a worker", []string{"prometheus/1/mail"}, []string{"1h5m0s left no_metrics mail", "1h20m0s opened source prometheus"}, 5},
		{"that told of all", nil, []string{"1h20m0s opened source prometheus"}, 6},
		{"that told of what others tell of", []string{"others"}, nil, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := town(t)
			if tt.unwatched == 0 {
				b.standIn()
			}
			at := monday.Add(time.Hour)
			b.pass(at, tt.away)
			b.scan(at)
			b.sources = slices.DeleteFunc(b.sources, func(s watch.Source) bool { return s.Name == "prometheus" })
			b.w = nil // a start
			var told []string
			for after := 65 * time.Minute; after <= 30*time.Hour; after += 5 * time.Minute {
				b.pass(monday.Add(after), []string{"prometheus"})
				if said := b.scan(monday.Add(after)); said != "" {
					told = append(told, after.String()+" "+said)
				}
			}
			if !slices.Equal(told, tt.want) {
				t.Fatalf("told %q, want %q", told, tt.want)
			}
			if tt.unwatched == 0 {
				return
			}
			live, err := b.store.Findings(t.Context(), finding.Filter{Live: true})
			if err != nil || len(live) != 1 || !live[0].Outage.Removed || live[0].Outage.Workers != tt.unwatched || !strings.Contains(live[0].Summary, "was removed") {
				t.Fatalf("%+v, %v", live, err)
			}
			b.standIn()
			b.pass(monday.Add(31*time.Hour), []string{"prometheus"})
			if told := b.scan(monday.Add(31 * time.Hour)); told != "resolved source prometheus" {
				t.Errorf("others tell of all: told %q", told)
			}
		})
	}
}

// standIn has another source tell of all that is told of.
func (b *bed) standIn() {
	for _, p := range b.seen {
		p.Source = "standby"
		b.seen = append(b.seen, p)
	}
	b.sources = append(b.sources, watch.Source{Name: "standby"})
}

// Whoever removed a source and meant it is not told again; and the droplets of
// one may leave, too.
func TestARemovedSourceIsMeant(t *testing.T) {
	for _, dismissed := range []bool{true, false} {
		b := town(t)
		b.sources = b.sources[:1]
		b.pass(monday.Add(20*time.Minute), []string{"prometheus"})
		if told := b.scan(monday.Add(20 * time.Minute)); told != "opened source prometheus" {
			t.Fatalf("told %q", told)
		}
		want := "21h0m0s left source prometheus"
		if dismissed {
			want = ""
			b.change(b.the().ID, func(f *finding.Finding) { f.State, f.Closed = finding.Dismissed, monday.Add(21*time.Minute) })
		} else {
			b.fleet = []watch.Droplet{{ID: "9", Name: "web-9"}}
		}
		var told []string
		for after := 20 * time.Hour; after < 30*time.Hour; after += time.Hour {
			b.pass(monday.Add(after), []string{"prometheus"})
			if said := b.scan(monday.Add(after)); said != "" {
				told = append(told, after.String()+" "+said)
			}
		}
		if got := strings.Join(told, "; "); got != want {
			t.Errorf("dismissed %t: told %q, want %q", dismissed, got, want)
		}
	}
}

// A source that never answered, after a rename with a mistyped address, is told
// though nothing is known that it would tell of, and that it answers ends it.
func TestASourceThatNeverAnswered(t *testing.T) {
	b := town(t)
	b.sources = append(b.sources, watch.Source{Name: "renamed", Since: monday}, watch.Source{Name: "sender", Sends: true, Since: monday})
	var told []string
	for after := time.Duration(0); after <= 3*time.Hour; after += 5 * time.Minute {
		away := []string{"renamed", "sender"}
		if after >= 2*time.Hour {
			away = nil
		}
		b.pass(monday.Add(after), away)
		if after < 10*time.Minute {
			b.sources[2].Asked = time.Time{}
		}
		if said := b.scan(monday.Add(after)); said != "" {
			told = append(told, after.String()+" "+said)
		}
		if after == time.Hour {
			if f := b.the(); !f.Outage.Never || !strings.HasPrefix(f.Summary, "the source renamed never answered") || !strings.HasSuffix(f.Summary, ": connection refused") {
				t.Errorf("%s, %+v", f.Summary, f.Outage)
			}
		}
	}
	if want := []string{"20m0s opened source renamed", "2h0m0s resolved source renamed"}; !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}
