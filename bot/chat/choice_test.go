package chat_test

import (
	"fmt"
	"strings"
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
		wantText(t, "the message", m.PlainText(), "Approved by <@U0ANNA>", "Waits for", "Memory runs out before this run begins")
		if !offers(m, report.ActionCancel) || offers(m, report.ActionQuiet) {
			t.Errorf("it offers %v", actions(m))
		}
		d.nap(21*time.Hour+45*time.Minute, time.Hour)
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

// TestNobodyAnswers: reminders go into the thread and the channel, each once,
// and the last one calls those who are named for it.
func TestNobodyAnswers(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		f, _ := d.opened("mail") // eleven hours are left
		asked := time.Now()
		var heard []string
		for _, after := range []time.Duration{time.Hour, 6 * time.Hour, 9 * time.Hour, 10 * time.Hour, 10*time.Hour + time.Minute} {
			d.nap(time.Until(asked.Add(after))-2*time.Minute, 2*time.Minute)
			f, err := finding.Change(t.Context(), d.store, f.ID, func(f *finding.Finding) error {
				f.LastSeen, f.Verdict.Exhaustion.Expected = time.Now(), asked.Add(11*time.Hour)
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := d.rem.Heed(t.Context(), f); err != nil {
				t.Fatal(err)
			}
			d.rest(time.Minute)
			heard = append(heard, fmt.Sprint(len(d.sim.Thread(ops, f.MessageTS))))
		}
		thread := d.sim.Thread(ops, d.finding(f.ID).MessageTS)
		var said []string
		for _, m := range thread {
			if strings.Contains(m.PlainText(), "Nobody has decided") {
				said = append(said, m.PlainText())
			}
		}
		if len(said) != 3 {
			t.Fatalf("%d reminders, thread %v: %q", len(said), heard, said)
		}
		wantText(t, "at half", said[0], "mail on web-1", "Half of the time is gone")
		wantText(t, "at a quarter", said[1], "A quarter of the time is left")
		wantText(t, "the last", said[2], "<!subteam^S0LEADS>", "Hardly any time is left")
		if strings.Contains(said[0]+said[1], "S0LEADS") {
			t.Error("others were called too early")
		}
	})
}
