package storetest

import (
	"net/http"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"github.com/dropleak/dropleak/bot/history"
	"github.com/dropleak/dropleak/bot/hub"
	"github.com/dropleak/dropleak/detector/sample"
)

// hubSenders: two that send the same series write one, and each is remembered
// to have told. What a version told of that took all senders for one goes on
// under the name of whoever tells of the droplet first; of a droplet that
// nobody tells of yet it stays.
func hubSenders(t *testing.T, dsn string) {
	w := newWorld(t, Open(t, dsn), hub.Options{})
	before := func(droplet, worker string) {
		t.Helper()
		s := rss(droplet, worker, "7", lately(time.Hour, 1))
		s.Labels = append(s.Labels, sample.Label{Name: history.LabelSource, Value: "sender"})
		write(t, w.history, s)
	}
	before("42", "mailer")
	before("42", "gone")
	before("43", "video")
	east, west := w.token(hub.Token{Name: "east", Kind: hub.Sender, Tag: "celery"}), w.token(hub.Token{Name: "west", Kind: hub.Sender, Tag: "celery"})
	said := func(secret string, ago time.Duration) sample.Point {
		t.Helper()
		p := lately(ago, 4096)
		w.push(http.StatusNoContent, secret, []sample.Series{{Points: []sample.Point{p}, Labels: []sample.Label{{Name: "__name__", Value: "namedprocess_namegroup_memory_bytes"},
			{Name: "droplet", Value: "42"}, {Name: "groupname", Value: "mailer-7"}, {Name: "memtype", Value: "resident"}}}})
		return p
	}
	first := said(east, 4*time.Minute)
	second, third := said(west, 3*time.Minute), said(east, 2*time.Minute)

	got, err := w.history.Seen(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	at := func(p sample.Point) time.Time { return time.UnixMilli(p.At).UTC() }
	old := at(lately(time.Hour, 1))
	want := []history.Presence{
		{DropletID: "42", Source: "sender/east", Last: at(third)},
		{DropletID: "42", Source: "sender/west", Last: at(second)},
		{DropletID: "42", Worker: "gone", Source: "sender/east", Last: old},
		{DropletID: "42", Worker: "mailer", Source: "sender/east", Last: at(third)},
		{DropletID: "42", Worker: "mailer", Source: "sender/west", Last: at(second)},
		{DropletID: "43", Source: "sender", Last: old},
		{DropletID: "43", Worker: "video", Source: "sender", Last: old},
	}
	if d := cmp.Diff(want, got, cmpopts.EquateApproxTime(time.Minute/2), cmpopts.IgnoreFields(history.Presence{}, "Interval")); d != "" {
		t.Errorf("seen (-want +got):\n%s", d)
	}
	points := map[int64]bool{}
	for _, s := range selectAll(t, w.history, history.Is("worker", "mailer"), history.Is("slot", "7"), history.Is("role", "unknown")) {
		if s.Get(history.LabelSource) != "sender" || len(s.Points) != 3 {
			t.Errorf("%v holds %d samples, want those of both", s.Labels, len(s.Points))
		}
		for _, p := range s.Points {
			points[p.At] = true
		}
	}
	if len(points) != 3 || !points[first.At] || !points[second.At] || !points[third.At] {
		t.Errorf("of both came %v", points)
	}
	told, err := w.history.Day(t.Context(), got, time.Now())
	if c, ok := told[got[4].Told()]; err != nil || !ok || c.Readings < 3 {
		t.Errorf("%v: coverage by %s is %+v", err, got[4].Source, c)
	}
	// While both versions run beside each other, the older one still takes them for one.
	before("42", "mailer")
	said(east, 0)
	said(west, 0)
}
