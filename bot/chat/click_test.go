package chat_test

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/remedy"
	"github.com/dropleak/dropleak/bot/report"
	"github.com/dropleak/dropleak/bot/slacksim"
	"github.com/dropleak/dropleak/bot/watch"
)

func TestWhoMayNotApprove(t *testing.T) {
	for user, want := range map[string]string{carla: "not among the configured approvers", gus: "Guests cannot", eve: "another workspace"} {
		t.Run(user, func(t *testing.T) {
			bubble(t, func(t *testing.T, d *desk) {
				f, _ := d.opened("mail")
				d.press(user, f.ID, report.ActionRestart)
				wantText(t, "the refusal", d.told(user), want)
				if v := d.run(); v.Settled != nil || len(v.Votes) > 0 {
					t.Errorf("the run has votes: %+v", v.Votes)
				}
				if n := len(d.journal("refusal")); n != 1 {
					t.Errorf("%d refusals written down", n)
				}
			})
		})
	}
}

// TestClicksAtOnce lets one person press twice and two press in the same
// second, with every envelope delivered twice: one approval, one snapshot, one
// restart, and the loser is told who won.
func TestClicksAtOnce(t *testing.T) {
	for name, users := range map[string][]string{"one person twice": {anna, anna}, "two approvers": {anna, ben}} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, d *desk) {
				f, m := d.opened("mail")
				d.sim.Faults(func(x *slacksim.Faults) { x.Duplicate = 2 })
				var wg sync.WaitGroup
				for _, u := range users {
					wg.Go(func() {
						if err := d.sim.Click(u, ops, m.TS, report.ActionRestart); err != nil {
							t.Error(err)
						}
					})
				}
				wg.Wait()
				d.rest(5 * time.Second)
				if n := len(d.run().Votes); n != 1 {
					t.Errorf("%d votes", n)
				}
				var words string
				for _, u := range []string{anna, ben} {
					for _, e := range d.sim.Ephemerals(u) {
						words += e.PlainText() + "\n"
					}
				}
				wantText(t, "those who clicked", words, "decided before your click")
				if users[0] != users[1] {
					wantText(t, "the loser", words, "It was <@"+d.run().Settled.By+">")
				}
				if n := strings.Count(words, "decided before"); n != 2 { // text and block of one message
					t.Errorf("the loser was told %d times:\n%s", n, words)
				}
				d.rest(time.Hour)
				if snaps, restarts := d.far.counted(); snaps != 1 || restarts != 1 {
					t.Errorf("%d snapshots, %d restarts", snaps, restarts)
				}
				_ = f
			})
		})
	}
}

// TestStaleClick presses a button that the message does not hold any more: the
// clicker is told, and the message says what is true.
func TestStaleClick(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		f, m := d.opened("mail")
		run := d.run().Run
		d.press(anna, f.ID, report.ActionRestart)
		d.rest(time.Hour)
		lines := len(d.sim.Thread(ops, m.TS))
		for action, value := range map[string]string{report.ActionRestart: run, report.ActionCancel: run, report.ActionFalseAlarm: f.ID} {
			if err := d.sim.ClickRaw(ben, ops, m.TS, "old", action, value); err != nil {
				t.Fatal(err)
			}
			d.rest(5 * time.Second)
			wantText(t, "who pressed "+action, d.told(ben), "This run has ended: memory freed")
		}
		if s := d.finding(f.ID).State; s == finding.Dismissed {
			t.Error("a stale click dismissed the finding")
		}
		if n := len(d.sim.Thread(ops, m.TS)); n != lines {
			t.Errorf("the thread grew from %d to %d lines by stale clicks", lines, n)
		}
		_, m = d.message(f.ID)
		wantText(t, "the message", m.PlainText(), "Memory freed")
		for _, unknown := range []string{"no-such-action", report.ActionRestart} {
			if err := d.sim.ClickRaw(ben, ops, m.TS, "old", unknown, "no-such-run"); err != nil {
				t.Fatal(err)
			}
			d.rest(5 * time.Second)
			wantText(t, "who pressed "+unknown, d.told(ben), "nothing was done")
		}
	})
}

func TestExpiredQuestion(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		f, _ := d.opened("mail")
		run := d.run().Run
		d.rest(3 * time.Hour)
		_, m := d.message(f.ID)
		wantText(t, "the expired question", m.PlainText(), "Nobody decided in time", "Offer a restart")
		if offers(m, report.ActionRestart) {
			t.Errorf("an expired question offers %v", actions(m))
		}
		if err := d.sim.ClickRaw(anna, ops, m.TS, "old", report.ActionRestart, run); err != nil {
			t.Fatal(err)
		}
		d.rest(5 * time.Second)
		wantText(t, "the clicker", d.told(anna), "has ended: nobody decided in time")
		d.press(carla, f.ID, report.ActionAskAgain)
		_, m = d.message(f.ID)
		wantText(t, "the new question", m.PlainText(), "Asked by <@U0CARLA>", "Snapshot & restart")
		if d.run().Run == run {
			t.Error("the old run was offered again")
		}
	})
}

// TestWorseAsksAgain: whoever said "not now" is asked anew when it gets worse.
func TestWorseAsksAgain(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		f, m := d.opened("mail")
		first := d.run().Run
		if err := d.sim.Choose(anna, ops, m.TS, report.ActionMore, report.ActionUntilWorse+":"+f.ID); err != nil {
			t.Fatal(err)
		}
		d.rest(5 * time.Second)
		f, m = d.message(f.ID)
		if f.State != finding.Muted || !f.MuteWorse {
			t.Fatalf("the finding is %s, until worse %v", f.State, f.MuteWorse)
		}
		wantText(t, "the message", m.PlainText(), "until it gets worse", "Unmute")
		if _, err := finding.Change(t.Context(), d.store, f.ID, func(f *finding.Finding) error {
			f.Wake(true, time.Now())
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		d.tell(watch.Woken, f.ID)
		_, m = d.message(f.ID)
		if d.run().Run == first || !offers(m, report.ActionRestart) {
			t.Errorf("after it got worse the message offers %v", actions(m))
		}
	})
}

func TestNotNowAndFalseAlarm(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		f, _ := d.opened("mail")
		d.press(carla, f.ID, report.ActionNotNow)
		if s := d.finding(f.ID).State; s != finding.Open {
			t.Errorf("somebody not allowed made it %s", s)
		}
		d.press(anna, f.ID, report.ActionNotNow)
		f, m := d.message(f.ID)
		if f.State != finding.Muted || f.MutedUntil.IsZero() {
			t.Errorf("it is %s until %v", f.State, f.MutedUntil)
		}
		d.press(ben, f.ID, report.ActionUnmute)
		if s := d.finding(f.ID).State; s != finding.Open {
			t.Errorf("unmuted it is %s", s)
		}
		d.press(ben, f.ID, report.ActionAskAgain)
		if err := d.sim.Choose(anna, ops, m.TS, report.ActionMore, report.ActionFalseAlarm+":"+f.ID); err != nil {
			t.Fatal(err)
		}
		d.rest(5 * time.Second)
		f, m = d.message(f.ID)
		if f.State != finding.Dismissed {
			t.Errorf("it is %s", f.State)
		}
		wantText(t, "the message", m.PlainText(), "called a false alarm by <@U0ANNA>")
		if got := actions(m); len(got) != 1 || got[0] != report.ActionDetails {
			t.Errorf("a dismissed finding offers %v", got)
		}
	})
}

// TestWhoMayHide: where no question stands, to mute and to dismiss still take
// an approver; muting does not where the configuration says so.
func TestWhoMayHide(t *testing.T) {
	for _, open := range []bool{false, true} {
		bubble(t, func(t *testing.T, d *desk) {
			d.far.unset = true // no restart can be offered: the finding stands alone
			f, m := d.opened("mail")
			if err := d.sim.ClickRaw(carla, ops, m.TS, "old", report.ActionFalseAlarm, f.ID); err != nil {
				t.Fatal(err)
			}
			d.rest(5 * time.Second)
			wantText(t, "who may not dismiss", d.told(carla), "not among the configured approvers")
			if err := d.sim.ClickRaw(carla, ops, m.TS, "old", report.ActionUntilWorse, f.ID); err != nil {
				t.Fatal(err)
			}
			d.rest(5 * time.Second)
			want := finding.Open
			if open {
				want = finding.Muted
			}
			if got := d.finding(f.ID).State; got != want {
				t.Errorf("open to all %v: after a member's mute it is %s, want %s", open, got, want)
			}
			if err := d.sim.ClickRaw(anna, ops, m.TS, "old", report.ActionFalseAlarm, f.ID); err != nil {
				t.Fatal(err)
			}
			d.rest(5 * time.Second)
			if got := d.finding(f.ID).State; got != finding.Dismissed {
				t.Errorf("after an approver's false alarm it is %s", got)
			}
		}, func(d *desk) { d.loose = open })
	}
}

func TestCancel(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		f, _ := d.opened("mail")
		d.press(anna, f.ID, report.ActionRestart)
		d.press(ben, f.ID, report.ActionCancel)
		d.rest(time.Hour)
		_, m := d.message(f.ID)
		wantText(t, "the message", m.PlainText(), "Cancelled, nothing was restarted")
		if _, restarts := d.far.counted(); restarts != 0 {
			t.Error("it was restarted all the same")
		}
	})
}

func TestSkipNeedsReason(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		f, m := d.opened("mail")
		skip := func(user string) {
			if err := d.sim.Choose(user, ops, m.TS, report.ActionMore, report.ActionSkip+":"+d.run().Run); err != nil {
				t.Fatal(err)
			}
			d.rest(time.Second)
		}
		skip(carla)
		if err := d.sim.Submit(carla, nil); err != nil {
			t.Fatal(err)
		}
		d.rest(5 * time.Second)
		wantText(t, "the refusal", d.told(carla), "not among the configured approvers")
		skip(anna)
		if err := d.sim.Submit(anna, map[string]string{"reason": remedy.DefaultSkipReasons[1], "remark": "backup of 02:00"}); err != nil {
			t.Fatal(err)
		}
		d.rest(time.Hour)
		v := d.run()
		if v.Skip == nil || v.Skip.Reason != remedy.DefaultSkipReasons[1]+": backup of 02:00" {
			t.Errorf("skipped for %+v", v.Skip)
		}
		if snaps, restarts := d.far.counted(); snaps != 0 || restarts != 1 {
			t.Errorf("%d snapshots, %d restarts", snaps, restarts)
		}
		_, m = d.message(f.ID)
		wantText(t, "the message", m.PlainText(), "backup of 02:00")
		var written []string
		for _, e := range d.journal("decision") {
			written = append(written, fmt.Sprint(e.Who, " ", e.Subject, " ", e.Why))
		}
		if want := anna + " skip_snapshot " + v.Skip.Reason; !slices.Contains(written, want) {
			t.Errorf("the audit log has %q, want %q", written, want)
		}
	})
}

func TestSkipWithExpiredTrigger(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		_, m := d.opened("mail")
		d.sim.Faults(func(x *slacksim.Faults) { x.ExpireTriggers = true })
		if err := d.sim.Choose(anna, ops, m.TS, report.ActionMore, report.ActionSkip+":"+d.run().Run); err != nil {
			t.Fatal(err)
		}
		d.rest(5 * time.Second)
		wantText(t, "the clicker", d.told(anna), "press the button again")
	})
}

func TestDetails(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		f, _ := d.opened("mail")
		d.press(carla, f.ID, report.ActionDetails)
		v, ok := d.sim.Modal(carla)
		if !ok {
			t.Fatal("no modal")
		}
		text := slacksim.Message{Blocks: v.Blocks}.PlainText()
		for _, want := range []string{"grew in 39 of 40 hours", "the parent itself grows", "2 workers live in it", "Unbounded caches"} {
			wantText(t, "the modal", text, want)
		}
		if strings.Contains(text, "being worked out") {
			t.Error("the advice never came")
		}
		d.sim.Faults(func(x *slacksim.Faults) { x.ExpireTriggers = true })
		d.press(ben, f.ID, report.ActionDetails)
		wantText(t, "without a trigger", d.told(ben), "grew in 39 of 40 hours")
		wantText(t, "without a trigger", d.told(ben), "the parent itself grows")
		d.press(gus, f.ID, report.ActionDetails)
		wantText(t, "a guest", d.told(gus), "Only full members")
	})
}

// TestNoRestartToOffer: the message says why, and offers what it can.
func TestNoRestartToOffer(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		d.far.unset = true
		f, m := d.opened("mail")
		wantText(t, "the message", m.PlainText(), "No way to restart mail on web-1 is configured")
		if offers(m, report.ActionRestart) {
			t.Errorf("it offers %v", actions(m))
		}
		d.press(anna, f.ID, report.ActionAskAgain)
		wantText(t, "who asked", d.told(anna), "No way to restart")
	})
}

// TestNotTaken: what could not be persisted is not acknowledged, so Slack
// shows its own error, and the button still works.
func TestNotTaken(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		f, m := d.opened("mail")
		d.hurt.fail(errors.New("disk full"))
		if err := d.sim.Click(anna, ops, m.TS, report.ActionRestart); err == nil {
			t.Error("a click that could not be kept was acknowledged")
		}
		d.rest(time.Minute)
		if v := d.run(); v.Settled != nil {
			t.Error("it was decided on a click that was not kept")
		}
		d.hurt.fail(nil)
		d.press(anna, f.ID, report.ActionRestart)
		if v := d.run(); v.Settled == nil {
			t.Error("the button did not work afterwards")
		}
	})
}
