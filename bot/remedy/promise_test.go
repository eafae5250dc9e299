package remedy_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dropleak/dropleak/bot/order"
	"github.com/dropleak/dropleak/bot/remedy"
	"github.com/dropleak/dropleak/bot/restart"
)

// TestFingerprint: whatever of the target is not what was shown voids a click,
// and ends a run right before its restart; the snapshot is kept.
func TestFingerprint(t *testing.T) {
	changes := map[string]struct {
		change func(w *world)
		words  string
	}{
		"main process": {func(w *world) { w.newLife("mail") }, "main process is another"},
		"its start alone": {func(w *world) {
			l := w.life["mail"]
			l.Start = l.Start.Add(5 * time.Second)
			w.life["mail"] = l
		}, "main process is another"},
		"boot":           {func(w *world) { w.boot = "boot-2"; w.newLife("mail") }, "booted meanwhile"},
		"unit":           {func(w *world) { w.unit = order.Unit{Kind: order.SupervisorProgram, Name: "mail-b"} }, "runs in unit supervisor:mail-b"},
		"way to restart": {func(w *world) { w.choice.Way = restart.Celery }, "restarts it by celery"},
		"configuration":  {func(w *world) { w.choice.ConfigHash = "h2" }, "configuration of this worker was changed"},
		"no way any more": {func(w *world) { w.noChoice = &remedy.NoWay{Why: "no rule names it"} },
			"no way to restart it is configured any more"},
	}
	for name, c := range changes {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				p := w.start("a", nil)
				run := proposed(t, p)
				w.lock(func() { c.change(w) })
				a := decide(t, p, run, click(alice, remedy.Approve))
				if wantRefused(t, a, remedy.Moved); !strings.Contains(a.Words, c.words) {
					t.Errorf("at the click: %q, want %q", a.Words, c.words)
				}
				if r := w.drive(t, run, time.Hour, p); r.Outcome != string(remedy.Overtaken) || w.count("snapshot")+w.count("restart") != 0 {
					t.Errorf("at the click: outcome %q, %v", r.Outcome, w.deeds)
				}
			})
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				p := w.start("a", nil)
				run := approved(t, p)
				w.drive(t, run, 5*time.Minute, p) // the snapshot is being made
				w.lock(func() { c.change(w) })
				r := w.drive(t, run, time.Hour, p)
				v := look(t, p, run)
				if r.Outcome != string(remedy.Overtaken) || w.count("restart") != 0 || v.Snapshot == nil || !strings.Contains(v.Why, c.words) {
					t.Errorf("before the restart: outcome %q, snapshot %v, why %q, want %q", r.Outcome, v.Snapshot, v.Why, c.words)
				}
			})
		})
	}
}

// asking counts how often Slack is asked who is in a group.
type asking struct {
	remedy.People
	asked int
}

func (a *asking) Members(ctx context.Context, group string) ([]string, error) {
	a.asked++
	return a.People.Members(ctx, group)
}

// TestGroupIsRememberedForMinutes: who left a group may not approve minutes
// later, and Slack is not asked at every click.
func TestGroupIsRememberedForMinutes(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		var slack *asking
		p := w.start("a", func(c *remedy.Config, d *remedy.Deps) {
			slack = &asking{People: d.People}
			d.People, c.Quorum = slack, 2
		})
		run := proposed(t, p)
		for range 3 {
			wantRefused(t, decide(t, p, run, click(mallory, remedy.Approve)), remedy.NotApprover)
			time.Sleep(time.Minute)
		}
		if slack.asked != 1 {
			t.Errorf("asked %d times in three minutes", slack.asked)
		}
		w.lock(func() { w.left = true })
		time.Sleep(3 * time.Minute)
		wantRefused(t, decide(t, p, run, click(bob, remedy.Approve)), remedy.NotApprover)
		if slack.asked != 2 {
			t.Errorf("asked %d times", slack.asked)
		}
	})
}

// TestMemoryRunsOutFirst: it is said when, and only when, memory runs out
// before the snapshot can be finished, also while it is being made; then those
// who may can still let it go.
func TestMemoryRunsOutFirst(t *testing.T) {
	for name, c := range map[string]struct {
		left, expected time.Duration
		asked, later   bool // so when asked; and five minutes into the snapshot
	}{
		"time enough":              {time.Hour, 10 * time.Minute, false, false},
		"not enough":               {8 * time.Minute, 10 * time.Minute, true, true},
		"enough with what is done": {12 * time.Minute, 10 * time.Minute, false, false},
		"how long is not known":    {time.Minute, 0, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				p := w.start("a", func(_ *remedy.Config, d *remedy.Deps) {
					d.Expect = func(context.Context, int64, float64) time.Duration { return c.expected }
				})
				leaking(w, time.Hour, c.left)
				run := proposed(t, p)
				if v := look(t, p, run); v.TooLate != c.asked || !offered(v, remedy.Skip) {
					t.Errorf("asked: too late %v, want %v; %v", v.TooLate, c.asked, v.Buttons)
				}
				decide(t, p, run, click(alice, remedy.Approve))
				w.drive(t, run, 5*time.Minute, p)
				if v := look(t, p, run); v.Step != "snapshot" || v.TooLate != c.later || !offered(v, remedy.Skip) {
					t.Errorf("at %s: too late %v, want %v; %v", v.Step, v.TooLate, c.later, v.Buttons)
				}
				skip := click(bob, remedy.Skip)
				skip.Reason = remedy.DefaultSkipReasons[0]
				if a := decide(t, p, run, skip); !a.Accepted || a.View.TooLate {
					t.Errorf("skipped: %+v, too late %v", a.Refusal, a.View.TooLate)
				}
				if r := w.drive(t, run, time.Hour, p); r.Outcome != string(remedy.FreedWorking) || w.count("restart") != 1 {
					t.Errorf("outcome %q", r.Outcome)
				}
			})
		})
	}
}

func offered(v remedy.View, k remedy.Kind) bool {
	return slices.ContainsFunc(v.Buttons, func(b remedy.Button) bool { return b.Kind == k })
}
