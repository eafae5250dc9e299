package chat

import (
	"fmt"
	"strings"
	"time"

	"github.com/dropleak/dropleak/bot/remedy"
	"github.com/dropleak/dropleak/bot/report"
)

// probeMissing is what is said of workers that have never told.
const probeMissing = saysTasksNoProbe

// onHand says what tasks a restart would end, and what becomes of them. What
// is not known is called so, and why.
func onHand(v remedy.View) string {
	h := v.Card.OnHand
	if h == nil {
		return fmt.Sprintf(saysTasksUnread, unseen(v))
	}
	if h.At.IsZero() {
		if len(h.Silent) > 0 {
			return fmt.Sprintf(saysTasksSilent, unseen(v))
		}
		return probeMissing + ". " + unseen(v)
	}
	s := fmt.Sprintf(saysTasksTold, tasksOf(h), agoAt(v.Asked, h.At))
	if rest := append(append([]string{}, h.Untold...), h.Silent...); len(rest) > 0 {
		names := make([]string, len(rest))
		for i, n := range rest {
			names[i] = report.Code(n)
		}
		s += fmt.Sprintf(saysTasksUnknown, strings.Join(names, ", "))
	}
	return s + fate(v, h)
}

// tasksOf is the numbers in words.
func tasksOf(h *remedy.OnHand) string {
	return fmt.Sprintf(saysTasksOnHand, counted(h.Running, saysTaskRuns, saysTasksRun), h.Reserved, h.ETA)
}

// agoAt says how old a count was when a question was asked.
func agoAt(asked, at time.Time) string {
	age := asked.Sub(at)
	if age < time.Second {
		return report.Date(at)
	}
	return fmt.Sprintf(saysTasksBefore, report.Date(at), report.Duration(age))
}

// fate is what becomes of the tasks that were counted.
func fate(v remedy.View, h *remedy.OnHand) string {
	back := ""
	if h.Reserved+h.ETA > 0 {
		back = saysBrokerGivesAgain
	}
	early := h.Running - h.Late
	switch {
	case v.Facts.StopTimeout == 0 && !v.Plan.Way.WholeDroplet():
		return fmt.Sprintf(saysNoneCutOffHeld, back)
	case h.Running == 0:
		return fmt.Sprintf(saysNoneWouldBeCutOff, back)
	case early == 0:
		return fmt.Sprintf(saysIfCutOff, counted(h.Late, saysMayRunTwiceOne, saysMayRunTwice), back)
	case h.Late == 0:
		return fmt.Sprintf(saysIfCutOff, counted(early, saysIsLost, saysAreLost), back)
	}
	return fmt.Sprintf(saysCutOffMixed, counted(h.Late, saysAcknowledges, saysAcknowledge), counted(early, "is", "are")) + back
}

// unseen says which tasks may run twice where nobody counts them.
func unseen(v remedy.View) string {
	if v.Facts.StopTimeout == 0 && !v.Plan.Way.WholeDroplet() {
		return saysNoneCutOff
	}
	return saysCutOffUnknown
}

// atLast is what ran at the last look before the restart; empty: not known.
func atLast(h *remedy.OnHand) string {
	if h == nil || h.At.IsZero() {
		return ""
	}
	s := fmt.Sprintf(saysAtLastLook, tasksOf(h))
	if h.Late > 0 {
		s += fmt.Sprintf(saysRunningLate, h.Late, map[bool]string{true: "acknowledges", false: "acknowledge"}[h.Late == 1])
	}
	return s + "."
}
