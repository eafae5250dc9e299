package watch_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/history"
	"github.com/dropleak/dropleak/bot/watch"
	"github.com/dropleak/dropleak/detector/synth"
)

func TestSilence(t *testing.T) {
	now := monday
	ago := func(worker, source string, ago, every time.Duration) history.Presence {
		return history.Presence{DropletID: web.ID, Worker: worker, Source: source, Last: now.Add(-ago), Interval: every}
	}
	agent, fresh := ago("", "", time.Minute, time.Minute), ago("mailer", "", time.Minute, time.Minute)
	tests := []struct {
		name string
		seen []history.Presence
		want string
		says string
	}{
		{"all is heard", []history.Presence{agent, fresh, ago("", "digitalocean", 2*time.Minute, 2*time.Minute)}, "", ""},
		{"exactly three intervals", []history.Presence{agent, ago("mailer", "", 3*time.Minute, time.Minute)}, "", ""},
		{"a worker", []history.Presence{agent, ago("mailer", "", 3*time.Minute+time.Second, time.Minute)}, "opened silent mailer", "not been seen since " + now.Add(-3*time.Minute-time.Second).Format("2 Jan 15:04 UTC")},
		{"an agent, its workers not named one by one", []history.Presence{ago("", "", 4*time.Minute, time.Minute), ago("mailer", "", 4*time.Minute, time.Minute)},
			"opened silent", "the agent has not reported since "},
		{"a droplet without metrics", []history.Presence{agent, fresh, ago("", "digitalocean", 7*time.Minute, 2*time.Minute)},
			"opened no_metrics", "no memory from DigitalOcean since "},
		{"agent and metrics", []history.Presence{ago("", "", 4*time.Minute, time.Minute), ago("", "digitalocean", 7*time.Minute, 2*time.Minute)},
			"opened no_metrics, opened silent", ""},
		{"a hiccup of seconds", []history.Presence{ago("", "", 9*time.Second, time.Second)}, "", ""},
		{"heard of once, the agent goes on", []history.Presence{agent, ago("mailer", "", time.Hour, 0)}, "opened silent mailer", "since " + now.Add(-time.Hour).Format("2 Jan 15:04 UTC")},
		{"a droplet that is not ours", []history.Presence{{DropletID: "99", Last: now.Add(-time.Hour), Interval: time.Minute}}, "", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBed(t)
			b.seen = tt.seen
			if told := b.scan(now); told != tt.want {
				t.Fatalf("told %q, want %q", told, tt.want)
			}
			if tt.says != "" && !strings.Contains(b.the().Summary, tt.says) {
				t.Errorf("says %q", b.the().Summary)
			}
			if told := b.scan(now.Add(time.Second)); strings.Contains(told, "opened") && !strings.Contains(told, b.the().Subject.Worker) {
				t.Errorf("told again: %q", told)
			}
		})
	}
}

func TestSilenceEnds(t *testing.T) {
	b := newBed(t)
	b.seen = []history.Presence{{DropletID: web.ID, Last: monday, Interval: time.Minute}}
	b.deaf = true
	for _, wait := range []time.Duration{5 * time.Minute, 6 * time.Minute} {
		if told := b.scan(monday.Add(wait)); told != "opened silent" {
			t.Fatalf("while Slack is away, told %q", told)
		}
	}
	b.deaf = false
	b.scan(monday.Add(7 * time.Minute))
	if told := b.scan(monday.Add(8 * time.Minute)); told != "" {
		t.Fatalf("told %q again", told)
	}
	b.seen[0].Last = monday.Add(9 * time.Minute)
	if told := b.scan(monday.Add(9 * time.Minute)); told != "resolved silent" {
		t.Fatalf("told %q", told)
	}
	if told := b.scan(monday.Add(20 * time.Minute)); told != "opened silent" {
		t.Errorf("silent again: told %q", told)
	}
}

// Silence that somebody knows of is not told again until it was interrupted.
func TestDismissedSilence(t *testing.T) {
	b := newBed(t)
	b.seen = []history.Presence{{DropletID: web.ID, Last: monday, Interval: time.Minute}}
	b.scan(monday.Add(5 * time.Minute))
	b.change(b.the().ID, func(f *finding.Finding) {
		if err := f.Dismiss("U1", "retired", monday.Add(6*time.Minute)); err != nil {
			t.Fatal(err)
		}
	})
	if told := b.scan(monday.Add(10 * time.Minute)); told != "" {
		t.Errorf("told %q", told)
	}
	b.seen[0].Last = monday.Add(20 * time.Minute)
	if told := b.scan(monday.Add(30 * time.Minute)); told != "opened silent" {
		t.Errorf("silent again: told %q", told)
	}
}

// Silence that was muted for a time is told again when the time is over.
func TestMutedSilence(t *testing.T) {
	b := newBed(t)
	b.seen = []history.Presence{{DropletID: web.ID, Last: monday, Interval: time.Minute}}
	b.scan(monday.Add(5 * time.Minute))
	b.change(b.the().ID, func(f *finding.Finding) {
		if err := f.Mute("U1", monday.Add(time.Hour), monday.Add(6*time.Minute)); err != nil {
			t.Fatal(err)
		}
	})
	for _, tt := range []struct {
		after time.Duration
		want  string
	}{{59 * time.Minute, ""}, {61 * time.Minute, "woken silent"}, {62 * time.Minute, ""}} {
		if told := b.scan(monday.Add(tt.after)); told != tt.want {
			t.Errorf("after %v told %q, want %q", tt.after, told, tt.want)
		}
	}
}

// While a run restarts the worker, or its droplet, silence is expected.
func TestSilenceOfARunInHand(t *testing.T) {
	for _, tt := range []struct {
		name, worker, want string
	}{
		{"the worker in hand", "mailer", ""},
		{"its agent, as at a reboot", "", ""},
		{"another worker", "video", "opened silent video"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := leaking(t, 40, leak)
			b.change(b.the().ID, func(f *finding.Finding) {
				if err := f.TakeInHand("run", "U1", monday); err != nil {
					t.Fatal(err)
				}
			})
			b.workers[web.ID] = nil
			at := monday.Add(hours(41))
			b.seen = []history.Presence{{DropletID: web.ID, Worker: tt.worker, Last: at.Add(-10 * time.Minute), Interval: time.Minute}}
			if told := b.scan(at); told != tt.want {
				t.Errorf("told %q, want %q", told, tt.want)
			}
		})
	}
}

// Growth that no worker explains gets the name of what grew.
func TestUnexplainedGrowth(t *testing.T) {
	i := slices.IndexFunc(synth.DropletFamilies(), func(f synth.DropletFamily) bool { return f.Name == "dl3" })
	c := synth.DropletFamilies()[i].Make(5, synth.Params{Days: 3, Every: 4 * time.Minute})
	b := newBed(t, c.Workers...)
	b.droplets[web.ID] = c.Droplet
	opened, last := 0, c.At
	for at := c.At.Add(-hours(48)); !at.After(c.At); at = at.Add(hours(2)) {
		told := b.scan(at)
		opened += strings.Count(told, "opened unexplained")
		if strings.Contains(told, "unexplained") {
			last = at
		}
		if strings.Contains(told, string(watch.Resolved)) {
			t.Errorf("told %q", told)
		}
	}
	if opened != 1 {
		v, _ := b.watch().Look(t.Context(), web, c.At)
		t.Fatalf("opened %d times; the droplet is judged %+v", opened, v.Verdict)
	}
	live, _ := b.store.LiveFinding(t.Context(), finding.Subject{Kind: finding.KindUnexplained, DropletID: web.ID}.Key())
	b.change(live.ID, func(f *finding.Finding) {
		if err := f.Mute("U1", last.Add(-time.Minute), last.Add(-time.Hour)); err != nil {
			t.Fatal(err)
		}
	})
	if told := b.scan(last); told != "woken unexplained" {
		t.Errorf("when its mute has run out: told %q", told)
	}
	if !strings.Contains(live.Summary, c.Culprit) {
		t.Errorf("the suspect is %s, the finding says %q", c.Culprit, live.Summary)
	}
}

func TestExplainedGrowthNamesNobodyElse(t *testing.T) {
	i := slices.IndexFunc(synth.DropletFamilies(), func(f synth.DropletFamily) bool { return f.Name == "dl1" })
	c := synth.DropletFamilies()[i].Make(2, synth.Params{Days: 3, Every: 4 * time.Minute})
	b := newBed(t, c.Workers...)
	b.droplets[web.ID] = c.Droplet
	if told := b.scan(c.At); told != "opened leak "+c.Culprit {
		t.Fatalf("told %q, want the leak of %s", told, c.Culprit)
	}
	if f := b.the(); f.Share < 0.5 || f.Droplet == nil {
		t.Errorf("its share of the growth is %.2f", f.Share)
	}
}
