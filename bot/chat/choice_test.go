package chat_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/report"
)

// TestQuietWindow: the button says when, the message says that it waits, and
// the run can be cancelled until then.
func TestQuietWindow(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		f, m := d.opened("mail")
		wantText(t, "the card", m.PlainText(), "At 22:00 UTC")
		d.press(anna, f.ID, report.ActionQuiet)
		_, m = d.message(f.ID)
		wantText(t, "the message", m.PlainText(), "Approved by <@U0ANNA>", "Waits for", "Memory runs out before that")
		if !offers(m, report.ActionCancel) || offers(m, report.ActionQuiet) {
			t.Errorf("it offers %v", actions(m))
		}
		d.rest(24 * time.Hour)
		_, m = d.message(f.ID)
		wantText(t, "the outcome", m.PlainText(), "Memory freed, worker working")
	})
}

// TestMuteUntil: a person chooses until when to be quiet; a time that has
// passed is refused, and so is somebody who may not.
func TestMuteUntil(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		f, m := d.opened("mail")
		ask := func(user string, at time.Time) {
			t.Helper()
			if err := d.sim.Choose(user, ops, m.TS, report.ActionMore, report.ActionUntil+":"+f.ID); err != nil {
				t.Fatal(err)
			}
			d.rest(time.Second)
			if err := d.sim.Submit(user, map[string]string{"until": fmt.Sprint(at.Unix())}); err != nil {
				t.Fatal(err)
			}
			d.rest(5 * time.Second)
		}
		until := time.Now().Add(30 * time.Hour).Truncate(time.Minute)
		ask(carla, until)
		wantText(t, "the refusal", d.told(carla), "not among the configured approvers")
		ask(anna, time.Now().Add(-time.Hour))
		wantText(t, "the refusal", d.told(anna), "That time has passed")
		ask(anna, until)
		if got := d.finding(f.ID); got.State != finding.Muted || !got.MutedUntil.Equal(until) || got.MuteWorse {
			t.Errorf("the finding is %s until %v", got.State, got.MutedUntil)
		}
		_, m = d.message(f.ID)
		wantText(t, "the message", m.PlainText(), "uted")
	})
}
