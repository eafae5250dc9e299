package remedy_test

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dropleak/dropleak/bot/remedy"
)

// nightly is a quiet window from midnight to one.
func nightly(t time.Time) time.Time {
	day := t.Truncate(24 * time.Hour)
	if t.Before(day.Add(time.Hour)) {
		return t
	}
	return day.Add(24 * time.Hour)
}

// nights is a world with a quiet window, four hours before it.
func nights() *world {
	time.Sleep(20 * time.Hour) // the bubble begins at midnight
	w := newWorld()
	w.quiet = nightly
	return w
}

// TestQuietWindow: a run approved for the quiet window waits for it, says so,
// can be cancelled meanwhile, and acts inside it.
func TestQuietWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := nights()
		p := w.start("a", nil)
		run := proposed(t, p)
		a := decide(t, p, run, click(alice, remedy.Later))
		if !a.Accepted || time.Until(a.View.Opens) != 4*time.Hour {
			t.Fatalf("answer %+v", a)
		}
		w.drive(t, run, 3*time.Hour, p)
		v, err := p.s.View(t.Context(), run)
		if err != nil || v.Step != "ask" || w.count("snapshot") != 0 || len(v.Buttons) != 2 || v.Buttons[1].Kind != remedy.Cancel {
			t.Fatalf("an hour before: %s, %v, %d snapshots, %v", v.Step, v.Buttons, w.count("snapshot"), err)
		}
		r := w.drive(t, run, 2*time.Hour, p)
		if r.Outcome != string(remedy.FreedWorking) || w.deeds[0].at.Hour() != 0 {
			t.Errorf("outcome %q, acted at %v", r.Outcome, w.deeds[0].at)
		}
	})
}

// TestQuietWindowMissed: a service that slept through the window waits for the
// next, and a snapshot that outlasts it restarts nothing.
func TestQuietWindowMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := nights()
		w.snapshotTakes = 2 * time.Hour
		p := w.start("a", nil)
		run := proposed(t, p)
		decide(t, p, run, click(alice, remedy.Later))
		time.Sleep(6 * time.Hour) // nobody drives it
		w.drive(t, run, time.Hour, p)
		if n := w.count("snapshot"); n != 0 {
			t.Fatalf("%d snapshots outside of the window", n)
		}
		r := w.drive(t, run, 48*time.Hour, p)
		if r.Outcome != string(remedy.Overtaken) || w.count("snapshot") != 1 || w.count("restart") != 0 {
			t.Errorf("outcome %q, %d snapshots, %d restarts", r.Outcome, w.count("snapshot"), w.count("restart"))
		}
	})
}

// TestLaterIsNotStretched: of two approvers one wants it in the window, so it
// is in the window, whoever clicks last.
func TestLaterIsNotStretched(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := nights()
		p := w.start("a", func(c *remedy.Config, _ *remedy.Deps) { c.Quorum = 2 })
		run := proposed(t, p)
		decide(t, p, run, click(alice, remedy.Later))
		wantRefused(t, decide(t, p, run, click(alice, remedy.Approve)), remedy.AskedAlready)
		if a := decide(t, p, run, click(bob, remedy.Approve)); !a.Accepted || a.View.Opens.IsZero() {
			t.Errorf("answer %+v", a)
		}
	})
}

// A snapshot that would be complete in time may not be when it begins later.
func TestLaterIsTooLate(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := nights()
		p := w.start("a", func(_ *remedy.Config, d *remedy.Deps) {
			d.Expect = func(context.Context, int64, float64) time.Duration { return 2 * time.Hour }
		})
		leaking(w, time.Hour, 5*time.Hour)
		run := proposed(t, p)
		if v := look(t, p, run); v.TooLate {
			t.Error("two hours are too long, of five")
		}
		if a := decide(t, p, run, click(alice, remedy.Later)); !a.Accepted || !a.View.TooLate {
			t.Errorf("in the window, four hours from now: %+v, too late %v", a.Refusal, a.View.TooLate)
		}
	})
}

func TestLaterWithoutQuietHours(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		p := w.start("a", nil)
		run := proposed(t, p)
		wantRefused(t, decide(t, p, run, click(alice, remedy.Later)), remedy.NotOffered)
		v, err := p.s.View(t.Context(), run)
		if err != nil || len(v.Buttons) != 5 {
			t.Errorf("offers %v, %v", v.Buttons, err)
		}
	})
}
