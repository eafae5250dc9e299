package synth

import (
	"fmt"
	"math"
	"math/rand/v2"

	"github.com/dropleak/dropleak/detector"
)

// run is what playing a plan gave.
type run struct {
	procs     []*proc   // in order of start
	totals    []float64 // bytes of all processes together, shared pages once, by pass
	loads     []float64 // work at hand, by pass
	events    []event
	pressure  []float64 // by pass, 0 where never stalled
	ran       []execution
	leakCalls float64 // calls from the onset on that would leak
	leaked    float64 // bytes
	stalled   bool
	oomKills  int
	exhausted float64 // hour at which the played-on node reached its limit; 0: never
}

type event struct {
	hour float64
	kind detector.EventKind
	text string
}

type execution struct {
	pid        int
	start      float64
	task       string
	begin, end float64
}

// node is a Celery node being played.
type node struct {
	*plan
	run
	load       loadState
	rng        *rand.Rand
	parent     *proc
	kids       []*proc
	idle       int // passes until the next parent is up
	generation int
	nextPID    int
	extra      float64
	total      float64
	busy       float64 // load of this pass
	want       int     // children, with autoscaling
}

// play runs the plan over its window, and on until its limit is reached
// where it has one.
func play(p *plan) *run {
	n := &node{plan: p, load: loadState{loadShape: p.load, hours: p.hours, every: p.every},
		rng: p.stream("node"), nextPID: 300 + int(p.seed%29000), want: p.children}
	if p.autoscale[1] > 0 {
		n.want = p.autoscale[0]
	}
	passes := int(p.hours / p.every)
	for i := range passes {
		n.pass(float64(i)*p.every, true)
		n.totals = append(n.totals, n.total)
		n.loads = append(n.loads, n.busy)
	}
	seen := n.run
	if p.leak != nil && p.leak.growth > 0 && !p.oom && p.high == 0 {
		seen.exhausted = n.playOn(passes)
	}
	return &seen
}

// playOn goes on after the window until the node runs into its limit, for at
// most two windows more, and returns that hour, 0 for not reached.
func (n *node) playOn(passes int) float64 {
	if n.limitBytes == 0 {
		n.limitBytes = n.drawLimit()
	}
	for i := passes; i < 3*passes && !math.IsInf(n.limitBytes, 0); i++ {
		hour := float64(i) * n.every
		if n.pass(hour, false); n.total >= n.limitBytes {
			return hour
		}
	}
	return 0
}

// grown is how much more memory the node held than its twin in the last
// fiftieth of the window.
func (r *run) grown(twin *run) float64 {
	sum, n := 0.0, max(1, len(r.totals)/50)
	for i := len(r.totals) - n; i < len(r.totals); i++ {
		sum += r.totals[i] - twin.totals[i]
	}
	return sum / float64(n)
}

// drawLimit puts the line the node will run into, from its state at the end
// of the window; some nodes have no limit that anybody knows.
func (n *node) drawLimit() float64 {
	r := n.stream("limit")
	if r.IntN(5) == 0 {
		return math.Inf(1)
	}
	hours := n.hours - n.leak.onset
	return n.total + n.leak.growth*ratio(r, 0.3, 6)*min(1, hours/n.hours+0.2)
}

// stream is a source of randomness for one named thing, the same with and
// without the leak.
func (p *plan) stream(name string) *rand.Rand {
	return rand.New(rand.NewPCG(p.seed, hash(p.family.Name+"/"+name)))
}

// pass plays one pass at that hour; only recorded ones leave readings.
func (n *node) pass(hour float64, recorded bool) {
	n.restartIfDue(hour)
	if n.idle > 0 {
		if n.idle--; n.idle > 0 {
			n.total = 0
			n.pressure = append(n.pressure, 0)
			return
		}
	}
	if n.parent == nil {
		n.boot(hour)
	}
	n.scale(hour)
	load := n.load.at(hour, n.rng)
	n.busy = load
	stall := n.stall(recorded)
	n.work(hour, load*stall, recorded)
	n.swapOut(hour)
	n.measure(hour, recorded)
	n.recycle(hour)
	n.kill(hour, recorded)
}

// stall is the factor by which reclaim slows the node, 1 if it does not.
func (n *node) stall(recorded bool) float64 {
	throttled := n.highBytes > 0 && n.total >= n.highBytes
	if recorded {
		p := 0.002 * n.rng.Float64()
		if throttled {
			p, n.stalled = 0.3+0.4*n.rng.Float64(), true
		}
		n.pressure = append(n.pressure, p)
	}
	if throttled {
		return 0.02
	}
	return 1
}

func (n *node) restartIfDue(hour float64) {
	for n.generation < len(n.restarts) && hour >= n.restarts[n.generation].at {
		rs := n.restarts[n.generation]
		n.generation++
		n.extra += rs.extra
		n.parent, n.kids, n.idle = nil, nil, 1+n.rng.IntN(3)
		if rs.known {
			n.events = append(n.events, event{hour, rs.event, ""})
		}
	}
}

// boot starts the parent and its first children.
func (n *node) boot(hour float64) {
	role, parts := detector.RoleParent, n.parentParts
	if n.pool != detector.PoolPrefork {
		parts = n.parts
	}
	n.parent = n.start(hour, role, 0, parts)
	n.parent.base = n.base + n.extra
	for slot := range n.want {
		n.fork(hour, slot)
	}
}

func (n *node) start(hour float64, role detector.Role, slot int, parts []func(*rand.Rand) cause) *proc {
	serial := len(n.procs)
	p := &proc{pid: n.nextPID, slot: slot, serial: serial, generation: n.generation, role: role, start: hour,
		rng: n.stream(fmt.Sprint("proc", serial)), drip: n.stream(fmt.Sprint("drip", serial)), trims: n.stream(fmt.Sprint("trims", serial))}
	n.nextPID += 1 + n.rng.IntN(40)
	for i, make := range parts {
		r := n.stream(fmt.Sprint("part", serial, "/", i))
		p.causes = append(p.causes, make(r))
		p.streams = append(p.streams, r)
	}
	n.procs = append(n.procs, p)
	return p
}

func (n *node) fork(hour float64, slot int) {
	c := n.start(hour, detector.RoleChild, slot, n.parts)
	c.base, c.touched = n.childBase, n.touched
	c.inherited = n.parent.own()
	c.shared = c.inherited
	n.kids = append(n.kids, c)
}

// scale brings the pool to the size autoscaling wants at this load.
func (n *node) scale(hour float64) {
	if n.autoscale[1] == 0 || n.rng.IntN(10) > 0 {
		return
	}
	busy := n.load.at(hour, n.rng) * float64(n.autoscale[1]) * 0.6
	n.want = min(max(int(math.Ceil(busy)), n.autoscale[0]), n.autoscale[1])
	for slot := len(n.kids); slot < n.want; slot++ {
		n.fork(hour, slot)
	}
	n.kids = n.kids[:min(len(n.kids), n.want)]
}

// measure takes the readings of a pass and the node's total.
func (n *node) measure(hour float64, recorded bool) {
	rs := measure(n.parent, n.kids, n.lib, n.others)
	n.total = 0
	for i, r := range rs {
		r.hour = hour
		n.total += r.pss + r.swap
		if p := n.at(i); recorded && !n.isTwin() {
			p.samples = append(p.samples, r)
		}
	}
}

// at is the parent for 0, else a child.
func (n *node) at(i int) *proc {
	if i == 0 {
		return n.parent
	}
	return n.kids[i-1]
}

func (n *node) isTwin() bool { return n.leak != nil && n.leak.growth == 0 }

// recycle ends children that have run their tasks and forks their followers.
func (n *node) recycle(hour float64) {
	if n.maxTasks == 0 {
		return
	}
	for i, c := range n.kids {
		if c.calls >= n.maxTasks {
			n.refork(hour, i)
		}
	}
}

func (n *node) refork(hour float64, i int) {
	old := n.kids[i]
	n.fork(hour+n.every/2, old.slot)
	n.kids[i] = n.kids[len(n.kids)-1]
	n.kids = n.kids[:len(n.kids)-1]
}

// kill is the kernel's answer to a full cgroup: the largest child dies.
func (n *node) kill(hour float64, recorded bool) {
	if !n.oom || n.limitBytes == 0 || n.total < n.limitBytes || len(n.kids) == 0 || !recorded {
		return
	}
	worst := 0
	for i, c := range n.kids {
		if c.own() > n.kids[worst].own() {
			worst = i
		}
	}
	n.events = append(n.events, event{hour, detector.EventOOMKill, fmt.Sprintf("pid %d", n.kids[worst].pid)})
	n.oomKills++
	n.refork(hour, worst)
}
