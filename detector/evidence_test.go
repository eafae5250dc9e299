package detector

import (
	"slices"
	"strings"
	"testing"
)

// TestSentences holds the words for each way a process can be judged: every
// number in them is the one that decided.
func TestSentences(t *testing.T) {
	mine := LifeSummary{PID: 7, Role: RoleChild}
	win := trend{from: 2, to: 33, growth: 212 * MiB, fit: line{slope: 6.8 * MiB}, sigma: 90 * MiB, halves: 0.98, lastThird: 0.3, z: 2, ups: 4, neff: 2.6,
		jumped: 40 * MiB, jumps: 1}
	with := func(change func(*judged)) judged {
		p := judged{life: mine, opinion: opinion{kind: Healthy, win: win, age: 31}}
		change(&p)
		return p
	}
	reason := func(k Kind, r Reason) judged { return with(func(p *judged) { p.kind, p.reason = k, r }) }
	for want, p := range map[string]judged{
		"Process 7 (child) grew 212 MiB in 31 h, 6.80 MiB an hour, and has kept its pace to the end; a warm-up would have slowed.":                                                                           reason(Leak, ReasonLeak),
		"Process 7 grew 212 MiB in 31 h, 6.80 MiB an hour, and still runs at 70 % of its early pace; a warm-up would have fallen below 50 %.":                                                                with(func(p *judged) { p.kind, p.life.Role, p.win.halves = Leak, RoleUnknown, 0.7 }),
		"Process 7 (child) grew 212 MiB in 31 h, 6.80 MiB an hour, and still runs at 92 % of its early pace; a warm-up would have slowed.":                                                                   with(func(p *judged) { p.kind, p.win.halves = Leak, 0.92 }),
		"Process 7 (child) grew 212 MiB in 31 h and rises nearly all the time, but in only about 3 stairs: too few to tell a leak from work that was larger each time.":                                      reason(Unsure, ReasonStaircase),
		"Process 7 (child) gave back memory after reaching 300 MiB and has reached 340 MiB at most since, as a cache does that fills again.":                                                                 with(func(p *judged) { p.reason, p.peak, p.since = ReasonBounded, 300*MiB, 340*MiB }),
		"The process grew 212 MiB in 31 h, 6.80 MiB an hour, and it is getting faster; a warm-up would have slowed.":                                                                                         with(func(p *judged) { p.kind, p.life.PID, p.win.halves = Leak, 0, 1.6 }),
		"Process 7 (child) grew 212 MiB in 31 h without slowing, but it is only 31 h old and a warm-up could still do that.":                                                                                 reason(Unsure, ReasonWarmUp),
		"Process 7 (child) grew 212 MiB in 31 h; its sibling 9 gained 80.0 MiB and then stopped, so this may be the same warm-up.":                                                                           with(func(p *judged) { p.kind, p.reason, p.like, p.likeGain = Unsure, ReasonWarmUp, 9, 80*MiB }),
		"Process 7 (child) grew 212 MiB in 31 h; but judged as of 2 h earlier it was not yet a leak (ups and downs without direction).":                                                                      with(func(p *judged) { p.kind, p.reason, p.back = Unsure, ReasonNoise, 2 }),
		"Process 7 (child) grew 212 MiB in 31 h and has not slowed, but of growth so young, beside ups and downs of 90.0 MiB, about 12 % passes by itself; it is called a leak when less than 7.6 % would.":  with(func(p *judged) { p.kind, p.reason, p.doubted, p.score = Unsure, ReasonNoise, true, 2 }),
		"Process 7 (child) grew 212 MiB in 31 h and has not slowed, but of growth so young, beside ups and downs of 90.0 MiB, about 4.7 % passes by itself; it is called a leak when less than 1.8 % would.": with(func(p *judged) { p.kind, p.reason, p.doubted, p.score, p.age = Unsure, ReasonNoise, true, 3, 6 }),
		"Process 7 (child) gained 60.0 MiB in 31 h and has slowed: the second half ran at 20 % of the first half's pace and the last third brought 30 % of the gain; a leak would have gone on.": with(func(p *judged) {
			p.reason, p.win.halves, p.curve = ReasonWarmUp, 0.2, curve{lo: []float64{0, 60 * MiB}}
		}),
		"Process 7 (child) gained 60.0 MiB in 31 h and has slowed: the last third of that time brought 11 % of the gain, where a straight line brings 33 %; a leak would have gone on.": with(func(p *judged) {
			p.reason, p.win.lastThird, p.curve = ReasonWarmUp, 0.11, curve{lo: []float64{0, 60 * MiB}}
		}),
		"Process 7 (child) gained 60.0 MiB in 31 h and has slowed: a curve that levels off is 20 times as likely as a straight line; a leak would have gone on.": with(func(p *judged) {
			p.reason, p.win.saturate, p.curve = ReasonWarmUp, 6, curve{lo: []float64{0, 60 * MiB}}
		}),
		"Process 7 (child) grew 212 MiB in 31 h, but 83 % of that follows the CPU time the worker used, which is more than the 60 % that a leak leaves to it.":                                     with(func(p *judged) { p.reason, p.byLoad = ReasonLoad, 0.83 }),
		"Process 7 (child) grew 212 MiB in 31 h and looks like a leak, but judged as of the hours before it has not done so for 2 h yet; growth that only looks like one seldom does for so long.": with(func(p *judged) { p.kind, p.reason, p.fresh = Unsure, ReasonNoise, true }),
		"Process 7 (child) gained 40.0 MiB in one sharp step and was level before and after it, where it moved by 212 MiB in 31 h; a leak would have gone on.":                                     reason(Healthy, ReasonStep),
		"Process 7 (child) gained 40.0 MiB in 3 sharp steps and was level between and after them, where it moved by 0 B in 31 h; a leak would have gone on.":                                       with(func(p *judged) { p.reason, p.win.jumps, p.win.growth = ReasonStep, 3, 0 }),
		"Process 7 (child) grew 212 MiB in 31 h, but in only about 3 stairs; a leak grows in many small ones.":                                                                                     reason(Healthy, ReasonStaircase),
		"Process 7 (child) moved by 212 MiB in 31 h, less than 3 times its ordinary ups and downs of 90.0 MiB.":                                                                                    reason(Healthy, ReasonNoise),
		"Process 7 (child) moved by 212 MiB in 31 h, but up and down and not steadily enough: a trend test makes 2.0 of it, and 3.5 is asked for.":                                                 with(func(p *judged) { p.reason, p.win.sigma = ReasonNoise, MiB }),
		"Process 7 (child) moved by 212 MiB in 31 h, but rose from one eighth of that time to the next only 4 times of 7; a leak rises nearly every time.":                                         with(func(p *judged) { p.reason, p.win.sigma, p.win.z = ReasonNoise, MiB, 9 }),
		"Process 7 (child) gave back memory after reaching 300 MiB and has not exceeded that since.":                                                                                               with(func(p *judged) { p.reason, p.peak = ReasonBounded, 300*MiB }),
		"Process 7 (child) goes up and down by 50.0 MiB every day and moved by 212 MiB in 31 h beyond that.":                                                                                       with(func(p *judged) { p.reason, p.swing = ReasonSeasonal, 50*MiB }),
		"Process 7 (child) moved by 212 MiB in 31 h: level.":                                                                                                                                       reason(Healthy, ReasonFlat),
	} {
		th := Options{}.defaults()
		th.growthNoise, th.z, th.sure, th.sureOld, th.patience = 3, 3.5, 4, 2.5, 2 // numbers of this test, whatever the pipeline's are
		if got := (&bench{th: th}).sentence(p); got != want {
			t.Errorf("%s (%s):\n got %s\nwant %s", p.kind, p.reason, got, want)
		}
	}
}

// evidenceOf is the evidence of a worker of a few hand-made processes.
func evidenceOf(kind Kind, reason Reason, footprint float64, change func(*bench), procs ...judged) string {
	b := &bench{sum: Summary{Metric: "pss+swap"}, th: Options{}.defaults(), procs: procs}
	if change != nil {
		change(b)
	}
	v := Verdict{Kind: kind, Reason: reason, Footprint: footprint}
	b.explain(&v)
	return strings.Join(v.Evidence, " ")
}

// TestWhoIsToldOf: the process that decided comes first, the worst before the
// better; children too young to judge are counted and not told one by one.
func TestWhoIsToldOf(t *testing.T) {
	grown := func(pid int, slope float64) judged {
		return judged{life: LifeSummary{PID: pid}, alive: true, opinion: opinion{kind: Leak, win: trend{to: 10, growth: 10 * slope, fit: line{slope: slope}, halves: 1}}}
	}
	calm := judged{life: LifeSummary{PID: 1}, alive: true, opinion: opinion{kind: Healthy, reason: ReasonFlat, win: trend{to: 9}, curve: curve{t: []float64{0}, lo: []float64{1}}}}
	young := judged{life: LifeSummary{PID: 2}, alive: true, opinion: opinion{kind: Unsure, reason: ReasonTooShort}}
	gone := grown(3, 99*MiB)
	gone.alive = false
	got := evidenceOf(Leak, ReasonLeak, 0, nil, young, grown(4, MiB), calm, gone, grown(5, 3*MiB), young)
	if !strings.HasPrefix(got, "Process 5 grew 30.0 MiB") || !strings.Contains(got, "Process 4 grew 10.0 MiB") || strings.Contains(got, "Process 3") ||
		!strings.Contains(got, "Not judged: 2 more processes, measured for too short a time.") || strings.Contains(got, "Process 2") {
		t.Error(got)
	}
	if got := evidenceOf(Healthy, ReasonFlat, 0, nil, young, calm); !strings.HasPrefix(got, "Process 1 moved by 0 B") || !strings.Contains(got, "Not judged: one more process, measured") {
		t.Error(got)
	}
	if got := evidenceOf(Unsure, ReasonTooShort, 0, nil, young); !strings.HasPrefix(got, "Process 2 was measured for") || strings.Contains(got, "more process") {
		t.Error(got)
	}
}

// TestExhaustionSentences: the time until the limit stands with its interval.
func TestExhaustionSentences(t *testing.T) {
	b := &bench{th: Options{}.defaults(), now: 10}
	for want, v := range map[string]Verdict{
		"At this pace the limit of 100 MiB (memory.max) is reached in 20 h (15 h to 30 h).":       {Footprint: 50 * MiB, Exhaustion: &Exhaustion{Earliest: b.time(25), Expected: b.time(30), Latest: b.time(40)}},
		"At this pace the limit of 100 MiB (memory.max) is reached in 20 h, and not before 15 h.": {Footprint: 50 * MiB, Exhaustion: &Exhaustion{Earliest: b.time(25), Expected: b.time(30)}},
		"It holds all of its limit of 100 MiB (memory.max) already.":                              {Footprint: 100.01 * MiB, Exhaustion: &Exhaustion{}},
		"It holds 120 MiB, above its limit of 100 MiB (memory.max) already.":                      {Footprint: 120 * MiB, Exhaustion: &Exhaustion{}},
	} {
		v.Exhaustion.Limit, v.Kind = Limit{Bytes: 100 * MiB, Source: "memory.max"}, Leak
		if b.explain(&v); !slices.Contains(v.Evidence, want) {
			t.Errorf("%q lacks %q", v.Evidence, want)
		}
	}
}

// TestCeilingSentences: a verdict that a limit made says so, and never that a
// leak would have gone on.
func TestCeilingSentences(t *testing.T) {
	slowed := judged{life: LifeSummary{PID: 1}, alive: true, opinion: opinion{kind: Healthy, reason: ReasonWarmUp,
		win: trend{to: 9, halves: 0.1}, curve: curve{t: []float64{0}, lo: []float64{1}}}}
	at := func(high, limit, held float64) func(*bench) {
		return func(b *bench) {
			b.sum.High, b.sum.Limit = high, Limit{Bytes: limit, Source: "memory.max"}
			b.down = held > 90*MiB
		}
	}
	for want, got := range map[string]string{
		"It grew until it reached MemoryHigh of 100 MiB and is held down there: 99.0 MiB now.":                               evidenceOf(Leak, ReasonThrottled, 99*MiB, at(100*MiB, 0, 99*MiB), slowed),
		"It stands at 99.0 MiB, where the limit (memory.max) of 100 MiB holds it down: that it is level there says nothing.": evidenceOf(Unsure, ReasonThrottled, 99*MiB, at(200*MiB, 100*MiB, 99*MiB), slowed),
		"For want of memory it stood still for 0 % of the last hour: that it is level says nothing.":                         evidenceOf(Unsure, ReasonThrottled, 9*MiB, at(0, 100*MiB, 9*MiB), slowed),
		"It holds 91.0 MiB, 91 % of its limit of 100 MiB (memory.max).":                                                      evidenceOf(Healthy, ReasonThreshold, 91*MiB, at(0, 100*MiB, 0), slowed),
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%s\nlacks: %s", got, want)
		}
		if strings.Contains(want, "held down") && strings.Contains(got, "would have gone on") {
			t.Errorf("says both that it is held down and that a leak would have gone on: %s", got)
		}
	}
}
