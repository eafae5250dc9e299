package remedy_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dropleak/dropleak/bot/remedy"
	"github.com/dropleak/dropleak/bot/workflow"
	"github.com/dropleak/dropleak/doclient"
)

// stage plays one script.
type stage struct {
	s       script
	w       *world
	ctx     context.Context
	ps      []*process
	crossed map[string]int
	nested  bool // inside a happening: nothing else happens there
	broken  error
	run     string
}

func (st *stage) spawn() *process {
	p := st.w.start(fmt.Sprint("p", len(st.ps)), func(c *remedy.Config, d *remedy.Deps) {
		c.Quorum, c.Rehearse = st.s.Quorum, st.s.Rehearse
		c.Pace.Snapshot = 20 * time.Minute
		if st.s.Queue {
			c.Limits = remedy.Limits{Fleet: 1, Queues: []remedy.Queue{{Workers: []string{"mail*"}, Keep: 1}}}
			d.Peers = st.w.peers
		}
	})
	p.choose = func(border string) fault { return st.crossing(p, border) }
	p.meanwhile = func() {}
	st.ps = append(st.ps, p)
	return p
}

// hourly is a quiet window in the last ten minutes of every hour.
func hourly(t time.Time) time.Time {
	if at := t.Truncate(time.Hour).Add(50 * time.Minute); at.After(t) {
		return at
	}
	return t
}

// crossing makes happen what is due at this crossing.
func (st *stage) crossing(p *process, border string) fault {
	if st.nested {
		return none
	}
	st.crossed[""]++
	st.crossed[border]++
	for _, h := range st.s.Happen {
		if (h.On == "" || h.On == border) && h.At == st.crossed[h.On] {
			return st.happen(p, h.What)
		}
	}
	return none
}

func (st *stage) happen(p *process, what string) fault {
	switch what {
	case "crash before":
		return crashBefore
	case "crash after":
		return crashAfter
	case "lost before":
		return lostBefore
	case "lost after":
		return lostAfter
	case "stall 20s", "stall 3m", "stall 1h":
		d, err := time.ParseDuration(strings.TrimPrefix(what, "stall "))
		if err != nil {
			panic(err)
		}
		p.meanwhile = func() { st.others(p, d) }
		return stall
	case "freeze 40s": // a clock that jumps, or everybody asleep
		p.meanwhile = func() { time.Sleep(40 * time.Second) }
		return stall
	}
	st.nest(func() { st.event(what) })
	return none
}

// nest runs f with nothing else happening meanwhile.
func (st *stage) nest(f func()) {
	st.nested = true
	f()
	st.nested = false
}

// others lets all processes but one work for a while.
func (st *stage) others(p *process, d time.Duration) {
	if st.run == "" {
		time.Sleep(d) // there is nothing to work on yet
		return
	}
	st.nest(func() {
		if _, err := st.w.pass(st.ctx, st.run, d, slices.DeleteFunc(slices.Clone(st.ps), func(q *process) bool { return q == p })...); err != nil && st.broken == nil {
			st.broken = err
		}
	})
}

// event is what people and others do.
func (st *stage) event(what string) {
	w := st.w
	switch what {
	case "cancel":
		st.click(bob, remedy.Cancel)
	case "skip":
		st.click(bob, remedy.Skip)
	case "approve twice":
		st.click(alice, remedy.Approve)
		st.click(bob, remedy.Approve)
	case "not now":
		st.click(bob, remedy.NotNow)
	case "refused click":
		st.click(mallory, remedy.Approve)
	case "judged":
		st.judged()
	case "revoke":
		st.onLease(func(p *process) (remedy.Answer, error) {
			a, err := p.s.Decide(st.ctx, "lease-"+st.run, click(bob, remedy.Revoke))
			if err == nil && a.Accepted {
				err = st.revoked()
			}
			return a, err
		})
	case "cancel under lease":
		st.onLease(func(p *process) (remedy.Answer, error) {
			v, err := p.s.Views(st.ctx, workflow.Filter{Live: true})
			if err != nil || len(v) == 0 || v[0].Settled == nil {
				return remedy.Answer{}, err
			}
			return p.s.Decide(st.ctx, v[0].Run, click(bob, remedy.Cancel))
		})
	case "snapshot gone":
		w.lock(func() { w.snaps = nil })
	case "policy off":
		w.lock(func() {
			if w.policy = (remedy.Policy{}); w.policyOff.IsZero() {
				w.policyOff = time.Now()
			}
		})
	case "other life":
		w.lock(func() { w.newLife("mail") })
	case "other config":
		w.lock(func() { w.choice.ConfigHash = "other" })
	case "agent away":
		w.lock(func() { w.agentAway = true })
	case "peer away", "peer gone":
		w.lock(func() {
			if w.peerAway.IsZero() {
				w.peerAway = time.Now()
			}
			w.peerGone = w.peerGone || what == "peer gone"
		})
	case "peer back":
		w.lock(func() { w.peerAway, w.peerGone = time.Time{}, false })
	case "agent back":
		w.lock(func() { w.agentAway = false })
	case "reboot droplet":
		w.lock(func() { w.boot = "by hand"; w.newLife("mail"); w.newLife("web") })
	case "busy droplet":
		w.lock(func() {
			w.actions = append(w.actions, doclient.Action{ID: 7, DropletID: droplet, Type: "resize", Status: doclient.InProgress, StartedAt: time.Now()})
		})
	}
}

// click presses on any process that lives; a person who gets no answer
// presses no more.
func (st *stage) click(by string, k remedy.Kind) {
	for _, p := range st.ps {
		if p.dead.Load() || p.frozen.Load() || st.run == "" {
			continue
		}
		a, err := st.press(p, st.run, remedy.Decision{By: by, Team: team, Kind: k, Reason: "because"})
		if err == nil && a.Accepted && by == mallory {
			st.broken = fmt.Errorf("law 3: %s was let in", by)
		}
		return
	}
}

// press writes down what somebody wants of a run, and asks for it.
func (st *stage) press(p *process, run string, d remedy.Decision) (remedy.Answer, error) {
	st.w.lock(func() { st.w.pressed[run] = append(st.w.pressed[run], press{d.By, d.Kind}) })
	return p.s.Decide(st.ctx, run, d)
}

// play runs a script to its end and returns the first broken law.
func (st *stage) play() error {
	st.w = newWorld()
	st.w.pressed, st.w.quorum = map[string][]press{}, st.s.Quorum
	st.w.snapshotTakes, st.w.quiet = 15*time.Second, hourly
	weathers[st.s.Weather](st.w)
	st.w.keeps = st.s.Queue
	if st.s.Policy {
		st.w.policy, st.w.policed = remedy.Policy{Below: time.Hour, Open: early, Line: line}, true
	}
	st.spawn()
	st.spawn()
	for range 6 {
		if st.open() {
			break
		}
		st.replace()
	}
	if st.run == "" {
		return nil // the agent is away: rightly, nothing was offered
	}
	for range 12 {
		if _, err := st.w.pass(st.ctx, st.run, 3*time.Minute, st.ps...); err != nil || st.broken != nil {
			return firstError(err, st.broken)
		}
		st.replace()
	}
	return st.heal()
}

func firstError(a, b error) error {
	if a != nil {
		return a
	}
	return b
}

// open proposes and decides, as people do until they have an answer.
func (st *stage) open() bool {
	for _, p := range st.ps {
		if p.dead.Load() {
			continue
		}
		v, err := p.s.Propose(st.ctx, st.w.finding("mail"), "")
		if err != nil {
			continue
		}
		st.run = v.Run
		if st.s.Second {
			st.second(p)
		}
		if st.s.Say != "" {
			st.click(alice, st.s.Say)
			if st.s.Quorum > 1 {
				st.click(bob, st.s.Say)
			}
		}
		st.judged()
		return true
	}
	return false
}

// early is a policy's window: all of an hour but its last minutes.
func early(t time.Time) bool { return t.Minute() < 55 }

// judged is a scan of the fleet: mail leaks, and half an hour is left. A store
// that fails, a dead process, keep a scan from doing anything.
func (st *stage) judged() {
	for _, p := range st.ps {
		if p.dead.Load() || p.frozen.Load() {
			continue
		}
		if err := p.s.Heed(st.ctx, leaking(st.w, 10*time.Second, 30*time.Minute)); err == nil {
			return
		}
	}
}

// second approves a run of another worker on the same droplet.
func (st *stage) second(p *process) {
	v, err := p.s.Propose(st.ctx, st.w.finding("web"), "")
	if err != nil {
		return
	}
	for _, by := range []string{alice, bob} {
		if _, err := st.press(p, v.Run, click(by, remedy.Approve)); err != nil {
			return // it stays at the gate, which is fine
		}
	}
}

// replace starts a new process for each dead one.
func (st *stage) replace() {
	living := 0
	for _, p := range st.ps {
		if !p.dead.Load() {
			living++
		}
	}
	for ; living < 2; living++ {
		st.spawn()
	}
}

// heal stops all misfortune: now every run must come to its end, be shown,
// and bother a person only if something gave it reason to.
func (st *stage) heal() error {
	st.nested = true
	r, err := st.w.store.Run(st.ctx, st.run)
	if err != nil {
		return err
	}
	st.w.lock(func() {
		st.w.agentAway = false
		// One that is gone for good is waited for: in line without end, before the restart for an hour.
		if waits := r.Step == "ask" || r.Step == "line"; waits || !st.w.peerGone {
			st.w.peerAway = time.Time{}
		}
	})
	r, err = st.w.pass(st.ctx, st.run, 27*time.Hour, st.ps...)
	if err != nil {
		return err
	}
	if err := st.ended(r); err != nil {
		return err
	}
	reason := len(st.s.Happen) > 0 || slices.Contains([]string{"agent dies", "agent dies late", "agent fails", "agent unsure", "too early"}, st.s.Weather)
	if r.Outcome == string(remedy.Unclear) && !reason {
		return fmt.Errorf("went to a person without reason")
	}
	return st.allEnd()
}

// ended checks that a run came to its end and was shown so.
func (st *stage) ended(r workflow.Run) error {
	if r.Live() {
		return fmt.Errorf("lost: run %s at %s, %s", r.ID, r.Step, r.Trouble)
	}
	return st.w.final(r)
}

// allEnd lets every run come to its end: those of the other worker, of a
// policy, of a lease. What is left of them waits in line for a queue without
// end, so its other worker comes back.
func (st *stage) allEnd() error {
	st.w.lock(func() { st.w.peerAway = time.Time{} })
	runs, err := st.w.db.Runs(st.ctx, workflow.Filter{Recipe: remedy.Recipe})
	for _, r := range runs {
		if r, err = st.w.pass(st.ctx, r.ID, 27*time.Hour, st.ps...); err != nil {
			return err
		}
		if err := st.ended(r); err != nil {
			return err
		}
	}
	return err
}
