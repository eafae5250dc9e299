package chat_test

import (
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/report"
	"github.com/dropleak/dropleak/bot/watch"
)

// TestStory is the whole life of one leak in Slack: one message with its
// chart and card, a refusal, an approval, progress, and the proof.
func TestStory(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		f, m := d.opened("mail")
		if n := len(d.sim.Messages(ops)); n != 1 {
			t.Fatalf("%d messages for one finding", n)
		}
		wantText(t, "the message", m.PlainText(), "mail on web-1", "+44 MiB/h", "Snapshot & restart", "Not now", "Details",
			"get 10 s to finish, then are killed", "`beat`")
		if f.Picture == "" {
			t.Error("no chart was uploaded")
		}
		if _, _, ok := d.sim.File(f.Picture); !ok {
			t.Error("the chart is not a file of the workspace")
		}
		d.press(carla, f.ID, report.ActionRestart)
		wantText(t, "the refusal", d.told(carla), "not among the configured approvers")
		if len(d.journal("refusal")) != 1 {
			t.Errorf("%d refusals in the audit log", len(d.journal("refusal")))
		}
		_, m = d.message(f.ID)
		if !offers(m, report.ActionRestart) {
			t.Error("a refused click took the buttons away")
		}
		d.press(anna, f.ID, report.ActionRestart)
		_, m = d.message(f.ID)
		wantText(t, "the progress", m.PlainText(), "Approved by <@U0ANNA>", "Snapshot the droplet")
		if offers(m, report.ActionRestart) || offers(m, report.ActionNotNow) || !offers(m, report.ActionCancel) {
			t.Errorf("after the approval the message offers %v", actions(m))
		}
		if d.finding(f.ID).State != finding.InHand {
			t.Errorf("the finding is %s", d.finding(f.ID).State)
		}
		d.rest(time.Hour)
		_, m = d.message(f.ID)
		wantText(t, "the outcome", m.PlainText(), "Memory freed, worker working", "1.5 GiB → 210 MiB", "pid 100 → 1100", "11.2 GB")
		if snaps, restarts := d.far.counted(); snaps != 1 || restarts != 1 {
			t.Errorf("%d snapshots, %d restarts", snaps, restarts)
		}
		if n := len(d.sim.Messages(ops)); n != 1 {
			t.Errorf("%d messages in the channel at the end", n)
		}
		if n := len(d.sim.Thread(ops, m.TS)); n < 2 {
			t.Errorf("%d lines in the thread", n)
		}
	})
}

func TestSeenAgainIsEditedInPlace(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		f, before := d.opened("mail")
		for range 5 {
			d.tell(watch.Seen, f.ID)
		}
		_, m := d.message(f.ID)
		if len(d.sim.Messages(ops)) != 1 || m.TS != before.TS || m.Edits == before.Edits {
			t.Errorf("%d messages, ts %s was %s, %d edits", len(d.sim.Messages(ops)), m.TS, before.TS, m.Edits)
		}
		if !offers(m, report.ActionRestart) {
			t.Errorf("the refreshed message offers %v", actions(m))
		}
	})
}
