package chat_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/report"
	"github.com/dropleak/dropleak/bot/watch"
	"github.com/dropleak/dropleak/detector"
)

// cured runs a leak's restart to its end.
func (d *desk) cured() finding.Finding {
	d.t.Helper()
	f, _ := d.opened("mail")
	d.press(anna, f.ID, report.ActionRestart)
	d.rest(time.Hour)
	return d.finding(f.ID)
}

// TestSnapshotAfterwards: how to restore is told to anybody of the house, what
// becomes of the snapshot is decided by those who may, and the message shows it.
func TestSnapshotAfterwards(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		f := d.cured()
		_, m := d.message(f.ID)
		wantText(t, "the message", m.PlainText(), "Keep snapshot", "Delete snapshot", "How to restore", "a month until it expires", "alive and working")
		d.press(carla, f.ID, report.ActionRestore)
		v, ok := d.sim.Modal(carla)
		if !ok {
			t.Fatal("no modal was opened")
		}
		wantText(t, "the modal", fmt.Sprint(v.Blocks), "doctl compute droplet-action rebuild 42 --image 1000 --wait", "What would be lost", "begin to take tasks at once", "`mail`, `beat`")
		d.press(carla, f.ID, report.ActionDelete)
		wantText(t, "the refusal", d.told(carla), "not among the configured approvers")
		d.press(anna, f.ID, report.ActionKeep)
		_, m = d.message(f.ID)
		wantText(t, "the message", m.PlainText(), "kept until somebody deletes it, by <@U0ANNA>")
		wantText(t, "/leaks snapshots", d.say(carla, "/leaks snapshots").PlainText(), "kept, by <@U0ANNA>", "$0.67 a month* for all")
		if err := d.chat.Report(t.Context(), "", "", time.Time{}); err != nil {
			t.Fatal(err)
		}
		all := d.sim.Messages(ops)
		wantText(t, "the report", all[len(all)-1].PlainText(), "1 snapshot kept, 11 GB, $0.67 a month")
		d.press(ben, f.ID, report.ActionDelete)
		d.rest(time.Minute)
		_, m = d.message(f.ID)
		wantText(t, "the message", m.PlainText(), "deleted, by <@U0BEN>")
		if offers(m, report.ActionDelete) || offers(m, report.ActionRestore) {
			t.Errorf("it still offers %v", actions(m))
		}
	})
}

// TestRelapseInThread: growth of the new life is told once in the thread, and
// a restart is offered again, with how long the last one helped.
func TestRelapseInThread(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		f := d.cured()
		lines := len(d.sim.Thread(ops, f.MessageTS))
		d.nap(6*time.Hour, time.Second)
		for range 2 {
			f, err := finding.Change(t.Context(), d.store, f.ID, func(f *finding.Finding) error {
				f.LastSeen, f.Verdict = time.Now(), verdict(time.Now(), true)
				onset := time.Now().Add(-3 * time.Hour)
				f.Verdict.Onset = &onset
				return nil
			})
			if err != nil {
				t.Fatal(err)
			}
			if err := d.rem.Heed(t.Context(), f); err != nil {
				t.Fatal(err)
			}
			d.rest(time.Minute)
		}
		thread := d.sim.Thread(ops, f.MessageTS)
		if len(thread) != lines+1 {
			t.Fatalf("%d lines in the thread, were %d", len(thread), lines)
		}
		wantText(t, "the thread", thread[len(thread)-1].PlainText(), "It grows again, +44 MiB/h", "helped for 7 h")
		_, m := d.message(f.ID)
		wantText(t, "the message", m.PlainText(), "Restarted before", "helped for 7 h", "as the last one of it took")
		if !offers(m, report.ActionRestart) {
			t.Errorf("it offers %v", actions(m))
		}
	})
}

// TestLastedInThread: how fast the new life grows is not known at first, and it
// is said from when on it can be told; when nothing was seen to grow for long
// enough, the message and, once, the thread say so, and what would have shown.
func TestLastedInThread(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		d.far.tells = time.Now().Add(9 * time.Hour)
		f := d.cured()
		_, m := d.message(f.ID)
		wantText(t, "the message", m.PlainText(), "+44 MiB/h → that it stopped is not known before ")
		lines := len(d.sim.Thread(ops, f.MessageTS))
		d.nap(9*time.Hour, time.Second)
		f, err := finding.Change(t.Context(), d.store, f.ID, func(f *finding.Finding) error {
			least := 2.5 * 1024 * 1024
			f.Verdict = detector.Verdict{Kind: detector.Healthy, Reason: detector.ReasonFlat, MinDetectable: &least}
			return f.Resolve("memory no longer grows", time.Now())
		})
		if err != nil {
			t.Fatal(err)
		}
		for range 2 {
			d.tell(watch.Resolved, f.ID)
			d.rest(time.Minute)
		}
		_, m = d.message(f.ID)
		wantText(t, "the message", m.PlainText(), "+44 MiB/h → none seen; +2.5 MiB/h would have shown")
		thread := d.sim.Thread(ops, f.MessageTS)
		if len(thread) != lines+1 {
			t.Fatalf("%d lines in the thread, were %d", len(thread), lines)
		}
		wantText(t, "the thread", thread[len(thread)-1].PlainText(), "10 h after the restart", "growth of the new life: none seen; +2.5 MiB/h would have shown", "Before: +44 MiB/h")
	})
}

// TestLoudOutcomes: what a person must look at now is shown in the channel, too,
// and a worker that is not running is the loudest.
func TestLoudOutcomes(t *testing.T) {
	for name, c := range map[string]struct {
		change func(x *droplets)
		words  []string
		loud   bool
	}{
		"freed":       {func(*droplets) {}, []string{"Memory freed, worker working"}, false},
		"not freed":   {func(x *droplets) { x.recovery = detector.DidNotRecover }, []string{"Restarted, memory not freed"}, true},
		"not running": {func(x *droplets) { x.down = true }, []string{":rotating_light::rotating_light::rotating_light:", "THE WORKER IS NOT RUNNING", "no main process"}, true},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, d *desk) {
				f, _ := d.opened("mail")
				c.change(d.far)
				d.press(anna, f.ID, report.ActionRestart)
				d.rest(time.Hour)
				f, m := d.message(f.ID)
				wantText(t, "the message", m.PlainText(), c.words...)
				thread := d.sim.Thread(ops, f.MessageTS)
				last := thread[len(thread)-1]
				wantText(t, "the thread", last.PlainText(), c.words...)
				if last.Broadcast != c.loud {
					t.Errorf("shown in the channel: %v", last.Broadcast)
				}
			})
		})
	}
}
