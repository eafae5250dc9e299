package source_test

import (
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/history"
	"github.com/dropleak/dropleak/bot/source"
	"github.com/dropleak/dropleak/bot/store"
	"github.com/dropleak/dropleak/bot/testbed"
)

// A Prometheus takes nothing that is older than its window for late samples:
// the backfill brings what it takes, and is done.
func TestBackfillIntoPrometheus(t *testing.T) {
	remote, err := history.NewRemote(testbed.Prometheus(t).URL, nil)
	if err != nil {
		t.Fatal(err)
	}
	s, err := store.Open(t.Context(), "sqlite:"+t.TempDir(), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	h := history.New(s, history.Options{Remote: remote})
	b := newBed(t, func(o *source.DigitalOceanOptions) { o.Sink, o.Cursors = h, s })
	b.droplet(1)
	b.pull()
	b.pull() // nothing is asked twice, what overlaps is taken
	if n := len(b.asked(1)); n > 3 {
		t.Errorf("asked %d times", n)
	}
	now := time.Now()
	ds, err := h.Droplets(t.Context(), history.Query{DropletIDs: []string{"1"}, From: now.Add(-24 * time.Hour), To: now})
	if err != nil || len(ds) != 1 {
		t.Fatalf("%d droplets, %v", len(ds), err)
	}
	if n := len(ds[0].Available); n < 10 || ds[0].Total == 0 {
		t.Errorf("%d points of available memory, total %.0f", n, ds[0].Total)
	}
	if newest := ds[0].Available[len(ds[0].Available)-1].At; now.Sub(newest) > 3*time.Minute {
		t.Errorf("the newest point is %v old", now.Sub(newest))
	}
}

// Of a window that is too old in part, the newer half is taken.
func TestASinkThatTakesNothingOld(t *testing.T) {
	bubble(t, func(t *testing.T) {
		b := newBed(t)
		b.droplet(1)
		b.shelf.reach = 2 * time.Hour
		b.pull()
		if n := len(b.shelf.available(1)); n < 30 || len(b.asked(1)) != 1 {
			t.Errorf("%d points kept of two hours, asked %d times", n, len(b.asked(1)))
		}
	})
}
