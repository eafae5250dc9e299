package synth

import (
	"math"
	"slices"

	"github.com/dropleak/dropleak/detector"
)

// blocks is how many block medians Detectable cuts a series into.
const blocks = 96

// Detectable is the least growth, in bytes over the whole of y, that a leak
// must show on top of this leak-free series to be told from its noise: four
// times the larger of the residual spread of its block medians about a line
// (stationary noise) and the spread a random walk with the long-run variance
// of their differences has over the series (noise near a unit root). What
// load explains is taken out first; load is nil or one value for each of y.
// The result is never below floor.
//
// The factor four is that of the trend statistic's critical value. The walk's
// share is estimated with a finite window, which leaves some of white noise
// in it: without any walk the result is about 16 times the spread of the
// medians, not 4. Leaks under plain noise are drawn larger by that.
func Detectable(y, load []float64, floor float64) float64 {
	b := blockMedians(y, blocks)
	if len(b) < 8 {
		return floor
	}
	if load != nil {
		b = unload(b, blockMedians(load, blocks))
	}
	return max(floor, 4*spread(aboutLine(b)), 4*longRunSD(b)*math.Sqrt(float64(len(b))))
}

// unload takes out of y what is proportional to x, both seen about their
// lines, so that a common trend is not mistaken for load.
func unload(y, x []float64) []float64 {
	dy, dx := aboutLine(y), aboutLine(x)
	var xy, xx float64
	for i := range dx {
		xy, xx = xy+dx[i]*dy[i], xx+dx[i]*dx[i]
	}
	out := slices.Clone(y)
	if xx == 0 {
		return out
	}
	for i := range out {
		out[i] -= xy / xx * dx[i]
	}
	return out
}

func blockMedians(y []float64, n int) []float64 {
	n = min(n, len(y))
	out := make([]float64, n)
	for i := range out {
		part := slices.Clone(y[i*len(y)/n : (i+1)*len(y)/n])
		slices.Sort(part)
		out[i] = part[len(part)/2]
	}
	return out
}

// aboutLine is y less its least-squares line.
func aboutLine(y []float64) []float64 {
	n := float64(len(y))
	var sy, sxy, sxx float64
	mid := (n - 1) / 2
	for i, v := range y {
		sy += v
		x := float64(i) - mid
		sxy += x * v
		sxx += x * x
	}
	out := make([]float64, len(y))
	for i, v := range y {
		out[i] = v - sy/n - sxy/sxx*(float64(i)-mid)
	}
	return out
}

// spread is the standard deviation of residuals about a fitted line.
func spread(d []float64) float64 {
	ss := 0.0
	for _, v := range d {
		ss += v * v
	}
	return math.Sqrt(ss / float64(len(d)-2))
}

// longRunSD is the Newey-West (Bartlett) long-run standard deviation of the
// first differences, with bandwidth n/8: near 0 for stationary noise.
func longRunSD(y []float64) float64 {
	d := make([]float64, len(y)-1)
	mean := (y[len(y)-1] - y[0]) / float64(len(d))
	for i := range d {
		d[i] = y[i+1] - y[i] - mean
	}
	lags, sum := len(d)/8, 0.0
	for k := 0; k <= lags; k++ {
		c := 0.0
		for i := k; i < len(d); i++ {
			c += d[i] * d[i-k]
		}
		w := 1 - float64(k)/float64(lags+1)
		if k > 0 {
			w *= 2
		}
		sum += w * c / float64(len(d))
	}
	return math.Sqrt(max(sum, 0))
}

// sizeLeak sets the bytes a call leaks from the twin's noise, so that the
// leak lies above what can be detected.
func (p *plan) sizeLeak(twin *run) {
	l := p.leak
	from := l.onset
	for _, rs := range p.restarts {
		from = max(from, rs.at)
	}
	from += max(1, 0.1*(p.hours-from)) // start-up is not noise
	first := min(int(from/p.every), len(twin.totals)-1)
	l.mde = Detectable(twin.totals[first:], twin.loads[first:], p.material()) * (p.hours - l.onset) / (p.hours - from)
	if l.masked {
		l.growth = l.perLife * float64(max(1, len(twin.procs)-1-p.children))
		l.perCall = l.perLife / float64(p.maxTasks)
		return
	}
	r := p.stream("size")
	l.growth = l.mde * ratio(r, p.params.Above, max(p.params.Above, l.multiple))
	l.perCall = l.growth / max(1, twin.leakCalls)
	top := slices.Max(twin.totals)
	if p.high > 0 {
		p.highBytes = top + p.high*l.growth
	}
	if p.oom {
		p.limitBytes = top + ratio(r, 0.2, 0.5)*l.growth
	}
}

// show finds the hour from which the leak shows, the last in which less than
// a twentieth of its growth does, and reports whether it shows enough: 0.8 of
// its growth, for at least half of its time.
func (p *plan) show(r, twin *run) bool {
	l := p.leak
	l.shown = l.onset
	if l.masked || r.stalled || r.oomKills > 0 {
		return true
	}
	grown := r.grown(twin)
	for i := len(r.totals) - 1; i > int(l.onset/p.every); i-- {
		if r.totals[i]-twin.totals[i] < 0.05*grown {
			l.shown = max(l.onset, float64(i)*p.every-0.05*(p.hours-l.onset))
			break
		}
	}
	return grown >= 0.8*l.growth && p.hours-l.shown >= 0.5*(p.hours-l.onset)
}

// material is the least growth of the worker that anybody would act on: in
// the process that leaks most, 20 MiB and 0.45 MiB an hour. The slowest leak
// of the shared recordings is 0.6 MiB an hour.
func (p *plan) material() float64 {
	one := max(20, 0.45*(p.hours-p.leak.onset)) * mib
	if p.leak.role == detector.RoleParent || p.leak.slots == 1 {
		return one
	}
	n := max(1, p.children, p.autoscale[1])
	most, all := 0.0, 0.0
	for i := range n {
		if p.leak.slots == 0 || i < p.leak.slots {
			most, all = max(most, p.weight(i, n)), all+p.weight(i, n)
		}
	}
	return one * all / most
}

// kindOf is the true verdict of the plan.
func (p *plan) kindOf() detector.Kind {
	switch {
	case p.leak == nil:
		return detector.Healthy
	case p.leak.kind != "":
		return p.leak.kind
	default:
		return detector.Leak
	}
}
