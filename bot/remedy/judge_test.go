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

// TestFreedBy: what is told stands within what bounds it, and nothing is told of
// what was not measured alike.
func TestFreedBy(t *testing.T) {
	const mib = 1 << 20
	before := Numbers{Bytes: 612 * mib, Metric: "rss+swap", Processes: 4}
	now := Numbers{Bytes: 200 * mib, Metric: "rss+swap"}
	freed := func(metric string, low, high float64) *Freed {
		return &Freed{Metric: metric, Bytes: (low + high) / 2 * mib, Low: low * mib, High: high * mib}
	}
	for _, c := range []struct {
		name string
		l    *Life
		says string
	}{
		{"nothing yet", nil, ""},
		{"not read yet", &Life{Freed: freed("rss+swap", 395, 430)}, ""},
		{"an older run", &Life{Now: now}, " (412 MiB)"},
		{"with its interval", &Life{Now: now, Freed: freed("rss+swap", 395, 430)}, " (412 MiB, 395 to 430)"},
		{"the level lagged behind growth", &Life{Now: now, Freed: freed("rss+swap", 380, 390)}, " (412 MiB, 380 to 412)"},
		{"the new life was read low", &Life{Now: now, Freed: freed("rss+swap", 415, 430)}, " (412 MiB, 412 to 430)"},
		{"an interval of another metric", &Life{Now: now, Freed: freed("pss+swap", 395, 430)}, " (412 MiB)"},
		{"read in another metric", &Life{Now: Numbers{Bytes: 200 * mib, Metric: "pss+swap"}, Freed: freed("pss+swap", 395, 430)}, ""},
		{"more than before", &Life{Now: Numbers{Bytes: 700 * mib, Metric: "rss+swap"}, Freed: freed("rss+swap", -100, -80)}, ""},
	} {
		got, sure := freedBy(before, c.l)
		if sure && (got.Low > got.Value || got.Value > got.High) || !sure && (got.Low != 0 || got.High != 0) {
			t.Errorf("%s: %+v, sure %v", c.name, got, sure)
		}
		var l Life
		if c.l != nil {
			l = *c.l
		}
		if says := amount(before, l); says != c.says {
			t.Errorf("%s: %q, want %q", c.name, says, c.says)
		}
	}
	l := Life{Now: now, Freed: freed("rss+swap", 395, 430), Passes: 5, Seen: true, Lives: 1, Pool: 4, Recovery: detector.DidRecover}
	for w, want := range map[Working]string{Advancing: "memory was freed (412 MiB, 395 to 430) and the worker is working",
		Idle: "memory was freed (412 MiB, 395 to 430); the worker runs but was not seen working"} {
		l.Working = w
		if _, why, _ := judge(l, before, true); why != want {
			t.Errorf("%s: %q, want %q", w, why, want)
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
