package synth

import (
	"math/rand/v2"

	"github.com/dropleak/dropleak/detector"
)

// healthyFamilies are the shapes that look like leaks and are none. h1 to h8
// follow the shared recordings' families of the same names.
func healthyFamilies() []Family {
	return []Family{
		{Name: "h1", Text: "steady after start-up", Leaks: false, draw: func(p *plan) { p.reasons = flat }},
		{Name: "h2", Text: "warm-up that saturates within 4 to 19 hours", Leaks: false, draw: drawWarmUp},
		{Name: "h3", Text: "rare big allocations, freed after use", Leaks: false, draw: drawSpikes},
		{Name: "h4", Text: "load cycle", Leaks: false, draw: drawLoadCycle},
		{Name: "h5", Text: "allocator high-water stairs that stop within 25 hours, before half of the window", Leaks: false, draw: drawStairs},
		{Name: "h6", Text: "restart with a bigger baseline, or a big load in process", Leaks: false, draw: drawStep},
		{Name: "h7", Text: "bounded cache that fills in 1 to 10 hours and is cleared", Leaks: false, draw: drawCache},
		{Name: "h8", Text: "mean-reverting heap", Leaks: false, draw: drawMeanReverting},
		{Name: "h9", Text: "noise near a random walk", Leaks: false, draw: drawWalk},
		{Name: "h10", Text: "load that grows, and memory with it", Leaks: false, draw: drawGrowingLoad},
		{Name: "h11", Text: "weekly season", Leaks: false, draw: drawWeek},
		{Name: "h12", Text: "deploy with a larger footprint that warms up anew", Leaks: false, draw: drawDeploy},
		{Name: "h13", Text: "children warm up and are recycled, nothing leaks", Leaks: false, draw: drawWarmRecycled},
		{Name: "h14", Text: "autoscaling pool", Leaks: false, draw: drawAutoscale},
		{Name: "h15", Text: "one process with greenlets, memory follows load", Leaks: false, draw: drawGreenlets},
		{Name: "h16", Text: "one process with threads, arenas fill up one by one", Leaks: false, draw: drawThreads},
		{Name: "h17", Text: "cold pages swapped out and in again", Leaks: false, draw: drawSwapBack},
		{Name: "h18", Text: "tasks not due yet, held in the parent in waves of up to 3 hours", Leaks: false, draw: drawBacklog},
		{Name: "h19", Text: "several healthy causes at once", Leaks: false, draw: drawHealthyMix},
		{Name: "h20", Text: "a healthy shape with gaps, clock steps and coarse readings", Leaks: false, draw: drawHealthyDirt},
	}
}

// Acceptable reasons. A shape may rightly be called flat or noise where its
// cause is too small to see.
var (
	flat     = []detector.Reason{detector.ReasonFlat, detector.ReasonNoise, detector.ReasonWarmUp, detector.ReasonBelowMaterial, detector.ReasonBounded}
	anyCalm  = append([]detector.Reason{detector.ReasonStep, detector.ReasonStaircase, detector.ReasonLoad, detector.ReasonSeasonal, detector.ReasonThreshold}, flat...)
	warming  = append([]detector.Reason{detector.ReasonStaircase}, flat...)
	stepping = append([]detector.Reason{detector.ReasonStep, detector.ReasonStaircase}, flat...)
	loading  = append([]detector.Reason{detector.ReasonLoad, detector.ReasonSeasonal, detector.ReasonStaircase}, flat...)
)

func drawWarmUp(p *plan) {
	p.evenly()
	size, done := ratio(p.rng, 25, 110)*mib, between(p.rng, 0.2, 0.38)
	calls := p.callsOver(done*p.pace, 0) / between(p.rng, 3, 5)
	p.add(func(*rand.Rand) cause { return &warmUp{size: size, calls: calls} })
	p.reasons = warming
}

// evenly spreads the work so that the idlest child has at least half of the
// busiest one's: where it has hardly any, its warm-up takes weeks and nobody
// can tell it from a leak.
func (p *plan) evenly() {
	p.children = min(p.children, 4)
	p.skew = between(p.rng, 0.8, 1)
}

func drawSpikes(p *plan) {
	size, keep := ratio(p.rng, 30, 300)*mib, between(p.rng, 0, 1)
	chance := ratio(p.rng, 3, 60) / p.callsOver(p.span(), 0)
	p.add(func(*rand.Rand) cause { return &spikes{chance: chance, size: size, keep: keep} })
	p.reasons = stepping
}

func drawLoadCycle(p *plan) {
	p.load.period, p.load.phase = between(p.rng, 8, 25), p.rng.Float64()
	p.load.swing = between(p.rng, 0.4, 0.9)
	size := ratio(p.rng, 5, 60) * mib / float64(p.children)
	p.add(func(*rand.Rand) cause { return &inFlight{perLoad: size} })
	if p.rng.IntN(2) == 0 {
		chance := ratio(p.rng, 20, 300) / p.callsOver(p.span(), 0)
		p.add(func(*rand.Rand) cause { return &spikes{chance: chance, size: size, keep: 0.4} })
	}
	p.reasons = loading
}

func drawStairs(p *plan) {
	n := 3 + p.rng.IntN(7)
	at := make([]float64, n)
	for i := range at {
		at[i] = p.pace * (0.03 + 0.45*(float64(i)+0.8*p.rng.Float64())/float64(n))
	}
	size := ratio(p.rng, 20, 80) * mib / float64(n)
	p.add(func(*rand.Rand) cause { return &stairs{at: at, size: size} })
	p.reasons = stepping
}

func drawStep(p *plan) {
	at, size := between(p.rng, 0.2, 0.8)*p.span(), ratio(p.rng, 12, 120)*mib
	p.reasons = stepping
	if p.rng.IntN(2) == 0 {
		p.restarts = append(p.restarts, restart{at: at, extra: size, event: detector.EventRestart, known: p.rng.IntN(2) == 0})
		return
	}
	p.add(func(r *rand.Rand) cause { return &step{at: at + between(r, 0, 0.5), size: size} })
}

func drawCache(p *plan) {
	p.evenly()
	bound := ratio(p.rng, 20, 120) * mib
	perCall := bound / p.callsOver(between(p.rng, 0.04, 0.2)*p.pace, 0)
	floor := between(p.rng, 0, 0.4)
	p.add(func(r *rand.Rand) cause {
		return &cache{bound: bound, perCall: perCall, floor: floor, held: between(r, 0, 0.5) * bound}
	})
	p.reasons = loading
}

func drawMeanReverting(p *plan) {
	sd, tau := ratio(p.rng, 3, 25)*mib, ratio(p.rng, 0.2, 2)
	p.add(p.wandering(sd, tau))
	p.reasons = anyCalm
}

func drawWalk(p *plan) {
	sd, tau := ratio(p.rng, 5, 40)*mib, p.pace*between(p.rng, 0.08, 0.4)
	p.add(p.wandering(sd, tau))
	p.give = 1
	p.reasons = anyCalm
}

// wandering makes noise of that spread and relaxation time, starting
// anywhere in its range.
func (p *plan) wandering(sd, tau float64) func(*rand.Rand) cause {
	every := p.params.Every.Hours()
	return func(r *rand.Rand) cause {
		return &wander{mean: 3 * sd, sd: sd, tau: tau, every: every, off: sd * min(max(r.NormFloat64(), -2), 2)}
	}
}

func drawGrowingLoad(p *plan) {
	p.load.trend = between(p.rng, 0.8, 3)
	size := ratio(p.rng, 15, 120) * mib / float64(p.children)
	p.give = max(p.give, 0.02)
	p.add(func(*rand.Rand) cause { return &inFlight{perLoad: size} })
	p.reasons = loading
}

func drawWeek(p *plan) {
	p.days = max(p.days, 9+3*p.rng.Float64())
	p.load.weekend = between(p.rng, 0.4, 0.9)
	p.load.period, p.load.swing, p.load.phase = 24, between(p.rng, 0.2, 0.7), p.rng.Float64()
	size := ratio(p.rng, 15, 120) * mib / float64(p.children)
	p.give = max(p.give, 0.02)
	p.add(func(*rand.Rand) cause { return &inFlight{perLoad: size} })
	p.reasons = loading
}

func drawDeploy(p *plan) {
	at := between(p.rng, 0.25, 0.75) * p.span()
	p.restarts = append(p.restarts, restart{at: at, extra: ratio(p.rng, 15, 100) * mib, event: detector.EventDeploy, known: p.rng.IntN(3) > 0})
	p.evenly()
	size, calls := ratio(p.rng, 10, 50)*mib, p.callsOver(between(p.rng, 0.02, 0.06)*p.pace, 0)
	p.add(func(*rand.Rand) cause { return &warmUp{size: size, calls: calls} })
	p.reasons = stepping
}

func drawWarmRecycled(p *plan) {
	p.skew = between(p.rng, 0.5, 1)
	p.maxTasks = max(20, int(p.callsOver(p.span()/between(p.rng, 5, 16), 0)))
	size, calls := ratio(p.rng, 15, 80)*mib, float64(p.maxTasks)*between(p.rng, 0.05, 0.2)
	p.add(func(*rand.Rand) cause { return &warmUp{size: size, calls: calls} })
	p.reasons = append([]detector.Reason{detector.ReasonRecycled}, anyCalm...)
}

func drawAutoscale(p *plan) {
	p.autoscale = [2]int{1 + p.rng.IntN(2), 4 + p.rng.IntN(6)}
	p.load.period, p.load.swing, p.load.phase = []float64{8, 12, 24, 24}[p.rng.IntN(4)], between(p.rng, 0.5, 0.9), p.rng.Float64()
	p.calls, p.skew = max(p.calls, 2), between(p.rng, 0.6, 1)
	p.reasons = append([]detector.Reason{detector.ReasonRecycled}, anyCalm...)
}

func drawGreenlets(p *plan) {
	p.pool = []detector.Pool{detector.PoolEventlet, detector.PoolGevent}[p.rng.IntN(2)]
	p.calls *= 8
	p.load.period, p.load.swing, p.load.phase = between(p.rng, 6, 24), between(p.rng, 0, 0.7), p.rng.Float64()
	size := ratio(p.rng, 10, 80) * mib
	p.add(func(*rand.Rand) cause { return &inFlight{perLoad: size} })
	p.reasons = loading
}

func drawThreads(p *plan) {
	p.pool = detector.PoolThreads
	p.calls *= 4
	n := 4 + p.rng.IntN(12)
	at := make([]float64, n)
	for i, h := 0, 0.2; i < n; i++ {
		at[i], h = h, h*between(p.rng, 1.2, 1.9)
	}
	for at[n-1] > 0.5*p.pace { // arenas are all in use well before the end
		for i := range at {
			at[i] *= 0.8
		}
	}
	size := ratio(p.rng, 3, 20) * mib
	p.add(func(*rand.Rand) cause { return &stairs{at: at, size: size} })
	p.add(p.wandering(ratio(p.rng, 1, 8)*mib, 0.5))
	p.reasons = stepping
}

func drawSwapBack(p *plan) {
	from := between(p.rng, 0.15, 0.4) * p.span()
	p.swap = &swapPlan{from: from, to: from + between(p.rng, 0.1, 0.3)*p.span(), share: between(p.rng, 0.3, 0.8), back: true}
	p.reasons = anyCalm
}

func drawBacklog(p *plan) {
	delay := between(p.rng, 0.02, 0.06) * p.pace
	period := between(p.rng, 0.15, 0.3) * p.pace
	perTask := ratio(p.rng, 10, 60) * mib / (20 * 60 * min(delay, 0.4*period))
	every := p.params.Every.Hours()
	p.addParent(func(*rand.Rand) cause {
		return &backlog{perTask: perTask * p.params.Every.Minutes(), delay: delay, period: period, every: every, mean: 20, count: &p.held}
	})
	p.reasons = loading
}

// PilingUp is a healthy shape that is none of [Families], because without
// Params.Held nobody could tell it from a leak: tasks that are not due for
// days pile up in the parent.
func PilingUp() Family {
	return Family{Name: "h18+", Text: "tasks not due for days pile up in the parent", draw: drawPilingUp}
}

func drawPilingUp(p *plan) {
	delay := between(p.rng, 0.3, 1.5) * p.span()
	mean, grown := ratio(p.rng, 0.3, 5), ratio(p.rng, 25, 250)*mib
	every := p.params.Every.Hours()
	passes := min(delay, p.span()) / every
	mean = max(mean, grown/passes/(200<<10)) // messages are small
	perTask := grown / passes / mean
	p.addParent(func(*rand.Rand) cause {
		return &backlog{perTask: perTask, delay: delay, period: 10 * p.span(), every: every, mean: mean, count: &p.held}
	})
	p.reasons = loading
}

func drawHealthyMix(p *plan) {
	mix := []func(*plan){drawWarmUp, drawSpikes, drawLoadCycle, drawStairs, drawStep, drawCache, drawMeanReverting}
	for _, i := range p.rng.Perm(len(mix))[:2+p.rng.IntN(2)] {
		mix[i](p)
	}
	p.reasons = anyCalm
}

func drawHealthyDirt(p *plan) {
	mix := []func(*plan){drawWarmUp, drawSpikes, drawLoadCycle, drawStep, drawCache, drawMeanReverting}
	mix[p.rng.IntN(len(mix))](p)
	p.soil()
	p.reasons = anyCalm
}

// soil spoils the measurement: holes, a clock that jumps, coarse readings.
func (p *plan) soil() {
	for range 1 + p.rng.IntN(4) {
		at := between(p.rng, 0.05, 0.9) * p.span()
		p.dirt.gaps = append(p.dirt.gaps, [2]float64{at, at + ratio(p.rng, 0.1, 0.08*p.span())})
	}
	p.dirt.known = p.rng.IntN(2) == 0
	p.dirt.noSwap = p.rng.IntN(2) == 0
	if p.rng.IntN(2) == 0 {
		by := ratio(p.rng, 0.05, 1)
		if p.rng.IntN(2) == 0 {
			by = -by
		}
		p.dirt.steps = append(p.dirt.steps, clockStep{at: between(p.rng, 0.2, 0.8) * p.span(), by: by})
	}
	p.dirt.quantum = []float64{0, 0.1 * mib, mib, 2 * mib}[p.rng.IntN(4)]
}
