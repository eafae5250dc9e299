package synth

import (
	"math"
	"math/rand/v2"
)

// mib is a mebibyte in bytes; sizes in this package are drawn in it.
const mib = 1 << 20

// moment is what a cause may look at when it is asked for its bytes.
type moment struct {
	hour  float64 // since the window began
	age   float64 // hours since the process began
	calls int     // tasks this process ran since the last pass
	load  float64 // 1 at the mean
}

// cause is one reason why a process holds memory. It returns the bytes it
// holds on the heap, where the allocator may keep them after they are freed,
// and those mapped apart, which go back at once. A cause belongs to one
// process and is asked once a pass, in order.
type cause interface {
	bytes(m moment, r *rand.Rand) (heap, mapped float64)
}

// warmUp fills towards size, a share 1/calls of the rest with every call.
type warmUp struct{ size, calls, held float64 }

func (w *warmUp) bytes(m moment, r *rand.Rand) (float64, float64) {
	for range m.calls {
		w.held += (w.size - w.held) * min(1, r.ExpFloat64()/w.calls)
	}
	return w.held, 0
}

// spikes are rare calls that hold much for one or a few passes; keep is the
// share of such memory that comes from the heap.
type spikes struct {
	chance, size, keep float64
	left               int
	now                float64
}

func (s *spikes) bytes(m moment, r *rand.Rand) (float64, float64) {
	if s.left--; s.left <= 0 {
		s.now = 0
	}
	for range m.calls {
		if r.Float64() < s.chance {
			s.now = max(s.now, s.size*(0.3+0.7*r.Float64()))
			s.left = 1 + r.IntN(3)
		}
	}
	return s.now * s.keep, s.now * (1 - s.keep)
}

// inFlight is memory in proportion to the work at hand: greenlets or threads
// that wait, inputs being read. It follows load with a short lag.
type inFlight struct{ perLoad, now float64 }

func (f *inFlight) bytes(m moment, r *rand.Rand) (float64, float64) {
	if m.calls == 0 {
		return f.now, 0
	}
	want := f.perLoad * m.load * math.Exp(0.15*r.NormFloat64())
	f.now += 0.3 * (want - f.now)
	return f.now, 0
}

// stairs go up at set hours, each process a little later than planned, and
// stay: jobs larger than any before, in an allocator that keeps its arenas.
type stairs struct {
	at   []float64 // hours
	size float64
	up   int
}

func (s *stairs) bytes(m moment, r *rand.Rand) (float64, float64) {
	for s.up < len(s.at) && m.hour >= s.at[s.up] && m.calls > 0 && r.Float64() < 0.05 {
		s.up++
	}
	return float64(s.up) * s.size, 0
}

// step is one load in the process that stays.
type step struct{ at, size float64 }

func (s *step) bytes(m moment, _ *rand.Rand) (float64, float64) {
	if m.hour < s.at {
		return 0, 0
	}
	return s.size, 0
}

// cache fills call by call to its bound, is then cleared down to floor, and
// fills again. The fuller it is, the more calls find their key in it.
type cache struct{ bound, perCall, floor, held float64 }

func (c *cache) bytes(m moment, r *rand.Rand) (float64, float64) {
	for range m.calls {
		c.held += c.perCall * r.ExpFloat64() * (1.3 - 0.6*c.held/c.bound)
		if c.held > c.bound {
			c.held = c.bound * c.floor
		}
	}
	return c.held, 0
}

// wander is mean-reverting noise with relaxation time tau in hours; a tau of
// many windows makes it a random walk. It stays within ±4 sd and
// moves only when a task runs.
type wander struct{ mean, sd, tau, off, every, seen float64 }

func (w *wander) bytes(m moment, r *rand.Rand) (float64, float64) {
	rho := math.Exp(-w.every / w.tau)
	w.off = rho*w.off + w.sd*math.Sqrt(1-rho*rho)*r.NormFloat64()
	w.off = min(max(w.off, -4*w.sd), 4*w.sd)
	if m.calls > 0 {
		w.seen = w.off
	}
	return max(0, w.mean+w.seen), 0
}

// pages is the fidget of a process at work: now and then some pages more or
// less, within a bound.
type pages struct{ chance, bound, held float64 }

func (p *pages) bytes(m moment, r *rand.Rand) (float64, float64) {
	if m.calls > 0 && r.Float64() < p.chance {
		p.held = min(max(p.held+p.bound/8*r.NormFloat64(), 0), p.bound)
	}
	return p.held, 0
}

// backlog is what a parent holds of tasks that are not due yet: arrivals in
// waves, each task held for delay hours, so it fills and then stays level.
type backlog struct {
	perTask, delay, period, every float64
	mean                          float64   // tasks that arrive in a pass of a wave
	due                           []float64 // bytes by pass, a ring of length delay
	at                            int
	held                          float64
	count                         *[]float64 // tasks held, by pass
}

func (b *backlog) bytes(m moment, r *rand.Rand) (float64, float64) {
	if b.due == nil {
		b.due = make([]float64, max(1, int(b.delay/b.every)))
	}
	b.held -= b.due[b.at]
	wave := 0.0
	if math.Mod(m.hour, b.period) < 0.4*b.period {
		wave = b.perTask * float64(poisson(r, b.mean))
	}
	b.due[b.at] = wave
	b.held += wave
	b.at = (b.at + 1) % len(b.due)
	*b.count = append(*b.count, math.Round(b.held/b.perTask))
	return b.held, 0
}

// poisson draws a count with the given mean, by Knuth's product for small
// means and the normal approximation above 60.
func poisson(r *rand.Rand, mean float64) int {
	if mean > 60 {
		return max(0, int(math.Round(mean+math.Sqrt(mean)*r.NormFloat64())))
	}
	limit, n := math.Exp(-mean), 0
	for p := r.Float64(); p > limit; p *= r.Float64() {
		n++
	}
	return n
}
