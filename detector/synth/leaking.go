package synth

import (
	"math/rand/v2"

	"github.com/dropleak/dropleak/detector"
)

// leakingFamilies are the shapes that leak. l1 to l12 follow the shared
// recordings' families of the same names.
func leakingFamilies() []Family {
	return []Family{
		{Name: "l1", Text: "unbounded cache, slow", Leaks: true, draw: func(p *plan) { p.leaky(4) }},
		{Name: "l2", Text: "unbounded cache, fast", Leaks: true, draw: func(p *plan) { p.leaky(20) }},
		{Name: "l3", Text: "cycles with the collector off", Leaks: true, draw: drawCycles},
		{Name: "l4", Text: "files and sockets never closed, one child does the work", Leaks: true, draw: drawSockets},
		{Name: "l5", Text: "malloc never freed", Leaks: true, draw: func(p *plan) { p.give = 0.001; p.leaky(12) }},
		{Name: "l6", Text: "three to six task names, one leaks", Leaks: true, draw: drawLeakyTask},
		{Name: "l7", Text: "leak plus load cycle", Leaks: true, draw: func(p *plan) { drawLoadCycle(p); p.leaky(6) }},
		{Name: "l8", Text: "restart at half into leaky code", Leaks: true, draw: drawLeakyDeploy},
		{Name: "l9", Text: "leak hidden by max_tasks_per_child", Leaks: true, draw: drawMasked},
		{Name: "l10", Text: "leak in one child only", Leaks: true, draw: drawOneChild},
		{Name: "l11", Text: "leak in bursts", Leaks: true, draw: drawBursts},
		{Name: "l12", Text: "slow leak under heavy noise", Leaks: true, draw: drawNoisyLeak},
		{Name: "l13", Text: "onset late in the window", Leaks: true, draw: drawLateOnset},
		{Name: "l14", Text: "leak under warm-up, cycle and restart together", Leaks: true, draw: drawLeakyMix},
		{Name: "l15", Text: "leak that pages out: RSS falls while the footprint grows", Leaks: true, draw: drawSwapOut},
		{Name: "l16", Text: "leak that ends on a plateau at MemoryHigh", Leaks: true, draw: drawThrottled},
		{Name: "l17", Text: "one process with greenlets leaks", Leaks: true, draw: func(p *plan) { drawGreenlets(p); p.leaky(8) }},
		{Name: "l18", Text: "one process with threads leaks", Leaks: true, draw: func(p *plan) { drawThreads(p); p.leaky(8) }},
		{Name: "l19", Text: "autoscaling pool whose lasting children leak", Leaks: true, draw: drawAutoscaledLeak},
		{Name: "l20", Text: "leak into the OOM killer, again and again", Leaks: true, draw: drawOOM},
		{Name: "l21", Text: "leak in the parent that every fork inherits", Leaks: true, draw: drawParent},
		{Name: "l22", Text: "leak under noise near a random walk", Leaks: true, draw: func(p *plan) { drawWalk(p); p.leaky(4) }},
		{Name: "l23", Text: "leak while the load grows too", Leaks: true, draw: drawLeakUnderGrowth},
		{Name: "l24", Text: "leak under a weekly season", Leaks: true, draw: func(p *plan) { drawWeek(p); p.leaky(5) }},
		{Name: "l25", Text: "leak with gaps, clock steps and coarse readings", Leaks: true, draw: func(p *plan) { p.leaky(10); p.soil() }},
		{Name: "l26", Text: "solo pool leaks", Leaks: true, draw: func(p *plan) { p.pool = detector.PoolSolo; p.leaky(10) }},
	}
}

var leaked = []detector.Reason{detector.ReasonLeak}

// leaky adds a leak of every call in every child (or the one process), from
// the first call on, growing by at most multiple times what is detectable.
func (p *plan) leaky(multiple float64) *leakPlan {
	p.leak = &leakPlan{role: detector.RoleChild, task: -1, multiple: multiple}
	if p.pool != detector.PoolPrefork {
		p.leak.role = detector.RoleParent
	}
	p.reasons = leaked
	return p.leak
}

func drawCycles(p *plan) {
	p.give = 1
	p.leaky(10)
}

func drawSockets(p *plan) {
	p.children, p.skew = 2+p.rng.IntN(3), between(p.rng, 0.05, 0.4)
	p.leaky(10)
}

func drawLeakyTask(p *plan) {
	p.tasks = taskNames(p.rng, 3+p.rng.IntN(4))
	p.calls = max(p.calls, 1.5)
	p.leaky(8).task = p.rng.IntN(len(p.tasks))
	p.params.Tasks = true
}

func drawLeakyDeploy(p *plan) {
	at := between(p.rng, 0.4, 0.6) * p.span()
	p.restarts = append(p.restarts, restart{at: at, event: detector.EventDeploy, known: p.rng.IntN(2) == 0})
	l := p.leaky(10)
	l.onset, l.from = at, 1
}

func drawMasked(p *plan) {
	p.skew, p.children = between(p.rng, 0.5, 1), 1+p.rng.IntN(3)
	p.maxTasks = max(30, int(p.callsOver(p.span()/between(p.rng, 5, 14), 0)))
	if p.rng.IntN(2) == 0 {
		size, calls := ratio(p.rng, 5, 30)*mib, float64(p.maxTasks)*between(p.rng, 0.03, 0.1)
		p.add(func(*rand.Rand) cause { return &warmUp{size: size, calls: calls} })
	}
	l := p.leaky(1)
	l.masked, l.perLife, l.kind = true, ratio(p.rng, 20, 90)*mib, detector.LeakMasked
	p.reasons = []detector.Reason{detector.ReasonRecycled}
}

func drawOneChild(p *plan) {
	p.children = 2 + p.rng.IntN(4)
	p.leaky(6).slots = 1
}

func drawBursts(p *plan) {
	l := p.leaky(12)
	l.period, l.share = between(p.rng, 0.12, 0.25)*p.pace, between(p.rng, 0.2, 0.4)
	l.onset = between(p.rng, 0, 0.15) * p.pace
}

func drawNoisyLeak(p *plan) {
	size, keep := ratio(p.rng, 40, 300)*mib, between(p.rng, 0, 0.5)
	chance := ratio(p.rng, 100, 1500) / p.callsOver(p.span(), 0)
	p.add(func(*rand.Rand) cause { return &spikes{chance: chance, size: size, keep: keep} })
	p.add(p.wandering(ratio(p.rng, 2, 12)*mib, ratio(p.rng, 0.1, 1)))
	p.leaky(4)
}

func drawLateOnset(p *plan) {
	p.leaky(10).onset = between(p.rng, 0.55, 0.8) * p.span()
}

func drawLeakyMix(p *plan) {
	drawWarmUp(p)
	drawLoadCycle(p)
	p.restarts = append(p.restarts, restart{at: between(p.rng, 0.15, 0.5) * p.span(), event: detector.EventRestart, known: p.rng.IntN(2) == 0})
	p.leaky(6)
}

func drawSwapOut(p *plan) {
	from := between(p.rng, 0.2, 0.5) * p.span()
	p.swap = &swapPlan{from: from, to: p.span() * between(p.rng, 0.8, 1), share: between(p.rng, 0.5, 0.9)}
	p.leaky(8)
}

func drawThrottled(p *plan) {
	p.high = between(p.rng, 0.5, 0.8)
	p.leaky(10)
	p.reasons = []detector.Reason{detector.ReasonThrottled, detector.ReasonLeak}
}

func drawAutoscaledLeak(p *plan) {
	drawAutoscale(p)
	p.leaky(6).slots = p.autoscale[0]
}

func drawOOM(p *plan) {
	p.oom = true
	p.children = 1 + p.rng.IntN(3)
	l := p.leaky(14)
	l.kind = detector.Leak
	p.reasons = []detector.Reason{detector.ReasonLeak, detector.ReasonRecycled, detector.ReasonLeakingParent}
}

func drawParent(p *plan) {
	if p.rng.IntN(2) == 0 {
		p.skew = between(p.rng, 0.5, 1)
		p.maxTasks = max(30, int(p.callsOver(p.span()/between(p.rng, 4, 20), 0)))
	}
	p.leaky(10).role = detector.RoleParent
	p.reasons = []detector.Reason{detector.ReasonLeakingParent}
}

func drawLeakUnderGrowth(p *plan) {
	drawGrowingLoad(p)
	p.load.trend = between(p.rng, 0.3, 1.2)
	p.leaky(3)
}
