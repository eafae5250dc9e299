package remedy_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/remedy"
	"github.com/dropleak/dropleak/bot/workflow"
	"github.com/dropleak/dropleak/detector"
)

// incident has mail and web leak as one, mail the first to run out.
func (w *world) incident() {
	for i, name := range []string{"mail", "web"} {
		f := w.finding(name)
		f.Incident, f.LastSeen = "f-mail", time.Now()
		f.Verdict = detector.Verdict{Kind: detector.Leak, Exhaustion: &detector.Exhaustion{Expected: time.Now().Add(time.Duration(i+10) * time.Hour)}}
		w.lock(func() { w.findings[f.ID] = f })
	}
}

// askedRollout proposes the rolling restart of mail and web.
func askedRollout(t *testing.T, p *process) remedy.RolloutView {
	t.Helper()
	v, err := p.s.ProposeRollout(t.Context(), "f-mail", "")
	if err != nil {
		t.Fatal(err)
	}
	return v
}

func rolloutOf(t *testing.T, p *process, id string) remedy.RolloutView {
	t.Helper()
	v, err := p.s.RolloutByID(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// all is the decision on all of what a question shows.
func all(by string, v remedy.RolloutView) remedy.Decision {
	d := click(by, remedy.Approve)
	d.Set = v.Set
	return d
}

// order lists what was done, in order, with the worker it was done to.
func (w *world) did(t *testing.T) (out []string) {
	t.Helper()
	runs, err := w.db.Runs(t.Context(), workflow.Filter{Recipe: remedy.Recipe})
	if err != nil {
		t.Fatal(err)
	}
	for _, d := range w.deeds {
		i := slices.IndexFunc(runs, func(r workflow.Run) bool { return r.ID == d.run })
		if i < 0 {
			t.Fatalf("%s of no run", d.what)
		}
		out = append(out, d.what+" "+strings.TrimPrefix(runs[i].Key, fmt.Sprint(droplet)+"/"))
	}
	return out
}

const bothDone = "[snapshot mail restart mail snapshot web restart web]"

// TestRollout: one approval, each worker with a run and a snapshot of its own,
// one after the other.
func TestRollout(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.incident()
		p := w.start("a", nil)
		v := askedRollout(t, p)
		if again := askedRollout(t, p); again.ID != v.ID {
			t.Errorf("asked twice: %s and %s", v.ID, again.ID)
		}
		if len(v.Turns) != 2 || v.Turns[0].Finding != "f-mail" || v.Turns[1].Plan.Worker != "web" {
			t.Fatalf("turns %+v", v.Turns)
		}
		if a := decide(t, p, v.ID, all(alice, v)); !a.Accepted || !strings.Contains(a.Words, "2 workers, one at a time") {
			t.Fatalf("%+v", a)
		}
		r := w.drive(t, v.ID, 3*time.Hour, p)
		if r.Outcome != string(remedy.RolloutDone) || fmt.Sprint(w.did(t)) != bothDone {
			t.Errorf("ended %q after %v", r.Outcome, w.did(t))
		}
		v = rolloutOf(t, p, v.ID)
		for _, turn := range v.Turns {
			own, err := p.s.View(t.Context(), turn.Run)
			if err != nil || turn.Outcome != remedy.FreedWorking || own.Rollout != v.ID || own.Settled.By != alice || own.Snapshot == nil ||
				!strings.Contains(own.Settled.Reason, "rolling restart") {
				t.Errorf("the run of %s: %+v, %v", turn.Plan.Worker, own, err)
			}
		}
	})
}

// TestRolloutHalts at the first restart that does not end well, or that a
// person cancels, and touches nobody after it.
func TestRolloutHalts(t *testing.T) {
	for name, c := range map[string]struct {
		spoil func(t *testing.T, w *world, p *process, v remedy.RolloutView)
		end   remedy.RolloutEnd
		did   string
	}{
		"not freed":        {func(_ *testing.T, w *world, _ *process, _ remedy.RolloutView) { w.recovery = detector.DidNotRecover }, remedy.RolloutHalted, "[snapshot mail restart mail]"},
		"snapshot errored": {func(_ *testing.T, w *world, _ *process, _ remedy.RolloutView) { w.snapshotEnds = "errored" }, remedy.RolloutHalted, "[snapshot mail]"},
		"cancelled as a whole": {func(t *testing.T, w *world, p *process, v remedy.RolloutView) {
			wantRefused(t, decide(t, p, v.ID, click(mallory, remedy.Cancel)), remedy.NotApprover)
			if a := decide(t, p, v.ID, click(bob, remedy.Cancel)); !a.Accepted {
				t.Error(a.Refusal)
			}
			wantRefused(t, decide(t, p, v.ID, click(bob, remedy.Cancel)), remedy.Decided)
		}, remedy.RolloutCancelled, "[snapshot mail]"},
		"one run cancelled": {func(t *testing.T, w *world, p *process, v remedy.RolloutView) {
			if a := decide(t, p, rolloutOf(t, p, v.ID).Turns[0].Run, click(bob, remedy.Cancel)); !a.Accepted {
				t.Error(a.Refusal)
			}
		}, remedy.RolloutCancelled, "[snapshot mail]"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				w.incident()
				p := w.start("a", nil)
				v := askedRollout(t, p)
				decide(t, p, v.ID, all(alice, v))
				w.drive(t, v.ID, 5*time.Minute, p) // the first snapshot is being taken
				c.spoil(t, w, p, v)
				r := w.drive(t, v.ID, 3*time.Hour, p)
				if r.Outcome != string(c.end) || fmt.Sprint(w.did(t)) != c.did {
					t.Errorf("ended %q after %v", r.Outcome, w.did(t))
				}
			})
		})
	}
}

// TestRolloutBound: an approval is for what was seen. Who was restarted
// meanwhile is left out, at the click or when its turn comes.
func TestRolloutBound(t *testing.T) {
	const mailOnly = "[snapshot mail restart mail]"
	for name, c := range map[string]struct {
		before, after func(w *world)
		did, passed   string
	}{
		"before the click":     {func(w *world) { w.newLife("web") }, nil, mailOnly, "main process is another"},
		"before its turn":      {nil, func(w *world) { w.newLife("web") }, mailOnly, "main process is another"},
		"its finding ended":    {nil, func(w *world) { f := w.findings["f-web"]; f.State = finding.Resolved; w.findings["f-web"] = f }, mailOnly, "is resolved"},
		"nothing in between":   {nil, nil, bothDone, ""},
		"configured otherwise": {nil, func(w *world) { w.choice.ConfigHash = "h2" }, "[snapshot mail]", "configuration"},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				w.incident()
				p := w.start("a", nil)
				v := askedRollout(t, p)
				if c.before != nil {
					w.lock(func() { c.before(w) })
				}
				if a := decide(t, p, v.ID, all(alice, v)); !a.Accepted {
					t.Fatal(a.Refusal)
				}
				w.drive(t, v.ID, 5*time.Minute, p)
				if c.after != nil {
					w.lock(func() { c.after(w) })
				}
				w.drive(t, v.ID, 3*time.Hour, p)
				if v = rolloutOf(t, p, v.ID); v.End != remedy.RolloutDone || fmt.Sprint(w.did(t)) != c.did || !strings.Contains(v.Turns[1].Passed, c.passed) {
					t.Errorf("ended %q after %v, passed %q", v.End, w.did(t), v.Turns[1].Passed)
				}
			})
		})
	}
}

// TestRolloutAuthority: as for a single run, and for what was seen only.
func TestRolloutAuthority(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.incident()
		p := w.start("a", func(c *remedy.Config, _ *remedy.Deps) { c.Quorum, c.AllowSelf = 2, false })
		v, err := p.s.ProposeRollout(t.Context(), "f-mail", alice)
		if err != nil {
			t.Fatal(err)
		}
		for who, code := range map[string]remedy.Code{mallory: remedy.NotApprover, guest: remedy.Guest, robot: remedy.NotAPerson, alice: remedy.OwnRequest} {
			wantRefused(t, decide(t, p, v.ID, all(who, v)), code)
		}
		stale := all(bob, v)
		stale.Set = "other"
		wantRefused(t, decide(t, p, v.ID, stale), remedy.Moved)
		wantRefused(t, decide(t, p, v.ID, click(bob, remedy.Skip)), remedy.CannotTell)
		wantRefused(t, decide(t, p, "rollout-none", all(bob, v)), remedy.NoRun)
		if a := decide(t, p, v.ID, all(bob, v)); !a.Accepted || !strings.Contains(a.Words, "1 of 2") {
			t.Errorf("%+v", a)
		}
		wantRefused(t, decide(t, p, v.ID, all(bob, v)), remedy.AskedAlready)
		w.drive(t, v.ID, time.Hour, p)
		if len(w.did(t)) != 0 {
			t.Errorf("one vote of two did %v", w.did(t))
		}
		time.Sleep(25 * time.Hour)
		wantRefused(t, decide(t, p, v.ID, all(bob, v)), remedy.Expired)
		if r := w.drive(t, v.ID, time.Hour, p); r.Outcome != string(remedy.RolloutExpired) {
			t.Errorf("ended %q", r.Outcome)
		}
	})
}

// TestRolloutJoins: who joins the incident while its question stands is in it,
// its own question is taken back, and votes for fewer are void.
func TestRolloutJoins(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.incident()
		alone := w.findings["f-web"]
		alone.Incident = ""
		w.findings["f-web"] = alone
		p := w.start("a", func(c *remedy.Config, _ *remedy.Deps) { c.Quorum = 2 })
		single, err := p.s.Propose(t.Context(), alone, "")
		if err != nil {
			t.Fatal(err)
		}
		v := askedRollout(t, p)
		if a := decide(t, p, v.ID, all(alice, v)); !a.Accepted {
			t.Fatal(a.Refusal)
		}
		w.incident()
		w.drive(t, v.ID, 2*time.Minute, p)
		wantRefused(t, decide(t, p, v.ID, all(bob, v)), remedy.Moved)
		if r, err := w.db.Run(t.Context(), single.Run); err != nil || r.Outcome != string(remedy.Cancelled) {
			t.Errorf("its own question: %q, %v", r.Outcome, err)
		}
		v = rolloutOf(t, p, v.ID)
		if len(v.Turns) != 2 || v.Have != 0 {
			t.Fatalf("%d turns, %d votes", len(v.Turns), v.Have)
		}
		decide(t, p, v.ID, all(bob, v))
		if a := decide(t, p, v.ID, all(alice, v)); !a.Accepted || !strings.Contains(a.Words, "Approved") {
			t.Errorf("%+v", a)
		}
	})
}

// TestRolloutNotNow quiets all of its findings, once.
func TestRolloutNotNow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.incident()
		p := w.start("a", nil)
		v := askedRollout(t, p)
		d := click(alice, remedy.NotNow)
		d.Until = time.Now().Add(4 * time.Hour)
		decide(t, p, v.ID, d)
		w.drive(t, v.ID, time.Minute, p)
		for id, f := range w.findings {
			if f.State != finding.Muted || !f.MutedUntil.Equal(d.Until) || f.By != alice {
				t.Errorf("%s is %s until %v by %s", id, f.State, f.MutedUntil, f.By)
			}
		}
	})
}

// TestRolloutSurvives: a process may die at each kind of crossing, the first
// and the last of them, before or after; whoever takes over goes on, and
// nothing is done twice.
func TestRolloutSurvives(t *testing.T) {
	crossings := map[string]int{}
	survived(t, func(what string) fault { crossings[what]++; return none })
	for what, n := range crossings {
		for _, how := range []fault{crashBefore, crashAfter} {
			for _, at := range slices.Compact([]int{1, n}) {
				t.Run(fmt.Sprintf("%s %d %d", what, at, how), func(t *testing.T) {
					seen := 0
					survived(t, func(crossing string) fault {
						if crossing == what {
							if seen++; seen == at {
								return how
							}
						}
						return none
					})
				})
			}
		}
	}
}

// survived rolls mail and web with two processes, one under a fault.
func survived(t *testing.T, choose func(string) fault) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.incident()
		first := w.start("a", nil)
		v := askedRollout(t, first)
		if a := decide(t, first, v.ID, all(alice, v)); !a.Accepted {
			t.Fatal(a.Refusal)
		}
		first.choose = choose
		w.drive(t, v.ID, 3*time.Hour, first, w.start("b", nil))
		v = rolloutOf(t, w.observer, v.ID)
		did := fmt.Sprint(w.did(t))
		switch v.End {
		case remedy.RolloutDone:
			if did != bothDone {
				t.Errorf("done after %s", did)
			}
		case remedy.RolloutHalted: // a request that died on its way is a person's to look after
			if !strings.HasPrefix(bothDone, strings.TrimSuffix(did, "]")) || !strings.Contains(v.Why, "a person has to look") {
				t.Errorf("halted after %s: %s", did, v.Why)
			}
		default:
			t.Errorf("ended %q after %s", v.End, did)
		}
	})
}
