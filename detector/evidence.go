package detector

import (
	"fmt"
	"math"
	"slices"
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
		say("Every ended child grew to its last reading, by %s an hour in the median; recycling hides it.", size(b.medianLifeRate()))
	}
	for _, p := range b.worstFirst() {
		say("%s", b.sentence(p))
	}
	if b.grouped() {
		say("Only the sum over all processes of that name was measured: it does not tell which of them grows, a process that joins looks like growth, and one that is replaced hides its own.")
	}
	if b.sum.Metric == "rss+swap" {
		say("PSS was not measured: the sum over processes counts shared pages once for each.")
	}
	if v.Exhaustion != nil {
		say("At this pace the limit of %s (%s) is reached in %s.", size(v.Exhaustion.Limit.Bytes), v.Exhaustion.Limit.Source,
			span(v.Exhaustion.Expected.Sub(b.time(b.now)).Hours()))
	}
	if v.Kind == Unsure && v.HoursNeeded != nil {
		say("About %s more would tell.", span(*v.HoursNeeded))
	}
	if v.MinDetectable != nil && v.Kind != Leak {
		say("Growth below %s an hour would not be visible in these data.", size(*v.MinDetectable))
	}
}

// grouped reports whether any reading is that of a group.
func (b *bench) grouped() bool {
	return slices.ContainsFunc(b.procs, func(p judged) bool { return p.life.Slot == SlotGroup })
}

// worstFirst returns the living processes worth a sentence: all that leak or
// are unsure, else the one that decided.
func (b *bench) worstFirst() []judged {
	var out []judged
	worst := -1
	for i, p := range b.procs {
		if !p.alive {
			continue
		}
		if p.kind == Leak || p.kind == Unsure {
			out = append(out, p)
		}
		if worst < 0 || rank(p.opinion) > rank(b.procs[worst].opinion) {
			worst = i
		}
	}
	if len(out) == 0 && worst >= 0 {
		out = append(out, b.procs[worst])
	}
	return out[:min(len(out), 4)]
}

// sentence tells one process's story.
func (b *bench) sentence(p judged) string {
	who := "The process"
	if p.life.Slot == SlotGroup {
		who = "The group of processes"
	}
	if p.life.PID != 0 {
		who = fmt.Sprintf("Process %d (%s)", p.life.PID, p.life.Role)
	}
	w := p.win
	hours := span(w.to - w.from)
	switch {
	case p.kind == Leak:
		return fmt.Sprintf("%s grew %s in %s, %s an hour, and %s; a warm-up would have slowed.", who, size(w.growth), hours, size(w.fit.slope), keptPace(w.halves))
	case p.kind == Unsure && p.reason == ReasonWarmUp && p.like != 0:
		return fmt.Sprintf("%s grew %s in %s; its sibling %d gained %s and then stopped, so this may be the same warm-up.", who, size(w.growth), hours, p.like, size(p.likeGain))
	case p.kind == Unsure && p.reason == ReasonWarmUp && p.lag > 1.5:
		return fmt.Sprintf("%s grew %s in %s without slowing, but it does 1/%.0f of the work of its busiest sibling, so it is as if it were %s old, and a warm-up could still do that.", who, size(w.growth), hours, p.lag, span(p.age/p.lag))
	case p.kind == Unsure && p.reason == ReasonWarmUp:
		return fmt.Sprintf("%s grew %s in %s without slowing, but it is only %s old and a warm-up could still do that.", who, size(w.growth), hours, span(p.age))
	case p.kind == Unsure && p.reason == ReasonTooShort:
		return fmt.Sprintf("%s was measured for %s only.", who, span(p.curve.span()))
	case p.kind == Unsure && p.reason == ReasonLoad:
		return fmt.Sprintf("%s grew %s in %s while the worker used more and more CPU time; the two cannot be told apart until the load stops rising.", who, size(w.growth), hours)
	case p.kind == Unsure && p.doubted:
		return fmt.Sprintf("%s grew %s in %s and has not slowed, but beside its ups and downs of %s that is not yet enough to be sure.", who, size(w.growth), hours, size(w.sigma))
	case p.kind == Unsure:
		return fmt.Sprintf("%s grew %s in %s, but a moment ago the same test still said: %s.", who, size(w.growth), hours, plain(p.reason))
	case p.reason == ReasonWarmUp:
		return fmt.Sprintf("%s gained %s in %s and has slowed: the second half ran at %.0f %% of the first half's pace and the last third brought %.0f %% of the gain; a leak would have gone on.", who, size(p.gain()), hours, 100*math.Max(w.halves, 0), 100*clamp(w.lastThird, 0, 1))
	case p.reason == ReasonStep:
		return fmt.Sprintf("%s gained %s in %s and was level between and after them: %s in %s; a leak would have gone on.", who, size(w.jumped), count(w.jumps, "sharp step"), size(w.growth), hours)
	case p.reason == ReasonStaircase:
		return fmt.Sprintf("%s grew %s in %s, but in only about %.0f stairs; a leak grows in many small ones.", who, size(w.growth), hours, math.Ceil(w.neff))
	case p.reason == ReasonBounded:
		return fmt.Sprintf("%s gave back memory after reaching %s and has not exceeded that since.", who, size(p.peak))
	case p.reason == ReasonSeasonal && p.swing > 0:
		return fmt.Sprintf("%s goes up and down by %s every day and moved by %s in %s beyond that.", who, size(p.swing), size(w.growth), hours)
	case p.reason == ReasonLoad:
		return fmt.Sprintf("%s grew %s in %s, but more than %.0f %% of that follows the CPU time the worker used.", who, size(w.growth), hours, 100*b.th.loadShare)
	case p.reason == ReasonNoise:
		return fmt.Sprintf("%s moved by %s in %s, no more than its ordinary ups and downs of %s (trend statistic %.1f, 4 needed).", who, size(w.growth), hours, size(w.sigma), w.z)
	}
	return fmt.Sprintf("%s moved by %s in %s: %s.", who, size(w.growth), hours, plain(p.reason))
}

// keptPace says how the second half of a growth compares with the first.
func keptPace(halves float64) string {
	switch {
	case halves >= 1.5:
		return "it is getting faster"
	case halves >= 0.95:
		return "has kept its pace to the end"
	}
	return fmt.Sprintf("still runs at %.0f %% of its early pace", 100*halves)
}

// count writes a number with its noun.
func count(n int, noun string) string {
	if n == 1 {
		return "one " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
