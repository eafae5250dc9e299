package watch_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/watch"
)

// sent has senders tell what the Prometheus told: those that are named, by
// droplet, each of all of it.
func (b *bed) sent(by map[string][]string) {
	seen := b.seen
	b.seen, b.sources = nil, append(b.sources[:1], watch.Source{Name: "sender", Sends: true})
	known := map[string]bool{}
	for _, p := range seen {
		names := by[p.DropletID]
		if p.Source != "prometheus" {
			names = []string{p.Source}
		}
		for _, name := range names {
			p.Source = name
			b.seen = append(b.seen, p)
			if !known[name] && strings.HasPrefix(name, "sender/") {
				b.sources, known[name] = append(b.sources, watch.Source{Name: name, Sends: true}), true
			}
		}
	}
}

// Each sender is a source of its own: one that dies is one finding about what
// it alone told of, whatever the others go on with.
func TestSenders(t *testing.T) {
	east, west, both := []string{"sender/east"}, []string{"sender/west"}, []string{"sender/east", "sender/west"}
	for _, tt := range []struct {
		name string
		by   map[string][]string
		away []string
		want string
		says string
	}{
		{"one of two", map[string][]string{"1": west, "2": east, "3": east}, east, "20m0s opened source sender/east",
			"nothing from the source sender/east since 2 Mar 00:00 UTC: 4 workers on 2 droplets are not watched; see that whoever sends it runs"},
		{"one of two that send the same", map[string][]string{"1": both, "2": both, "3": both}, east, "", ""},
		{"the other of these", map[string][]string{"1": both, "2": both, "3": both}, west, "", ""},
		{"one of two that send the same of a droplet", map[string][]string{"1": both, "2": east, "3": west}, east, "20m0s opened source sender/east", "2 workers on 1 droplet are not watched"},
		{"both that send the same", map[string][]string{"1": both, "2": both, "3": both}, both, "20m0s opened source sender/east", "6 workers on 3 droplets are not watched"},
		{"a worker of one", map[string][]string{"1": west, "2": east, "3": east}, []string{"sender/east/2/mail"}, "20m0s opened no_metrics mail", "nothing from the source sender/east since"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			b := town(t)
			b.sent(tt.by)
			b.twoHours(tt.away, tt.want, tt.says)
		})
	}
}

// A finding about senders by an earlier version, which took all of them for
// one, ends once they tell under their own names.
func TestSendersAreToldApart(t *testing.T) {
	b := town(t)
	rename := func(from, to string) {
		for i, p := range b.seen {
			b.seen[i].Source = strings.Replace(p.Source, from, to, 1)
		}
	}
	rename("prometheus", "sender")
	b.sources[1] = watch.Source{Name: "sender", Sends: true}
	var told []string
	for after := 5 * time.Minute; after <= 2*time.Hour; after += 5 * time.Minute {
		away := []string{"sender"}
		if after == 40*time.Minute {
			rename("sender", "sender/east")
			b.sources = append(b.sources, watch.Source{Name: "sender/east", Sends: true})
		}
		b.pass(monday.Add(after), away)
		if said := b.scan(monday.Add(after)); said != "" {
			told = append(told, after.String()+" "+said)
		}
	}
	if want := []string{"20m0s opened source sender", "50m0s left source sender"}; !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
	if f := b.ended(); f.Why != "senders are told apart by their tokens now" {
		t.Errorf("because %q", f.Why)
	}
}
