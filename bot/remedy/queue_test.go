package remedy_test

import (
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/order"
	"github.com/dropleak/dropleak/bot/remedy"
	"github.com/dropleak/dropleak/bot/restart"
	"github.com/dropleak/dropleak/bot/workflow"
)

// crew is who else there is, as the service is told.
type crew struct {
	peers []remedy.Peer
	err   error
}

// peer is a worker on a droplet; missing is why it cannot be counted on.
func peer(id, worker, missing string) remedy.Peer {
	return remedy.Peer{Subject: finding.Subject{DropletID: id, DropletName: "web-" + id, Worker: worker}, Missing: missing}
}

// keeping starts a service that keeps so many of the workers up.
func (w *world) keeping(keep int, c *crew, globs ...string) *process {
	return w.start("a", func(cfg *remedy.Config, d *remedy.Deps) {
		cfg.Limits.Queues = []remedy.Queue{{Workers: globs, Keep: keep}}
		d.Peers = func(context.Context) (peers []remedy.Peer, err error) {
			w.lock(func() { peers, err = slices.Clone(c.peers), c.err })
			return peers, err
		}
	})
}

func look(t *testing.T, p *process, id string) remedy.View {
	t.Helper()
	v, err := p.s.View(t.Context(), id)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// TestQueueKeeps: who lets a restart go, who does not, and what is said.
func TestQueueKeeps(t *testing.T) {
	me := peer("42", "mail", "")
	for _, c := range []struct {
		name  string
		keep  int
		globs []string
		peers []remedy.Peer
		err   error
		whole bool
		says  string // why it waits in line; empty: it goes
	}{
		{name: "another is up", keep: 1, globs: []string{"mail*"}, peers: []remedy.Peer{me, peer("43", "mail", "")}},
		{name: "another name of the queue", keep: 1, globs: []string{"web", "mail"}, peers: []remedy.Peer{me, peer("43", "web", "")}},
		{name: "no worker of the queue", keep: 5, globs: []string{"batch"}, peers: []remedy.Peer{me}},
		{name: "the other is missing", keep: 1, globs: []string{"mail"}, peers: []remedy.Peer{me, peer("43", "mail", "not seen since noon")},
			says: "at least 1 other worker of mail must be up (remediation.queues), and 0 of 1 are: mail on web-43 is not seen since noon"},
		{name: "one of two is missing", keep: 2, globs: []string{"mail"}, peers: []remedy.Peer{me, peer("43", "mail", "not seen since noon"), peer("44", "mail", "")},
			says: "at least 2 other workers of mail must be up (remediation.queues), and 1 of 2 are: mail on web-43 is not seen"},
		{name: "many are missing", keep: 1, globs: []string{"m*"}, peers: []remedy.Peer{me, peer("1", "m1", "away"), peer("1", "m2", "away"), peer("1", "m3", "away"), peer("1", "m4", "away")},
			says: "m3 on web-1 is away; and 1 more"},
		{name: "it is alone", keep: 1, globs: []string{"mail"}, peers: []remedy.Peer{me},
			says: "no other is known: this cannot come true until more are there, or keep is lowered"},
		{name: "too few for ever", keep: 2, globs: []string{"mail"}, peers: []remedy.Peer{me, peer("43", "mail", "")}, says: "only 1 other is known"},
		{name: "only another queue is up", keep: 1, globs: []string{"mail"}, peers: []remedy.Peer{me, peer("43", "web", "")}, says: "no other is known"},
		{name: "the other is on the droplet", keep: 1, globs: []string{"*"}, peers: []remedy.Peer{me, peer("42", "web", "")}},
		{name: "and the droplet is rebooted", keep: 1, globs: []string{"*"}, peers: []remedy.Peer{me, peer("42", "web", "")}, whole: true, says: "no other is known"},
		{name: "a reboot takes another queue's", keep: 1, globs: []string{"web"}, peers: []remedy.Peer{me, peer("42", "web", ""), peer("43", "web", "away")}, whole: true,
			says: "0 of 1 are: web on web-43 is away"},
		{name: "nobody can tell", keep: 1, globs: []string{"mail"}, peers: []remedy.Peer{me, peer("43", "mail", "")}, err: errors.New("disk I/O error"), says: "trouble"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				if c.whole {
					w.choice = remedy.Choice{Way: restart.Reboot, ConfigHash: "h1"}
				}
				all := &crew{peers: c.peers, err: c.err}
				p := w.keeping(c.keep, all, c.globs...)
				id := approved(t, p)
				w.drive(t, id, 5*time.Minute, p)
				v := look(t, p, id)
				switch {
				case c.says == "" && v.Step == "line":
					t.Errorf("waits in line: %q", v.Why)
				case c.err != nil:
					if v.Step != "line" || !strings.Contains(v.Trouble, c.err.Error()) || !strings.Contains(v.Card.Queue, "is not known just now") {
						t.Errorf("at %s, trouble %q, card %q", v.Step, v.Trouble, v.Card.Queue)
					}
				case c.says != "":
					if v.Step != "line" || !strings.Contains(v.Why, c.says) || !strings.Contains(v.Card.Queue, c.says) {
						t.Errorf("at %s: %q; the card says %q; want %q", v.Step, v.Why, v.Card.Queue, c.says)
					}
				}
				if c.says != "" && w.count("snapshot")+w.count("restart") != 0 {
					t.Error(w.story())
				}
			})
		})
	}
}

// TestQueueInLine: who waits for the queue goes on when the other is back,
// holds nobody else up meanwhile, and can be cancelled.
func TestQueueInLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		all := &crew{peers: []remedy.Peer{peer("42", "mail", ""), peer("43", "mail", "away")}}
		p := w.keeping(1, all, "mail")
		runs := standInLine(t, w, p, "mail", "web")
		if r := w.drive(t, runs[1], 2*time.Hour, p); r.Outcome != string(remedy.FreedWorking) {
			t.Fatalf("behind one that waits for its queue: %q at %s", r.Outcome, r.Step)
		}
		w.lock(func() { all.peers[1].Missing = "" })
		if r := w.drive(t, runs[0], 2*time.Hour, p); r.Outcome != string(remedy.FreedWorking) || w.count("restart") != 2 {
			t.Errorf("after the other came back: %q\n%s", r.Outcome, w.story())
		}
		w.lock(func() { all.peers[1].Missing = "away" })
		id := approved(t, p)
		w.drive(t, id, time.Minute, p)
		if a := decide(t, p, id, click(bob, remedy.Cancel)); !a.Accepted {
			t.Fatal(a.Refusal)
		}
		if r := w.drive(t, id, time.Minute, p); r.Outcome != string(remedy.Cancelled) || w.count("restart") != 2 {
			t.Errorf("cancelled: %q", r.Outcome)
		}
	})
}

// TestQueueBeforeTheRestart: what was so in line is looked at again right
// before the order; a worker that died meanwhile, or that nobody can look it
// up, keeps the run waiting.
func TestQueueBeforeTheRestart(t *testing.T) {
	for _, c := range []struct {
		name    string
		at      string // the crossing at which the other is lost
		err     error
		back    time.Duration // until it is back; 0: never
		outcome remedy.Outcome
		says    string
	}{
		{"during the snapshot", "call snapshot", nil, 40 * time.Minute, remedy.FreedWorking, "mail on web-43 is away"},
		{"after the last look", "store save restart", nil, 40 * time.Minute, remedy.FreedWorking, "mail on web-43 is away"},
		{"and never comes back", "call snapshot", nil, 0, remedy.Failed, "mail on web-43 is away"},
		{"nobody can tell", "call snapshot", errors.New("disk I/O error"), 40 * time.Minute, remedy.FreedWorking, ""},
		{"nobody can tell after the last look", "store save restart", errors.New("disk I/O error"), 40 * time.Minute, remedy.FreedWorking, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				all := &crew{peers: []remedy.Peer{peer("42", "mail", ""), peer("43", "mail", "")}}
				p := w.keeping(1, all, "mail")
				p.choose = func(what string) fault {
					if what == c.at {
						w.lock(func() { all.err = c.err; all.peers[1].Missing = map[bool]string{true: "away"}[c.err == nil] })
						p.choose = nil
					}
					return none
				}
				id := approved(t, p)
				w.drive(t, id, 30*time.Minute, p)
				v := look(t, p, id)
				if w.count("snapshot") != 1 || w.count("restart") != 0 || !strings.Contains(v.Why, c.says) || c.err != nil && !strings.Contains(v.Trouble, c.err.Error()) {
					t.Fatalf("at %s: %q, trouble %q\n%s", v.Step, v.Why, v.Trouble, w.story())
				}
				if c.back > 0 {
					w.lock(func() { all.err, all.peers[1].Missing, w.agentAway = nil, "", c.err == nil })
					w.drive(t, id, time.Minute, p) // the look has its own time, whatever the queue took
					w.lock(func() { w.agentAway = false })
				}
				r := w.drive(t, id, 3*time.Hour, p)
				if want := map[bool]int{true: 1}[c.outcome == remedy.FreedWorking]; r.Outcome != string(c.outcome) || w.count("restart") != want {
					t.Errorf("%q after %d restarts\n%s", r.Outcome, w.count("restart"), w.story())
				}
				if v := look(t, p, id); c.outcome == remedy.Failed && (!strings.Contains(v.Why, "could not spare the worker within 1h0m0s") || !strings.Contains(v.State, "is kept")) {
					t.Errorf("says %q, %q", v.Why, v.State)
				}
			})
		})
	}
}

// TestQueueOneAtATime: two that each see the other up do not restart together,
// and whoever is being restarted is not up.
func TestQueueOneAtATime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		all := &crew{peers: []remedy.Peer{peer("42", "mail", ""), peer("43", "web", ""), peer("44", "pdf", "")}}
		p := w.keeping(1, all, "*")
		skip := remedy.Decision{By: alice, Team: team, Kind: remedy.Skip, Reason: "no state"}
		var runs []string
		for i, name := range []string{"mail", "web"} {
			f := w.finding(name)
			f.Subject.DropletID = []string{"42", "43"}[i]
			v, err := p.s.Propose(t.Context(), f, "")
			if err != nil {
				t.Fatal(err)
			}
			if a := decide(t, p, v.Run, skip); !a.Accepted {
				t.Fatal(a.Refusal)
			}
			runs = append(runs, v.Run)
		}
		most, waited := 0, false
		for range 180 {
			w.drive(t, runs[0], 10*time.Second, p)
			w.drive(t, runs[1], 10*time.Second, p)
			live, err := w.db.Runs(t.Context(), workflow.Filter{Live: true, Recipe: remedy.Recipe})
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			for _, r := range live {
				if r.Step == "restart" || r.Step == "verify" {
					n++
				}
				if got := look(t, p, r.ID); r.Step == "recheck" && strings.Contains(got.Why, "one at a time") {
					waited = waited || len(got.Ahead) == 1
				}
			}
			most = max(most, n)
		}
		if most != 1 || !waited || w.count("restart") != 2 {
			t.Errorf("%d restarting at a time, %d restarts, waited: %v\n%s", most, w.count("restart"), waited, w.story())
		}
	})
}

// TestQueueCountsRestarts: a run that restarts a worker takes it out of the
// count of who is up, and is named.
func TestQueueCountsRestarts(t *testing.T) {
	for _, step := range []string{"restart", "start", "verify", "snapshot"} {
		synctest.Test(t, func(t *testing.T) {
			w := newWorld()
			other, err := json.Marshal(map[string]any{"run": "r-other", "plan": remedy.Plan{DropletID: 43, Worker: "web", Way: restart.Supervisor}, "facts": order.Facts{}})
			if err != nil {
				t.Fatal(err)
			}
			far := time.Now().Add(24 * time.Hour)
			err = w.db.CreateRun(t.Context(), workflow.Run{ID: "r-other", Recipe: remedy.Recipe, Key: "43/web", Step: step, Data: other, Due: far, Entered: time.Now(), Created: time.Now()})
			if err != nil {
				t.Fatal(err)
			}
			all := &crew{peers: []remedy.Peer{peer("42", "mail", ""), peer("43", "web", "")}}
			p := w.keeping(1, all, "*")
			id := approved(t, p)
			w.drive(t, id, time.Minute, p)
			v := look(t, p, id)
			waits := v.Step == "line" && strings.Contains(v.Why, "web on web-43 is being restarted") && slices.Equal(v.Ahead, []string{"r-other"})
			if waits != (step != "snapshot") {
				t.Errorf("beside one at %s: at %s behind %q: %q", step, v.Step, v.Ahead, v.Why)
			}
		})
	}
}

// TestHopelessInLine: a run in line that fails again and again holds nobody
// up who came after it.
func TestHopelessInLine(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		broken := true
		p := w.start("a", func(cfg *remedy.Config, d *remedy.Deps) {
			cfg.Limits = remedy.Limits{Fleet: 1}
		})
		first := ""
		p.choose = func(what string) fault {
			if broken && what == "store take" && p.taking == first {
				return lostBefore
			}
			return none
		}
		v, err := p.s.Propose(t.Context(), w.finding("mail"), "")
		if err != nil {
			t.Fatal(err)
		}
		first = v.Run
		decide(t, p, first, click(alice, remedy.Approve))
		w.drive(t, first, 5*time.Minute, p)
		if r, err := w.db.Run(t.Context(), first); err != nil || r.Step != "line" || r.Tries < 3 {
			t.Fatalf("at %s after %d tries, %v", r.Step, r.Tries, err)
		}
		second := standInLine(t, w, p, "web")[0]
		if r := w.drive(t, second, 2*time.Hour, p); r.Outcome != string(remedy.FreedWorking) {
			t.Errorf("behind one that keeps failing: %q at %s", r.Outcome, r.Step)
		}
		broken = false
		if r := w.drive(t, first, 4*time.Hour, p); r.Outcome != string(remedy.FreedWorking) || w.count("restart") != 2 {
			t.Errorf("the one that failed, when it no longer does: %q at %s", r.Outcome, r.Step)
		}
	})
}

// TestQueueGivesPlacesBack: a run that waits right before its restart for who
// is missing keeps nobody out of the fleet meanwhile but on its droplet, is the
// next when it can be spared, and never acts without a place, wherever it dies.
func TestQueueGivesPlacesBack(t *testing.T) {
	for _, at := range []string{"", "store return", "store save recheck"} {
		for _, how := range []fault{crashBefore, crashAfter} {
			synctest.Test(t, func(t *testing.T) { placesGivenBack(t, at, how) })
		}
	}
}

func placesGivenBack(t *testing.T, at string, how fault) {
	w := newWorld()
	all := &crew{peers: []remedy.Peer{peer("42", "mail", ""), peer("43", "mail", "")}}
	tell := func(missing string) { w.lock(func() { all.peers[1].Missing = missing }) }
	begin := func(name string) *process {
		return w.start(name, func(cfg *remedy.Config, d *remedy.Deps) {
			cfg.Limits = remedy.Limits{Fleet: 1, Queues: []remedy.Queue{{Workers: []string{"mail"}, Keep: 1}}}
			d.Peers = func(context.Context) (peers []remedy.Peer, err error) {
				w.lock(func() { peers = slices.Clone(all.peers) })
				return peers, nil
			}
		})
	}
	p := begin("a")
	died := false
	p.choose = func(what string) fault {
		if what == "call snapshot" {
			tell("away")
		}
		if what == at && w.count("snapshot") > 0 && !died {
			died = true
			return how
		}
		return none
	}
	first := approved(t, p)
	w.drive(t, first, 20*time.Minute, p)
	if died != (at != "") {
		t.Fatalf("died at %q: %v", at, died)
	}
	if died {
		p = begin("b")
		w.drive(t, first, time.Minute, p)
	}
	var others []string
	for _, id := range []string{"43", "42", "44"} {
		others = append(others, elsewhere(t, w, p, id))
		w.drive(t, others[len(others)-1], time.Second, p) // one stands in line after the other
	}
	if r := w.drive(t, others[0], 10*time.Minute, p); r.Outcome != string(remedy.FreedWorking) {
		t.Fatalf("%s %v: beside one that waits before its restart: %q at %s: %s\n%s", at, how, r.Outcome, r.Step, look(t, p, others[0]).Why, w.story())
	}
	for look(t, p, others[2]).Step == "line" { // it acts when the first is spared; the one on its droplet holds it up no more
		w.drive(t, others[2], time.Second, p)
	}
	if v := look(t, p, others[1]); v.Step != "line" {
		t.Errorf("%s: on its droplet another is at %s", at, v.Step)
	}
	if v := look(t, p, first); v.Step != "recheck" || !strings.Contains(v.Why, "mail on web-43 is away") {
		t.Fatalf("%s: the first is at %s: %s", at, v.Step, v.Why)
	}
	tell("")
	for _, id := range []string{"45", "46", "47", "48", "49"} { // at each second one of them looks
		others = append(others, elsewhere(t, w, p, id))
		w.drive(t, others[len(others)-1], time.Second, p)
	}
	late := others[len(others)-1]
	var ended []string
	for range 400 {
		w.drive(t, late, 10*time.Second, p)
		acting := 0
		for _, id := range append([]string{first}, others[1:]...) {
			v := look(t, p, id)
			if v.Outcome == "" && slices.Contains([]string{"evidence", "snapshot", "restart", "verify"}, v.Step) {
				acting++
			}
			if v.Outcome == remedy.FreedWorking && !slices.Contains(ended, id) {
				ended = append(ended, id)
			}
		}
		if acting > 1 {
			t.Fatalf("%s: %d act at a time in a fleet of 1\n%s", at, acting, w.story())
		}
	}
	if len(ended) != len(others) || ended[0] != others[2] || ended[1] != first || ended[2] != others[1] {
		t.Errorf("%s %v: ended in the order %v; the first is %s, the others %v\n%s", at, how, ended, first, others, w.story())
	}
}

// elsewhere approves a restart of a worker on a droplet, without a snapshot.
func elsewhere(t *testing.T, w *world, p *process, id string) string {
	t.Helper()
	name := "web" + id
	w.lock(func() { w.newLife(name) })
	f := w.finding(name)
	f.Subject.DropletID, f.Subject.DropletName = id, "web-"+id
	v, err := p.s.Propose(t.Context(), f, "")
	if err != nil {
		t.Fatal(err)
	}
	if a := decide(t, p, v.Run, remedy.Decision{By: alice, Team: team, Kind: remedy.Skip, Reason: "no state"}); !a.Accepted {
		t.Fatal(a.Refusal)
	}
	return v.Run
}
