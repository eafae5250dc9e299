package watch_test

import (
	"fmt"
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
		{"exactly three intervals", []history.Presence{agent, ago("mailer", "", 6*time.Minute, 2*time.Minute)}, "", ""},
		{"three intervals, but not for long", []history.Presence{agent, ago("mailer", "", 5*time.Minute, time.Minute)}, "", ""},
		{"a worker", []history.Presence{agent, ago("mailer", "", 5*time.Minute+time.Second, time.Minute)}, "opened silent mailer", "not been seen since " + now.Add(-5*time.Minute-time.Second).Format("2 Jan 15:04 UTC")},
		{"an agent, its workers not named one by one", []history.Presence{ago("", "", 6*time.Minute, time.Minute), ago("mailer", "", 6*time.Minute, time.Minute)},
			"opened silent", "the agent has not reported since "},
		{"an agent for three intervals, its workers not named", []history.Presence{ago("", "", 4*time.Minute, time.Minute), ago("mailer", "", time.Hour, time.Minute)}, "", ""},
		{"metrics that are late", []history.Presence{agent, fresh, ago("", "digitalocean", 15*time.Minute, 2*time.Minute)}, "", ""},
		{"a droplet without metrics", []history.Presence{agent, fresh, ago("", "digitalocean", 16*time.Minute, 2*time.Minute)},
			"opened no_metrics", "no memory from DigitalOcean since "},
		{"a worker of a pulled source", []history.Presence{ago("", "digitalocean", time.Minute, 2*time.Minute), ago("mailer", "prometheus", 16*time.Minute, time.Minute)},
			"opened no_metrics mailer", "nothing from the source prometheus since " + now.Add(-16*time.Minute).Format("2 Jan 15:04 UTC") + "; dropleak sources says"},
		{"a droplet by its last source", []history.Presence{ago("", "digitalocean", time.Hour, 2*time.Minute), ago("", "prometheus", 20*time.Minute, time.Minute)},
			"opened no_metrics", "nothing from the source prometheus since " + now.Add(-20*time.Minute).Format("2 Jan 15:04 UTC")},
		{"the slowest source is missed last", []history.Presence{ago("", "digitalocean", 20*time.Minute, 2*time.Minute), ago("", "slow", 25*time.Minute, 10*time.Minute)}, "", ""},
		{"a source that told once is none to wait for", []history.Presence{ago("", "trial", 16*time.Minute, 0), ago("", "digitalocean", 17*time.Minute, 2*time.Minute)},
			"opened no_metrics", "no memory from DigitalOcean since "},
		{"an import is no source", []history.Presence{ago("", "import", time.Minute, time.Minute), ago("", "digitalocean", 17*time.Minute, 2*time.Minute)},
			"opened no_metrics", "no memory from DigitalOcean since "},
		{"agent and metrics", []history.Presence{ago("", "", 6*time.Minute, time.Minute), ago("", "digitalocean", 16*time.Minute, 2*time.Minute)},
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
	b.deaf, b.every = true, time.Hour
	for _, wait := range []time.Duration{6 * time.Minute, 7 * time.Minute} {
		if told := b.scan(monday.Add(wait)); told != "opened silent" {
			t.Fatalf("while Slack is away, told %q", told)
		}
	}
	b.deaf = false
	b.scan(monday.Add(8 * time.Minute))
	if told := b.scan(monday.Add(9 * time.Minute)); told != "" {
		t.Fatalf("told %q again", told)
	}
	heard := func(at time.Duration, want string) {
		t.Helper()
		b.seen[0].Last = monday.Add(at)
		if told := b.scan(monday.Add(at)); told != want {
			t.Fatalf("after %v told %q, want %q", at, told, want)
		}
	}
	heard(10*time.Minute, "heard silent")
	heard(69*time.Minute, "")
	heard(70*time.Minute, "resolved silent")
	heard(71*time.Minute, "")
	if told := b.scan(monday.Add(80 * time.Minute)); told != "opened silent" {
		t.Errorf("silent again: told %q", told)
	}
}

// What comes and goes is one finding with one message, which says how it
// stands; it is over once it was heard of for an hour in one piece.
func TestSilenceThatComesAndGoes(t *testing.T) {
	for _, tt := range []struct {
		name, source string
		every        time.Duration
		gap          time.Duration // of each silence, between two times it is heard of
		want         string        // told over four hours of it, then two of peace
		says         string
	}{
		{"metrics", "digitalocean", 2 * time.Minute, 20 * time.Minute, "opened 1, heard 12, hushed 11, resolved 1", "no memory came from DigitalOcean from 2 Mar 03:40 UTC to 2 Mar 04:00 UTC"},
		{"metrics, gaps too short to tell", "digitalocean", 2 * time.Minute, 14 * time.Minute, "", ""},
		{"an agent", "", time.Minute, 10 * time.Minute, "opened 1, heard 24, hushed 23, resolved 1", "the agent did not report from "},
		{"an agent, hiccups", "", time.Minute, 5 * time.Minute, "", ""},
		{"an agent once an hour", "", time.Minute, 70 * time.Minute, "opened 1, heard 4, hushed 3, resolved 1", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBed(t)
			b.seen = []history.Presence{{DropletID: web.ID, Source: tt.source, Last: monday, Interval: tt.every}}
			count, ids := map[watch.What]int{}, map[string]bool{}
			for after := time.Minute; after < 6*time.Hour; after += time.Minute {
				if after%tt.gap == 0 || after >= 4*time.Hour {
					b.seen[0].Last = monday.Add(after)
				}
				b.scan(monday.Add(after))
				for _, c := range b.told {
					count[c.What]++
					ids[c.Finding.ID] = true
				}
			}
			var words []string
			for _, w := range []watch.What{watch.Opened, watch.Heard, watch.Hushed, watch.Resolved} {
				if count[w] > 0 {
					words = append(words, fmt.Sprintf("%s %d", w, count[w]))
				}
			}
			if got := strings.Join(words, ", "); got != tt.want || len(ids) > 1 {
				t.Errorf("of %d findings told %q, want %q", len(ids), got, tt.want)
			}
			all, err := b.store.Findings(t.Context(), finding.Filter{})
			if err != nil || tt.says != "" && !strings.HasPrefix(all[0].Summary, tt.says) {
				t.Errorf("%v: it says %q, want %q", err, all[0].Summary, tt.says)
			}
		})
	}
}

// Of an hour in which nobody could have heard the worker, since its agent was
// silent or no scan was made, nobody knows: the hour begins anew.
func TestHeardIsOfOnePiece(t *testing.T) {
	for _, tt := range []struct {
		name           string
		every          time.Duration // between scans
		silent, unseen bool          // from 16 min to 80 min: the agent, and with it the worker; the service
		want           string
	}{
		{"heard all the time", 5 * time.Minute, false, false, "1h10m0s resolved silent mailer"},
		{"the agent is silent meanwhile", 5 * time.Minute, true, false,
			"25m0s opened silent, 1h20m0s heard silent, 2h20m0s resolved silent, resolved silent mailer"},
		{"the service is down meanwhile", 5 * time.Minute, false, true, "2h20m0s resolved silent mailer"},
		{"scans are rare", time.Hour, false, false, "2h0m0s resolved silent mailer"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := newBed(t)
			b.every = tt.every
			b.seen = []history.Presence{{DropletID: web.ID, Last: monday, Interval: time.Minute}, {DropletID: web.ID, Worker: "mailer", Last: monday.Add(-10 * time.Minute), Interval: time.Minute}}
			if told := b.scan(monday); told != "opened silent mailer" {
				t.Fatalf("told %q", told)
			}
			var told []string
			for after := 5 * time.Minute; after <= 150*time.Minute; after += 5 * time.Minute {
				away := after > 15*time.Minute && after < 80*time.Minute
				for i := range b.seen {
					if after >= 10*time.Minute && !(away && tt.silent) || i == 0 && !away {
						b.seen[i].Last = monday.Add(after)
					}
				}
				if away && tt.unseen || after%tt.every != 0 {
					continue
				}
				edits := b.scan(monday.Add(after))
				if edits != "" && edits != "heard silent mailer" {
					told = append(told, after.String()+" "+edits)
				}
			}
			if got := strings.Join(told, ", "); got != tt.want {
				t.Errorf("told %q, want %q", got, tt.want)
			}
		})
	}
}

// A source that died, was renamed or removed is remembered for months. While
// another tells of the same droplet and worker, nothing is amiss; and when that
// one falls silent and comes back, this is told once each.
func TestOneOfTwoSourcesIsSilent(t *testing.T) {
	for name, other := range map[string]string{"it comes first": "alloy", "it comes last": "zabbix"} {
		t.Run(name, func(t *testing.T) {
			b := newBed(t)
			dead := history.Presence{DropletID: web.ID, Source: other, Last: monday.Add(-72 * time.Hour), Interval: time.Minute}
			worker := dead
			worker.Worker = "mailer"
			b.seen = []history.Presence{dead, {DropletID: web.ID, Source: "prometheus"}, worker, {DropletID: web.ID, Worker: "mailer", Source: "prometheus"}}
			slices.SortStableFunc(b.seen, func(a, b history.Presence) int { return strings.Compare(a.Source, b.Source) })
			var told []string
			for after := time.Duration(0); after <= 4*time.Hour; after += 5 * time.Minute {
				for i, p := range b.seen {
					if quiet := after > time.Hour && after < 2*time.Hour; p.Source == "prometheus" && !quiet {
						b.seen[i].Last, b.seen[i].Interval = monday.Add(after), 5*time.Minute
					}
				}
				if said := b.scan(monday.Add(after)); said != "" {
					told = append(told, after.String()+" "+said)
				}
			}
			want := []string{"1h20m0s opened missing", "2h0m0s heard missing", "3h0m0s resolved missing"}
			if !slices.Equal(told, want) {
				t.Errorf("told\n%s\nwant\n%s", strings.Join(told, "\n"), strings.Join(want, "\n"))
			}
			all, err := b.store.Findings(t.Context(), finding.Filter{})
			if err != nil || len(all) != 1 || all[0].Summary != "1 worker of this droplet went unseen from 2 Mar 01:00 UTC to 2 Mar 02:00 UTC" || all[0].Source != "prometheus" {
				t.Errorf("%v: it says %+v", err, all)
			}
		})
	}
}

// What is heard of again is told with the time at which it is over, and no
// longer counted among what is silent.
func TestHeardOfAgain(t *testing.T) {
	b := newBed(t)
	b.seen = []history.Presence{{DropletID: web.ID, Last: monday, Interval: time.Minute}}
	b.scan(monday.Add(6 * time.Minute))
	at := monday.Add(10 * time.Minute)
	b.seen[0].Last = at
	s, err := b.watch().Scan(t.Context(), at)
	if err != nil || len(s.Silent) != 0 {
		t.Errorf("%v, silent %+v", err, s.Silent)
	}
	want := "the agent did not report from " + monday.Format("2 Jan 15:04 UTC") + " to " + at.Format("2 Jan 15:04 UTC") +
		"; it is heard of again, and this closes at " + at.Add(time.Hour).Format("2 Jan 15:04 UTC") + " if it stays so"
	if f := b.the(); f.Summary != want || !f.Heard.Equal(at) {
		t.Errorf("heard of since %v, it says %q, want %q", f.Heard, f.Summary, want)
	}
	s, err = b.watch().Scan(t.Context(), at.Add(6*time.Minute))
	if f := b.the(); err != nil || len(s.Silent) != 1 || !f.Heard.IsZero() || !f.Began.Equal(at) {
		t.Errorf("%v, silent %+v, the finding %+v", err, s.Silent, f)
	}
}

// Silence that somebody knows of is not told again until it was interrupted.
func TestDismissedSilence(t *testing.T) {
	b := newBed(t)
	b.seen = []history.Presence{{DropletID: web.ID, Last: monday, Interval: time.Minute}}
	b.scan(monday.Add(6 * time.Minute))
	b.change(b.the().ID, func(f *finding.Finding) {
		if err := f.Dismiss("U1", "retired", monday.Add(7*time.Minute)); err != nil {
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
	b.scan(monday.Add(6 * time.Minute))
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

// A restart by a run while the worker is heard of again is no silence either,
// until the run has ended and the worker is not there.
func TestHeardWorkerIsInHand(t *testing.T) {
	b := leaking(t, 40, leak)
	leaks := b.the()
	b.workers[web.ID] = nil
	at := monday.Add(hours(41))
	b.seen = []history.Presence{{DropletID: web.ID, Worker: "mailer", Last: at.Add(-10 * time.Minute), Interval: time.Minute}}
	scan := func(after time.Duration, heard bool, want string) {
		t.Helper()
		if heard {
			b.seen[0].Last = at.Add(after)
		}
		if told := b.scan(at.Add(after)); told != want {
			t.Errorf("after %v told %q, want %q", after, told, want)
		}
	}
	scan(0, false, "opened silent mailer")
	scan(5*time.Minute, true, "heard silent mailer")
	b.change(leaks.ID, func(f *finding.Finding) {
		if err := f.TakeInHand("run", "U1", at); err != nil {
			t.Fatal(err)
		}
	})
	scan(15*time.Minute, false, "")
	b.change(leaks.ID, func(f *finding.Finding) { f.State = finding.Open })
	scan(16*time.Minute, false, "hushed silent mailer")
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
