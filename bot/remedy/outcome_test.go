package remedy_test

import (
	"errors"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/order"
	"github.com/dropleak/dropleak/bot/remedy"
	"github.com/dropleak/dropleak/bot/restart"
	"github.com/dropleak/dropleak/bot/workflow"
	"github.com/dropleak/dropleak/detector"
	"github.com/dropleak/dropleak/doclient"
)

// scene is one way a run can go.
type scene struct {
	name    string
	world   func(w *world)
	config  func(c *remedy.Config)
	say     remedy.Kind // Approve when empty
	reason  string
	fault   string        // the first crossing of this name goes wrong by how
	how     fault         //
	after   time.Duration // when then happens
	then    func(t *testing.T, w *world, p *process, run string)
	within  time.Duration // 8 h when zero
	outcome remedy.Outcome
	snaps   int
	starts  int
	why     string        // part of the sentence
	state   string        // part of what is said of the droplet
	finding finding.State // afterwards; open when empty
}

func someoneElseRestarts(_ *testing.T, w *world, _ *process, _ string) {
	w.lock(func() { w.newLife("mail") })
}

func cancels(t *testing.T, _ *world, p *process, run string) {
	a, err := p.s.Decide(t.Context(), run, click(bob, remedy.Cancel))
	if err != nil || !a.Accepted {
		t.Errorf("cancel: %+v, %v", a.Refusal, err)
	}
}

func reboot(w *world) {
	w.choice = remedy.Choice{Way: restart.Reboot, Unit: unit, ConfigHash: "h1"}
	w.snapshotTakes = time.Minute
}

var scenes = []scene{
	{name: "all is well", outcome: remedy.FreedWorking, snaps: 1, starts: 1},
	{name: "restarted by somebody else during the snapshot", after: 5 * time.Minute, then: someoneElseRestarts,
		outcome: remedy.Overtaken, snaps: 1, why: "main process is another", state: "is kept"},
	{name: "droplet booted during the snapshot", after: 5 * time.Minute, outcome: remedy.Overtaken, snaps: 1, why: "booted meanwhile",
		then: func(t *testing.T, w *world, p *process, run string) {
			w.lock(func() { w.boot = "boot-2"; w.newLife("mail") })
		}},
	{name: "configuration changed during the snapshot", after: 5 * time.Minute, outcome: remedy.Overtaken, snaps: 1, why: "configuration",
		then: func(t *testing.T, w *world, p *process, run string) { w.lock(func() { w.choice.ConfigHash = "h2" }) }},
	{name: "snapshot errored", world: func(w *world) { w.snapshotEnds = doclient.Errored },
		outcome: remedy.Failed, snaps: 1, why: "ended the snapshot with an error", state: "There is no snapshot"},
	{name: "snapshot never ends", world: func(w *world) { w.snapshotTakes = 1e6 * time.Hour },
		outcome: remedy.Failed, snaps: 1, why: "not finished within 4h", state: "may still finish"},
	{name: "snapshot refused", fault: "call snapshot", how: refused, outcome: remedy.Failed, why: "refused the snapshot", state: "Nothing was touched"},
	{name: "snapshot's answer lost", fault: "call snapshot", how: lostAfter, outcome: remedy.FreedWorking, snaps: 1, starts: 1},
	{name: "snapshot's request lost", fault: "call snapshot", how: lostBefore, outcome: remedy.Unclear, why: "0 candidates", state: "dropleak-mail-"},
	{name: "snapshot's answer lost beside a stranger's", fault: "call snapshot", how: lostAfter, after: 3 * time.Second, outcome: remedy.Unclear, snaps: 1, why: "2 candidates",
		then: func(t *testing.T, w *world, p *process, run string) {
			w.lock(func() {
				w.actions = append(w.actions, doclient.Action{ID: 9, DropletID: droplet, Type: "snapshot", Status: doclient.InProgress, StartedAt: time.Now()})
			})
		}},
	{name: "droplet busy at first", outcome: remedy.FreedWorking, snaps: 1, starts: 1,
		world: func(w *world) {
			w.snapshotTakes = time.Minute
			w.actions = append(w.actions, doclient.Action{ID: 9, DropletID: droplet, Type: "resize", Status: doclient.InProgress, StartedAt: time.Now()})
		}},
	{name: "snapshot skipped", say: remedy.Skip, reason: "The droplet holds no state", outcome: remedy.FreedWorking, starts: 1},
	{name: "snapshot skipped while it runs", after: 2 * time.Minute, outcome: remedy.FreedWorking, snaps: 1, starts: 1,
		then: func(t *testing.T, w *world, p *process, run string) {
			a, err := p.s.Decide(t.Context(), run, remedy.Decision{By: bob, Team: team, Kind: remedy.Skip, Reason: "memory runs out"})
			if err != nil || !a.Accepted {
				t.Errorf("skip: %+v, %v", a.Refusal, err)
			}
		}},
	{name: "cancelled during the snapshot", after: 2 * time.Minute, then: cancels, outcome: remedy.Cancelled, snaps: 1, state: "may still finish"},
	{name: "agent silent before the restart", after: 2 * time.Minute, outcome: remedy.Failed, snaps: 1, why: "could not be looked at", state: "is kept",
		then: func(t *testing.T, w *world, p *process, run string) { w.lock(func() { w.agentAway = true }) }},
	{name: "agent claims and is gone", world: func(w *world) { w.agentDies = true }, outcome: remedy.Unclear, snaps: 1, why: "no result came", state: "may be stopped"},
	{name: "agent refuses", outcome: remedy.Failed, snaps: 1, why: "three an hour",
		world: func(w *world) {
			w.agentSays = &order.Result{State: order.Refused, Reason: order.TooOften, Error: "three an hour"}
		}},
	{name: "agent was not sure of its claim", outcome: remedy.Failed, snaps: 1, why: "left the worker alone", state: "is kept",
		world: func(w *world) {
			w.agentSays = &order.Result{State: order.Refused, Reason: order.ClaimLost, Error: "claim lost"}
		}},
	{name: "agent fails, and is away", outcome: remedy.Unclear, snaps: 1, why: "dbus", state: "it may be stopped",
		world: func(w *world) {
			w.agentSays, w.agentLeaves = &order.Result{State: order.Failed, Reason: order.ManagerError, Error: "dbus away"}, true
		}},
	{name: "agent fails", outcome: remedy.Unclear, snaps: 1, why: "dbus", state: "Its old main process, pid 101, still ran",
		world: func(w *world) {
			w.agentSays = &order.Result{State: order.Failed, Reason: order.ManagerError, Error: "dbus away"}
		}},
	{name: "worker stopped and not started", outcome: remedy.NotRunning, snaps: 1, starts: 1,
		world: func(w *world) {
			w.dies = true
			w.agentSays = &order.Result{State: order.Failed, Reason: order.NotRunning, Error: "stopped, and did not come back"}
		}},
	{name: "worker stopped, and started by a second order", outcome: remedy.FreedWorking, snaps: 1, starts: 1,
		world: func(w *world) {
			w.agentSays = &order.Result{State: order.Failed, Reason: order.NotRunning, Error: "stopped, and did not come back"}
		}},
	{name: "answer to the order lost", fault: "call place restart", how: lostAfter, outcome: remedy.FreedWorking, snaps: 1, starts: 1},
	{name: "memory does not come back", world: func(w *world) { w.recovery = detector.DidNotRecover }, outcome: remedy.NotFreed, snaps: 1, starts: 1},
	{name: "too early for ever", world: func(w *world) { w.recovery = detector.TooEarly }, outcome: remedy.Unclear, snaps: 1, starts: 1, why: "too little"},
	{name: "idle afterwards", world: func(w *world) { w.working = remedy.Idle }, outcome: remedy.FreedNotSeenWorking, snaps: 1, starts: 1},
	{name: "pool not back", world: func(w *world) { w.pool = 2 }, outcome: remedy.CameBackBad, snaps: 1, starts: 1, why: "2 processes, had 4"},
	{name: "dies after the restart", world: func(w *world) { w.dies = true }, outcome: remedy.NotRunning, snaps: 1, starts: 1},
	{name: "reboot", world: reboot, outcome: remedy.FreedWorking, snaps: 1, starts: 1},
	{name: "reboot's answer lost", world: reboot, fault: "call reboot", how: lostAfter, outcome: remedy.FreedWorking, snaps: 1, starts: 1},
	{name: "reboot's request lost", world: reboot, fault: "call reboot", how: lostBefore, outcome: remedy.Unclear, snaps: 1, why: "restart was begun"},
	{name: "reboot's action is known no more", world: func(w *world) { reboot(w); w.snapshotTakes = 10 * time.Minute }, after: 12 * time.Minute,
		outcome: remedy.Unclear, snaps: 1, starts: 1, why: "no result came", state: "may be stopped",
		then: func(t *testing.T, w *world, p *process, run string) { w.lock(func() { w.lose = true }) }},
	{name: "the droplet's clock is behind", world: func(w *world) { w.skew = -time.Minute }, outcome: remedy.FreedWorking, snaps: 1, starts: 1},
	{name: "the droplet's clock is ahead", world: func(w *world) { w.skew = time.Minute }, outcome: remedy.FreedWorking, snaps: 1, starts: 1},
	{name: "the way cannot be told for a while", after: 5 * time.Minute, outcome: remedy.FreedWorking, snaps: 1, starts: 1,
		then: func(t *testing.T, w *world, p *process, run string) {
			w.lock(func() { w.noChoice = errors.New("the store is away") })
			w.drive(t, run, 6*time.Minute, p)
			w.lock(func() { w.noChoice = nil })
		}},
	{name: "the way cannot be told at all", after: 5 * time.Minute, outcome: remedy.Failed, snaps: 1, why: "could not be looked at", state: "is kept",
		then: func(t *testing.T, w *world, p *process, run string) {
			w.lock(func() { w.noChoice = errors.New("the store is away") })
		}},
	{name: "the way is configured no more", after: 5 * time.Minute, outcome: remedy.Overtaken, snaps: 1, why: "droplet 42 is not tagged x", state: "is kept",
		then: func(t *testing.T, w *world, p *process, run string) {
			w.lock(func() { w.noChoice = &remedy.NoWay{Why: "droplet 42 is not tagged x"} })
		}},
	{name: "rehearsal", config: func(c *remedy.Config) { c.Rehearse = true }, outcome: remedy.Rehearsed},
	{name: "nobody decides", say: "nothing", within: 30 * time.Hour, outcome: remedy.TimedOut, why: "nobody decided"},
	{name: "not now", say: remedy.NotNow, outcome: remedy.Declined, finding: finding.Muted},
	{name: "false alarm", say: remedy.FalseAlarm, reason: "batch day", outcome: remedy.Dismissed, why: "batch day", finding: finding.Dismissed},
	{name: "cancelled at the gate", say: remedy.Cancel, outcome: remedy.Cancelled},
}

func TestOutcomes(t *testing.T) {
	for _, c := range scenes {
		t.Run(c.name, func(t *testing.T) { synctest.Test(t, c.play) })
	}
}

func (c scene) play(t *testing.T) {
	w := newWorld()
	if c.world != nil {
		c.world(w)
	}
	p := w.start("a", func(cfg *remedy.Config, _ *remedy.Deps) {
		if c.config != nil {
			c.config(cfg)
		}
	})
	happened := false
	p.choose = func(what string) fault {
		if what == c.fault && !happened {
			happened = true
			return c.how
		}
		return none
	}
	v, err := p.s.Propose(t.Context(), w.finding("mail"), "")
	if err != nil {
		t.Fatal(err)
	}
	if c.say == "" {
		c.say = remedy.Approve
	}
	if c.say != "nothing" {
		a, err := p.s.Decide(t.Context(), v.Run, remedy.Decision{By: bob, Team: team, Kind: c.say, Reason: c.reason})
		if err != nil || !a.Accepted {
			t.Fatalf("%s: %+v, %v", c.say, a.Refusal, err)
		}
	}
	if c.then != nil {
		w.drive(t, v.Run, c.after, p)
		c.then(t, w, p, v.Run)
	}
	if c.within == 0 {
		c.within = 8 * time.Hour
	}
	c.check(t, w, p, w.drive(t, v.Run, c.within, p))
}

func (c scene) check(t *testing.T, w *world, p *process, r workflow.Run) {
	if r.Outcome != string(c.outcome) || w.count("snapshot") != c.snaps || w.count("restart") != c.starts {
		t.Fatalf("outcome %q with %d snapshots and %d restarts, want %q, %d, %d\n%s",
			r.Outcome, w.count("snapshot"), w.count("restart"), c.outcome, c.snaps, c.starts, w.story())
	}
	v, err := p.s.View(t.Context(), r.ID)
	if err != nil || !strings.Contains(v.Why, c.why) || !strings.Contains(v.State, c.state) {
		t.Errorf("says %q, and of the droplet %q; want %q and %q (%v)", v.Why, v.State, c.why, c.state, err)
	}
	if err := w.final(r); err != nil {
		t.Error(err)
	}
	want := c.finding
	if want == "" {
		want = finding.Open
	}
	if f := w.finding("mail"); f.State != want {
		t.Errorf("finding is %s afterwards, want %s", f.State, want)
	}
}

// TestOrderTakenBack: an agent that vanishes between the last look and the
// order never finds the order when it comes back.
func TestOrderTakenBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		p := w.start("a", nil)
		p.choose = func(what string) fault {
			if what == "call place restart" {
				w.lock(func() { w.agentAway = true })
			}
			return none
		}
		id := approved(t, p)
		r := w.drive(t, id, 2*time.Hour, p)
		w.lock(func() { w.agentAway = false; w.agent() })
		scene{outcome: remedy.Failed, snaps: 1, why: "taken back", state: "is kept"}.check(t, w, p, r)
	})
}

// TestRebootNotWrittenDown: the reboot left, and for minutes nothing could be
// written. The new life is older by then than the step knows of, and it is the
// new life all the same.
func TestRebootNotWrittenDown(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var sent time.Time
		w := newWorld()
		reboot(w)
		p := w.start("a", nil)
		p.choose = func(what string) fault {
			if what == "call reboot" {
				sent = time.Now()
			}
			if !sent.IsZero() && time.Since(sent) < 5*time.Minute && strings.HasPrefix(what, "store save") {
				return lostBefore
			}
			return none
		}
		r := w.drive(t, approved(t, p), 8*time.Hour, p)
		scene{outcome: remedy.FreedWorking, snaps: 1, starts: 1}.check(t, w, p, r)
	})
}

// TestRebootOfAnotherLife: DigitalOcean reboots whatever runs, so what was
// seen may be no older than seconds when the order leaves.
func TestRebootOfAnotherLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		reboot(w)
		p := w.start("a", nil)
		p.choose = func(what string) fault {
			if what == "store save restart" {
				p.choose = nil
				time.Sleep(8 * time.Second)
				w.lock(func() { w.newLife("mail") })
			}
			return none
		}
		r := w.drive(t, approved(t, p), 2*time.Hour, p)
		scene{outcome: remedy.Overtaken, snaps: 1, why: "main process is another", state: "is kept"}.check(t, w, p, r)
	})
}

// TestEvidenceTime: evidence has the time that a look into a busy worker takes,
// less where memory runs out soon, and its want never ends a run.
func TestEvidenceTime(t *testing.T) {
	for name, c := range map[string]struct {
		takes, left, want time.Duration // left: until memory runs out; 0: not foreseen
		there             bool
	}{
		"a slow look":               {25 * time.Second, 0, 25 * time.Second, true},
		"a slow look, hours left":   {25 * time.Second, 9 * time.Hour, 25 * time.Second, true},
		"no answer":                 {time.Hour, 9 * time.Hour, 30 * time.Second, false},
		"no answer, 5 minutes left": {time.Hour, 5 * time.Minute, 15 * time.Second, false},
		"no answer, a minute left":  {time.Hour, time.Minute, 10 * time.Second, false},
		"memory ran out already":    {time.Hour, -time.Minute, 10 * time.Second, false},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				w.evidenceTakes = c.takes
				p := w.start("a", nil)
				if c.left != 0 {
					leaking(w, time.Hour, c.left)
				}
				run := approved(t, p)
				r := w.drive(t, run, 2*time.Hour, p)
				v, err := p.s.View(t.Context(), run)
				if err != nil || r.Outcome != string(remedy.FreedWorking) || (v.Evidence != nil) != c.there {
					t.Fatalf("outcome %q, evidence %+v, %v", r.Outcome, v.Evidence, err)
				}
				for _, s := range v.Steps {
					if took := s.Ended.Sub(s.Began); s.Name == "evidence" && (took != c.want || (s.Note == "") != c.there) {
						t.Errorf("took %v, want %v; note %q", took, c.want, s.Note)
					}
				}
			})
		})
	}
}
