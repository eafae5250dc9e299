package report

import (
	"fmt"
	"slices"

	"github.com/dropleak/dropleak/detector"
)

// Cause is one of the four classic causes of a leak in Python.
type Cause struct {
	Name  string
	Why   string // what was measured that speaks for or against it; "" for nothing
	Next  string // the next step of a diagnosis
	score int
}

// The four, as they are listed where nothing tells them apart.
const (
	caches = iota
	cycles
	unclosed
	thirdParty
)

// manyOpen is a number of descriptors that no quiet worker has: half of the
// usual soft limit of 1,024. fewOpen is what a connected one has anyway.
const (
	manyOpen = 512
	fewOpen  = 64
)

// causes ranks the four by what was measured.
func causes(c Case) (list []Cause, told bool) {
	list = []Cause{
		caches:     {Name: saysCauseCaches, Next: saysNextCaches},
		cycles:     {Name: saysCauseCycles, Next: saysNextCycles},
		unclosed:   {Name: saysCauseUnclosed, Next: saysNextUnclosed},
		thirdParty: {Name: saysCauseThirdParty, Next: saysNextThirdParty},
	}
	byTasks(list, c.Verdict)
	byProcesses(list, c.Verdict, c.Worker.Pool)
	byShape(list, c.Worker)
	byDescriptors(list, c.Open)
	for _, x := range list {
		told = told || x.score != 0
	}
	slices.SortStableFunc(list, func(a, b Cause) int { return b.score - a.score })
	return list, told
}

// weigh notes what was seen, for (score above 0) or against a cause.
func (x *Cause) weigh(score int, format string, args ...any) {
	x.score += score
	if x.Why != "" {
		x.Why += " "
	}
	x.Why += fmt.Sprintf(format, args...)
}

// byTasks: what one task leaves behind it stores somewhere; what all leave
// behind is in something they share.
func byTasks(list []Cause, v detector.Verdict) {
	var leaking []detector.TaskVerdict
	clear := 0
	for _, t := range v.Tasks {
		switch t.Kind {
		case detector.TaskLeak:
			leaking = append(leaking, t)
		case detector.TaskClear:
			clear++
		}
	}
	switch {
	case len(leaking) == 1 && clear > 0:
		list[caches].weigh(3, saysOneTaskOfSome,
			Code(leaking[0].Task), Bytes(leaking[0].BytesPerCall.Value), count(clear, saysOtherTask)+does(clear))
	case len(leaking) == 1:
		list[caches].weigh(2, saysOneTask, Code(leaking[0].Task), Bytes(leaking[0].BytesPerCall.Value))
	case len(leaking) > 1 && clear == 0:
		list[thirdParty].weigh(2, saysAllTasks, len(leaking))
	}
}

func does(n int) string {
	if n == 1 {
		return saysDoes
	}
	return saysDo
}

// byProcesses: what grows in the parent is no task's.
func byProcesses(list []Cause, v detector.Verdict, pool detector.Pool) {
	grow, judged := 0, 0
	for _, p := range v.Processes {
		if p.Role != detector.RoleChild {
			continue
		}
		if judged++; p.Kind == detector.Leak {
			grow++
		}
	}
	_, known := worstTask(v)
	switch {
	case pool == detector.PoolPrefork && parentLeaks(v):
		list[caches].weigh(2, saysParentGrows)
	case judged > 1 && grow == judged && !known:
		list[thirdParty].weigh(1, saysAllChildrenGrow, judged)
	case grow > 0 && grow < judged && !known:
		list[caches].weigh(1, saysSomeChildrenGrow, grow, judged)
	}
}

// byShape: the cycle collector gives memory back in falls.
func byShape(list []Cause, w detector.Worker) {
	falls, long := 0, false
	for _, l := range w.Lives {
		falls = max(falls, fallsOf(l.Samples))
		long = long || len(l.Samples) >= 60
	}
	switch {
	case falls >= 2:
		list[cycles].weigh(2, saysGaveBack, falls)
	case long:
		list[cycles].weigh(-1, saysNeverGaveBack)
	}
}

// fallsOf counts the falls of a life's resident size that lasted: by a tenth
// of it and 16 MiB at least, from below all of the last three readings to
// below for the next three.
func fallsOf(samples []detector.Sample) (n int) {
	for i := 3; i+3 <= len(samples); i++ {
		before, after := samples[i-3].RSS, samples[i].RSS
		for k := 1; k < 3; k++ {
			before, after = min(before, samples[i-3+k].RSS), max(after, samples[i+k].RSS)
		}
		if before-after >= max(16*roundDown, before/10) { // never of NaN
			n++
			i += 2
		}
	}
	return n
}

// byDescriptors: what is open and not closed holds its buffers.
func byDescriptors(list []Cause, open []Open) {
	if len(open) == 0 {
		return
	}
	most := slices.MaxFunc(open, func(a, b Open) int { return a.All - b.All })
	switch {
	case most.All >= manyOpen:
		list[unclosed].weigh(4, saysManyDescriptors, most.PID, Escape(string(most.Role)), most.All, most.Files, most.InSockets)
	case most.All < fewOpen:
		list[unclosed].weigh(-1, saysFewDescriptors, most.All)
	}
}
