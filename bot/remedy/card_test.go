package remedy_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dropleak/dropleak/bot/remedy"
	"github.com/dropleak/dropleak/doclient"
)

func question(t *testing.T, p *process) remedy.View {
	t.Helper()
	v, err := p.s.View(t.Context(), proposed(t, p))
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestCardLearns: the first question goes by rule of thumb and knows no past;
// the next ones know how long this droplet's snapshots take for each gigabyte,
// and how long the restarts of before helped.
func TestCardLearns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.disk = 22e9
		p := w.start("a", func(_ *remedy.Config, d *remedy.Deps) {
			d.Expect = func(_ context.Context, _ int64, used float64) time.Duration {
				return time.Duration(used/1e9) * time.Minute
			}
		})
		first := question(t, p).Card
		if first.Snapshot != (remedy.Estimate{Takes: 22 * time.Minute, GB: 22}) || !first.NoneYet || len(first.Past) != 0 {
			t.Fatalf("first card %+v", first)
		}
		makeSnapshots(t, w, p, 2) // of 11 GB in 10 minutes and a look; the first of them answers the question above
		c := question(t, p).Card
		if s := c.Snapshot; s.Of != 2 || s.GB != 22 || s.Takes < 19*time.Minute || s.Takes > 23*time.Minute {
			t.Errorf("learned %+v, want twice as long for twice as much", s)
		}
		if c.NoneYet || c.Newest == nil || c.Newest.Name != w.snaps[1].Name {
			t.Errorf("newest %+v, there are %+v", c.Newest, w.snaps)
		}
		if len(c.Past) != 2 || !c.Past[0].At.After(c.Past[1].At) || c.Past[0].Freed != 1.8e9 {
			t.Fatalf("past %+v", c.Past)
		}
		for i, still := range []bool{true, false} { // newest first; it was asked for again after a day
			if h := c.Past[i].Helped; c.Past[i].Still != still || h < 23*time.Hour || h > 25*time.Hour {
				t.Errorf("past %+v, want a day, still %v", c.Past[i], still)
			}
		}
	})
}

// TestCardUnknown: what cannot be asked is not known, and keeps nothing from
// being asked.
func TestCardUnknown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.snaps = []doclient.Snapshot{{ID: "1", DropletID: droplet, Name: "theirs", CreatedAt: time.Now()}}
		p := w.start("a", nil)
		p.choose = func(border string) fault {
			if border == "call snapshots" {
				return lostAfter
			}
			return none
		}
		if c := question(t, p).Card; c.Newest != nil || c.NoneYet || c.Snapshot.Takes != 0 {
			t.Errorf("card %+v", c)
		}
	})
}
