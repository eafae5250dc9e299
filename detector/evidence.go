package detector

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"time"
)

// Size writes bytes for people: binary units, three digits.
func Size(bytes float64) string { return size(bytes) }

// InWords is a reason in a few words, as in "steady growth".
func InWords(r Reason) string { return plain(r) }

// size writes bytes for people: binary units, three digits.
func size(b float64) string {
	sign := ""
	if b < 0 {
		sign, b = "-", -b
	}
	units := []string{"B", "KiB", "MiB", "GiB", "TiB"}
	i := 0
	for b >= 999.5 && i < len(units)-1 {
		b /= 1024
		i++
	}
	digits := 0
	if i > 0 && b < 9.995 {
		digits = 2
	} else if i > 0 && b < 99.95 {
		digits = 1
	}
	return fmt.Sprintf("%s%.*f %s", sign, digits, b, units[i])
}

// span writes hours for people.
func span(h float64) string {
	switch {
	case h < 1:
		return fmt.Sprintf("%.0f min", math.Max(h*60, 1))
	case h < 72:
		return fmt.Sprintf("%.3g h", h)
	}
	return fmt.Sprintf("%.3g days", h/24)
}

// plain is a reason in words.
func plain(r Reason) string {
	words := map[Reason]string{
		ReasonLeak: "steady growth", ReasonLeakingParent: "the parent process grows and every child inherits it",
		ReasonRecycled: "children grow until they are recycled", ReasonWarmUp: "a warm-up",
		ReasonStep: "a step, level before and after", ReasonStaircase: "a few high-water stairs",
		ReasonLoad: "growth follows the load", ReasonSeasonal: "a daily or weekly rhythm",
		ReasonNoise: "ups and downs without direction", ReasonBounded: "it fills and is cleared",
		ReasonFlat: "level", ReasonThrottled: "held down at its limit", ReasonThreshold: "level, but close to the limit",
		ReasonNoData: "no data", ReasonTooShort: "too short to tell", ReasonBelowMaterial: "growth too small to matter",
	}
	return words[r]
}

// explain adds the sentences: the numbers that decided, worst process first.
func (b *bench) explain(v *Verdict) {
	say := func(format string, args ...any) { v.Evidence = append(v.Evidence, fmt.Sprintf(format, args...)) }
	if v.Kind == LeakMasked {
		say("%s", b.generations().sentence())
	}
	if v.Kind == Unsure && v.Reason == ReasonTooShort && b.unseen() {
		say("No child lives long enough to be judged by itself, and those that ended do not show that growth would stop.")
	}
	told, young := b.worthTelling(v.Kind)
	for _, p := range told {
		say("%s", b.sentence(p))
	}
	if young > 0 && v.Kind != LeakMasked {
		say("Not judged: %s, measured for too short a time.", count(young, "more process", "more processes"))
	}
	if s := b.ceilingSentence(v); s != "" {
		say("%s", s)
	}
	if b.grouped() {
		say("Only the sum over all processes of that name was measured: it does not tell which of them grows, a process that joins looks like growth, and one that is replaced hides its own.")
	}
	if b.sum.Metric == "rss+swap" && b.living() > 1 {
		say("PSS was not measured: the sum over processes counts shared pages once for each.")
	}
	switch {
	case v.Exhaustion != nil && size(v.Footprint) == size(v.Exhaustion.Limit.Bytes):
		say("It holds all of its limit of %s (%s) already.", size(v.Exhaustion.Limit.Bytes), v.Exhaustion.Limit.Source)
	case v.Exhaustion != nil && v.Footprint >= v.Exhaustion.Limit.Bytes:
		say("It holds %s, above its limit of %s (%s) already.", size(v.Footprint), size(v.Exhaustion.Limit.Bytes), v.Exhaustion.Limit.Source)
	case v.Exhaustion != nil:
		say("At this pace the limit of %s (%s) is reached in %s%s.", size(v.Exhaustion.Limit.Bytes), v.Exhaustion.Limit.Source,
			b.until(v.Exhaustion.Expected), b.between(*v.Exhaustion))
	}
	if v.Kind == Unsure && v.HoursNeeded != nil && v.Reason == ReasonThrottled {
		say("About %s with room to grow would tell.", span(*v.HoursNeeded))
	} else if v.Kind == Unsure && v.HoursNeeded != nil {
		say("About %s more would tell.", span(*v.HoursNeeded))
	}
	if v.MinDetectable != nil && !v.Kind.Leaks() && v.Reason != ReasonTooShort { // in so short a time none is
		say("Growth below %s an hour would not be visible in these data.", size(*v.MinDetectable))
	}
}

// until is how long it is from now to a moment.
func (b *bench) until(t time.Time) string { return span(t.Sub(b.time(b.now)).Hours()) }

// between is the 90 % interval of a time to exhaustion.
func (b *bench) between(e Exhaustion) string {
	if e.Latest.IsZero() {
		return ", and not before " + b.until(e.Earliest)
	}
	return fmt.Sprintf(" (%s to %s)", b.until(e.Earliest), b.until(e.Latest))
}

// grouped reports whether any reading is that of a group.
func (b *bench) grouped() bool {
	return slices.ContainsFunc(b.procs, func(p judged) bool { return p.life.Slot == SlotGroup })
}

// worthTelling returns the living processes worth a sentence, at most four:
// the one that decided, then those that leak or may; and how many more are
// too young for one. In a masked leak the pool decided.
func (b *bench) worthTelling(kind Kind) (out []judged, young int) {
	var alive []judged
	for _, p := range b.procs {
		if p.alive {
			alive = append(alive, p)
		}
	}
	slices.SortStableFunc(alive, func(p, q judged) int { return cmp.Compare(rank(q.opinion), rank(p.opinion)) })
	for i, p := range alive {
		switch tooYoung := p.kind == Unsure && p.reason == ReasonTooShort; {
		case i == 0 && kind != LeakMasked, !tooYoung && (p.kind == Leak || p.kind == Unsure):
			out = append(out, p)
		case tooYoung:
			young++
		}
	}
	return out[:min(len(out), 4)], young
}

// living is how many processes the worker has.
func (b *bench) living() (n int) {
	for _, p := range b.procs {
		if p.alive {
			n++
		}
	}
	return n
}

// ceilingSentence says what a limit has to do with the verdict, "" nothing.
func (b *bench) ceilingSentence(v *Verdict) string {
	ceiling, what := b.ceiling()
	switch {
	case v.Reason == ReasonThreshold:
		return fmt.Sprintf("It holds %s, %.0f %% of its limit of %s (%s).", size(v.Footprint), 100*v.Footprint/b.sum.Limit.Bytes, size(b.sum.Limit.Bytes), b.sum.Limit.Source)
	case v.Reason != ReasonThrottled:
		return ""
	case b.down && v.Kind == Leak:
		return fmt.Sprintf("It grew until it reached %s of %s and is held down there: %s now.", what, size(ceiling), size(v.Footprint))
	case b.down:
		return fmt.Sprintf("It stands at %s, where %s of %s holds it down: that it is level there says nothing.", size(v.Footprint), what, size(ceiling))
	}
	return fmt.Sprintf("For want of memory it stood still for %.0f %% of the last hour: that it is level says nothing.", 100*b.pressure())
}

// sentence tells one process's story.
func (b *bench) sentence(p judged) string {
	who := "The process"
	if p.life.Slot == SlotGroup {
		who = "The group of processes"
	}
	if p.life.PID != 0 {
		who = fmt.Sprintf("Process %d", p.life.PID)
		if p.life.Role != RoleUnknown && p.life.Role != "" {
			who += fmt.Sprintf(" (%s)", p.life.Role)
		}
	}
	return b.story(who, "it is only %s old", p)
}

// story tells of whom the series is; young says how young it is.
func (b *bench) story(who, young string, p judged) string {
	w := p.win
	hours := span(w.to - w.from)
	switch {
	case p.kind == Leak:
		return fmt.Sprintf("%s grew %s in %s, %s an hour, and %s.", who, size(w.growth), hours, size(w.fit.slope), keptPace(w.halves, b.th))
	case p.kind == Unsure && p.reason == ReasonWarmUp && p.like != 0:
		return fmt.Sprintf("%s grew %s in %s; its sibling %d gained %s and then stopped, so this may be the same warm-up.", who, size(w.growth), hours, p.like, size(p.likeGain))
	case p.kind == Unsure && p.reason == ReasonWarmUp && p.lag > b.th.lagSlow:
		return fmt.Sprintf("%s grew %s in %s without slowing, but it does 1/%.0f of the work of its busiest sibling, so it is as if it were %s old, and a warm-up could still do that.", who, size(w.growth), hours, p.lag, span(p.age/p.lag))
	case p.kind == Unsure && p.reason == ReasonWarmUp:
		return fmt.Sprintf("%s grew %s in %s without slowing, but %s and a warm-up could still do that.", who, size(w.growth), hours, fmt.Sprintf(young, span(p.age)))
	case p.kind == Unsure && p.reason == ReasonTooShort:
		return fmt.Sprintf("%s was measured for %s only.", who, span(p.curve.span()))
	case p.reason == ReasonLoad && p.held != nil:
		return who + p.held.sentence(p.kind, w, hours)
	case p.kind == Unsure && p.reason == ReasonLoad:
		return fmt.Sprintf("%s grew %s in %s while the worker used more and more CPU time; the two cannot be told apart until the load stops rising.", who, size(w.growth), hours)
	case p.kind == Unsure && p.reason == ReasonStaircase && p.back == 0:
		return fmt.Sprintf("%s grew %s in %s and rises nearly all the time, but in only about %.0f stairs: too few to tell a leak from work that was larger each time.", who, size(w.growth), hours, math.Ceil(w.neff))
	case p.kind == Unsure && p.doubted:
		asked := b.th.sure
		if p.age >= b.th.warmDay {
			asked = b.th.sureOld
		}
		return fmt.Sprintf("%s grew %s in %s and has not slowed, but of growth so young, beside ups and downs of %s, about %s passes by itself; it is called a leak when less than %s would.", who, size(w.growth), hours, size(w.sigma), passing(p.score), passing(asked))
	case p.kind == Unsure && p.fresh:
		return fmt.Sprintf("%s grew %s in %s and looks like a leak, but judged as of the hours before it has not done so for %s yet; growth that only looks like one seldom does for so long.", who, size(w.growth), hours, span(b.th.patience))
	case p.kind == Unsure:
		return fmt.Sprintf("%s grew %s in %s; but judged as of %s earlier it was not yet a leak (%s).", who, size(w.growth), hours, span(p.back), plain(p.reason))
	case p.reason == ReasonWarmUp && b.down:
		return fmt.Sprintf("%s gained %s in %s; the second half ran at %.0f %% of the first half's pace.", who, size(p.gain()), hours, 100*math.Max(w.halves, 0))
	case p.reason == ReasonWarmUp:
		return fmt.Sprintf("%s gained %s in %s and has slowed: %s; a leak would have gone on.", who, size(p.gain()), hours, w.slowing(b.th))
	case p.reason == ReasonStep:
		around := "between and after them"
		if w.jumps == 1 {
			around = "before and after it"
		}
		return fmt.Sprintf("%s gained %s in %s and was level %s, where it moved by %s in %s; a leak would have gone on.", who, size(w.jumped), count(w.jumps, "sharp step", "sharp steps"), around, size(w.growth), hours)
	case p.reason == ReasonStaircase:
		return fmt.Sprintf("%s grew %s in %s, but in only about %.0f stairs; a leak grows in many small ones.", who, size(w.growth), hours, math.Ceil(w.neff))
	case p.reason == ReasonBounded:
		since := "has not exceeded that since"
		if p.since > p.peak+b.th.material {
			since = fmt.Sprintf("has reached %s at most since, as a cache does that fills again", size(p.since))
		}
		return fmt.Sprintf("%s gave back memory after reaching %s and %s.", who, size(p.peak), since)
	case p.reason == ReasonSeasonal && p.swing > 0:
		return fmt.Sprintf("%s goes up and down by %s every day and moved by %s in %s beyond that.", who, size(p.swing), size(w.growth), hours)
	case p.reason == ReasonLoad:
		return fmt.Sprintf("%s grew %s in %s, but %.0f %% of that follows the CPU time the worker used, which is more than the %.0f %% that a leak leaves to it.", who, size(w.growth), hours, 100*p.byLoad, 100*b.th.loadShare)
	case p.reason == ReasonNoise && w.growth < b.th.growthNoise*w.sigma:
		return fmt.Sprintf("%s moved by %s in %s, less than %.0f times its ordinary ups and downs of %s.", who, size(w.growth), hours, b.th.growthNoise, size(w.sigma))
	case p.reason == ReasonNoise && w.z < b.th.z:
		return fmt.Sprintf("%s moved by %s in %s, but up and down and not steadily enough: a trend test makes %.1f of it, and %.1f is asked for.", who, size(w.growth), hours, w.z, b.th.z)
	case p.reason == ReasonNoise:
		return fmt.Sprintf("%s moved by %s in %s, but rose from one eighth of that time to the next only %d times of 7; a leak rises nearly every time.", who, size(w.growth), hours, w.ups)
	}
	return fmt.Sprintf("%s moved by %s in %s: %s.", who, size(w.growth), hours, plain(p.reason))
}

// slowing says what showed that a growth has slowed.
func (w *trend) slowing(th thresholds) string {
	third := 100 * clamp(w.lastThird, 0, 1)
	switch {
	case w.halves < th.halves:
		return fmt.Sprintf("the second half ran at %.0f %% of the first half's pace and the last third brought %.0f %% of the gain", 100*math.Max(w.halves, 0), third)
	case w.lastThird < th.lastThird:
		return fmt.Sprintf("the last third of that time brought %.0f %% of the gain, where a straight line brings 33 %%", third)
	}
	return fmt.Sprintf("a curve that levels off is %.0f times as likely as a straight line", math.Min(math.Exp(w.saturate/2), 1000))
}

// passing is the share of growth with these log-odds of a leak that passes.
func passing(odds float64) string { return fmt.Sprintf("%.2g %%", 100/(1+math.Exp(odds))) }

// keptPace says how the second half of a growth compares with the first.
func keptPace(halves float64, th thresholds) string {
	const slowed = "; a warm-up would have slowed"
	switch {
	case halves >= 1.5:
		return "it is getting faster" + slowed
	case halves >= 0.95:
		return "has kept its pace to the end" + slowed
	case halves >= 0.9:
		return fmt.Sprintf("still runs at %.0f %% of its early pace", 100*halves) + slowed
	}
	return fmt.Sprintf("still runs at %.0f %% of its early pace; a warm-up would have fallen below %.0f %%", 100*halves, 100*th.halves)
}

// count writes a number with its noun.
func count(n int, one, many string) string {
	if n == 1 {
		return "one " + one
	}
	return fmt.Sprintf("%d %s", n, many)
}
