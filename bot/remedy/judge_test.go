package remedy

import (
	"testing"

	"github.com/dropleak/dropleak/detector"
)

func TestJudge(t *testing.T) {
	before := Numbers{Bytes: 2e9, Processes: 4}
	well := Life{Now: Numbers{Bytes: 1 << 20}, Passes: 5, Seen: true, Lives: 1, Pool: 4, Working: Advancing, Recovery: detector.DidRecover}
	with := func(change func(*Life)) Life {
		l := well
		change(&l)
		return l
	}
	for _, c := range []struct {
		name string
		l    Life
		now  Outcome // while there is time; empty: go on looking
		last Outcome // when there is no more
	}{
		{"well", well, FreedWorking, FreedWorking},
		{"memory not read yet", with(func(l *Life) { l.Now.Bytes = 0 }), "", FreedWorking},
		{"nothing measured", Life{}, "", Unclear},
		{"only the old life", with(func(l *Life) { l.Seen, l.Lives = false, 0 }), "", NotRunning},
		{"gone for a moment", with(func(l *Life) { l.Absent = 1 }), "", NotRunning},
		{"gone", with(func(l *Life) { l.Absent = 3 }), NotRunning, NotRunning},
		{"died once", with(func(l *Life) { l.Lives = 2; l.Recovery = detector.TooEarly }), "", CameBackBad},
		{"keeps dying", with(func(l *Life) { l.Lives = 3 }), CameBackBad, CameBackBad},
		{"killed for memory", with(func(l *Life) { l.OOMKills = 1 }), CameBackBad, CameBackBad},
		{"pool short", with(func(l *Life) { l.Pool = 3 }), "", CameBackBad},
		{"not freed", with(func(l *Life) { l.Recovery = detector.DidNotRecover }), NotFreed, NotFreed},
		{"too early", with(func(l *Life) { l.Recovery = detector.TooEarly }), "", Unclear},
		{"idle", with(func(l *Life) { l.Working = Idle }), "", FreedNotSeenWorking},
		{"work not measured", with(func(l *Life) { l.Working = WorkUnknown }), "", FreedNotSeenWorking},
	} {
		for last, want := range map[bool]Outcome{false: c.now, true: c.last} {
			o, why, decided := judge(c.l, before, last)
			if o != want || decided != (want != "") || decided && why == "" {
				t.Errorf("%s, last %v: %q (%q), decided %v; want %q", c.name, last, o, why, decided, want)
			}
		}
	}
}

// TestMayRestart is the first law where the order leaves, whatever the steps
// before may have got wrong.
func TestMayRestart(t *testing.T) {
	made := Snapshot{ID: "1", DropletID: 42, Name: "dropleak-mail-r1"}
	for _, c := range []struct {
		name string
		d    data
		g    gate
		may  bool
	}{
		{"its own snapshot", data{Snapshot: &made}, gate{}, true},
		{"none", data{}, gate{}, false},
		{"of another droplet", data{Snapshot: &Snapshot{ID: "1", DropletID: 43, Name: made.Name}}, gate{}, false},
		{"of another run", data{Snapshot: &Snapshot{ID: "1", DropletID: 42, Name: "dropleak-mail-r2"}}, gate{}, false},
		{"without an id", data{Snapshot: &Snapshot{DropletID: 42, Name: made.Name}}, gate{}, false},
		{"skipped with a reason", data{}, gate{Skip: &Vote{By: "U1", Reason: "no state"}}, true},
		{"skipped without", data{}, gate{Skip: &Vote{By: "U1"}}, false},
		{"rehearsal", data{Rehearsal: true}, gate{}, true},
	} {
		c.d.Plan.DropletID, c.d.SnapshotName = 42, made.Name
		w := &work{record: record{d: c.d, g: c.g}}
		if err := w.mayRestart(); (err == nil) != c.may {
			t.Errorf("%s: %v, want may %v", c.name, err, c.may)
		}
	}
}
