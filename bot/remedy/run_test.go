package remedy_test

import (
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dropleak/dropleak/bot/audit"
	"github.com/dropleak/dropleak/bot/remedy"
	"github.com/dropleak/dropleak/bot/store/storetest"
)

func click(by string, k remedy.Kind) remedy.Decision {
	return remedy.Decision{By: by, Team: team, Kind: k}
}

// propose and approve, as in the common case.
func approved(t *testing.T, p *process) string {
	t.Helper()
	v, err := p.s.Propose(t.Context(), p.w.finding("mail"), "")
	if err != nil {
		t.Fatal(err)
	}
	a, err := p.s.Decide(t.Context(), v.Run, click(alice, remedy.Approve))
	if err != nil || !a.Accepted {
		t.Fatalf("approve: %+v, %v", a.Refusal, err)
	}
	return v.Run
}

func TestHappyPath(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		p := w.start("a", nil)
		id := approved(t, p)
		r := w.drive(t, id, 2*time.Hour, p)
		if r.Outcome != string(remedy.FreedWorking) || w.count("snapshot") != 1 || w.count("restart") != 1 {
			t.Fatalf("outcome %q with %d snapshots, %d restarts\n%s", r.Outcome, w.count("snapshot"), w.count("restart"), w.story())
		}
		if err := w.final(r); err != nil {
			t.Error(err)
		}
		v, err := p.s.View(t.Context(), id)
		if err != nil || v.Freed() != 1.8e9 || v.Snapshot == nil || v.New.PID == v.Old.PID || v.Evidence == nil {
			t.Errorf("view %+v, %v", v, err)
		}
	})
}

// TestCrashAnywhere kills the process before and after every write to the
// store and every call to the world, one at a time, none left out, and lets
// another take over.
func TestCrashAnywhere(t *testing.T) {
	var crossings []string
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.snapshotTakes = 15 * time.Second
		p := w.start("a", nil)
		p.choose = func(c string) fault { crossings = append(crossings, c); return none }
		w.drive(t, approved(t, p), 2*time.Hour, p)
	})
	if len(crossings) < 50 {
		t.Fatalf("only %d crossings: %q", len(crossings), crossings)
	}
	person := 0
	for i := range crossings {
		for _, f := range []fault{crashBefore, crashAfter, lostBefore, lostAfter} {
			synctest.Test(t, func(t *testing.T) {
				outcome := crashAt(t, i, f)
				window := crossings[i] == "call snapshot" || crossings[i] == "store sent snapshot" || crossings[i] == "store done snapshot"
				switch {
				case outcome == string(remedy.FreedWorking):
				case outcome == string(remedy.Unclear) && window:
					person++
				default:
					t.Errorf("fault %d at %d (%s): outcome %q", f, i, crossings[i], outcome)
				}
			})
		}
	}
	t.Logf("%d crossings, %d faults, %d runs to a person", len(crossings), len(crossings)*4, person)
}

// crashAt runs a whole run in which the n-th crossing of the first process
// goes wrong, and returns how it ended.
func crashAt(t *testing.T, n int, f fault) string {
	w := newWorld()
	w.snapshotTakes = 15 * time.Second
	a, b := w.start("a", nil), w.start("b", nil)
	seen := 0
	a.choose = func(string) fault {
		seen++
		if seen-1 == n {
			return f
		}
		return none
	}
	living := func() *process {
		if a.dead.Load() {
			return b
		}
		return a
	}
	var id string
	for range 5 { // a person presses until there is an answer
		v, err := living().s.Propose(t.Context(), w.finding("mail"), "")
		if err != nil {
			continue
		}
		id = v.Run
		ans, err := living().s.Decide(t.Context(), id, click(alice, remedy.Approve))
		if err == nil && (ans.Accepted || ans.Refusal.Code == remedy.Decided) {
			break
		}
	}
	r := w.drive(t, id, 8*time.Hour, a, b)
	if r.Live() {
		t.Errorf("lost: run at %s\n%s", r.Step, w.story())
	}
	if err := w.final(r); err != nil {
		t.Error(err)
	}
	return r.Outcome
}

// TestOnSQLite is the run on the real store, killed between the snapshot and
// the restart, with the audit log that tells of it.
func TestOnSQLite(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		s := storetest.Open(t, "sqlite:"+t.TempDir())
		w.db = s
		log := func(_ *remedy.Config, d *remedy.Deps) { d.Audit = s }
		a := w.start("a", log)
		a.choose = func(border string) fault {
			if border == "store plan restart" {
				return crashBefore
			}
			return none
		}
		id := approved(t, a)
		w.drive(t, id, time.Hour, a)
		if w.count("snapshot") != 1 || w.count("restart") != 0 {
			t.Fatalf("%d snapshots and %d restarts before the kill", w.count("snapshot"), w.count("restart"))
		}
		b := w.start("b", log)
		wantRefused(t, decide(t, b, id, click(mallory, remedy.Cancel)), remedy.NotApprover)
		if r := w.drive(t, id, 2*time.Hour, b); r.Outcome != string(remedy.FreedWorking) || w.count("snapshot") != 1 || w.count("restart") != 1 {
			t.Errorf("outcome %q with %d snapshots and %d restarts", r.Outcome, w.count("snapshot"), w.count("restart"))
		}
		head, err := audit.Verify(t.Context(), s)
		if err != nil {
			t.Fatal(err)
		}
		entries, err := s.AuditEntries(t.Context(), audit.Filter{Run: id})
		if err != nil || int64(len(entries)) != head.Seq {
			t.Fatalf("%d entries of the run, log ends at %d, %v", len(entries), head.Seq, err)
		}
		var what []string
		for _, e := range entries {
			what = append(what, e.What+" "+e.Subject)
		}
		for _, want := range []string{"proposal mail on web-1", "decision approve", "act snapshot", "act restart", "refusal cancel", "outcome mail on web-1"} {
			if !slices.Contains(what, want) {
				t.Errorf("the audit log lacks %q: %q", want, what)
			}
		}
	})
}

// TestStaleLook: what was seen before everybody slept is looked at again.
func TestStaleLook(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		p := w.start("a", nil)
		looks := 0
		p.meanwhile = func() { time.Sleep(time.Minute) }
		p.choose = func(border string) fault {
			switch border {
			case "call inspect":
				looks++
			case "store plan restart":
				p.choose = func(border string) fault {
					if border == "call inspect" {
						looks++
					}
					return none
				}
				return stall
			}
			return none
		}
		id := approved(t, p)
		if r := w.drive(t, id, 2*time.Hour, p); r.Outcome != string(remedy.FreedWorking) || looks != 4 {
			t.Errorf("outcome %q after %d looks, want 4: at the proposal, the click, before the restart and again", r.Outcome, looks)
		}
	})
}
