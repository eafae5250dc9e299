package remedy_test

import (
	"errors"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dropleak/dropleak/bot/remedy"
)

// Bug: no authorisation on the click. And: refused clickers get silence.
func TestWhoMayClick(t *testing.T) {
	for _, c := range []struct {
		name string
		d    remedy.Decision
		code remedy.Code // empty: may
	}{
		{"named approver", click(alice, remedy.Approve), ""},
		{"member of the group", click(bob, remedy.Approve), ""},
		{"nobody", click(mallory, remedy.Approve), remedy.NotApprover},
		{"nobody, not now", click(mallory, remedy.NotNow), remedy.NotApprover},
		{"nobody, false alarm", click(mallory, remedy.FalseAlarm), remedy.NotApprover},
		{"nobody, cancel", click(mallory, remedy.Cancel), remedy.NotApprover},
		{"guest on the list", click(guest, remedy.Approve), remedy.Guest},
		{"bot on the list", click(robot, remedy.Approve), remedy.NotAPerson},
		{"listed, of another team", click(other, remedy.Approve), remedy.OtherTeam},
		{"approver, click from another team", remedy.Decision{By: alice, Team: "T2", Kind: remedy.Approve}, remedy.OtherTeam},
		{"approver, click from no team", remedy.Decision{By: alice, Kind: remedy.Approve}, remedy.OtherTeam},
		{"skip without a reason", click(alice, remedy.Skip), remedy.NeedsReason},
		{"skip with blanks", remedy.Decision{By: alice, Team: team, Kind: remedy.Skip, Reason: " \t"}, remedy.NeedsReason},
		{"the group itself", click("S1", remedy.Approve), remedy.NotApprover},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				p := w.start("a", nil)
				run := proposed(t, p)
				a := decide(t, p, run, c.d)
				if c.code == "" {
					if !a.Accepted {
						t.Errorf("refused: %v", a.Refusal)
					}
					return
				}
				wantRefused(t, a, c.code)
				if len(w.refusals) != 1 || w.refusals[0].Who != c.d.By || !strings.Contains(w.refusals[0].Why, string(c.code)) {
					t.Errorf("written down: %+v", w.refusals)
				}
				if w.drive(t, run, time.Hour, p); w.count("snapshot")+w.count("restart") != 0 {
					t.Error("something was done")
				}
			})
		})
	}
}

func TestGroupThatCannotBeRead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		w.groupErr = errors.New("ratelimited")
		p := w.start("a", nil)
		run := proposed(t, p)
		wantRefused(t, decide(t, p, run, click(bob, remedy.Approve)), remedy.CannotTell)
		if a := decide(t, p, run, click(alice, remedy.Approve)); !a.Accepted {
			t.Errorf("a named approver needs no group: %v", a.Refusal)
		}
	})
}

func TestOwnRequest(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		p := w.start("a", func(c *remedy.Config, _ *remedy.Deps) { c.AllowSelf = false })
		v, err := p.s.Propose(t.Context(), w.finding("mail"), alice)
		if err != nil {
			t.Fatal(err)
		}
		wantRefused(t, decide(t, p, v.Run, click(alice, remedy.Approve)), remedy.OwnRequest)
		if a := decide(t, p, v.Run, click(bob, remedy.Approve)); !a.Accepted {
			t.Errorf("refused: %v", a.Refusal)
		}
	})
}

func TestQuorum(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		p := w.start("a", func(c *remedy.Config, _ *remedy.Deps) { c.Quorum = 2 })
		run := proposed(t, p)
		if a := decide(t, p, run, click(alice, remedy.Approve)); !a.Accepted || a.View.Settled != nil || a.Words != "Noted, 1 of 2 needed." {
			t.Errorf("first of two: %+v", a)
		}
		wantRefused(t, decide(t, p, run, click(alice, remedy.Approve)), remedy.AskedAlready)
		w.drive(t, run, time.Minute, p)
		if w.count("snapshot") != 0 {
			t.Error("began with one of two")
		}
		a := decide(t, p, run, remedy.Decision{By: bob, Team: team, Kind: remedy.Skip, Reason: "it holds no state"})
		if !a.Accepted || a.View.Skip != nil || a.View.Settled == nil {
			t.Errorf("one of two wants no snapshot: %+v", a)
		}
		if w.drive(t, run, 2*time.Hour, p); w.count("snapshot") != 1 || w.count("restart") != 1 {
			t.Errorf("%d snapshots, %d restarts", w.count("snapshot"), w.count("restart"))
		}
	})
}

// One person is one person, whatever they say and however often.
func TestQuorumCountsPeople(t *testing.T) {
	skip := remedy.Decision{By: alice, Team: team, Kind: remedy.Skip, Reason: "it holds no state"}
	for name, said := range map[string][]remedy.Decision{
		"approves, then skips": {click(alice, remedy.Approve), skip},
		"skips, then approves": {skip, click(alice, remedy.Approve)},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				p := w.start("a", func(c *remedy.Config, _ *remedy.Deps) { c.Quorum = 2 })
				run := proposed(t, p)
				for _, d := range said {
					if a := decide(t, p, run, d); a.View.Settled != nil {
						t.Errorf("%s alone settled what takes two: %q", alice, a.Words)
					}
				}
				w.drive(t, run, time.Minute, p)
				if w.count("snapshot")+w.count("restart") != 0 {
					t.Error("began with one person of two")
				}
				if a := decide(t, p, run, click(bob, remedy.Approve)); !a.Accepted || a.View.Settled == nil || a.View.Skip != nil {
					t.Errorf("the second person: %q, settled %v, skip %v", a.Words, a.View.Settled, a.View.Skip)
				}
			})
		})
	}
}

// Bug: the check, the wait and the act race. Whatever is decided while one
// click is being checked is not overwritten by it.
func TestDecidedWhileAnotherClickIsChecked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		p := w.start("a", nil)
		run := proposed(t, p)
		w.drive(t, run, time.Second, p)
		p.choose = func(what string) fault {
			if what == "call inspect" { // alice's click is being checked
				p.choose = nil
				if a := decide(t, p, run, click(bob, remedy.NotNow)); !a.Accepted {
					t.Errorf("bob: %v", a.Refusal)
				}
			}
			return none
		}
		a := decide(t, p, run, click(alice, remedy.Approve))
		wantRefused(t, a, remedy.Decided)
		if a.Refusal.By != bob {
			t.Errorf("told that %q won, want %s", a.Refusal.By, bob)
		}
		if r := w.drive(t, run, time.Hour, p); r.Outcome != string(remedy.Declined) {
			t.Errorf("outcome %q", r.Outcome)
		}
	})
}

func TestTwoApproversInTheSameSecond(t *testing.T) {
	w := newWorld()
	a, b := w.start("a", nil), w.start("b", nil)
	run := proposed(t, a)
	var wg sync.WaitGroup
	var mu sync.Mutex
	won := 0
	for i := range 12 {
		p, by := a, alice
		if i%2 == 1 {
			p, by = b, bob
		}
		wg.Go(func() {
			ans, err := p.s.Decide(t.Context(), run, click(by, remedy.Approve))
			if err != nil {
				t.Error(err)
			}
			mu.Lock()
			defer mu.Unlock()
			if ans.Accepted {
				won++
			} else if ans.Refusal.Code != remedy.Decided || ans.Refusal.By == "" {
				t.Errorf("loser told %v", ans.Refusal)
			}
		})
	}
	wg.Wait()
	if won != 1 {
		t.Errorf("%d clicks won, want one", won)
	}
}
