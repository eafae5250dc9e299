package report

import (
	"fmt"
	"math"

	"github.com/dropleak/dropleak/detector"
)

// Case is what advice about one worker is computed from. Sizes in bytes; a
// zero field is unknown.
type Case struct {
	Worker   detector.Worker // with samples
	Verdict  detector.Verdict
	Total    float64 // memory of its droplet
	Leaking  int     // workers that leak on the droplet, this one included
	Manager  string  // systemd or supervisor
	Unit     string  // as the manager names it
	Together int     // workers that live in the unit
	Open     []Open
}

// Open is how many descriptors one process of the worker had open when
// evidence was taken.
type Open struct {
	PID                   int
	Role                  detector.Role
	All, Files, InSockets int
}

// Advice is what a person may change, and where to look for the leak. Words
// are mrkdwn in which outside names are escaped already.
type Advice struct {
	Misfit   string    // the worker does not fit its droplet, leak or not; "" where it does or nobody can tell
	Settings []Setting // each number with what it was computed from
	Without  []string  // which numbers are not given, and why
	Causes   []Cause   // likeliest first; empty where nothing leaks
	Told     bool      // whether anything measured tells the causes apart
}

// Setting is text to copy into a configuration file.
type Setting struct {
	Title, Why string
	Text       string // plain
}

// Shares of what the worker may hold. Recycling comes before throttling and
// throttling before a kill, so that the mildest of them acts first.
const (
	recycleShare  = 0.8
	throttleShare = 0.9
	reserveShare  = 0.1 // of a droplet's memory: kernel, page cache and everybody else
)

// roundDown is the step of sizes that are suggested.
const roundDown = 1 << 20

// Advise computes advice from what is known of a worker.
func Advise(c Case) Advice {
	s := sizesOf(c.Worker, c.Verdict.Kind.Leaks())
	a := Advice{Misfit: misfit(c, s)}
	if !c.Verdict.Kind.Leaks() {
		return a
	}
	top, source, why := ceiling(c)
	if why != "" {
		a.Without = append(a.Without, why)
	} else {
		a.recycle(c, s, top, source)
		a.limits(c, s, top, source)
	}
	a.Causes, a.Told = causes(c)
	return a
}

func (a *Advice) add(title, text, why string, args ...any) {
	a.Settings = append(a.Settings, Setting{Title: title, Text: text, Why: fmt.Sprintf(why, args...)})
}

func (a *Advice) leaveOut(format string, args ...any) {
	a.Without = append(a.Without, fmt.Sprintf(format, args...))
}

// ceiling is how much the worker may hold at most, and whose line that is; or
// why nobody can tell.
func ceiling(c Case) (top float64, source, why string) {
	limit := c.Worker.Limit
	switch {
	case limit.Bytes <= 0:
		return 0, "", saysNoSizeNothingKnown
	case limit.Source != "droplet":
		return limit.Bytes, fmt.Sprintf(saysItsLimit, Bytes(limit.Bytes), Escape(limit.Source)), ""
	case c.Total <= 0:
		return 0, "", saysNoSizeDropletUnknown
	}
	room := limit.Bytes - reserveShare*c.Total - c.Verdict.Footprint
	if room <= 0 {
		return 0, "", fmt.Sprintf(saysNoSizeNoRoom,
			Bytes(limit.Bytes), Bytes(reserveShare*c.Total), Bytes(c.Verdict.Footprint))
	}
	top = c.Verdict.Footprint + room/float64(max(c.Leaking, 1))
	source = fmt.Sprintf(saysRoomOnDroplet, Bytes(top))
	if c.Leaking > 1 {
		source += fmt.Sprintf(saysRoomShared, c.Leaking)
	}
	return top, source, ""
}

// recycle suggests when Celery replaces a pool process.
func (a *Advice) recycle(c Case, s sizes, top float64, source string) {
	switch {
	case c.Worker.Pool == detector.PoolUnknown:
		a.leaveOut(saysNoRecyclingPoolUnknown)
		return
	case c.Worker.Pool != detector.PoolPrefork:
		a.leaveOut(saysNoRecyclingInPool, Code(string(c.Worker.Pool)))
		return
	case parentLeaks(c.Verdict):
		a.leaveOut(saysNoRecyclingParentGrows)
		return
	case s.children == 0 || s.settled == 0 || s.parent == 0:
		a.leaveOut(saysNoRecyclingNotMeasured)
		return
	}
	each := (recycleShare*top - s.steady()) / float64(s.children)
	size := down(s.settled + each)
	if least := math.Max(s.settled, s.parent) + s.spike + 16*roundDown; size < least {
		a.leaveOut(saysNoRecyclingTooSmall,
			Bytes(math.Max(size, 0)), s.children, 100*recycleShare, source, Bytes(least))
		return
	}
	kib := size / 1024
	a.add(saysRecycleBySize, fmt.Sprintf(saysMaxMemory, kib),
		saysMaxMemoryWhy,
		Bytes(size), 100*recycleShare, source, Bytes(s.steady()), s.who(), s.metric(), Bytes(each), Bytes(s.settled), s.seenFrom(), s.peaks())
	a.retire(c.Verdict, s, size)
}

// retire suggests after how many tasks a child is replaced.
func (a *Advice) retire(v detector.Verdict, s sizes, size float64) {
	worst, ok := worstTask(v)
	if !ok {
		a.leaveOut(saysNoMaxTasksNotMeasured)
		return
	}
	calls := math.Floor((size - s.settled) / worst.BytesPerCall.High)
	if calls < 1 {
		a.leaveOut(saysNoMaxTasksTooMuch, Code(worst.Task), Bytes(worst.BytesPerCall.High))
		return
	}
	calls = twoDigits(calls)
	a.add(saysRecycleByTasks, fmt.Sprintf("worker_max_tasks_per_child = %.0f", calls),
		saysMaxTasksWhy,
		Code(worst.Task), Bytes(worst.BytesPerCall.High), calls, Bytes(s.settled), Bytes(size))
}

// parentLeaks reports whether the parent process grows.
func parentLeaks(v detector.Verdict) bool {
	for _, p := range v.Processes {
		if p.Role == detector.RoleParent && p.Kind == detector.Leak {
			return true
		}
	}
	return v.Reason == detector.ReasonLeakingParent
}

// worstTask is the leaking task that leaves most behind.
func worstTask(v detector.Verdict) (worst detector.TaskVerdict, ok bool) {
	for _, t := range v.Tasks {
		if t.Kind == detector.TaskLeak && t.BytesPerCall.High > worst.BytesPerCall.High {
			worst, ok = t, true
		}
	}
	return worst, ok
}

// misfit says that a pool does not fit its droplet even when nothing grows.
// That is claimed of PSS only: resident sizes count shared pages many times.
func misfit(c Case, s sizes) string {
	if c.Worker.Pool != detector.PoolPrefork || s.children < 2 || s.own == 0 || s.parentOwn == 0 || !s.whole || c.Total <= 0 || s.steady() <= c.Total {
		return ""
	}
	fits := math.Floor((recycleShare*c.Total - s.parentOwn) / s.own)
	lead := saysMisfitOnly
	if c.Verdict.Kind.Leaks() {
		lead = saysMisfitBesides
	}
	text := fmt.Sprintf(saysMisfit,
		lead, s.children, Bytes(s.own), Bytes(s.parentOwn), Bytes(s.steady()), Bytes(c.Total))
	if fits < 1 {
		return fmt.Sprintf(saysMisfitNoneFits, text)
	}
	return text + fmt.Sprintf(saysMisfitSomeFit, fits, fits)
}

func down(size float64) float64 { return math.Floor(size/roundDown) * roundDown }

// twoDigits rounds down to two digits: 3413 becomes 3400.
func twoDigits(n float64) float64 {
	if n < 100 {
		return n
	}
	step := math.Pow(10, math.Floor(math.Log10(n))-1)
	return math.Floor(n/step) * step
}
