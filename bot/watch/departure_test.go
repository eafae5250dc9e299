package watch_test

import (
	"strings"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/history"
	"github.com/dropleak/dropleak/bot/watch"
)

// ended returns the only finding, which must be over.
func (b *bed) ended() finding.Finding {
	b.t.Helper()
	all, err := b.store.Findings(b.t.Context(), finding.Filter{})
	if err != nil || len(all) != 1 || !all[0].State.Final() {
		b.t.Fatalf("findings %+v, %v; want one that is over", all, err)
	}
	return all[0]
}

// A droplet that left takes its findings along, which are no cure; and not
// before two lists ten minutes apart lacked it.
func TestADropletLeaves(t *testing.T) {
	b := leaking(t, 60, leak)
	at := monday.Add(hours(41))
	b.seen = []history.Presence{{DropletID: web.ID, Worker: "mailer", Last: at, Interval: time.Minute}}
	b.fleet = []watch.Droplet{{ID: "2", Name: "web-2"}}
	for _, wait := range []time.Duration{0, 5 * time.Minute} {
		if told := b.scan(at.Add(wait)); told != "" {
			t.Fatalf("after %v without it: told %q", wait, told)
		}
	}
	if told := b.scan(at.Add(10 * time.Minute)); told != "left leak mailer" {
		t.Fatalf("told %q", told)
	}
	f := b.ended()
	if f.State != finding.Gone || f.Closed.IsZero() || !strings.Contains(f.Why, "left the fleet") {
		t.Errorf("it ended as %s, because %q", f.State, f.Why)
	}
	if told := b.scan(at.Add(15 * time.Minute)); told != "" {
		t.Errorf("told %q again", told)
	}
	b.fleet, b.seen = append(b.fleet, web), nil
	if told := b.scan(at.Add(time.Hour)); told != "opened leak mailer" {
		t.Errorf("when it is back: told %q", told)
	}
}

// What takes no droplet for gone.
func TestADropletStays(t *testing.T) {
	other := []watch.Droplet{{ID: "2", Name: "web-2"}}
	at := monday.Add(hours(41))
	for name, c := range map[string]struct {
		change func(b *bed)
		next   func(b *bed, pass int)
	}{
		"one list that missed it": {func(*bed) {}, func(b *bed, pass int) {
			if b.fleet = other; pass%2 == 1 {
				b.fleet = []watch.Droplet{web}
			}
		}},
		"a list that grows old": {func(b *bed) { b.fleet = other }, func(b *bed, pass int) { b.aged = time.Duration(pass) * 10 * time.Minute }},
		"a run has it in hand": {func(b *bed) {
			b.fleet = other
			b.change(b.the().ID, func(f *finding.Finding) {
				if err := f.TakeInHand("run", "U1", monday); err != nil {
					t.Fatal(err)
				}
			})
		}, func(*bed, int) {}},
		"a clone is tried on it": {func(b *bed) {
			b.fleet = other
			b.change(b.the().ID, func(f *finding.Finding) { f.Subject.Kind, f.Subject.Worker = finding.KindClone, "" })
		}, func(*bed, int) {}},
	} {
		t.Run(name, func(t *testing.T) {
			b := leaking(t, 60, leak)
			c.change(b)
			for pass := range 8 {
				c.next(b, pass)
				if told := b.scan(at.Add(time.Duration(pass) * 10 * time.Minute)); strings.Contains(told, "left") {
					t.Fatalf("told %q", told)
				}
			}
			b.the()
		})
	}
}

// What history has forgotten is not waited for any longer.
func TestForgotten(t *testing.T) {
	first, later := monday.Add(time.Hour), monday.Add(90*24*time.Hour)
	heard := func(worker, source string, last time.Time) history.Presence {
		return history.Presence{DropletID: web.ID, Worker: worker, Source: source, Last: last, Interval: time.Minute}
	}
	for _, tt := range []struct {
		name        string
		seen, after []history.Presence
		want        string
	}{
		{"an agent", []history.Presence{heard("", "", monday)}, nil, "left silent"},
		{"a worker beside its agent", []history.Presence{heard("", "", first), heard("mailer", "", monday)},
			[]history.Presence{heard("", "", later)}, "left silent mailer"},
		{"a worker's metrics", []history.Presence{heard("mailer", "exporter", monday)}, nil, "left no_metrics mailer"},
		{"an agent that is still known", []history.Presence{heard("", "", monday)}, []history.Presence{heard("", "", monday)}, ""},
		{"a worker that is still known", []history.Presence{heard("", "", first), heard("mailer", "", monday)},
			[]history.Presence{heard("", "", later), heard("mailer", "", monday)}, ""},
		{"metrics that are still known", []history.Presence{heard("", "digitalocean", monday)},
			[]history.Presence{heard("", "digitalocean", monday)}, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBed(t)
			b.seen = tt.seen
			if told := b.scan(first); !strings.HasPrefix(told, "opened") {
				t.Fatalf("told %q", told)
			}
			b.seen = tt.after
			if told := b.scan(later); told != tt.want {
				t.Errorf("told %q, want %q", told, tt.want)
			}
			if tt.want != "" && b.ended().State != finding.Gone {
				t.Errorf("it ended as %s", b.ended().State)
			}
		})
	}
}

// A leak whose worker was removed is over when history has forgotten the
// worker, by whatever source it was known.
func TestAForgottenLeak(t *testing.T) {
	b := leaking(t, 40, leak)
	b.workers[web.ID] = nil
	b.seen = []history.Presence{{DropletID: web.ID, Worker: "mailer", Source: history.SourceImport, Last: monday.Add(hours(40))}}
	for days := 1; days < 90; days += 11 {
		if told := b.scan(monday.Add(hours(40 + 24*float64(days)))); told != "" {
			t.Fatalf("after %d days: told %q", days, told)
		}
	}
	b.seen = nil
	if told := b.scan(monday.Add(hours(40 + 24*91))); told != "left leak mailer" || b.ended().State != finding.Gone {
		t.Errorf("told %q", told)
	}
}
