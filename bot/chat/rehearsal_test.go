package chat_test

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/report"
	"github.com/dropleak/dropleak/bot/slacksim"
)

// TestRehearsal: everything is asked, looked at and shown, nothing is carried
// out, and whatever is written says that it is a rehearsal.
func TestRehearsal(t *testing.T) {
	rehearsed(t, func(t *testing.T, d *desk) {
		f, m := d.opened("mail")
		for _, line := range []string{"/leaks report", "/leaks worker mail", "/leaks why mail", "/leaks runs", "/leaks help", "/leaks nonsense"} {
			d.say(carla, line)
		}
		d.press(carla, f.ID, report.ActionRestart)
		d.press(carla, f.ID, report.ActionDetails)
		if err := d.sim.Choose(anna, ops, m.TS, report.ActionMore, report.ActionSkip+":"+d.run().Run); err != nil {
			t.Fatal(err)
		}
		d.rest(time.Second)
		d.press(anna, f.ID, report.ActionRestart)
		d.rest(30 * time.Minute)
		if err := d.sim.OpenHome(anna); err != nil {
			t.Fatal(err)
		}
		d.rest(time.Minute)
		if err := d.chat.Report(t.Context(), "", "", time.Time{}); err != nil {
			t.Fatal(err)
		}
		_, m = d.message(f.ID)
		wantText(t, "the outcome", m.PlainText(), "Rehearsed, nothing was carried out")
		if snaps, restarts := d.far.counted(); snaps+restarts != 0 {
			t.Errorf("%d snapshots and %d restarts in a rehearsal", snaps, restarts)
		}
		d.allMarked()
	})
}

// allMarked looks at everything that was written.
func (d *desk) allMarked() {
	d.t.Helper()
	seen := map[string]int{}
	for _, e := range d.sim.Journal() {
		writes := e.Kind == slacksim.Respond
		switch e.Name {
		case "chat.postMessage", "chat.update", "chat.postEphemeral", "views.open", "views.publish":
			writes = true
		}
		if !writes {
			continue
		}
		seen[e.Kind+" "+e.Name]++
		want := 0
		if bytes.Contains(e.Body, []byte("mrkdwn")) || bytes.Contains(e.Body, []byte("plain_text")) {
			want = 1 // there are blocks
		}
		isView := strings.HasPrefix(e.Name, "views.")
		n := bytes.Count(e.Body, []byte("*REHEARSAL*"))
		if n != want || !isView && !bytes.Contains(e.Body, []byte("REHEARSAL: ")) {
			d.t.Errorf("%s %s bears the mark %d times:\n%s", e.Kind, e.Name, n, e.Body)
		}
	}
	if len(seen) < 5 {
		d.t.Errorf("only these were written: %v", seen)
	}
}
