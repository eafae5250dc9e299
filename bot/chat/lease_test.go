package chat_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/report"
)

// grants lets somebody fill in the terms of a lease.
func (d *desk) grants(user, id string, below string, until time.Time, most string) {
	d.t.Helper()
	_, m := d.message(id)
	if err := d.sim.Choose(user, ops, m.TS, report.ActionMore, report.ActionLease+":"+d.run().Run); err != nil {
		d.t.Fatal(err)
	}
	d.rest(time.Second)
	if err := d.sim.Submit(user, map[string]string{"below": below, "until": fmt.Sprint(until.Unix()), "most": most}); err != nil {
		d.t.Fatal(err)
	}
	d.rest(5 * time.Second)
}

// grows puts a forecast into the finding, of growth that began just now.
func (d *desk) grows(id string, left time.Duration) {
	d.t.Helper()
	f, err := finding.Change(d.t.Context(), d.store, id, func(f *finding.Finding) error {
		onset := time.Now().Add(-time.Minute)
		f.LastSeen, f.Verdict = time.Now(), verdict(time.Now(), true)
		f.Verdict.Onset, f.Verdict.Exhaustion.Expected = &onset, time.Now().Add(left)
		return nil
	})
	if err != nil {
		d.t.Fatal(err)
	}
	if err := d.rem.Heed(d.t.Context(), f); err != nil {
		d.t.Fatal(err)
	}
}

// TestLeaseInSlack: granted in a modal by those who may, shown with what was
// made of it, and revoked by a button that then is gone.
func TestLeaseInSlack(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		f, _ := d.opened("mail")
		morning := time.Now().Add(20 * time.Hour)
		d.grants(carla, f.ID, "30m", morning, "3")
		wantText(t, "the refusal", d.told(carla), "not among the configured approvers")
		d.grants(anna, f.ID, "soon", morning, "3")
		wantText(t, "the refusal", d.told(anna), "How much time?")
		d.grants(anna, f.ID, "30m", morning, "300")
		wantText(t, "the refusal", d.told(anna), "allows 1 to 10 restarts")
		d.grants(anna, f.ID, "30m", morning, "3")
		_, m := d.message(f.ID)
		wantText(t, "the message", m.PlainText(), "Answered with a lease", "Kept alive until", "granted by <@U0ANNA>", "less than 30 min", "0 of 3", "Revoke the lease")
		d.grows(f.ID, 35*time.Minute) // the snapshot takes nine
		d.rest(2 * time.Hour)
		_, m = d.message(f.ID)
		wantText(t, "after a restart", m.PlainText(), "Memory freed, worker working", "1 of 3 restarts used", "counts for all of them")
		if offers(m, report.ActionDelete) {
			t.Error("the snapshot that the lease counts on may be deleted")
		}
		d.press(ben, f.ID, report.ActionRevoke)
		d.rest(time.Minute)
		_, m = d.message(f.ID)
		wantText(t, "after it was revoked", m.PlainText(), "The lease was revoked by <@U0BEN>")
		if offers(m, report.ActionRevoke) || !offers(m, report.ActionDelete) {
			t.Errorf("it offers %v", actions(m))
		}
		thread := d.sim.Thread(ops, m.TS)
		wantText(t, "the thread's end", thread[len(thread)-1].PlainText(), "The lease was revoked")
		var told int
		for _, x := range thread {
			if strings.Contains(x.PlainText(), "Memory freed, worker working") {
				told++
			}
		}
		if snaps, restarts := d.far.counted(); snaps != 1 || restarts != 1 || told != 1 {
			t.Errorf("%d snapshots, %d restarts, told %d times", snaps, restarts, told)
		}
	})
}
