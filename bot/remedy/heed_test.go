package remedy_test

import (
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/remedy"
	"github.com/dropleak/dropleak/bot/workflow"
)

// heed lets a process take note of mail, which runs out of memory at a moment.
func heed(t *testing.T, p *process, out time.Time) {
	t.Helper()
	if err := p.s.Heed(t.Context(), leaking(p.w, 5*time.Hour, time.Until(out))); err != nil {
		t.Fatal(err)
	}
}

// TestRemindersFollowTheForecast: at half, a quarter and an eighth of the time
// that there was, by the newest forecast, each once, also over a question that
// expired.
func TestRemindersFollowTheForecast(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		p := w.start("a", func(c *remedy.Config, _ *remedy.Deps) { c.Expires = 5 * time.Hour })
		began := time.Now()
		first := proposed(t, p)
		at := func(after, out time.Duration) remedy.View {
			t.Helper()
			time.Sleep(time.Until(began.Add(after)))
			w.drive(t, first, time.Second, p)
			heed(t, p, began.Add(out))
			live := question(t, p)
			w.drive(t, live.Run, time.Second, p)
			return live
		}
		for _, c := range []struct {
			after, out time.Duration
			want       remedy.Reminder
		}{
			{time.Hour, 16 * time.Hour, remedy.NoReminder},
			{2 * time.Hour, 3 * time.Hour, remedy.AtHalf}, // it turned out to grow faster
			{3 * time.Hour, 16 * time.Hour, remedy.AtHalf},
			{4 * time.Hour, 16 * time.Hour, remedy.AtHalf}, // not taken back, not told again
		} {
			if v := at(c.after, c.out); v.Reminded != c.want || v.Exhausts.Sub(began) != c.out || v.Run != first {
				t.Errorf("after %v of %v: reminder %d, want %d; runs out %v", c.after, c.out, v.Reminded, c.want, v.Exhausts.Sub(began))
			}
		}
		time.Sleep(2 * time.Hour)
		if r := w.drive(t, first, time.Minute, p); r.Outcome != string(remedy.TimedOut) {
			t.Fatalf("the first question ended %q", r.Outcome)
		}
		heed(t, p, began.Add(16*time.Hour)) // nothing is due: nothing is asked
		if runs, err := w.db.Runs(t.Context(), workflow.Filter{Recipe: remedy.Recipe}); err != nil || len(runs) != 1 {
			t.Fatalf("%d runs, %v", len(runs), err)
		}
		time.Sleep(time.Until(began.Add(12*time.Hour + time.Minute)))
		heed(t, p, began.Add(16*time.Hour))
		v := question(t, p)
		if v.Run == first || v.Reminded != remedy.AtQuarter {
			t.Errorf("asked anew: %v, reminder %d", v.Run != first, v.Reminded)
		}
		if v := at(15*time.Hour, 16*time.Hour); v.Reminded != remedy.Escalated {
			t.Errorf("at the end: reminder %d", v.Reminded)
		}
	})
}

// TestRemindersAreCarriedOn: a question that a person asks anew does not ring
// for what the one before it, which nobody answered, rang for.
func TestRemindersAreCarriedOn(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		p := w.start("a", func(c *remedy.Config, _ *remedy.Deps) { c.Expires = 5 * time.Hour })
		began := time.Now()
		first := proposed(t, p)
		time.Sleep(2 * time.Hour)
		heed(t, p, began.Add(3*time.Hour))
		if v := question(t, p); v.Reminded != remedy.AtHalf || v.Rang.IsZero() {
			t.Fatalf("the first question: reminder %d, rang %v", v.Reminded, v.Rang)
		}
		time.Sleep(4 * time.Hour)
		if r := w.drive(t, first, time.Minute, p); r.Outcome != string(remedy.TimedOut) {
			t.Fatalf("the first question ended %q", r.Outcome)
		}
		anew, err := p.s.Propose(t.Context(), leaking(w, 5*time.Hour, 8*time.Hour), bob)
		if err != nil || anew.Run == first {
			t.Fatalf("asked anew: %q, %v", anew.Run, err)
		}
		time.Sleep(2 * time.Hour)
		heed(t, p, began.Add(14*time.Hour))
		if v, err := p.s.View(t.Context(), anew.Run); err != nil || !v.Rang.IsZero() {
			t.Errorf("at half it rang again at %v; %v", v.Rang, err)
		}
		time.Sleep(time.Until(began.Add(11 * time.Hour)))
		heed(t, p, began.Add(14*time.Hour))
		if v, err := p.s.View(t.Context(), anew.Run); err != nil || v.Reminded != remedy.AtQuarter {
			t.Errorf("at a quarter: reminder %d; %v", v.Reminded, err)
		}
	})
}

// TestNoReminders for a question that somebody answered, or a finding that is
// quiet.
func TestNoReminders(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		p := w.start("a", nil)
		run := proposed(t, p)
		decide(t, p, run, click(alice, remedy.NotNow))
		w.drive(t, run, time.Minute, p)
		time.Sleep(3 * time.Hour)
		heed(t, p, time.Now().Add(time.Hour))
		if runs, err := w.db.Runs(t.Context(), workflow.Filter{Recipe: remedy.Recipe}); err != nil || len(runs) != 1 {
			t.Errorf("%d runs, %v", len(runs), err)
		}
	})
}

const line = "dropleak.yaml:57"

// trusting is a process whose policy acts below an hour.
func trusting(w *world) *process {
	w.policy, w.policed = remedy.Policy{Below: time.Hour, Line: line}, true
	return w.start("a", nil)
}

// TestPolicy: off it does nothing; on it acts below its threshold and inside
// its window, with a snapshot, once, and the audit log names the line.
func TestPolicy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		p := trusting(w)
		on := w.policy
		run := proposed(t, p)
		none := func(why string) {
			t.Helper()
			if v := question(t, p); v.Settled != nil || v.Run != run {
				t.Fatalf("%s: settled by %+v", why, v.Settled)
			}
		}
		w.policy = remedy.Policy{}
		heed(t, p, time.Now().Add(30*time.Minute))
		none("off")
		w.policy = on
		heed(t, p, time.Now().Add(2*time.Hour))
		none("two hours are left")
		w.policy.Open = func(time.Time) bool { return false }
		heed(t, p, time.Now().Add(30*time.Minute))
		none("outside of the window")
		w.policy = on
		for range 3 {
			heed(t, p, time.Now().Add(30*time.Minute))
		}
		r := w.drive(t, run, 2*time.Hour, p)
		if r.Outcome != string(remedy.FreedWorking) || w.count("snapshot") != 1 || w.count("restart") != 1 {
			t.Errorf("outcome %q, %d snapshots, %d restarts", r.Outcome, w.count("snapshot"), w.count("restart"))
		}
		if story := w.story(); strings.Count(story, "policy "+line+" decision approve") != 1 || !strings.Contains(story, "as "+line+" says") {
			t.Errorf("the journal:\n%s", story)
		}
		heed(t, p, time.Now().Add(10*time.Minute)) // the old life is still in the samples
		if w.count("snapshot") != 1 {
			t.Error("it acted on what the restart ended")
		}
	})
}

// TestPolicyStops: when its window closes meanwhile, when it is taken out of
// the configuration, and after a restart that did not help.
func TestPolicyStops(t *testing.T) {
	for name, change := range map[string]func(w *world){
		"window closed": func(w *world) { w.policy.Open = func(time.Time) bool { return false } },
		"taken out":     func(w *world) { w.policy = remedy.Policy{} },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				p := trusting(w)
				heed(t, p, time.Now().Add(30*time.Minute)) // it asks, and answers
				run := question(t, p)
				if run.Policy != line {
					t.Fatalf("begun by %q", run.Policy)
				}
				w.drive(t, run.Run, 5*time.Minute, p)
				w.lock(func() { change(w) })
				r := w.drive(t, run.Run, 2*time.Hour, p)
				if r.Outcome != string(remedy.Overtaken) || w.count("restart") != 0 || w.count("snapshot") != 1 {
					t.Errorf("outcome %q, %d restarts", r.Outcome, w.count("restart"))
				}
			})
		})
	}
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		says("failed", "manager_error")(w)
		p := trusting(w)
		heed(t, p, time.Now().Add(30*time.Minute))
		w.drive(t, question(t, p).Run, 2*time.Hour, p)
		w.lock(func() { f := w.findings["f-mail"]; f.State = finding.Open; w.findings["f-mail"] = f })
		time.Sleep(24 * time.Hour)
		heed(t, p, time.Now().Add(30*time.Minute))
		if v := question(t, p); v.Settled != nil {
			t.Error("it tried again after it failed")
		}
	})
}

// TestThresholdPolicy: a policy at the threshold acts once on a worker that
// reached it, and again only when it fell below in between; a policy on the
// time that is left does not act on it.
func TestThresholdPolicy(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		p := trusting(w)
		runs := func() []workflow.Run {
			t.Helper()
			all, err := w.db.Runs(t.Context(), workflow.Filter{Recipe: remedy.Recipe})
			if err != nil {
				t.Fatal(err)
			}
			return all
		}
		reached := func(id string) {
			t.Helper()
			w.mu.Lock()
			f := finding.Finding{ID: id, Version: 1, State: finding.Open, Opened: time.Now(), LastSeen: time.Now(), Severity: finding.High,
				Subject: finding.Subject{Kind: finding.KindThreshold, DropletID: fmt.Sprint(droplet), DropletName: "web-1", Worker: "mail"}}
			if known, ok := w.findings[id]; ok {
				f = known
			}
			w.findings[id] = f
			w.mu.Unlock()
			if err := p.s.Heed(t.Context(), f); err != nil {
				t.Fatal(err)
			}
		}
		reached("t1")
		if n := len(runs()); n != 0 {
			t.Fatalf("%d runs by a policy that does not speak of thresholds", n)
		}
		w.policy.AtThreshold = true
		reached("t1")
		begun := runs()
		if len(begun) != 1 {
			t.Fatalf("%d runs, want one", len(begun))
		}
		if r := w.drive(t, begun[0].ID, 2*time.Hour, p); r.Outcome != string(remedy.FreedWorking) || w.count("restart") != 1 || w.count("snapshot") != 1 {
			t.Fatalf("outcome %q, %d restarts", r.Outcome, w.count("restart"))
		}
		if story := w.story(); !strings.Contains(story, "its memory threshold is reached, as "+line+" says") {
			t.Errorf("the journal:\n%s", story)
		}
		time.Sleep(12 * time.Hour)
		w.mu.Lock()
		f := w.findings["t1"]
		f.State = finding.Open
		w.findings["t1"] = f
		w.mu.Unlock()
		reached("t1")
		if n := len(runs()); n != 1 {
			t.Errorf("%d runs about a worker that never fell below", n)
		}
		reached("t2")
		if n := len(runs()); n != 2 {
			t.Errorf("%d runs, want a second about what was reached anew", n)
		}
	})
}
