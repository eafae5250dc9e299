package synth

import (
	"math"
	"math/rand/v2"

	"github.com/dropleak/dropleak/detector"
)

// work lets every process run its tasks of one pass, and leak.
func (n *node) work(hour, load float64, recorded bool) {
	done := 0
	if n.pool != detector.PoolPrefork {
		done = poisson(n.parent.rng, n.calls*load)
		n.toil(n.parent, hour, load, done, recorded)
		return
	}
	for _, c := range n.kids {
		calls := poisson(c.rng, n.calls*load*n.weight(c.slot, max(1, len(n.kids))))
		done += calls
		n.toil(c, hour, load, calls, recorded)
	}
	p := n.parent
	p.cpu += 0.05*n.every*60 + 0.01*float64(done)
	n.leakIn(p, hour, done)
	p.step(moment{hour: hour, age: hour - p.start, calls: done, load: load}, n.give)
}

// toil runs calls tasks in one process.
func (n *node) toil(p *proc, hour, load float64, calls int, recorded bool) {
	p.cpu += 0.002 * n.every * 60
	for range calls {
		p.cpu += n.cpuPerCall * p.rng.ExpFloat64()
	}
	p.cpu = math.Round(p.cpu*100) / 100
	n.leakIn(p, hour, n.runTasks(p, hour, calls, recorded))
	p.step(moment{hour: hour, age: hour - p.start, calls: calls, load: load}, n.give)
}

// runTasks names the calls, keeps them where asked for, and returns how many
// of them were of the leaky kind.
func (n *node) runTasks(p *proc, hour float64, calls int, recorded bool) int {
	leaky := 0
	for i := range calls {
		k := pick(p.rng, len(n.plan.tasks))
		if n.leak == nil || n.leak.task < 0 || n.leak.task == k {
			leaky++
		}
		if recorded && n.params.Tasks && !n.isTwin() {
			width := n.every / float64(calls)
			begin := hour - n.every + float64(i)*width
			begin = max(begin, p.start)
			n.ran = append(n.ran, execution{p.pid, p.start, n.plan.tasks[k], begin, begin + 0.9*width})
		}
	}
	return leaky
}

// pick draws a task index; the first names are called more often.
func pick(r *rand.Rand, n int) int {
	if n == 1 {
		return 0
	}
	return min(int(float64(n)*math.Pow(r.Float64(), 1.3)), n-1)
}

// leakIn lets p leak for calls executions, if it is one that leaks now.
func (n *node) leakIn(p *proc, hour float64, calls int) {
	l := n.leak
	if l == nil || hour < l.onset || p.role != l.role || p.generation < l.from || (l.slots > 0 && p.slot >= l.slots) {
		return
	}
	if l.period > 0 && math.Mod(hour-l.onset, l.period) > l.share*l.period {
		return
	}
	n.leakCalls += float64(calls)
	if l.perCall == 0 {
		return
	}
	for range calls {
		b := l.perCall * math.Exp(0.3*p.drip.NormFloat64()-0.045)
		p.leaked += b
		n.leaked += b
	}
}
