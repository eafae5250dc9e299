package report

import (
	"fmt"
	"strings"

	"github.com/dropleak/dropleak/detector"
)

// limits suggests where the manager holds the worker back or ends it.
func (a *Advice) limits(c Case, s sizes, top float64, source string) {
	if c.Together > 1 {
		a.leaveOut(saysNoLimitShared, Code(c.Unit), c.Together)
		return
	}
	// Without a settled pool to compare with, what is held now has to do: it
	// is more, never less.
	steady := c.Verdict.Footprint
	if c.Worker.Pool == detector.PoolPrefork && s.settled > 0 && s.parent > 0 {
		steady = s.steady()
	}
	if throttleShare*top < 1.1*steady {
		a.leaveOut(saysNoLimitTight, 100*throttleShare, source, Bytes(steady))
		return
	}
	if c.Manager == "supervisor" {
		a.memmon(c, top, source)
		return
	}
	a.dropIn(c, top, source)
}

// dropIn is for systemd. A limit that is in force already is not set again.
func (a *Advice) dropIn(c Case, top float64, source string) {
	limited := c.Worker.Limit.Source == "memory.max"
	if limited && c.Worker.High > 0 {
		a.leaveOut(saysNoLimitInForce, Bytes(c.Worker.High), Bytes(c.Worker.Limit.Bytes))
		return
	}
	unit := c.Unit
	lead := ""
	if unit == "" {
		unit, lead = "UNIT.service", saysManagerUnknown
	}
	text := fmt.Sprintf(saysDropIn, unit, down(throttleShare*top)/roundDown)
	why := fmt.Sprintf(saysDropInWhy, lead, 100*throttleShare, source)
	if limited {
		why += saysDropInMaxInForce
	} else {
		text += fmt.Sprintf("MemoryMax=%.0fM\n", down(top)/roundDown)
		why += saysDropInMax
	}
	a.add(saysDropInTitle, strings.TrimSuffix(text, "\n"), "%s",
		fmt.Sprintf(saysDropInCounts, why))
}

// memmon is for supervisor, which has no limits of its own. It sums resident
// sizes, so that pages the processes share count once for each.
func (a *Advice) memmon(c Case, top float64, source string) {
	program := c.Unit
	if program == "" {
		program = "PROGRAM"
	}
	at := throttleShare * top
	why := fmt.Sprintf(saysShareOf, 100*throttleShare, source)
	resident, own := heldNow(c.Worker)
	if own > 0 && resident > own {
		at += resident - own
		why += fmt.Sprintf(saysMemmonShared, Bytes(resident-own))
	}
	name := program[strings.LastIndexByte(program, ':')+1:]
	a.add(saysMemmonTitle, fmt.Sprintf(saysMemmon, name, program, down(at)/roundDown),
		saysMemmonWhy, why)
}

// heldNow sums the living processes' resident sizes and their PSS; own is 0
// unless PSS of all of them was measured.
func heldNow(w detector.Worker) (resident, own float64) {
	newest := newestSample(w)
	all := true
	for _, l := range w.Lives {
		n := len(l.Samples)
		if n == 0 || l.Samples[n-1].At.Before(newest) {
			continue
		}
		resident += lastOf(l.Samples, residentOf)
		pss := lastOf(l.Samples, func(x detector.Sample) float64 { return x.PSS })
		all = all && pss > 0
		own += pss
	}
	if !all {
		return resident, 0
	}
	return resident, own
}
