package synth

import (
	"math"
	"math/rand/v2"
	"time"

	"github.com/dropleak/dropleak/detector"
)

// plan is everything drawn for one case before it is played. Hours count
// from the start of the window.
type plan struct {
	family Family
	seed   uint64
	params Params
	rng    *rand.Rand // for drawing the plan only
	days   float64
	hours  float64
	pace   float64 // hours in which a healthy application of this kind comes to rest
	every  float64 // hours between passes
	origin time.Time

	pool        detector.Pool
	children    int
	base        float64 // parent's anonymous memory
	lib         float64 // file pages mapped by all
	others      int     // processes outside the node that map the same files
	childBase   float64
	touched     float64 // share of inherited pages a child ends up writing to
	give        float64 // share of passes with work in which the allocator returns freed heap
	calls       float64 // tasks a pass, whole node, at mean load
	skew        float64 // weight of child i+1 over child i
	cpuPerCall  float64
	tasks       []string
	load        loadShape
	parts       []func(*rand.Rand) cause // made anew for every child, or for the one process
	parentParts []func(*rand.Rand) cause
	restarts    []restart
	maxTasks    int
	autoscale   [2]int // fewest and most children; zero: off
	swap        *swapPlan
	high        float64 // MemoryHigh as a multiple of the footprint at onset; 0: none
	oom         bool
	dirt        dirt
	leak        *leakPlan
	reasons     []detector.Reason
	highBytes   float64
	limitBytes  float64
	held        []float64 // tasks held until their time, by pass; written while it is played
}

// restart ends every process of the node and starts it again.
type restart struct {
	at    float64 // hours
	extra float64 // bytes more in the parent from now on
	event detector.EventKind
	known bool // whether the worker's events tell of it
}

// leakPlan is where, when and how much the node leaks.
type leakPlan struct {
	role     detector.Role
	onset    float64 // hours
	slots    int     // children 0 … slots-1 leak; 0: all
	from     int     // first generation that leaks
	task     int     // index of the leaky task name, -1: any call
	period   float64 // hours of a burst cycle; 0: steady
	share    float64 // of the cycle in which it leaks
	masked   bool    // recycling hides it
	perLife  float64 // bytes in a life, for masked leaks
	perCall  float64 // bytes, set by sizeLeak
	growth   float64 // bytes over the window, set by sizeLeak
	shown    float64 // hour from which it shows in the footprint, set by show
	mde      float64
	kind     detector.Kind
	multiple float64 // of the minimum detectable growth, at most
}

// swapPlan moves cold private pages out between two moments.
type swapPlan struct {
	from, to float64 // hours
	share    float64 // of private memory out at the end
	back     bool    // and in again afterwards
}

// newPlan draws what all families share: a node of usual size and load.
func newPlan(f Family, seed uint64, p Params) *plan {
	r := rand.New(rand.NewPCG(seed, hash(f.Name)))
	if p.Every == 0 {
		p.Every = time.Minute
	}
	if p.PSSEvery == 0 {
		p.PSSEvery = 4
	}
	if p.Above == 0 {
		p.Above = 1.2
	}
	days := p.Days
	if drawn := []float64{1.4, 1.4, 1.4, 2, 2, 3, 3, 7}[r.IntN(8)]; days == 0 {
		days = drawn
	}
	pl := &plan{
		family: f, seed: seed, params: p, rng: r, days: days, pool: detector.PoolPrefork,
		origin:   time.Date(2026, 3, 2, 0, 0, 0, 0, time.UTC).Add(time.Duration(r.IntN(7*24*60)) * time.Minute),
		children: []int{1, 1, 2, 2, 3, 4, 8}[r.IntN(7)],
		base:     ratio(r, 16, 180) * mib, lib: between(r, 7, 14) * mib, others: r.IntN(4),
		childBase: between(r, 2, 8) * mib, touched: between(r, 0.3, 0.65),
		give: 1, calls: ratio(r, 0.3, 2.5), skew: between(r, 0.15, 1),
		cpuPerCall: ratio(r, 0.02, 2),
		tasks:      taskNames(r, 1+r.IntN(2)),
		load:       loadShape{jitter: between(r, 0.05, 0.3)},
	}
	pl.pace = min(pl.span(), ratio(r, 20, 50))
	if r.IntN(4) > 0 {
		pl.give = ratio(r, 0.0005, 0.05) // most allocators keep nearly all
	}
	pl.add(func(r *rand.Rand) cause { return &pages{chance: ratio(r, 0.003, 0.3), bound: ratio(r, 0.3, 3) * mib} })
	start := ratio(r, 2, 30) * mib
	pl.add(func(r *rand.Rand) cause { return &warmUp{size: start, calls: ratio(r, 2, 12)} })
	pl.addParent(func(r *rand.Rand) cause { return &pages{chance: 0.01, bound: 0.3 * mib} })
	return pl
}

func (p *plan) add(c func(*rand.Rand) cause)       { p.parts = append(p.parts, c) }
func (p *plan) addParent(c func(*rand.Rand) cause) { p.parentParts = append(p.parentParts, c) }

// settle fixes what follows from the drawn numbers.
func (p *plan) settle() {
	p.hours = p.days * 24
	p.every = p.params.Every.Hours()
	p.calls *= p.params.Every.Minutes()
	if p.pool != detector.PoolPrefork {
		p.children = 0
	}
}

// span is the window's length in hours while a family still draws.
func (p *plan) span() float64 { return p.days * 24 }

// callsOver is how many tasks one child sees in that many hours when the
// load is spread by skew; i counts children from 0.
func (p *plan) callsOver(hours float64, i int) float64 {
	return p.calls * 60 * hours * p.weight(i, max(1, p.children))
}

// weight is the share of the node's calls that child i of n gets.
func (p *plan) weight(i, n int) float64 {
	sum := 0.0
	for k := range n {
		sum += math.Pow(p.skew, float64(k))
	}
	return math.Pow(p.skew, float64(i)) / sum
}

// withoutLeak is the same plan leaking nothing: the twin.
func (p *plan) withoutLeak() *plan {
	twin, leak := *p, *p.leak
	leak.perCall, leak.growth = 0, 0
	twin.leak = &leak
	return &twin
}

// between draws evenly from [lo, hi).
func between(r *rand.Rand, lo, hi float64) float64 { return lo + (hi-lo)*r.Float64() }

// ratio draws from [lo, hi) so that equal ratios are equally likely.
func ratio(r *rand.Rand, lo, hi float64) float64 { return lo * math.Pow(hi/lo, r.Float64()) }

// hash is FNV-1a: it gives every family and process a stream of its own.
func hash(s string) uint64 {
	h := uint64(14695981039346656037)
	for i := range len(s) {
		h = (h ^ uint64(s[i])) * 1099511628211
	}
	return h
}

// taskNames draws n different task names.
func taskNames(r *rand.Rand, n int) []string {
	all := []string{"mailer.tasks.send_digest", "feeds.tasks.fetch_feed", "media.tasks.make_thumbnail", "orders.tasks.capture_payment",
		"reports.tasks.export_csv", "geo.tasks.geocode_address", "crm.tasks.sync_contacts", "search.tasks.reindex"}
	out := make([]string, n)
	for i, k := range r.Perm(len(all))[:n] {
		out[i] = all[k]
	}
	return out
}
