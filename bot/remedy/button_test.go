package remedy_test

import (
	"context"
	"errors"
	"fmt"
	"reflect"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dropleak/dropleak/bot/order"
	"github.com/dropleak/dropleak/bot/remedy"
	"github.com/dropleak/dropleak/bot/restart"
	"github.com/dropleak/dropleak/bot/workflow"
)

// The tests of this file are the bugs that approval buttons are known to
// have had elsewhere, one each, and who may press them.

func proposed(t *testing.T, p *process) string {
	t.Helper()
	v, err := p.s.Propose(t.Context(), p.w.finding("mail"), "")
	if err != nil {
		t.Fatal(err)
	}
	return v.Run
}

func decide(t *testing.T, p *process, run string, d remedy.Decision) remedy.Answer {
	t.Helper()
	a, err := p.s.Decide(t.Context(), run, d)
	if err != nil {
		t.Fatal(err)
	}
	return a
}

func wantRefused(t *testing.T, a remedy.Answer, code remedy.Code) {
	t.Helper()
	if a.Accepted || a.Refusal == nil || a.Refusal.Code != code || a.Words == "" {
		t.Errorf("answer %+v (%v), want refusal %s with words", a, a.Refusal, code)
	}
}

// Bug: buttons stay live while the action runs, and people click again.
func TestButtonsGoWithTheFirstClick(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		p := w.start("a", nil)
		run := approved(t, p)
		w.drive(t, run, time.Second, p)
		for _, b := range w.views[len(w.views)-1].Buttons {
			if b.Kind == remedy.Approve || b.Kind == remedy.NotNow {
				t.Errorf("button %s is still shown", b.Kind)
			}
		}
		for range 3 {
			a := decide(t, p, run, click(bob, remedy.Approve))
			wantRefused(t, a, remedy.Decided)
			if a.Refusal.By != alice {
				t.Errorf("the loser is told %q won, want %s", a.Refusal.By, alice)
			}
		}
		if w.drive(t, run, 2*time.Hour, p); w.count("restart") != 1 {
			t.Errorf("%d restarts", w.count("restart"))
		}
	})
}

// Bug: after a restart of the bot the first click is swallowed by a guard
// that was kept in memory.
func TestFirstClickAfterTheBotRestarted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		a := w.start("a", nil)
		run := proposed(t, a)
		w.drive(t, run, time.Second, a)
		a.dead.Store(true)
		b := w.start("b", nil)
		if ans := decide(t, b, run, click(alice, remedy.Approve)); !ans.Accepted {
			t.Fatalf("refused: %v", ans.Refusal)
		}
		if r := w.drive(t, run, 2*time.Hour, b); r.Outcome != string(remedy.FreedWorking) {
			t.Errorf("outcome %q", r.Outcome)
		}
	})
}

// A delivery that comes again, late and to another replica, changes nothing
// and gets the answer it got.
func TestRedelivery(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		a, b := w.start("a", nil), w.start("b", nil)
		run := proposed(t, a)
		d := remedy.Decision{By: alice, Team: team, Kind: remedy.Approve, Envelope: "e1"}
		first := decide(t, a, run, d)
		w.drive(t, run, 3*time.Minute, a)
		again := decide(t, b, run, d)
		if !first.Accepted || !again.Accepted || first.Words != again.Words || len(again.View.Votes) != 1 {
			t.Errorf("first %+v, again %+v", first, again)
		}
		if w.drive(t, run, 2*time.Hour, a, b); w.count("restart") != 1 {
			t.Errorf("%d restarts", w.count("restart"))
		}
	})
}

// Bug: a session key or a guessable number in the button's value.
func TestRunIDs(t *testing.T) {
	seen := map[string]bool{}
	for range 200 {
		w := newWorld()
		id := proposed(t, w.start("a", nil))
		if len(id) != 16 || seen[id] || strings.Trim(id, "abcdefghijklmnopqrstuvwxyz234567") != "" {
			t.Fatalf("run id %q", id)
		}
		seen[id] = true
	}
	w := newWorld()
	wantRefused(t, decide(t, w.start("a", nil), "1", click(alice, remedy.Approve)), remedy.NoRun)
}

// Bug: decided elsewhere or timed out, and the message still shows buttons;
// a stale click is not told so. Here it is, and the message is repaired.
func TestStaleClicks(t *testing.T) {
	for _, c := range []struct {
		name string
		end  func(t *testing.T, w *world, p *process, run string)
		code remedy.Code
	}{
		{"expired", func(t *testing.T, w *world, p *process, run string) { w.drive(t, run, 25*time.Hour, p) }, remedy.Over},
		{"expired a moment ago", func(t *testing.T, w *world, p *process, run string) { time.Sleep(24 * time.Hour) }, remedy.Expired},
		{"declined", func(t *testing.T, w *world, p *process, run string) {
			decide(t, p, run, click(bob, remedy.NotNow))
			w.drive(t, run, time.Minute, p)
		}, remedy.Over},
		{"being carried out", func(t *testing.T, w *world, p *process, run string) {
			decide(t, p, run, click(bob, remedy.Approve))
			w.drive(t, run, time.Minute, p)
		}, remedy.Decided},
		{"cancelled", func(t *testing.T, w *world, p *process, run string) {
			decide(t, p, run, click(bob, remedy.Approve))
			decide(t, p, run, click(bob, remedy.Cancel))
		}, remedy.Decided},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				p := w.start("a", nil)
				run := proposed(t, p)
				w.drive(t, run, time.Second, p)
				c.end(t, w, p, run)
				before := len(w.views)
				wantRefused(t, decide(t, p, run, click(alice, remedy.Approve)), c.code)
				w.drive(t, run, time.Second, p)
				if len(w.views) == before {
					t.Fatal("the message was not repaired")
				}
				for _, b := range w.views[len(w.views)-1].Buttons {
					if b.Kind == remedy.Approve {
						t.Error("the repaired message still offers to approve")
					}
				}
			})
		})
	}
}

// Bug: two updates race, and who approved is lost. Views only ever get newer,
// whoever shows them, and once somebody has approved every later one says so.
func TestUpdatesNeverGoBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		a, b := w.start("a", nil), w.start("b", nil)
		run := approved(t, a)
		w.drive(t, run, 2*time.Hour, a, b)
		last := int64(0)
		for _, v := range w.views {
			if v.Version < last || v.Settled == nil || v.Settled.By != alice {
				t.Fatalf("view %d after %d, settled by %+v", v.Version, last, v.Settled)
			}
			last = v.Version
		}
	})
}

// Bug: URL buttons that approve by GET, or by a link preview. A button here
// has nothing but a kind: whoever draws it needs a signed delivery to decide.
func TestButtonsCarryNoLink(t *testing.T) {
	if got := reflect.TypeFor[remedy.Button]().NumField(); got != 3 {
		t.Errorf("a button has %d fields, want Kind, Reasons and At", got)
	}
}

// A click on something that is not there any more is void and says why.
func TestApprovalOfSomethingElse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		p := w.start("a", nil)
		run := proposed(t, p)
		time.Sleep(time.Minute)
		w.lock(func() { w.newLife("mail") })
		a := decide(t, p, run, click(alice, remedy.Approve))
		wantRefused(t, a, remedy.Moved)
		if !strings.Contains(a.Words, "main process is another") {
			t.Errorf("words %q", a.Words)
		}
		if r := w.drive(t, run, time.Hour, p); r.Outcome != string(remedy.Overtaken) || w.count("snapshot")+w.count("restart") != 0 {
			t.Errorf("outcome %q", r.Outcome)
		}
	})
}

// TestRefusalsTellTheMoment: a refusal says when as RFC 3339, which whoever
// shows it puts into the reader's zone; so does what a run waits for.
func TestRefusalsTellTheMoment(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		p := w.start("a", nil)
		tells := func(a remedy.Answer, format string, at time.Time) {
			t.Helper()
			if want := fmt.Sprintf(format, at.UTC().Format(time.RFC3339)); a.Words != want {
				t.Errorf("said %q, want %q", a.Words, want)
			}
		}
		expired := proposed(t, p)
		time.Sleep(24*time.Hour + 2*time.Minute + 7*time.Second)
		tells(decide(t, p, expired, click(alice, remedy.Approve)), "This question has expired (%s). Ask for a new one.", look(t, p, expired).Expires.Truncate(time.Minute))
		w.drive(t, expired, time.Minute, p)
		run := approved(t, p)
		settled := time.Now()
		time.Sleep(90 * time.Second)
		tells(decide(t, p, run, click(bob, remedy.Approve)), "This was decided before your click (%s): approved.", settled)
		for w.count("restart") == 0 {
			w.drive(t, run, 5*time.Second, p)
		}
		acts, err := w.store.RunActs(t.Context(), run)
		i := slices.IndexFunc(acts, func(a workflow.Act) bool { return a.Name == "restart" })
		if err != nil || i < 0 {
			t.Fatalf("acts %+v, %v", acts, err)
		}
		tells(decide(t, p, run, click(alice, remedy.Cancel)), "Too late to cancel: the restart order was sent (%s).", acts[i].Sent)
	})
}

// Too late to cancel is said, and the view had no such button.
func TestCancelAfterTheOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		p := w.start("a", nil)
		run := approved(t, p)
		for w.count("restart") == 0 {
			w.drive(t, run, 5*time.Second, p)
		}
		wantRefused(t, decide(t, p, run, click(alice, remedy.Cancel)), remedy.TooLate)
		wantRefused(t, decide(t, p, run, remedy.Decision{By: alice, Team: team, Kind: remedy.Skip, Reason: "x"}), remedy.TooLate)
	})
}

func TestApproveForLater(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		p := w.start("a", nil)
		run := proposed(t, p)
		night := time.Now().Add(5 * time.Hour)
		decide(t, p, run, remedy.Decision{By: alice, Team: team, Kind: remedy.Approve, NotBefore: night})
		w.drive(t, run, 4*time.Hour, p)
		if v, err := p.s.View(t.Context(), run); err != nil || w.count("snapshot") != 0 || !strings.Contains(v.Why, "waiting for") {
			t.Errorf("before its time: %d snapshots, %q, %v", w.count("snapshot"), v.Why, err)
		}
		if r := w.drive(t, run, 8*time.Hour, p); r.Outcome != string(remedy.FreedWorking) || w.deeds[0].at.Before(night) {
			t.Errorf("outcome %q, first deed %v before %v", r.Outcome, w.deeds[0].at, night)
		}
	})
}

// TestProposeRefuses: what cannot be restarted is not offered.
func TestProposeRefuses(t *testing.T) {
	facts := func(change func(*order.Facts)) func(w *world, d *remedy.Deps, c *remedy.Config) {
		return func(w *world, d *remedy.Deps, _ *remedy.Config) {
			d.Looker = changed{d.Looker, change}
		}
	}
	for _, c := range []struct {
		name string
		with func(w *world, d *remedy.Deps, c *remedy.Config)
		want string
	}{
		{"manager would not start it again", facts(func(f *order.Facts) {
			f.Refused = map[order.Way]string{order.Supervisor: "set autorestart=true"}
		}), "autorestart=true"},
		{"another unit than configured", facts(func(f *order.Facts) { f.Unit.Name = "web" }), "runs in supervisor:web"},
		{"agent silent", func(w *world, _ *remedy.Deps, _ *remedy.Config) { w.agentAway = true }, "could not be looked at"},
		{"own droplet", func(w *world, _ *remedy.Deps, c *remedy.Config) { reboot(w); c.OwnDroplet = droplet }, "does not reboot the droplet it runs on"},
		{"no such way", func(w *world, _ *remedy.Deps, _ *remedy.Config) { w.choice.Way = restart.SSH }, "no such way"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := newWorld()
			p := w.start("a", func(cfg *remedy.Config, d *remedy.Deps) { c.with(w, d, cfg) })
			_, err := p.s.Propose(t.Context(), w.finding("mail"), "")
			var no *remedy.Refusal
			if !errors.As(err, &no) || !strings.Contains(no.Words, c.want) {
				t.Errorf("propose: %v, want a refusal saying %q", err, c.want)
			}
		})
	}
}

// changed is a looker whose facts differ.
type changed struct {
	remedy.Looker
	change func(*order.Facts)
}

func (c changed) Inspect(ctx context.Context, t restart.Target, look string) (order.Facts, error) {
	f, err := c.Looker.Inspect(ctx, t, look)
	c.change(&f)
	return f, err
}

// TestProposeTwice: the same worker is asked about once.
func TestProposeTwice(t *testing.T) {
	w := newWorld()
	p := w.start("a", nil)
	if a, b := proposed(t, p), proposed(t, p); a != b {
		t.Errorf("two live runs %s and %s", a, b)
	}
}
