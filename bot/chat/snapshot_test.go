package chat_test

import (
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/report"
)

// A snapshot before profiling: asked by anybody, approved by those who may,
// shown in one message, and nothing is restarted.
func TestSnapshotCommand(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		wantText(t, "ambiguous", d.say(carla, "/leaks snapshot we").PlainText(), "Which one?")
		wantText(t, "unknown", d.say(carla, "/leaks snapshot nobody").PlainText(), "No worker begins with")
		wantText(t, "without a name", d.say(carla, "/leaks snapshot").PlainText(), "Which worker?")
		wantText(t, "the answer", d.say(carla, "/leaks snapshot mai before <profiling>").PlainText(), "A snapshot of web-1 is offered")
		v := d.run()
		_, m := d.message(v.Finding)
		wantText(t, "the question", m.PlainText(), "Snapshot only", "before &lt;profiling&gt;", "Nothing is restarted", "Asked by")
		d.press(carla, v.Finding, report.ActionRestart)
		wantText(t, "a refusal", d.told(carla), "not among the configured approvers")
		d.press(anna, v.Finding, report.ActionRestart)
		d.rest(20 * time.Minute)
		_, m = d.message(v.Finding)
		wantText(t, "the end", m.PlainText(), "Snapshot made, nothing was restarted", "11.2 GB")
		if snapshots, restarts := d.far.counted(); snapshots != 1 || restarts != 0 {
			t.Errorf("%d snapshots, %d restarts", snapshots, restarts)
		}
		wantText(t, "the list", d.say(carla, "/leaks snapshots").PlainText(), "dropleak-mail-", "a month")
	})
}
