package remedy_test

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dropleak/dropleak/bot/order"
	"github.com/dropleak/dropleak/bot/remedy"
	"github.com/dropleak/dropleak/bot/workflow"
	"github.com/dropleak/dropleak/detector"
	"github.com/dropleak/dropleak/doclient"
	"github.com/google/go-cmp/cmp"
	"pgregory.net/rapid"
)

// weathers are the ways the world outside may be, by name.
var weathers = map[string]func(w *world){
	"fair":            func(*world) {},
	"fair again":      func(*world) {},
	"slow snapshot":   func(w *world) { w.snapshotTakes = 5 * time.Minute },
	"errored":         func(w *world) { w.snapshotEnds = doclient.Errored },
	"endless":         func(w *world) { w.snapshotTakes = 1e6 * time.Hour },
	"agent dies":      func(w *world) { w.agentDies = true },
	"agent refuses":   says(order.Refused, order.TooOften),
	"agent overtaken": says(order.Refused, order.Overtaken),
	"agent fails":     says(order.Failed, order.ManagerError),
	"agent unsure":    says(order.Unknown, order.ManagerError),
	"not started":     func(w *world) { says(order.Failed, order.NotRunning)(w); w.dies = true },
	"started later":   says(order.Failed, order.NotRunning),
	"not freed":       func(w *world) { w.recovery = detector.DidNotRecover },
	"too early":       func(w *world) { w.recovery = detector.TooEarly },
	"idle":            func(w *world) { w.working = remedy.Idle },
	"pool short":      func(w *world) { w.pool = 1 },
	"dies":            func(w *world) { w.dies = true },
	"reboot":          reboot,
}

func says(s order.State, why order.Reason) func(w *world) {
	return func(w *world) { w.agentSays = &order.Result{State: s, Reason: why, Error: string(why)} }
}

// happening is something that happens at a crossing of a border: the At-th of
// all, or of those named On.
type happening struct {
	At   int
	On   string
	What string
}

// borders are the crossings whose timing matters most.
var borders = []string{
	"store claim", "store save ask", "store save line", "store save evidence", "store save snapshot", "store save recheck",
	"store save restart", "store save verify", "store take", "store plan snapshot", "store return", "store sent snapshot", "call snapshot",
	"store done snapshot", "call action", "call snapshot by name", "call inspect", "call evidence", "store plan restart",
	"store sent restart", "call place restart", "store done restart", "call result", "announce", "store retell",
}

// aims are happenings that chance alone would seldom place so well.
var aims = []happening{
	{1, "store take", "cancel"}, {1, "store save line", "cancel"}, {1, "call evidence", "cancel"}, {1, "store save evidence", "cancel"},
	{3, "call inspect", "cancel"}, {1, "store save recheck", "cancel"}, {1, "store plan restart", "cancel"}, {1, "store sent restart", "cancel"},
	{1, "store plan restart", "freeze 40s"}, {1, "store save restart", "freeze 40s"}, {2, "call inspect", "other life"},
	{1, "call snapshot", "lost before"}, {1, "call snapshot", "crash before"}, {1, "store sent snapshot", "crash after"},
	{1, "store plan snapshot", "freeze 40s"}, {3, "call inspect", "agent away"},
	{1, "call snapshot by name", "agent away"}, {1, "call snapshot by name", "agent away"},
	{1, "call snapshot", "peer away"}, {3, "call inspect", "peer away"}, {1, "store return", "crash after"},
	{1, "store plan restart", "freeze 40s"}, {1, "store save restart", "freeze 40s"}, {3, "call inspect", "cancel"}, {1, "store save recheck", "cancel"},
	{1, "call snapshot", "crash before"},
	{2, "announce", "stall 3m"}, {4, "announce", "stall 1h"}, {1, "store retell", "crash before"}, {1, "store retell", "crash before"},
}

var happenings = []string{
	"crash before", "crash after", "lost before", "lost after", "stall 20s", "stall 3m", "stall 1h", "freeze 40s", "freeze 40s",
	"cancel", "cancel", "cancel", "skip", "approve twice", "not now", "refused click",
	"judged", "judged", "policy off", "other life", "other config", "agent away", "agent back", "reboot droplet", "busy droplet", "peer away", "peer back",
}

// script is all that is drawn for one run.
type script struct {
	Weather  string
	Say      remedy.Kind
	Quorum   int
	Most     int  // restarts, of a lease
	Second   bool // another worker of the droplet is approved too
	Policy   bool // the worker restarts by policy, too
	Rehearse bool
	Queue    bool // another worker of its queue must be up, and may go
	Happen   []happening
}

var scripts = rapid.Custom(func(t *rapid.T) script {
	s := script{
		Weather:  rapid.SampledFrom(slices.Sorted(maps.Keys(weathers))).Draw(t, "weather"),
		Say:      rapid.SampledFrom([]remedy.Kind{remedy.Approve, remedy.Approve, remedy.Approve, remedy.Approve, remedy.Approve, remedy.Later, remedy.Skip, remedy.NotNow, remedy.FalseAlarm, remedy.Cancel, ""}).Draw(t, "say"),
		Quorum:   rapid.SampledFrom([]int{1, 1, 1, 2}).Draw(t, "quorum"),
		Second:   rapid.IntRange(0, 3).Draw(t, "second") == 0,
		Policy:   rapid.IntRange(0, 4).Draw(t, "policy") == 0,
		Rehearse: rapid.IntRange(0, 19).Draw(t, "rehearse") == 0,
		Queue:    rapid.IntRange(0, 4).Draw(t, "queue") == 4,
	}
	for range rapid.IntRange(0, 4).Draw(t, "n") {
		h := happening{What: rapid.SampledFrom(happenings).Draw(t, "what")}
		switch rapid.IntRange(0, 4).Draw(t, "where") {
		case 0:
			h = rapid.SampledFrom(aims).Draw(t, "aim")
		case 1, 2:
			h.At = rapid.IntRange(3, 110).Draw(t, "at")
		default:
			h.On, h.At = rapid.SampledFrom(borders).Draw(t, "on"), rapid.IntRange(1, 2).Draw(t, "time")
		}
		s.Happen = append(s.Happen, h)
	}
	if s.Queue { // else chance alone seldom makes its restart wait, or wait too long
		s.Happen = append(s.Happen, rapid.SampledFrom([][]happening{nil, nil, {{1, "call snapshot", "peer away"}}, {{1, "call snapshot", "peer gone"}}}).Draw(t, "alone")...)
	}
	return s
})

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
			return p.s.Decide(st.ctx, "lease-"+st.run, click(bob, remedy.Revoke))
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
		w.lock(func() { w.policy = remedy.Policy{} })
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
		a, err := p.s.Decide(st.ctx, st.run, remedy.Decision{By: by, Team: team, Kind: k, Reason: "because"})
		if err == nil && a.Accepted && by == mallory {
			st.broken = fmt.Errorf("law 3: %s was let in", by)
		}
		return
	}
}

// play runs a script to its end and returns the first broken law.
func (st *stage) play() error {
	st.w = newWorld()
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
		st.w.lock(func() { st.w.rebooting = v.Run })
		if st.s.Second && st.s.Weather != "reboot" { // whose reboot it was could not be told
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
		if _, err := p.s.Decide(st.ctx, v.Run, click(by, remedy.Approve)); err != nil {
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
	if r.Live() {
		return fmt.Errorf("lost: run at %s, %s", r.Step, r.Trouble)
	}
	if err := st.w.final(r); err != nil {
		return err
	}
	reason := len(st.s.Happen) > 0 || slices.Contains([]string{"agent dies", "agent fails", "agent unsure", "too early"}, st.s.Weather)
	if r.Outcome == string(remedy.Unclear) && !reason {
		return fmt.Errorf("went to a person without reason")
	}
	return nil
}

// tally counts transitions of steps and acts.
type tally map[string]int

func (c tally) add(entries []workflow.Entry) {
	for _, e := range entries {
		after, _, _ := strings.Cut(e.After, " ")
		switch e.What {
		case "step", "end":
			c[e.Before+" → "+after]++
		case "act":
			if e.Before == "" {
				e.Before = "–"
			}
			c["act "+e.Before+" → "+after]++
		}
	}
}

// TestRuns drives the real code through random weather, faults, clicks and
// pauses, and checks the laws after every step. DROPLEAK_RUNS says how many
// runs; CI makes ten thousand.
func TestRuns(t *testing.T) {
	seen := tally{}
	outcomes := tally{}
	runs := 0
	rapid.Check(t, func(rt *rapid.T) {
		st := &stage{s: scripts.Draw(rt, "script"), crossed: map[string]int{}}
		var err error
		synctest.Test(t, func(t *testing.T) {
			st.ctx = t.Context()
			err = st.play()
		})
		if err != nil {
			rt.Fatalf("%v\n%s", err, st.w.story())
		}
		runs++
		seen.add(st.w.store.Journal())
		if r, err := st.w.store.Run(context.Background(), st.run); err == nil {
			outcomes[r.Outcome]++
		}
	})
	report(t, runs, seen, outcomes)
}

// report prints how often each transition was made, and fails when one was
// made too rarely for the laws to have been tried on it.
func report(t *testing.T, runs int, seen, outcomes tally) {
	for _, k := range slices.Sorted(maps.Keys(outcomes)) {
		t.Logf("%6d runs ended %s", outcomes[k], k)
	}
	want := slices.DeleteFunc(slices.DeleteFunc(documented(t), ofLease), ofOnly)
	least := runs / 100
	if runs < 2000 {
		least = 0 // too few to be sure of the rare ones
	}
	for _, k := range want {
		t.Logf("%6d %s", seen[k], k)
		if seen[k] < least {
			t.Errorf("%s was made %d times in %d runs, want %d", k, seen[k], runs, least)
		}
	}
	for k := range seen {
		if !slices.Contains(want, k) && !ofLease(k) {
			t.Errorf("%s was made and is not in docs/run.md", k)
		}
	}
}

// documented reads the transitions from the tables of docs/run.md.
func documented(t *testing.T) []string {
	t.Helper()
	text, err := os.ReadFile("../../docs/run.md")
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for line := range strings.Lines(string(text)) {
		cells := strings.Split(line, "|")
		if len(cells) < 5 || !strings.Contains(cells[1], "`") {
			continue
		}
		from, to := strings.Trim(cells[1], " `"), strings.Trim(cells[2], " `")
		out = append(out, from+" → "+to)
	}
	slices.Sort(out)
	return out
}

// TestRunsAreDrawn: docs/run.md has every transition of the code, and none
// besides.
func TestRunsAreDrawn(t *testing.T) {
	drawn := documented(t)
	drawn = slices.DeleteFunc(drawn, func(s string) bool { return strings.HasPrefix(s, "act ") })
	edges := remedy.Edges()
	slices.Sort(edges)
	if d := cmp.Diff(edges, drawn); d != "" {
		t.Errorf("docs/run.md (-code +drawn):\n%s", d)
	}
}

// TestMain takes the number of runs from the environment.
func TestMain(m *testing.M) {
	flag.Parse()
	n := os.Getenv("DROPLEAK_RUNS")
	if n == "" && os.Getenv("CI") != "" {
		n = "10000"
	}
	if n != "" {
		if err := flag.Set("rapid.checks", n); err != nil {
			fmt.Fprintln(os.Stderr, "DROPLEAK_RUNS:", err)
			os.Exit(2)
		}
	}
	os.Exit(m.Run())
}

// ofOnly are the ends of runs that only a snapshot is asked of: TestOnly* walks
// them.
func ofOnly(k string) bool { return k == "snapshot → snapshot_made" || k == "snapshot → rehearsed" }
