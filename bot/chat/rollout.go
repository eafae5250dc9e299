package chat

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/remedy"
	"github.com/dropleak/dropleak/bot/report"
)

// askRollout is what a notification of an incident asks for.
func askRollout(v remedy.RolloutView) string {
	switch {
	case v.End != "":
		return fmt.Sprintf(saysRolloutTitle, v.End.Words())
	case v.Settled == nil:
		return saysAskRollout
	}
	return saysRolloutUnderWay
}

// storyRollout is the news for the headline.
func storyRollout(v remedy.RolloutView) string {
	switch v.End {
	case remedy.RolloutHalted:
		return "– ROLLING RESTART HALTED"
	case remedy.RolloutDone:
		return fmt.Sprintf(saysRolloutProgress, restarted(v), len(v.Turns))
	}
	return ""
}

func restarted(v remedy.RolloutView) (n int) {
	for _, t := range v.Turns {
		if t.Outcome.Restarted() {
			n++
		}
	}
	return n
}

// rolloutBlocks tell how the rolling restart stands.
func rolloutBlocks(v remedy.RolloutView, members []finding.Finding, runs map[string]remedy.View, now time.Time) []slack.Block {
	var out []slack.Block
	if v.Rehearsal {
		out = append(out, report.Section(rehearsalMark))
	}
	switch {
	case v.End != "":
		out = append(out, report.Section(rolloutEnd(v)))
	case v.Settled == nil:
		out = append(out, report.Section(rolloutCard(v)), report.Context(rolloutFoot(v)))
	default:
		out = append(out, report.Section(rolloutLine(v, members)))
	}
	if v.Trouble != "" {
		out = append(out, report.Context(fmt.Sprintf(saysKeepsTrying, report.Said(v.Trouble))))
	}
	if v.End != remedy.RolloutHalted {
		return out
	}
	for _, t := range v.Turns { // what a person has to look at
		if run, ok := runs[t.Finding]; ok && run.Run == t.Run && loud(run.Outcome) {
			i := slices.IndexFunc(members, func(f finding.Finding) bool { return f.ID == t.Finding })
			out = append(append(out, report.Section(outcome(run))), proven(members[max(i, 0)], run, now)...)
		}
	}
	return out
}

// rolloutCard says before the click what it would mean.
func rolloutCard(v remedy.RolloutView) string {
	n, units := 0, map[string]bool{}
	var left []string
	whole := false
	for _, t := range v.Turns {
		if t.Refused != "" {
			left = append(left, "• "+report.Said(t.Refused))
			continue
		}
		n++
		whole = whole || t.Plan.Way.WholeDroplet()
		units[fmt.Sprintf(saysThrough, report.Code(t.Plan.Unit.Name), string(t.Plan.Way))] = true
	}
	names := sortedKeys(units)
	text := fmt.Sprintf(saysRolloutCard, counted(n, "worker", "workers"), strings.Join(names[:min(len(names), 5)], ", "))
	if whole {
		text += saysRolloutWholeDroplets
	}
	if len(left) > 0 {
		text += fmt.Sprintf(saysRolloutLeftOut, len(left), strings.Join(left[:min(len(left), 5)], "\n"))
	}
	return text
}

func sortedKeys(m map[string]bool) (out []string) {
	for k := range m {
		out = append(out, k)
	}
	slices.Sort(out)
	return out
}

func rolloutFoot(v remedy.RolloutView) string {
	foot := fmt.Sprintf(saysQuestionEnds, report.Date(v.Expires))
	if v.Need > 1 {
		foot = fmt.Sprintf(saysApprovals, v.Have, v.Need) + foot
	}
	if v.AskedBy != "" {
		foot = fmt.Sprintf(saysAskedBy, report.Mention(v.AskedBy), foot)
	}
	return foot
}

// rolloutLine is the line: who was seen to, whose turn it is, who is to come.
func rolloutLine(v remedy.RolloutView, members []finding.Finding) string {
	text := fmt.Sprintf(saysRolloutApproved, rollVoters(v), restarted(v), len(v.Turns))
	passed, ahead := 0, 0
	for _, t := range v.Turns {
		switch {
		case t.Passed != "" || t.Refused != "":
			passed++
		case t.Run == "":
			ahead++
		case t.Outcome == "":
			text += fmt.Sprintf(saysRolloutNow, report.Escape(t.Plan.Title()))
		}
	}
	if passed > 0 {
		text += fmt.Sprintf(saysRolloutPassedOver, passed)
	}
	if v.Cancel != nil {
		return fmt.Sprintf(saysRolloutCancelled, text, voter(*v.Cancel))
	}
	if ahead > 0 {
		text += fmt.Sprintf(saysRolloutToCome, ahead)
	}
	return text + "."
}

func rollVoters(v remedy.RolloutView) string {
	var names []string
	for _, x := range v.Votes {
		if name := voter(x); x.Kind == remedy.Approve && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	return strings.Join(names, ", ")
}

func rolloutEnd(v remedy.RolloutView) string {
	icon := map[remedy.RolloutEnd]string{remedy.RolloutDone: ":white_check_mark:", remedy.RolloutHalted: ":red_circle:"}[v.End]
	if icon == "" {
		icon = ":information_source:"
	}
	text := fmt.Sprintf(saysRolloutOutcome, icon, v.End.Words())
	if v.Settled != nil && v.Settled.Kind != remedy.Approve {
		text += fmt.Sprintf(saysRolloutWhy, voter(*v.Settled))
	} else if v.Cancel != nil {
		text += fmt.Sprintf(saysByWhom, voter(*v.Cancel))
	}
	if v.Why != "" && v.Cancel == nil {
		text += "\n" + report.Said(sentence(v.Why)) + "."
	}
	if v.Settled == nil || v.Settled.Kind != remedy.Approve {
		return text
	}
	passed, left := 0, 0
	for _, t := range v.Turns {
		if t.Passed != "" || t.Refused != "" {
			passed++
		} else if t.Outcome == "" {
			left++
		}
	}
	text += fmt.Sprintf(saysRolloutSums, restarted(v), len(v.Turns))
	if passed > 0 {
		text += fmt.Sprintf(saysRolloutPassed, passed)
	}
	if left > 0 {
		text += fmt.Sprintf(saysRolloutLeft, left)
	}
	text += "."
	return text
}

// turnMark says how the restart of one member stands.
func turnMark(f finding.Finding, run remedy.View, v remedy.RolloutView, now time.Time) string {
	i := slices.IndexFunc(v.Turns, func(t remedy.Turn) bool { return t.Finding == f.ID })
	if i < 0 || v.Settled == nil || v.Settled.Kind != remedy.Approve {
		if run.Run != "" && run.Outcome == "" && run.Settled != nil {
			return stepAt(run, now)
		}
		if run.Run != "" && run.Outcome.Restarted() {
			return icon(run.Outcome) + " " + report.Escape(run.Outcome.Words())
		}
		return ""
	}
	switch t := v.Turns[i]; {
	case t.Refused != "":
		return fmt.Sprintf(saysMemberLeftOut, report.Said(t.Refused))
	case t.Passed != "":
		return fmt.Sprintf(saysMemberPassedOver, report.Said(t.Passed))
	case t.Outcome != "":
		mark := icon(t.Outcome) + " " + report.Escape(t.Outcome.Words())
		if run.Run == t.Run && cured(t.Outcome) && run.Freed() > 0 {
			mark += fmt.Sprintf(saysCardFreed, report.Freed(run.Before.Bytes, run.Life.Now.Bytes))
		}
		return mark
	case t.Run != "" && run.Run == t.Run:
		return stepAt(run, now)
	case v.End != "":
		return saysMemberNotTouched
	}
	return saysMemberToCome
}

func rolloutButtons(v remedy.RolloutView) (row []report.Press, menu []report.Choice) {
	n := 0
	for _, t := range v.Turns {
		if t.Refused == "" {
			n++
		}
	}
	for _, b := range v.Buttons {
		switch b.Kind {
		case remedy.Approve:
			row = append(row, report.Press{Action: report.ActionRollout, Value: v.ID + ":" + v.Set, Text: saysLabelRollout, Style: slack.StylePrimary,
				Confirm: &report.Ask{Title: saysConfirmRollout, Yes: saysYesRollout, No: saysLabelBack,
					Text: fmt.Sprintf(saysRolloutMeans, counted(n, saysWorkerIs, saysWorkersAre))}})
		case remedy.NotNow:
			row = append(row, report.Press{Action: report.ActionRollNotNow, Value: v.ID, Text: saysLabelNotNow})
		case remedy.FalseAlarm:
			menu = append(menu, report.Choice{Value: report.ActionRollFalse + ":" + v.ID, Text: saysLabelRollFalse})
		case remedy.Cancel:
			row = append(row, report.Press{Action: report.ActionRollCancel, Value: v.ID, Text: saysLabelRollCancel})
		}
	}
	return row, menu
}
