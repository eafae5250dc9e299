package report

import (
	"strings"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/slack-go/slack"
)

// What Slack does not show in the reader's zone stands in the one that is
// asked for, with its name; a finding of an earlier version keeps its words.
func TestTimesInAZone(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	quiet := other(finding.KindSilent, "", "the agent has not reported since 22 Nov 11:00 UTC; nothing is known of its workers")
	before := quiet
	before.Began = time.Time{}
	for _, tt := range []struct {
		f    finding.Finding
		zone *time.Location
		want string
	}{
		{quiet, berlin, "The agent has not reported since 22 Nov 12:00 CET; nothing is known of its workers."},
		{quiet, nil, "The agent has not reported since 22 Nov 11:00 UTC; nothing is known of its workers."},
		{before, berlin, "The agent has not reported since 22 Nov 11:00 UTC; nothing is known of its workers."},
		{heard(quiet), berlin, "The agent did not report from 22 Nov 12:00 CET to 22 Nov 12:20 CET. It is heard of again; this closes when that has lasted."},
		{source(finding.Outage{Workers: 1, Droplets: 1, Sends: true}), berlin, "Nothing from the source prometheus-main since 22 Nov 12:00 CET: 1 worker on 1 droplet is not watched. " +
			"See that whoever sends it runs, and that the token is good; dropleak token list says when it was last used."},
		{source(finding.Outage{Droplets: 2, Trouble: "a <b> & `c`."}), berlin, "Nothing from the source prometheus-main since 22 Nov 12:00 CET: memory of 2 droplets is not watched. " +
			"See that it runs and can be reached from where dropleak runs; dropleak sources says how it stands. In place of an answer came: a <b> & c."},
		{source(finding.Outage{Workers: 3, Droplets: 2, Removed: true}), berlin, "The source prometheus-main was removed: it is no longer in the configuration, or its token was revoked. " +
			"Nobody else tells of what it told of until 22 Nov 12:00 CET: 3 workers on 2 droplets are not watched. Have another source or an agent tell of them; if this is meant, call it a false alarm."},
		{source(finding.Outage{Never: true, Trouble: "no such host"}), berlin, "The source prometheus-main has not answered once since 22 Nov 12:00 CET: nobody knows what it would tell of. " +
			"See that its address and its access are right; dropleak sources says how it stands. In place of an answer came: no such host."},
		{missing(finding.Missing{Workers: []string{"a", "<b>"}, Memory: true}), berlin, "2 workers of this droplet have not been seen since 22 Nov 12:00 CET: a and <b>, nor its memory. The agent goes on: see what ended them there."},
		{missing(finding.Missing{Workers: []string{"a"}, Back: []string{"b"}, Off: true}), berlin, "1 of 2 workers of this droplet has not been seen since 22 Nov 12:00 CET: a. DigitalOcean says that the droplet is off."},
		{missing(finding.Missing{Back: []string{"a", "b"}, Memory: true}), berlin, "The workers of this droplet are seen again; its memory is not, since 22 Nov 12:00 CET. Is its metrics agent running?"},
		{heard(missing(finding.Missing{Back: []string{"a", "b"}})), berlin, "2 workers of this droplet went unseen from 22 Nov 12:00 CET to 22 Nov 12:20 CET. All are seen again; this closes when that has lasted."},
		{nameless(missing(finding.Missing{})), berlin, "Workers of this droplet have not been seen since 22 Nov 12:00 CET; the next scan says which."},
		{nameless(heard(missing(finding.Missing{}))), berlin, "Workers of this droplet went unseen from 22 Nov 12:00 CET to 22 Nov 12:20 CET. All are seen again; this closes when that has lasted."},
	} {
		if got := Summary(tt.f, tt.zone); got != tt.want {
			t.Errorf("says\n%q, want\n%q", got, tt.want)
		}
	}
	if got := Moment(time.Date(2026, 7, 1, 22, 30, 0, 0, time.UTC), berlin); got != "2 Jul 00:30 CEST" {
		t.Errorf("in summer: %s", got)
	}
}

// A source that is not merely silent says so in one line.
func TestHeadlineOfASource(t *testing.T) {
	for want, o := range map[string]finding.Outage{
		"source prometheus-main was removed: 3 workers on 2 droplets are not watched": {Workers: 3, Droplets: 2, Removed: true},
		"source prometheus-main has never answered":                                   {Never: true},
	} {
		if got := Headline(source(o), noon); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// The title of a chart that is older than the numbers is plain text.
func TestAsOfInAZone(t *testing.T) {
	f := with(func(f *finding.Finding) { f.Drawn = noon.Add(-3 * time.Hour) })
	for _, b := range Finding(f, Look{At: noon, Picture: "F0", Zone: time.FixedZone("CET", 3600)}).Blocks {
		if image, ok := b.(*slack.ImageBlock); ok {
			if !strings.Contains(image.Title.Text, "As of 22 Nov 10:00 CET") {
				t.Errorf("titled %q", image.Title.Text)
			}
			return
		}
	}
	t.Error("there is no chart")
}

// What went missing on a droplet is one line.
func TestHeadlineOfADroplet(t *testing.T) {
	for want, f := range map[string]finding.Finding{
		"web-1: 2 workers not seen any more":        missing(finding.Missing{Workers: []string{"a", "b"}}),
		"web-1: 1 of 2 workers not seen any more":   missing(finding.Missing{Workers: []string{"a"}, Back: []string{"b"}}),
		"web-1 is off: 2 workers not seen any more": missing(finding.Missing{Workers: []string{"a", "b"}, Off: true}),
		"web-1: its memory is not seen any more":    missing(finding.Missing{Back: []string{"a"}, Memory: true}),
		"web-1: workers not seen any more":          nameless(missing(finding.Missing{})),
		"web-1: its workers are heard of again":     heard(missing(finding.Missing{Back: []string{"a", "b"}})),
	} {
		if got := Headline(f, noon); got != want {
			t.Errorf("%q, want %q", got, want)
		}
	}
}

// nameless is a finding that an older release stored anew without who is missing.
func nameless(f finding.Finding) finding.Finding {
	f.Missing = nil
	return f
}
