package synth

import (
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/dropleak/dropleak/detector"
)

// DropletCase is one labelled droplet with its workers.
type DropletCase struct {
	Family  string
	Seed    uint64
	Droplet detector.Droplet
	Workers []detector.Worker
	Truths  []Truth // of the workers, in their order
	Leaks   bool    // whether used memory grows without bound
	Culprit string  // the worker or other process behind the growth; empty without a leak
	At      time.Time
}

// DropletFamily is one way a droplet's memory behaves.
type DropletFamily struct {
	Name  string
	Text  string
	Leaks bool
	draw  func(*host)
}

// host is a droplet being made: MemAvailable is total less everything used,
// because the kernel counts clean page cache as available; only a part that
// it thinks it cannot reclaim at once weighs on it.
type host struct {
	rng      *rand.Rand
	seed     uint64
	healthy  []string // families of the workers
	leaky    string   // family of one more worker; empty: none
	cache    float64  // bytes of page cache that fills up
	sticky   float64  // share of it that MemAvailable does not count
	others   []other
	kernel   float64 // bytes of slab that grows over the window
	wobble   float64 // sd of everything unnamed
	params   Params
	noLeaker bool // the leak is in others[0] or the kernel, not in a worker
}

// other is a process outside Celery.
type other struct {
	name         string
	bytes, grows float64 // at the start, and more at the end
	swing        float64 // with the day
}

// DropletFamilies lists every droplet family, healthy ones first.
func DropletFamilies() []DropletFamily {
	return []DropletFamily{
		{Name: "dh1", Text: "healthy workers only", draw: func(*host) {}},
		{Name: "dh2", Text: "page cache fills while nothing leaks", draw: func(h *host) {
			h.cache, h.sticky = ratio(h.rng, 0.5, 4)*1024*mib, between(h.rng, 0, 0.02)
		}},
		{Name: "dh3", Text: "a database warms its buffers", draw: func(h *host) {
			h.others = append(h.others, other{name: "postgres", bytes: 300 * mib, swing: ratio(h.rng, 5, 40) * mib})
		}},
		{Name: "dl1", Text: "one worker leaks", Leaks: true, draw: func(h *host) {
			h.leaky = []string{"l1", "l2", "l4", "l5", "l8", "l10", "l21"}[h.rng.IntN(7)]
		}},
		{Name: "dl2", Text: "one worker leaks while page cache fills", Leaks: true, draw: func(h *host) {
			h.leaky, h.cache, h.sticky = "l2", ratio(h.rng, 0.5, 4)*1024*mib, between(h.rng, 0, 0.02)
		}},
		{Name: "dl3", Text: "a process outside Celery leaks", Leaks: true, draw: func(h *host) {
			h.noLeaker = true
			h.others = append(h.others, other{name: "node_exporter", bytes: 40 * mib, grows: ratio(h.rng, 300, 1500) * mib})
		}},
		{Name: "dl4", Text: "the kernel's own memory grows", Leaks: true, draw: func(h *host) {
			h.noLeaker, h.kernel = true, ratio(h.rng, 300, 1500)*mib
		}},
	}
}

// Make plays one droplet of the family with two to five workers.
func (f DropletFamily) Make(seed uint64, p Params) DropletCase {
	r := rand.New(rand.NewPCG(seed, hash(f.Name)))
	if p.Days == 0 {
		p.Days = []float64{1.4, 2, 3}[r.IntN(3)]
	}
	h := &host{rng: r, seed: seed, params: p, wobble: ratio(r, 1, 12) * mib}
	for range 1 + r.IntN(4) {
		h.healthy = append(h.healthy, []string{"h1", "h3", "h6", "h8", "h13"}[r.IntN(5)])
	}
	f.draw(h)
	c := DropletCase{Family: f.Name, Seed: seed, Leaks: f.Leaks}
	h.workers(&c)
	h.fill(&c)
	if h.noLeaker && len(h.others) > 0 {
		c.Culprit = h.others[len(h.others)-1].name
	}
	return c
}

// workers makes the droplet's workers on one clock.
func (h *host) workers(c *DropletCase) {
	names := h.healthy
	if h.leaky != "" {
		names = append(names, h.leaky)
	}
	for i, name := range names {
		k := slices.IndexFunc(Families(), func(f Family) bool { return f.Name == name })
		made := Families()[k].Make(h.seed*16+uint64(i), h.params)
		if c.At.IsZero() {
			c.At = made.At
		}
		shift(&made, c.At.Sub(made.At))
		c.Workers = append(c.Workers, made.Worker)
		c.Truths = append(c.Truths, made.Truth)
		if made.Truth.Leaks {
			c.Culprit = made.Worker.Name
		}
	}
}

// shift moves a case in time, so that the workers of one droplet end
// together.
func shift(c *Case, by time.Duration) {
	for i := range c.Worker.Lives {
		l := &c.Worker.Lives[i]
		l.Start = l.Start.Add(by)
		for k := range l.Samples {
			l.Samples[k].At = l.Samples[k].At.Add(by)
		}
	}
	for i := range c.Worker.Events {
		c.Worker.Events[i].At = c.Worker.Events[i].At.Add(by)
	}
	c.At = c.At.Add(by)
	if c.Truth.Leaks {
		c.Truth.Started, c.Truth.Onset = c.Truth.Started.Add(by), c.Truth.Onset.Add(by)
	}
	if !c.Truth.Exhausts.IsZero() {
		c.Truth.Exhausts = c.Truth.Exhausts.Add(by)
	}
}

// fill adds up the droplet's memory every minute: workers, others, page
// cache, kernel, and noise.
func (h *host) fill(c *DropletCase) {
	passes := int(h.params.Days * 24 * 60)
	used := make([]float64, passes)
	begin := c.At.Add(-time.Duration(passes-1) * time.Minute)
	for _, w := range c.Workers {
		for i, v := range carried(w, begin, passes) {
			used[i] += v
		}
	}
	for _, o := range h.others {
		g := detector.Other{Name: o.name}
		for i := range used {
			v := o.bytes + o.grows*float64(i)/float64(passes) + o.swing*math.Sin(2*math.Pi*float64(i)/1440)
			used[i] += v
			g.Memory = append(g.Memory, detector.Point{At: begin.Add(time.Duration(i) * time.Minute), V: math.Round(v/4096) * 4096})
		}
		c.Droplet.Others = append(c.Droplet.Others, g)
	}
	wobble := wander{mean: 4 * h.wobble, sd: h.wobble, tau: 1, every: 1.0 / 60}
	for i := range used {
		v, _ := wobble.bytes(moment{calls: 1}, h.rng)
		filled := h.cache * (1 - math.Exp(-4*float64(i)/float64(passes)))
		used[i] += 200*mib + v + h.sticky*filled + h.kernel*float64(i)/float64(passes)
	}
	c.Droplet.ID = "droplet"
	c.Droplet.Total = total(slices.Max(used) * ratio(h.rng, 1.1, 2.5))
	for i, v := range used {
		c.Droplet.Available = append(c.Droplet.Available, detector.Point{At: begin.Add(time.Duration(i) * time.Minute), V: math.Round((c.Droplet.Total-v)/4096) * 4096})
	}
}

// total is the smallest droplet size with that much memory; the kernel keeps
// three hundredths of it.
func total(bytes float64) float64 {
	for size := 0.5 * 1024 * mib; ; size *= 2 {
		if size*0.97 >= bytes {
			return size * 0.97
		}
	}
}

// carried is a worker's footprint minute by minute from begin, the last
// reading carried on where a pass is missing.
func carried(w detector.Worker, begin time.Time, passes int) []float64 {
	out := make([]float64, passes)
	for _, l := range w.Lives {
		last, every, held := -1, passes, 0.0
		for _, s := range l.Samples {
			i := int(s.At.Sub(begin) / time.Minute)
			if math.IsNaN(s.PSS) || i < 0 || i >= passes {
				continue
			}
			for k := last + 1; k <= i && last >= 0; k++ {
				out[k] += held
			}
			if last < 0 {
				out[i] += s.PSS
			}
			if last >= 0 {
				every = min(every, i-last)
			}
			last, held = i, s.PSS
		}
		if last >= passes-1-max(every, 4) { // it lives on: its next reading is yet to come
			for k := last + 1; k < passes; k++ {
				out[k] += held
			}
		}
	}
	return out
}
