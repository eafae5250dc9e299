package chat_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/report"
	"github.com/dropleak/dropleak/bot/slacksim"
	"github.com/dropleak/dropleak/bot/watch"
	"github.com/dropleak/dropleak/detector"
)

// incident opens a leak of mail on each of n droplets as one scan would, tells
// of each, and returns the ids.
func (d *desk) incident(n int) (ids []string) {
	d.t.Helper()
	v := d.far.view()
	for i := range n {
		f := leak(v, "mail")
		f.ID, f.Incident, f.Began = fmt.Sprint("f", i), "f0", v.At.Add(-5*time.Hour)
		f.Subject.DropletID, f.Subject.DropletName = fmt.Sprint(42+i), fmt.Sprint("web-", i+1)
		f.Verdict.Exhaustion.Expected = v.At.Add(time.Duration(11+i) * time.Hour)
		if err := d.store.OpenFinding(d.t.Context(), f); err != nil {
			d.t.Fatal(err)
		}
		ids = append(ids, f.ID)
	}
	for _, id := range ids {
		d.tell(watch.Opened, id)
	}
	return ids
}

// posts are the messages of the channel itself, not of threads.
func (d *desk) posts() (out []slacksim.Message) {
	for _, m := range d.sim.Messages(ops) {
		if m.Thread == "" {
			out = append(out, m)
		}
	}
	return out
}

// One bad deploy on twelve droplets is one message and one question.
func TestIncidentIsOneMessage(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		ids := d.incident(12)
		if n := len(d.posts()); n != 1 {
			t.Fatalf("%d messages", n)
		}
		f, m := d.message(ids[11])
		if first := d.finding(ids[0]); first.MessageTS != f.MessageTS {
			t.Error("two findings of an incident have two messages")
		}
		wantText(t, "the message", m.PlainText(), "mail on 12 droplets", "the first runs out of memory in 11 h", "Rolling restart* of 12 workers", "and 2 more: mail on web-11, mail on web-12")
		if note := []rune(m.Text); !strings.Contains(string(note[:min(len(note), 80)]), "mail on 12 droplets: out of memory in 11 h. Approve a rolling restart?") {
			t.Errorf("the notification: %s", m.Text)
		}
		if !offers(m, report.ActionRollout) || offers(m, report.ActionRestart) {
			t.Errorf("offered: %v", actions(m))
		}
	})
}

// One approval, and the line in the one message says where it is, until every
// worker was seen to.
func TestIncidentRollsOn(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		ids := d.incident(3)
		d.press(carla, ids[0], report.ActionRollout)
		wantText(t, "a refusal", d.told(carla), "not among the configured approvers")
		d.press(anna, ids[0], report.ActionRollout)
		wantText(t, "the answer", d.told(anna), "Approved: 3 workers, one at a time.")
		d.rest(5 * time.Minute)
		_, m := d.message(ids[0])
		wantText(t, "the message", m.PlainText(), "approved by", "0 of 3 restarted, now mail on web-1, 2 to come", "Snapshot the droplet", ":white_circle: to come")
		if !offers(m, report.ActionRollCancel) || offers(m, report.ActionRollout) {
			t.Errorf("offered: %v", actions(m))
		}
		d.rest(90 * time.Minute)
		_, m = d.message(ids[0])
		wantText(t, "the message", m.PlainText(), "every worker had its turn", "3 of 3 restarted", "memory freed, worker working")
		if snapshots, restarts := d.far.counted(); snapshots != 3 || restarts != 3 || len(d.posts()) != 1 {
			t.Errorf("%d snapshots, %d restarts, %d messages", snapshots, restarts, len(d.posts()))
		}
	})
}

// The first that does not come back well halts it, loudly, with its proof.
func TestIncidentHalts(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		ids := d.incident(3)
		unlock := d.far.lock()
		d.far.recovery = detector.DidNotRecover
		unlock()
		d.press(anna, ids[0], report.ActionRollout)
		d.rest(90 * time.Minute)
		_, m := d.message(ids[0])
		wantText(t, "the message", m.PlainText(), "ROLLING RESTART HALTED", "The restart of mail on web-1 ended: restarted, memory not freed", "1 of 3 restarted, 2 not touched", "not touched")
		if _, restarts := d.far.counted(); restarts != 1 {
			t.Errorf("%d restarts", restarts)
		}
		if !offers(m, report.ActionRollAsk) {
			t.Errorf("offered: %v", actions(m))
		}
		d.press(anna, ids[1], report.ActionRollAsk)
		d.rest(time.Minute)
		if _, m = d.message(ids[0]); !offers(m, report.ActionRollout) {
			t.Errorf("asked again, offered: %v", actions(m))
		}
	})
}

func TestIncidentCancelled(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		ids := d.incident(3)
		d.press(anna, ids[0], report.ActionRollout)
		d.rest(3 * time.Minute)
		d.press(ben, ids[2], report.ActionRollCancel)
		d.rest(time.Minute)
		_, m := d.message(ids[0])
		wantText(t, "the message", m.PlainText(), "cancelled, nothing more is restarted", "0 of 3 restarted")
		if _, restarts := d.far.counted(); restarts != 0 {
			t.Errorf("%d restarts", restarts)
		}
	})
}

func TestIncidentNotNow(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		ids := d.incident(3)
		d.press(anna, ids[0], report.ActionRollNotNow)
		d.rest(10 * time.Second)
		for _, id := range ids {
			if f := d.finding(id); f.State != finding.Muted || f.By != anna {
				t.Errorf("%s is %s by %s", id, f.State, f.By)
			}
		}
		_, m := d.message(ids[0])
		wantText(t, "the message", m.PlainText(), "Rolling restart: not now", "muted by")
	})
}

// A finding that had a message, and a question, of its own joins: its message
// becomes the incident's, its question is taken back.
func TestIncidentGrowsFromOne(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		first, m := d.opened("mail")
		if !offers(m, report.ActionRestart) {
			t.Fatalf("offered: %v", actions(m))
		}
		second := leak(d.far.view(), "mail")
		second.Subject.DropletID, second.Subject.DropletName, second.Incident, second.Began = "43", "web-2", first.ID, time.Now().Add(-time.Hour)
		if err := d.store.OpenFinding(t.Context(), second); err != nil {
			t.Fatal(err)
		}
		if _, err := finding.Change(t.Context(), d.store, first.ID, func(f *finding.Finding) error {
			f.Incident, f.Began = first.ID, second.Began
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		d.tell(watch.Opened, second.ID)
		d.rest(time.Minute)
		if len(d.posts()) != 1 {
			t.Errorf("%d messages", len(d.posts()))
		}
		_, m = d.message(first.ID)
		wantText(t, "the message", m.PlainText(), "mail on 2 droplets")
		if offers(m, report.ActionRestart) || !offers(m, report.ActionRollout) {
			t.Errorf("offered: %v", actions(m))
		}
		if v := d.run(); v.Outcome != "cancelled" {
			t.Errorf("its own question: %q", v.Outcome)
		}
	})
}
