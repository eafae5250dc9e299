package demo

import (
	"strings"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/remedy"
	"github.com/dropleak/dropleak/bot/workflow"
	"github.com/dropleak/dropleak/detector"
)

// good is the evidence of a story in which all went well.
func good() evidence {
	done := time.Date(2026, 11, 22, 9, 0, 0, 0, time.UTC)
	return evidence{outcome: remedy.FreedWorking, approved: true, refused: true, posts: 1, completed: []time.Time{done}, snapshots: 1,
		claims: []claim{{Key: "r1", At: done.Add(time.Second)}}, spawns: 2, before: life{10, "500", 90 * mib}, after: life{20, "900", 40 * mib},
		run: workflow.Run{ID: "r1"}, runs: 1, recovery: detector.DidRecover}
}

func holds(e evidence, f Fault) (bad []string) {
	for _, c := range e.checks(f) {
		if !c.ok {
			bad = append(bad, c.says)
		}
	}
	return bad
}

// Each lie must be noticed.
func TestChecks(t *testing.T) {
	if bad := holds(good(), ""); len(bad) > 0 {
		t.Errorf("a good story is doubted: %q", bad)
	}
	for name, lie := range map[string]func(*evidence){
		"nobody approved":                  func(e *evidence) { e.approved = false },
		"nobody was refused":               func(e *evidence) { e.refused = false },
		"two snapshots ordered":            func(e *evidence) { e.posts = 2 },
		"no snapshot made":                 func(e *evidence) { e.snapshots = 0 },
		"no restart claimed":               func(e *evidence) { e.claims = nil },
		"two restarts claimed":             func(e *evidence) { e.claims = append(e.claims, e.claims[0]) },
		"an order of another run":          func(e *evidence) { e.claims[0].Key = "r2" },
		"restarted twice":                  func(e *evidence) { e.spawns = 3 },
		"two runs":                         func(e *evidence) { e.runs = 2 },
		"claimed before the snapshot":      func(e *evidence) { e.claims[0].At = e.completed[0].Add(-time.Millisecond) },
		"the same pid":                     func(e *evidence) { e.after.PID = e.before.PID },
		"the same start":                   func(e *evidence) { e.after.Start = e.before.Start },
		"nobody runs":                      func(e *evidence) { e.after = life{} },
		"the detector does not see it":     func(e *evidence) { e.recovery = detector.TooEarly },
		"memory grew":                      func(e *evidence) { e.after.Bytes = e.before.Bytes + 1 },
		"Slack says otherwise":             func(e *evidence) { e.outcome = remedy.FreedNotSeenWorking },
		"DigitalOcean knows not a request": func(e *evidence) { e.unmodelled = 1 },
	} {
		e := good()
		if lie(&e); len(holds(e, "")) == 0 {
			t.Errorf("%s, and the story passes", name)
		}
	}
}

func TestChecksOfACrash(t *testing.T) {
	e := good()
	for _, c := range []struct {
		after time.Duration // of the snapshot's end
		ok    bool
	}{{500 * time.Millisecond, true}, {-time.Second, false}, {2 * time.Second, false}} {
		at := e.completed[0].Add(c.after)
		e.crash = &at
		if bad := holds(e, Crash); len(bad) == 0 != c.ok {
			t.Errorf("killed %v after the snapshot: %q", c.after, bad)
		}
	}
	if e.crash = nil; len(holds(e, Crash)) == 0 {
		t.Error("nobody was killed, and the story passes")
	}
}

func TestParseFault(t *testing.T) {
	for _, f := range append(Faults, "") {
		if got, err := ParseFault(string(f)); got != f || err != nil {
			t.Errorf("%q: %q, %v", f, got, err)
		}
	}
	if _, err := ParseFault("flood"); err == nil || !strings.Contains(err.Error(), "errored-snapshot") {
		t.Errorf("an unknown fault gives %v", err)
	}
}
