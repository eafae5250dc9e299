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
)

// town is three droplets with two workers each, of which a Prometheus tells,
// while DigitalOcean tells of the droplets. All was told of a moment before.
func town(t *testing.T) *bed {
	b := newBed(t)
	b.fleet = nil
	for i := range 3 {
		d := watch.Droplet{ID: fmt.Sprint(i + 1), Name: fmt.Sprint("web-", i+1)}
		b.fleet = append(b.fleet, d)
		b.seen = append(b.seen, history.Presence{DropletID: d.ID, Source: history.SourceDigitalOcean, Interval: 2 * time.Minute})
		for _, worker := range []string{"", "mail", "video"} {
			b.seen = append(b.seen, history.Presence{DropletID: d.ID, Worker: worker, Source: "prometheus", Interval: time.Minute})
		}
	}
	b.sources = []watch.Source{{Name: history.SourceDigitalOcean}, {Name: "prometheus"}}
	b.pass(monday, nil)
	return b
}

// pass has all that is not away tell at a time, and each source answer that is
// not away as a whole: "prometheus", "prometheus/1", "prometheus/1/mail".
func (b *bed) pass(at time.Time, away []string) {
	for i, p := range b.seen {
		whole, droplet := p.Source, p.Source+"/"+p.DropletID
		gone := func(name string) bool { return slices.Contains(away, name) }
		if !gone(whole) && !gone("data of "+whole) && !gone(droplet) && !gone(droplet+"/"+p.Worker) {
			b.seen[i].Last = at
		}
	}
	for i, s := range b.sources {
		b.sources[i].Asked, b.sources[i].Trouble = at, "connection refused"
		if !slices.Contains(away, s.Name) {
			b.sources[i].Answered, b.sources[i].Trouble = at, ""
		}
	}
}

// One source that is silent is one finding, whatever it told of; one thing that
// goes missing while its source goes on is its own.
func TestASilentSource(t *testing.T) {
	agent := func(worker string) history.Presence {
		return history.Presence{DropletID: "1", Worker: worker, Interval: time.Minute}
	}
	for _, tt := range []struct {
		name  string
		away  []string
		more  []history.Presence
		alter func(*bed)
		want  string
		says  string
	}{
		{"the source", []string{"prometheus"}, nil, nil, "20m0s opened source prometheus",
			"nothing from the source prometheus since 2 Mar 00:00 UTC: 6 workers on 3 droplets are not watched; see that it runs and can be reached, dropleak sources says how it stands; in place of an answer came: connection refused"},
		{"what it asks", []string{"data of prometheus"}, nil, nil, "20m0s opened source prometheus", "though it answers: 6 workers on 3 droplets are not watched; see that it still measures them"},
		{"a worker", []string{"prometheus/1/mail"}, nil, nil, "20m0s opened no_metrics mail", ""},
		{"a droplet of it", []string{"prometheus/1"}, nil, nil, "20m0s opened missing", "2 workers of this droplet have not been seen since 2 Mar 00:00 UTC: mail, video; the source prometheus goes on"},
		{"DigitalOcean", []string{"digitalocean"}, nil, func(b *bed) {
			b.seen = slices.DeleteFunc(b.seen, func(p history.Presence) bool { return p.Source == "prometheus" })
		}, "20m0s opened source digitalocean", "nothing from the source digitalocean since 2 Mar 00:00 UTC: the memory of 3 droplets is not watched"},
		{"DigitalOcean, beside agents", []string{"digitalocean"}, []history.Presence{agent("")}, func(b *bed) {
			b.seen = slices.DeleteFunc(b.seen, func(p history.Presence) bool { return p.Source == "prometheus" })
		}, "20m0s opened source digitalocean", "the memory of 2 droplets is not watched"},
		{"DigitalOcean, beside agents everywhere", []string{"digitalocean"}, []history.Presence{agent(""), {DropletID: "2", Interval: time.Minute}, {DropletID: "3", Interval: time.Minute}}, func(b *bed) {
			b.seen = slices.DeleteFunc(b.seen, func(p history.Presence) bool { return p.Source == "prometheus" })
		}, "", ""},
		{"all of it", []string{"digitalocean", "prometheus"}, nil, nil, "20m0s opened source digitalocean, opened source prometheus", ""},
		{"the agent goes on", []string{"prometheus"}, []history.Presence{agent(""), agent("mail")}, nil, "20m0s opened source prometheus", "5 workers on 3 droplets are not watched"},
		{"others tell of all of it", []string{"prometheus"}, nil, func(b *bed) {
			for _, p := range b.seen {
				p.Source = "standby"
				b.seen = append(b.seen, p)
			}
			b.sources = append(b.sources, watch.Source{Name: "standby"})
		}, "", ""},
		{"a sender", []string{"sender"}, nil, func(b *bed) {
			for i, p := range b.seen {
				b.seen[i].Source = strings.Replace(p.Source, "prometheus", "sender", 1)
			}
			b.sources[1] = watch.Source{Name: "sender", Sends: true}
		}, "20m0s opened source sender", "6 workers on 3 droplets are not watched; see that whoever sends it runs"},
		{"nobody asked it", []string{"prometheus"}, nil, func(b *bed) { b.sources[1].Name = "elsewhere" }, "20m0s opened source prometheus", "was removed (it is no longer in the configuration, or its token was revoked), and nobody else tells of what it told of: 6 workers on 3 droplets"},
		{"its only worker, which it answers without", []string{"data of prometheus"}, nil, func(b *bed) { b.seen = b.seen[:3] }, "20m0s opened no_metrics mail", ""},
		{"its only worker, with it", []string{"prometheus"}, nil, func(b *bed) { b.seen = b.seen[:3] }, "20m0s opened source prometheus", "1 worker on 1 droplet is not watched"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := town(t)
			if tt.alter != nil {
				tt.alter(b)
			}
			b.seen = append(b.seen, tt.more...)
			b.twoHours(tt.away, tt.want, tt.says)
		})
	}
}

// twoHours scans for two hours in which some are away, and compares what was told
// and what the finding says then.
func (b *bed) twoHours(away []string, want, says string) {
	b.t.Helper()
	b.pass(monday, nil)
	var told []string
	for after := 5 * time.Minute; after <= 2*time.Hour; after += 5 * time.Minute {
		b.pass(monday.Add(after), away)
		if said := b.scan(monday.Add(after)); said != "" {
			told = append(told, after.String()+" "+said)
		}
	}
	if got := strings.Join(told, "; "); got != want {
		b.t.Fatalf("told %q, want %q", got, want)
	}
	if says != "" && !strings.Contains(b.the().Summary, says) {
		b.t.Errorf("says %q, want %q", b.the().Summary, says)
	}
}

// While a source is silent its finding follows what that costs; and it is over
// once the source was heard for an hour, with no word of each worker.
func TestASourceComesBack(t *testing.T) {
	b := town(t)
	var told []string
	pass := func(from, to time.Duration, away ...string) {
		for after := from; after < to; after += 5 * time.Minute {
			b.pass(monday.Add(after), away)
			if said := b.scan(monday.Add(after)); said != "" {
				told = append(told, after.String()+" "+said)
			}
		}
	}
	pass(5*time.Minute, time.Hour, "prometheus")
	if f := b.the(); f.Outage.Workers != 6 || f.Severity != finding.High || f.Subject.DropletID != "" {
		t.Errorf("%+v, %+v", f, f.Outage)
	}
	b.seen = append(b.seen, history.Presence{DropletID: "1", Interval: time.Minute}, history.Presence{DropletID: "1", Worker: "mail", Interval: time.Minute})
	pass(time.Hour, 90*time.Minute, "prometheus")
	if f := b.the(); f.Outage.Workers != 5 || !strings.Contains(f.Summary, "5 workers on 3 droplets") {
		t.Errorf("beside an agent: %s, %+v", f.Summary, f.Outage)
	}
	pass(90*time.Minute, 110*time.Minute)
	pass(110*time.Minute, 150*time.Minute, "data of prometheus")
	if f := b.the(); !f.Outage.Answers || !strings.Contains(f.Summary, "since 2 Mar 01:45 UTC, though it answers") {
		t.Errorf("silent again: %s, %+v", f.Summary, f.Outage)
	}
	pass(150*time.Minute, 4*time.Hour)
	want := []string{"20m0s opened source prometheus", "1h0m0s seen source prometheus", "1h30m0s heard source prometheus",
		"2h5m0s hushed source prometheus", "2h30m0s heard source prometheus", "3h30m0s resolved source prometheus"}
	if !slices.Equal(told, want) {
		t.Errorf("told\n%s\nwant\n%s", strings.Join(told, "\n"), strings.Join(want, "\n"))
	}
	if f := b.ended(); f.Summary != "nothing came from the source prometheus from 2 Mar 01:45 UTC to 2 Mar 02:30 UTC" {
		t.Errorf("it says %q", f.Summary)
	}
}

// A silent source that nothing depends on any more is no trouble.
func TestASilentSourceIsReplaced(t *testing.T) {
	b := town(t)
	at := monday.Add(time.Hour)
	b.pass(at, []string{"prometheus"})
	b.scan(at)
	for _, p := range b.seen {
		p.Source = "standby"
		b.seen = append(b.seen, p)
	}
	b.sources = append(b.sources, watch.Source{Name: "standby"})
	at = at.Add(5 * time.Minute)
	b.pass(at, []string{"prometheus"})
	if told := b.scan(at); told != "resolved source prometheus" || b.ended().Why != "all that it told of is told of by others" {
		t.Errorf("told %q", told)
	}
}

// A worker that had gone before its source did keeps its own finding, and is
// judged again when the source goes on.
func TestAWorkerGoneBeforeItsSource(t *testing.T) {
	b := town(t)
	var told []string
	for after := 5 * time.Minute; after <= 3*time.Hour; after += 5 * time.Minute {
		away := []string{"prometheus/1/mail"}
		if after > 30*time.Minute && after < time.Hour {
			away = append(away, "prometheus")
		}
		if after > 70*time.Minute {
			away = nil
		}
		b.pass(monday.Add(after), away)
		if said := b.scan(monday.Add(after)); said != "" {
			told = append(told, after.String()+" "+said)
		}
		if after == time.Hour-5*time.Minute {
			live, err := b.store.Findings(t.Context(), finding.Filter{Live: true})
			if err != nil || len(live) != 2 || live[1].Outage == nil || live[1].Outage.Workers != 5 {
				t.Errorf("%+v, %v", live, err)
			}
		}
	}
	want := []string{"20m0s opened no_metrics mail", "50m0s opened source prometheus", "1h0m0s heard source prometheus",
		"1h15m0s heard no_metrics mail", "2h0m0s resolved source prometheus", "2h15m0s resolved no_metrics mail"}
	if !slices.Equal(told, want) {
		t.Errorf("told\n%s\nwant\n%s", strings.Join(told, "\n"), strings.Join(want, "\n"))
	}
}

// After a start nobody has asked yet: what the source would have said
// meanwhile is no silence, and no end of one.
func TestASourceNotAskedYet(t *testing.T) {
	b := town(t)
	at := monday.Add(3 * time.Hour)
	for i := range b.sources {
		b.sources[i].Asked, b.sources[i].Answered, b.sources[i].Since = time.Time{}, time.Time{}, at
	}
	if told := b.scan(at); told != "" {
		t.Errorf("nobody has asked: told %q", told)
	}
	b.pass(at, []string{"prometheus"})
	if told := b.scan(at); told != "opened source prometheus" {
		t.Errorf("asked in vain: told %q", told)
	}
	b.sources[1].Asked = time.Time{}
	if told := b.scan(at.Add(time.Minute)); told != "" {
		t.Errorf("not asked since another start: told %q", told)
	}
}

// A start in the middle of an outage, with a source that keeps whoever asks
// waiting: it is told as late after the start as after its last word. That it
// was asked before a long stop says nothing.
func TestAStartBesideASourceThatHangs(t *testing.T) {
	for _, stopped := range []bool{false, true} {
		b := town(t)
		start := monday.Add(3 * time.Hour)
		for i := range b.sources {
			if b.sources[i].Since = start; !stopped {
				b.sources[i].Asked = time.Time{}
			}
		}
		var told []string
		for after := time.Duration(0); after <= time.Hour; after += 5 * time.Minute {
			asked := b.sources[1]
			b.pass(start.Add(after), []string{"prometheus"})
			b.sources[1] = asked
			if said := b.scan(start.Add(after)); said != "" {
				told = append(told, after.String()+" "+said)
			}
		}
		if !slices.Equal(told, []string{"20m0s opened source prometheus"}) {
			t.Errorf("asked before a stop %t: told %q", stopped, told)
		}
	}
}

// What is seldom told of hides no silence of its source, whether it was told
// of long before the last word or with it.
func TestASeldomWorkerHidesNoSource(t *testing.T) {
	for _, before := range []time.Duration{10 * time.Hour, 0, -10 * time.Second} {
		b := town(t)
		b.seen = append(b.seen, history.Presence{DropletID: "1", Worker: "nightly", Source: "prometheus", Last: monday.Add(-before), Interval: 24 * time.Hour})
		var told []string
		for after := 5 * time.Minute; after <= 2*time.Hour; after += 5 * time.Minute {
			b.pass(monday.Add(after), []string{"prometheus"})
			if said := b.scan(monday.Add(after)); said != "" {
				told = append(told, after.String()+" "+said)
			}
		}
		if !slices.Equal(told, []string{"20m0s opened source prometheus"}) {
			t.Errorf("%v before: told %q", before, told)
		}
		if f := b.the(); f.Began.Before(monday) {
			t.Errorf("%v before: silent since %v", before, f.Began)
		}
	}
}

// A source that comes back tells of one droplet before the other: the rest has
// time to follow, and what does not is named then. What had gone before stays so.
func TestASourceComesBackBitByBit(t *testing.T) {
	for _, stays := range []bool{false, true} {
		b := town(t)
		var told []string
		for after := 5 * time.Minute; after <= 3*time.Hour; after += 5 * time.Minute {
			away := []string{"prometheus/3/video"}
			switch {
			case after > 30*time.Minute && after < 70*time.Minute:
				away = []string{"prometheus"}
			case after < 75*time.Minute || stays && after >= 70*time.Minute:
				away = append(away, "prometheus/2")
				if after >= 70*time.Minute {
					away = append(away, "prometheus/3")
				} else {
					away = away[:1]
				}
			}
			if stays && after >= 75*time.Minute {
				away = []string{"prometheus/3/video", "prometheus/2"}
			}
			b.pass(monday.Add(after), away)
			if said := b.scan(monday.Add(after)); said != "" {
				told = append(told, after.String()+" "+said)
			}
		}
		want := []string{"20m0s opened no_metrics video", "50m0s opened source prometheus", "1h10m0s heard source prometheus"}
		if stays {
			want = append(want, "1h30m0s opened missing")
		}
		if want = append(want, "2h10m0s resolved source prometheus"); !slices.Equal(told, want) {
			t.Errorf("stays %t: told\n%s\nwant\n%s", stays, strings.Join(told, "\n"), strings.Join(want, "\n"))
		}
	}
}

// What a silent source told of has left the fleet: nothing depends on it any
// more, whether or not it answers again. One list without them is not enough.
func TestTheDropletsOfASilentSourceLeave(t *testing.T) {
	for _, again := range []bool{false, true} {
		b := town(t)
		at := monday.Add(time.Hour)
		b.pass(at, []string{"prometheus"})
		b.scan(at)
		old := b.fleet
		var told []string
		for after := 5 * time.Minute; after <= time.Hour; after += 5 * time.Minute {
			b.fleet = []watch.Droplet{{ID: "9", Name: "web-9"}}
			if after == 10*time.Minute {
				b.fleet = old
			}
			away := []string{"prometheus"}
			if again && after > 15*time.Minute {
				away = []string{"data of prometheus"}
			}
			b.pass(at.Add(after), away)
			if said := b.scan(at.Add(after)); said != "" {
				told = append(told, after.String()+" "+said)
			}
		}
		if !slices.Equal(told, []string{"25m0s left source prometheus"}) {
			t.Fatalf("told %q", told)
		}
		if f := b.ended(); f.State != finding.Gone || !strings.Contains(f.Why, "has left the fleet") {
			t.Errorf("%s, because %q", f.State, f.Why)
		}
	}
}

// Of two that tell of a worker, the one that is heard is believed, though the
// other, whose agent is silent, would be missed later.
func TestWhoIsHeardIsBelieved(t *testing.T) {
	b := town(t)
	mail := history.Presence{DropletID: "1", Worker: "mail", Interval: time.Hour}
	b.seen = append(b.seen, history.Presence{DropletID: "1", Interval: time.Minute})
	var told []string
	for after := 5 * time.Minute; after <= 2*time.Hour; after += 5 * time.Minute {
		away := []string{"/1"}
		if after < 30*time.Minute {
			away = []string{"prometheus/1/mail"}
		}
		if after == 25*time.Minute {
			mail.Last = monday.Add(after)
			b.seen = append(b.seen, mail) // by an agent that is silent from then on
		}
		b.pass(monday.Add(after), away)
		if said := b.scan(monday.Add(after)); said != "" {
			told = append(told, after.String()+" "+said)
		}
	}
	want := []string{"20m0s opened no_metrics mail", "25m0s heard no_metrics mail", "35m0s opened silent", "1h25m0s resolved no_metrics mail"}
	if !slices.Equal(told, want) {
		t.Errorf("told\n%s\nwant\n%s", strings.Join(told, "\n"), strings.Join(want, "\n"))
	}
}

// A source that keeps whoever asks waiting is silent, too.
func TestASourceThatHangs(t *testing.T) {
	b := town(t)
	var told []string
	for after := 5 * time.Minute; after <= time.Hour; after += 5 * time.Minute {
		asked := b.sources[1]
		b.pass(monday.Add(after), []string{"prometheus"})
		b.sources[1] = asked // never since
		if said := b.scan(monday.Add(after)); said != "" {
			told = append(told, after.String()+" "+said)
		}
	}
	if !slices.Equal(told, []string{"20m0s opened source prometheus"}) {
		t.Errorf("told %q", told)
	}
}

// A worker whose agent is silent is judged by the source that goes on.
func TestAWorkerBesideASilentAgent(t *testing.T) {
	for _, tt := range []struct {
		name string
		away []string // of the source, from half an hour on
		want []string
	}{
		{"it goes on", nil, []string{"10m0s opened silent"}},
		{"it goes missing", []string{"prometheus/1/mail"}, []string{"10m0s opened silent", "45m0s opened no_metrics mail"}},
		{"so does the source", []string{"prometheus"}, []string{"10m0s opened silent", "45m0s opened source prometheus"}},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := town(t)
			b.seen = append(b.seen, history.Presence{DropletID: "1", Interval: time.Minute}, history.Presence{DropletID: "1", Worker: "mail", Interval: time.Minute})
			b.pass(monday, nil)
			var told []string
			for after := 5 * time.Minute; after < 70*time.Minute; after += 5 * time.Minute {
				away := []string{"/1"}
				if after >= 30*time.Minute {
					away = append(away, tt.away...)
				}
				b.pass(monday.Add(after), away)
				if said := b.scan(monday.Add(after)); said != "" {
					told = append(told, after.String()+" "+said)
				}
			}
			if !slices.Equal(told, tt.want) {
				t.Errorf("told %q, want %q", told, tt.want)
			}
		})
	}
}

// A worker that changed hands, from a source to an agent or back, has one
// finding, which ends when either tells of it.
func TestAWorkerChangesHands(t *testing.T) {
	for _, hands := range [][2]string{{"prometheus", ""}, {"", "prometheus"}} {
		b := town(t)
		b.seen = []history.Presence{{DropletID: "1", Interval: time.Minute}, {DropletID: "1", Worker: "video", Source: "prometheus", Interval: time.Minute}}
		worker := history.Presence{DropletID: "1", Worker: "mail", Source: hands[0], Interval: time.Minute}
		b.seen = append(b.seen, worker)
		b.pass(monday, nil)
		at := monday.Add(20 * time.Minute)
		b.pass(at, []string{hands[0] + "/1/mail"})
		if told := b.scan(at); !strings.HasPrefix(told, "opened ") {
			t.Errorf("from %q: told %q", hands[0], told)
		}
		opened := b.the().ID
		worker.Source = hands[1]
		b.seen = append(b.seen, worker)
		b.pass(at.Add(time.Minute), []string{hands[0] + "/1/mail"})
		if told := b.scan(at.Add(time.Minute)); !strings.HasPrefix(told, "heard ") || b.the().ID != opened {
			t.Errorf("to %q: told %q", hands[1], told)
		}
	}
}
