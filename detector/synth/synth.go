// Package synth makes labelled series of every healthy and leaking shape.
//
// A [Family] is one shape: a prefork pool that warms up and saturates, a leak
// in one child of several, a pool that autoscales. [Family.Make] draws its
// parameters from a seed, plays a Celery node minute by minute (parent,
// children that share its pages until they write to them, task calls, an
// allocator that keeps what was freed) and hands back what an agent would
// have measured together with the truth. The same seed and [Params] always
// give the same bytes.
//
// The shapes follow recordings of real Celery workers: memory changes only
// when a task runs, freed memory mostly stays resident, the first hour is
// start-up, and at low load one child does nearly all the work.
//
// A leaking case is first played without its leak; the leak is then sized
// from that twin so that it grows by more than the series' own minimum
// detectable growth. Recall below that line is nobody's, see [Detectable].
package synth

import (
	"time"

	"github.com/dropleak/dropleak/detector"
)

// Params say how a case is measured. The zero value is the usual agent.
type Params struct {
	Days     float64       // length of the window; 0: drawn, 33 hours to 7 days, longer for weekly shapes
	Every    time.Duration // between two passes; 0: one minute
	PSSEvery int           // PSS and USS are read at every n-th pass; 0: 4; negative: never
	Held     bool          // fill Worker.Held, where tasks are held until their time
	Tasks    bool          // fill Worker.Tasks with every execution
	Above    float64       // leaks grow by at least this many times the minimum detectable growth; 0: 1.2
}

// Truth is what a case is by construction.
type Truth struct {
	Leaks   bool
	Kind    detector.Kind     // Healthy, Leak or LeakMasked
	Reasons []detector.Reason // any of these is a right reason
	// RateBytesPerHour is the mean growth of the worker's footprint beyond
	// its leak-free twin's from Onset, or the last restart after it, to the
	// end of the window, 0 without a leak. Where recycling, the OOM killer or throttling takes growth
	// back, it is what was leaked.
	RateBytesPerHour float64
	// Started is when the code begins to leak, Onset when the leak begins to
	// show: the allocator may first fill memory it had kept. Both are zero
	// without a leak.
	Started, Onset time.Time
	LeakyRole      detector.Role // parent or child; empty without a leak
	LeakyPIDs      []int         // processes that leak, those of the last lives first
	LeakyTask      string        // empty where no task name is to blame
	Exhausts       time.Time     // when the played-on node reached Worker.Limit; zero: not within three windows
	MDE            float64       // bytes: the twin's minimum detectable growth over the leaking time
}

// Case is one labelled worker and the moment to judge it at.
type Case struct {
	Family string
	Seed   uint64
	Worker detector.Worker
	Truth  Truth
	At     time.Time
}

// Family is one shape of memory, with parameters drawn per seed.
type Family struct {
	Name  string // h1…, l1…: the first letter tells healthy from leaking
	Text  string
	Leaks bool
	draw  func(*plan)
}

// Families lists every family, healthy ones first. The first eight healthy
// and twelve leaking ones are those of the shared Celery recordings.
func Families() []Family {
	return append(healthyFamilies(), leakingFamilies()...)
}

// Make plays one case of the family.
func (f Family) Make(seed uint64, p Params) Case {
	pl := newPlan(f, seed, p)
	f.draw(pl)
	pl.settle()
	if pl.leak == nil {
		return pl.record(play(pl), nil)
	}
	before := play(pl.withoutLeak())
	pl.sizeLeak(before)
	after := play(pl)
	// A leak first uses up what the allocator had kept; it must come out of
	// there to count.
	for range 8 {
		if pl.show(after, before) {
			break
		}
		pl.leak.perCall *= 1.5
		if !pl.oom {
			pl.limitBytes = 0
		}
		after = play(pl)
	}
	return pl.record(after, before)
}
