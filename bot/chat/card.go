package chat

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"github.com/dropleak/dropleak/bot/order"
	"github.com/dropleak/dropleak/bot/remedy"
	"github.com/dropleak/dropleak/bot/report"
)

// card says, before the click, what a restart would mean. What is not known
// is called so.
func card(v remedy.View, now time.Time) []slack.Block {
	var out []slack.Block
	if v.Only {
		lead := fmt.Sprintf(saysCardSnapshotOnly, expected(v), newest(v.Card))
		if v.Purpose != "" {
			lead = fmt.Sprintf(saysCardPurpose, report.Escape(report.Plain(v.Purpose, 300)), lead)
		}
		return append(out, report.Section(lead), report.Context(foot(v)))
	}
	lines := []string{fmt.Sprintf(saysCardRestarts, scope(v)), fmt.Sprintf(saysCardTasks, orElse(stopping(v), saysStopsUnknown)),
		fmt.Sprintf(saysCardTasksNow, onHand(v)),
		fmt.Sprintf(saysCardSnapshotFirst, expected(v)), fmt.Sprintf(saysCardNewest, newest(v.Card))}
	if q := v.Card.Queue; q != "" {
		lines = append(lines, fmt.Sprintf(saysCardQueue, report.Said(report.Plain(q, 900))))
	}
	out = append(out, report.Section(strings.Join(lines, "\n")))
	if past := former(v.Card.Past); past != "" {
		out = append(out, report.Section(past))
	}
	return append(out, report.Context(foot(v)))
}

// first stands above all else, buttons too: how the run ended, and why a
// button skips the snapshot. "" where there is nothing of the kind.
func first(v remedy.View) string {
	var lines []string
	if v.Rehearsal {
		lines = append(lines, rehearsalMark)
	}
	switch {
	case v.Relapse != nil:
		lines = append(lines, relapse(v))
	case v.Outcome != "":
		lines = append(lines, outcome(v))
	case waitsTooLong(v):
		lines = append(lines, fmt.Sprintf(saysRunsOutBefore, report.Date(v.Exhausts)))
	case v.TooLate && slices.ContainsFunc(v.Buttons, func(b remedy.Button) bool { return b.Kind == remedy.Skip }):
		lines = append(lines, saysCardTooLate)
	}
	return strings.Join(lines, "\n")
}

// scope names everything that restarts.
func scope(v remedy.View) string {
	if v.Plan.Way.WholeDroplet() {
		return saysWholeDroplet
	}
	s := fmt.Sprintf(saysThrough, report.Code(v.Plan.Unit.Name), string(v.Plan.Way))
	switch nodes := v.Facts.Nodes; {
	case len(nodes) == 1:
		return s + ": " + member(nodes[0])
	case len(nodes) > 1:
		var names []string
		for _, n := range nodes {
			names = append(names, member(n))
		}
		return s + fmt.Sprintf(saysWithWorkers, len(nodes), strings.Join(names, "; "))
	}
	if n := len(v.Facts.Workers); n > 1 { // an agent of before tells names alone
		var names []string
		for _, w := range v.Facts.Workers {
			names = append(names, report.Code(w))
		}
		s += fmt.Sprintf(saysWithWorkers, n, strings.Join(names, ", "))
	}
	return s
}

// member says what one node is.
func member(n order.Node) string {
	s := report.Code(n.Worker)
	if n.App != "" {
		s += fmt.Sprintf(saysOfApp, report.Code(n.App))
	}
	var parts []string
	if n.Pool != "" {
		parts = append(parts, report.Escape(n.Pool))
	}
	if n.Processes > 0 {
		parts = append(parts, fmt.Sprintf(saysPoolProcesses, n.Processes))
	}
	if n.Beat {
		parts = append(parts, saysWithBeat)
	}
	if len(parts) == 0 {
		return s
	}
	return s + " (" + strings.Join(parts, ", ") + ")"
}

// stopping says what running tasks will get, as the manager has it; "" where
// it did not tell.
func stopping(v remedy.View) string {
	t := v.Facts.StopTimeout
	switch {
	case v.Plan.Way.WholeDroplet():
		return saysTasksCutOff
	case t > 0:
		return fmt.Sprintf(saysTasksGetTime, report.Duration(time.Duration(t*float64(time.Second)))) + killing(v)
	case t == 0:
		return fmt.Sprintf(saysTasksMayFinish, killing(v))
	}
	return ""
}

// killing is what the manager's kill mode adds to its time, where there is a
// pool for it to matter to.
func killing(v remedy.View) string {
	alone := func(n order.Node) bool { return n.Pool != "" && n.Processes == 0 && !n.Beat }
	if len(v.Facts.Nodes) > 0 && !slices.ContainsFunc(v.Facts.Nodes, func(n order.Node) bool { return !alone(n) }) {
		return ""
	}
	switch mode := v.Facts.KillMode; {
	case mode == "control-group":
		return saysKillsGroup
	case mode == "process" && v.Plan.Unit.Kind == order.SystemdUnit:
		return saysKillsMainSystemd
	case mode == "process":
		return saysKillsMainSupervisor
	case mode == "none":
		return saysKillsNothing
	}
	return ""
}

// expected says what the snapshot takes and costs.
func expected(v remedy.View) string {
	e := v.Card.Snapshot
	s := saysTakesUnknown
	if e.Takes > 0 {
		s = fmt.Sprintf(saysTakesAbout, report.Duration(e.Takes))
		switch {
		case e.Of > 1:
			s += fmt.Sprintf(saysTookLastTimes, e.Of)
		case e.Of == 1:
			s += saysTookLastTime
		default:
			s += saysTakesRule
		}
		s += saysHoldsDisk
	}
	if usd := e.MonthlyUSD(); usd > 0 {
		return s + fmt.Sprintf(saysCostsAbout, e.GB, dollars(usd))
	}
	return fmt.Sprintf(saysCostsUnknown, s)
}

func newest(c remedy.Card) string {
	switch {
	case c.Newest != nil && c.Newest.At.IsZero():
		return report.Code(c.Newest.Name)
	case c.Newest != nil:
		return report.Code(c.Newest.Name) + ", " + report.Date(c.Newest.At)
	case c.NoneYet:
		return saysNoneThere
	}
	return saysNotKnown
}

// cured reports whether a run freed memory: what little a worker gives back by
// itself is told of no other.
func cured(o remedy.Outcome) bool {
	return o == remedy.FreedWorking || o == remedy.FreedNotSeenWorking
}

// former tells how the last restarts of this worker went.
func former(past []remedy.Past) string {
	if len(past) == 0 {
		return ""
	}
	lines := []string{saysRestartedBefore}
	for _, p := range past {
		line := "• " + report.Date(p.At) + ": " + report.Escape(p.Outcome.Words())
		if p.Freed > 0 && cured(p.Outcome) {
			line += fmt.Sprintf(saysCardFreed, report.Bytes(p.Freed))
		}
		switch {
		case p.Still:
			line += fmt.Sprintf(saysHelpedSoFar, report.Duration(p.Helped))
		case p.Helped > 0:
			line += fmt.Sprintf(saysHelped, report.Duration(p.Helped))
		default:
			line += saysDidNotHelp
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

// foot says until when a question stands, and how far it is answered.
func foot(v remedy.View) string {
	foot := fmt.Sprintf(saysQuestionEnds, report.Date(v.Expires))
	if v.Need > 1 {
		foot = fmt.Sprintf(saysApprovals, v.Have, v.Need) + foot
	}
	if v.AskedBy != "" {
		foot = fmt.Sprintf(saysAskedBy, report.Mention(v.AskedBy), foot)
	}
	return foot
}
