package watch_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/history"
	"github.com/dropleak/dropleak/bot/watch"
)

// play scans every five minutes of two hours, with what is away at each, and
// says in short what was told and when.
func (b *bed) play(away func(after time.Duration) []string) (told []string) {
	b.t.Helper()
	for after := 5 * time.Minute; after <= 2*time.Hour; after += 5 * time.Minute {
		b.pass(monday.Add(after), away(after))
		if said := b.scan(monday.Add(after)); said != "" {
			told = append(told, after.String()+" "+said)
		}
	}
	return told
}

// since has things away from a moment on, until another where one is given.
func since(from time.Duration, names ...string) func(time.Duration) []string {
	return func(after time.Duration) []string {
		if after > from {
			return names
		}
		return nil
	}
}

// village is one droplet with three workers that its agent tells of, beside DigitalOcean.
func village(t *testing.T) *bed {
	b := newBed(t)
	b.seen = []history.Presence{{DropletID: "1", Source: history.SourceDigitalOcean, Interval: 2 * time.Minute}, {DropletID: "2", Source: history.SourceDigitalOcean, Interval: 2 * time.Minute}}
	for _, worker := range []string{"", "beat", "mail", "video"} {
		b.seen = append(b.seen, history.Presence{DropletID: "1", Worker: worker, Interval: time.Minute})
	}
	b.fleet = append(b.fleet, watch.Droplet{ID: "2", Name: "web-2"})
	b.sources = []watch.Source{{Name: history.SourceDigitalOcean}}
	b.pass(monday, nil)
	return b
}

// bare is the town with DigitalOcean alone telling of the droplets' memory.
func bare(t *testing.T) *bed {
	b := town(t)
	b.seen = slices.DeleteFunc(b.seen, func(p history.Presence) bool { return p.Source == "prometheus" && p.Worker == "" })
	return b
}

// What goes missing together on one droplet is one finding that names it;
// what goes missing alone, or at another time, has its own.
func TestTogether(t *testing.T) {
	for _, tt := range []struct {
		name string
		make func(*testing.T) *bed
		away func(after time.Duration) []string
		want string
		says string
	}{
		{"the workers a source tells of", town, since(0, "prometheus/1"), "20m0s opened missing",
			"2 workers of this droplet have not been seen since 2 Mar 00:00 UTC: mail, video; the source prometheus goes on, see that the droplet runs and is reached"},
		{"the droplet's memory with them", town, since(0, "prometheus/1", "digitalocean/1"), "20m0s opened missing",
			"2 workers of this droplet have not been seen since 2 Mar 00:00 UTC: mail, video; nor its memory; the source"},
		{"its memory ended earlier", bare, func(after time.Duration) []string {
			return slices.Concat(since(0, "digitalocean/1")(after), since(10*time.Minute, "prometheus/1")(after))
		},
			"20m0s opened missing", "not been seen since 2 Mar 00:10 UTC: mail, video; nor its memory; the source"},
		{"its memory ended later", bare, func(after time.Duration) []string {
			return slices.Concat(since(0, "prometheus/1")(after), since(10*time.Minute, "digitalocean/1")(after))
		},
			"20m0s opened missing", "since 2 Mar 00:00 UTC: mail, video; nor its memory; the source"},
		{"one worker with its memory", town, since(0, "prometheus/1/mail", "prometheus/1/", "digitalocean/1"), "20m0s opened missing", "1 worker of this droplet has not been seen since 2 Mar 00:00 UTC: mail; nor its memory"},
		{"one worker alone", town, since(0, "prometheus/1/mail"), "20m0s opened no_metrics mail", "nothing from the source prometheus since"},
		{"its memory alone", town, since(0, "digitalocean/1"), "", ""},
		{"two at two times", town, func(after time.Duration) []string {
			return slices.Concat(since(0, "prometheus/1/mail")(after), since(30*time.Minute, "prometheus/1/video")(after))
		},
			"20m0s opened no_metrics mail, 50m0s opened no_metrics video", ""},
		{"of two droplets", town, since(0, "prometheus/1", "prometheus/2"), "20m0s opened missing, opened missing", ""},
		{"the workers of an agent that goes on", village, since(0, "/1/mail", "/1/video", "/1/beat"), "10m0s opened missing", "3 workers of this droplet have not been seen since 2 Mar 00:00 UTC: beat, mail, video; the agent goes on, see what ended them there"},
		{"one worker of an agent", village, since(0, "/1/mail"), "10m0s opened silent mail", ""},
		{"the agent with them", village, since(0, "/1"), "10m0s opened silent", "the agent has not reported since"},
		{"one more about then", village, func(after time.Duration) []string {
			return slices.Concat(since(0, "/1/mail", "/1/video")(after), since(5*time.Minute, "/1/beat")(after))
		},
			"10m0s opened missing, 15m0s seen missing", "3 workers of this droplet have not been seen since 2 Mar 00:00 UTC: beat, mail, video"},
		{"one more later", village, func(after time.Duration) []string {
			return slices.Concat(since(0, "/1/mail", "/1/video")(after), since(30*time.Minute, "/1/beat")(after))
		},
			"10m0s opened missing, 40m0s opened silent beat", ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := tt.make(t)
			if got := strings.Join(b.play(tt.away), ", "); got != tt.want {
				t.Fatalf("told %q, want %q", got, tt.want)
			}
			if tt.says != "" && !strings.Contains(b.the().Summary, tt.says) {
				t.Errorf("says %q, want %q", b.the().Summary, tt.says)
			}
		})
	}
}

// Nobody waits until each of them counts as missing: between one that does
// and one that soon will lie some seconds.
func TestTogetherWithinSeconds(t *testing.T) {
	for _, late := range []time.Duration{40 * time.Second, 4 * time.Minute} {
		b := village(t)
		var told []string
		for after := 5 * time.Minute; after <= 20*time.Minute; after += time.Minute / 2 {
			b.pass(monday.Add(after), []string{"/1/mail", "/1/video"})
			for i, p := range b.seen {
				if p.Worker == "video" {
					b.seen[i].Last = monday.Add(late)
				}
			}
			if said := b.scan(monday.Add(after)); said != "" {
				told = append(told, after.String()+" "+said)
			}
		}
		want := []string{"5m30s opened missing"}
		if late > time.Minute { // who stops so slowly is no droplet that was switched off
			want = []string{"5m30s opened silent mail", "9m30s opened silent video"}
		}
		if !slices.Equal(told, want) {
			t.Errorf("%v apart: told %q, want %q", late, told, want)
		}
	}
}

// What is seen to have gone minutes apart, when nobody had looked since, went
// together.
func TestTogetherByTheNextScan(t *testing.T) {
	for _, tt := range []struct {
		apart time.Duration
		want  string
	}{{4 * time.Minute, "opened missing"}, {6 * time.Minute, "opened silent mail, opened silent video"}} {
		b := village(t)
		b.pass(monday.Add(tt.apart), []string{"/1/mail"})
		b.pass(monday.Add(time.Hour), []string{"/1/mail", "/1/video"})
		if told := b.scan(monday.Add(time.Hour)); told != tt.want {
			t.Errorf("%v apart: told %q, want %q", tt.apart, told, tt.want)
		}
	}
}

// Some come back and some do not: the finding says who is still missing, is
// over once all were heard for an hour, and wakes if one goes again meanwhile.
func TestTogetherBitByBit(t *testing.T) {
	b := village(t)
	var told []string
	says := map[time.Duration]string{}
	for after := 5 * time.Minute; after <= 4*time.Hour; after += 5 * time.Minute {
		away := []string{"/1/beat", "/1/mail", "/1/video"}
		switch {
		case after >= 80*time.Minute && after < 95*time.Minute:
			away = away[:1]
		case after >= 50*time.Minute:
			away = nil
		case after >= 30*time.Minute:
			away = away[2:]
		}
		b.pass(monday.Add(after), away)
		if said := b.scan(monday.Add(after)); said != "" {
			told, says[after] = append(told, after.String()+" "+said), b.told[0].Finding.Summary
		}
	}
	want := []string{"10m0s opened missing", "30m0s seen missing", "50m0s heard missing", "1h25m0s hushed missing", "1h35m0s heard missing", "2h35m0s resolved missing"}
	if !slices.Equal(told, want) {
		t.Errorf("told\n%s\nwant\n%s", strings.Join(told, "\n"), strings.Join(want, "\n"))
	}
	for after, want := range map[time.Duration]string{
		30 * time.Minute:  "1 of 3 workers of this droplet has not been seen since 2 Mar 00:00 UTC: video; the agent goes on",
		50 * time.Minute:  "3 workers of this droplet went unseen from 2 Mar 00:00 UTC to 2 Mar 00:50 UTC; it is heard of again, and this closes at 2 Mar 01:50 UTC",
		85 * time.Minute:  "1 of 3 workers of this droplet has not been seen since 2 Mar 01:15 UTC: beat; the agent goes on",
		155 * time.Minute: "3 workers of this droplet went unseen from 2 Mar 01:15 UTC to 2 Mar 01:35 UTC",
	} {
		if !strings.HasPrefix(says[after], want) {
			t.Errorf("after %v it says %q, want %q", after, says[after], want)
		}
	}
	if f := b.ended(); f.Missing == nil || len(f.Missing.Workers) != 0 || !slices.Equal(f.Missing.Back, []string{"beat", "mail", "video"}) {
		t.Errorf("over, with %+v", f.Missing)
	}
}

// A droplet that is switched off is said to be; one that is destroyed is no
// trouble: a finding about it ends, and none begins.
func TestADropletIsSwitchedOff(t *testing.T) {
	for _, tt := range []struct {
		name    string
		off     bool
		destroy time.Duration // 0: not
		want    string
	}{
		{"off", true, 0, "20m0s opened missing"},
		{"destroyed at once", false, 5 * time.Minute, ""},
		{"destroyed later", true, 40 * time.Minute, "20m0s opened missing, 50m0s left missing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := town(t)
			b.fleet[0].Off = tt.off
			got := b.play(func(after time.Duration) []string {
				if after == tt.destroy {
					b.fleet = b.fleet[1:]
				}
				return []string{"prometheus/1", "digitalocean/1"}
			})
			if strings.Join(got, ", ") != tt.want {
				t.Errorf("told %q, want %q", got, tt.want)
			}
			if tt.destroy == 0 && !strings.HasSuffix(b.the().Summary, "nor its memory; DigitalOcean says that the droplet is off") {
				t.Errorf("says %q", b.the().Summary)
			}
		})
	}
}

// A live finding that an older release stored anew, and that so lost who is
// missing, goes on with what a person decided, or ends where no two are.
func TestTogetherIsNameless(t *testing.T) {
	for _, tt := range []struct {
		name string
		lost time.Duration // when
		then func(*bed, time.Duration) []string
		want string
	}{
		{"they are still missing", 35 * time.Minute, nil, "20m0s opened missing, 35m0s seen missing"},
		{"they come back later", 35 * time.Minute, func(_ *bed, after time.Duration) []string {
			if after >= 50*time.Minute {
				return nil
			}
			return []string{"prometheus/1"}
		}, "20m0s opened missing, 35m0s seen missing, 50m0s heard missing, 1h50m0s resolved missing"},
		{"they came back meanwhile", 35 * time.Minute, func(*bed, time.Duration) []string { return nil }, "20m0s opened missing, 25m0s heard missing, 35m0s resolved missing"},
		{"one did", 35 * time.Minute, func(*bed, time.Duration) []string { return []string{"prometheus/1/mail"} }, "20m0s opened missing, 25m0s seen missing, 35m0s opened no_metrics mail, resolved missing"},
		{"their source is silent", 55 * time.Minute, func(_ *bed, after time.Duration) []string {
			return since(30*time.Minute, "prometheus")(after)
		}, "20m0s opened missing, 25m0s heard missing, 50m0s opened source prometheus"},
		{"nobody is to tell of them any more", 35 * time.Minute, func(b *bed, after time.Duration) []string {
			if after == 35*time.Minute {
				b.sources[1].Name = "elsewhere"
			}
			return []string{"prometheus/1"}
		}, "20m0s opened missing, 35m0s resolved missing"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := town(t)
			got := strings.Join(b.play(func(after time.Duration) []string {
				if after == tt.lost {
					b.change(together(b), func(f *finding.Finding) {
						f.Missing, f.State, f.By = nil, finding.Acknowledged, "U1"
					})
				}
				if after < 25*time.Minute || tt.then == nil {
					return []string{"prometheus/1"}
				}
				return tt.then(b, after)
			}), ", ")
			if got != tt.want {
				t.Fatalf("told %q, want %q", got, tt.want)
			}
			if tt.then == nil {
				f := b.the()
				if f.State != finding.Acknowledged || f.Missing == nil || !slices.Equal(f.Missing.Workers, []string{"mail", "video"}) {
					t.Errorf("it is %s, about %+v", f.State, f.Missing)
				}
			}
		})
	}
}

// together is the id of the live finding about what went missing together.
func together(b *bed) string {
	f, err := b.store.LiveFinding(b.t.Context(), finding.Subject{Kind: finding.KindMissing, DropletID: "1"}.Key())
	if err != nil {
		b.t.Fatal(err)
	}
	return f.ID
}

// Where nobody is to tell of the workers any more, they are not seen again,
// and the finding says why it ends. Their droplet's memory has its own then.
func TestTogetherWithoutItsSource(t *testing.T) {
	b := bare(t)
	var why string
	got := strings.Join(b.play(func(after time.Duration) []string {
		if after == 40*time.Minute {
			b.sources[1].Name = "elsewhere"
		}
		if after == 45*time.Minute {
			for _, f := range b.store.by {
				if f.Subject.Kind == finding.KindMissing {
					why = f.Summary + "; " + f.Why
				}
			}
		}
		return []string{"prometheus/1", "digitalocean/1"}
	}), ", ")
	if want := "20m0s opened missing, 40m0s left missing, 45m0s opened no_metrics"; !strings.HasPrefix(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
	if !strings.HasPrefix(why, "2 workers of this droplet have not been seen since") || !strings.HasSuffix(why, "the source prometheus was removed: it is no longer in the configuration, or its token was revoked") {
		t.Errorf("it ended with %q", why)
	}
}

// A droplet that goes off again before its finding has closed is the same
// trouble: its memory, too.
func TestTogetherTwice(t *testing.T) {
	b := bare(t)
	got := b.play(func(after time.Duration) []string {
		if after <= 40*time.Minute || after > 60*time.Minute {
			return []string{"prometheus/1", "digitalocean/1"}
		}
		return nil
	})
	want := []string{"20m0s opened missing", "45m0s heard missing", "1h20m0s hushed missing"}
	if !slices.Equal(got, want) {
		t.Errorf("told %q, want %q", got, want)
	}
	if f := b.the(); !f.Missing.Memory || len(f.Missing.Workers) != 2 {
		t.Errorf("it is about %+v", f.Missing)
	}
}

// What is left of a finding whose workers nobody is to tell of, a memory, is
// followed until it is heard of: nobody has forgotten it.
func TestTogetherOfAMemory(t *testing.T) {
	b := bare(t)
	b.sources[1].Name = "elsewhere"
	f := finding.Finding{ID: "f-old", Version: 1, State: finding.Open, Opened: monday, LastSeen: monday, Began: monday, MessageTS: "1",
		Subject: finding.Subject{Kind: finding.KindMissing, DropletID: "1", DropletName: "web-1"}, Missing: &finding.Missing{Memory: true}}
	if err := b.store.OpenFinding(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	got := strings.Join(b.play(func(after time.Duration) []string {
		if after >= 30*time.Minute {
			return nil
		}
		return []string{"digitalocean/1"}
	}), ", ")
	if !strings.Contains(got, "30m0s heard missing") || !strings.Contains(got, "resolved missing") || strings.Contains(got, "left missing") {
		t.Errorf("told %q", got)
	}
}
