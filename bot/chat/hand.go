package chat

import (
	"fmt"
	"strings"
	"time"

	"github.com/dropleak/dropleak/bot/remedy"
	"github.com/dropleak/dropleak/bot/report"
)

// probeMissing is what is said of workers that have never told.
const probeMissing = "not known: the probe is not in this application"

// onHand says what tasks a restart would end, and what becomes of them. What
// is not known is called so, and why.
func onHand(v remedy.View) string {
	h := v.Card.OnHand
	if h == nil {
		return "not known: that could not be read just now. " + unseen(v)
	}
	if h.At.IsZero() {
		if len(h.Silent) > 0 {
			return "not known: the probe has not told for a while; the worker may be too busy to. " + unseen(v)
		}
		return probeMissing + ". " + unseen(v)
	}
	s := tasksOf(h) + " (told " + agoAt(v.Asked, h.At) + "). "
	if rest := append(append([]string{}, h.Untold...), h.Silent...); len(rest) > 0 {
		names := make([]string, len(rest))
		for i, n := range rest {
			names[i] = report.Code(n)
		}
		s += "Of " + strings.Join(names, ", ") + " it is not known. "
	}
	return s + fate(v, h)
}

// tasksOf is the numbers in words.
func tasksOf(h *remedy.OnHand) string {
	return fmt.Sprintf("%s, %d reserved, %d held for their ETA", counted(h.Running, "task runs", "tasks run"), h.Reserved, h.ETA)
}

// agoAt says how old a count was when a question was asked.
func agoAt(asked, at time.Time) string {
	age := asked.Sub(at)
	if age < time.Second {
		return report.Date(at)
	}
	return report.Date(at) + ", " + report.Duration(age) + " before this was asked"
}

// fate is what becomes of the tasks that were counted.
func fate(v remedy.View, h *remedy.OnHand) string {
	back := ""
	if h.Reserved+h.ETA > 0 {
		back = " The broker gives out again what is reserved or held."
	}
	early := h.Running - h.Late
	switch {
	case v.Facts.StopTimeout == 0 && !v.Plan.Way.WholeDroplet():
		return "None is cut off." + back
	case h.Running == 0:
		return "None would be cut off now." + back
	case early == 0:
		return "If cut off, " + counted(h.Late, "of the running may run twice: it acknowledges late", "of the running may run twice: they acknowledge late") + "." + back
	case h.Late == 0:
		return "If cut off, " + counted(early, "of the running is lost: it does not acknowledge late", "of the running are lost: they do not acknowledge late") + "." + back
	}
	return fmt.Sprintf("If cut off, %s late and may run twice, and %s lost.", counted(h.Late, "of the running acknowledges", "of the running acknowledge"), counted(early, "is", "are")) + back
}

// unseen says which tasks may run twice where nobody counts them.
func unseen(v remedy.View) string {
	if v.Facts.StopTimeout == 0 && !v.Plan.Way.WholeDroplet() {
		return "None is cut off."
	}
	return "What is cut off runs a second time if it is acknowledged late (`acks_late`), and is lost if not."
}

// atLast is what ran at the last look before the restart; empty: not known.
func atLast(h *remedy.OnHand) string {
	if h == nil || h.At.IsZero() {
		return ""
	}
	s := " At the last look: " + tasksOf(h)
	if h.Late > 0 {
		s += fmt.Sprintf("; %d of the running %s late", h.Late, map[bool]string{true: "acknowledges", false: "acknowledge"}[h.Late == 1])
	}
	return s + "."
}
