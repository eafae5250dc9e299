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

// ask is what a notification asks for.
func ask(v remedy.View) string {
	switch {
	case v.Outcome != "":
		return fmt.Sprintf(saysRunTitle, v.Outcome.Words())
	case v.Settled == nil && v.Only:
		return saysAskSnapshot
	case v.Settled == nil:
		return saysAskRestart
	case v.Only:
		return saysSnapshotUnderWay
	}
	return saysRestartUnderWay
}

// runBlocks shows a run in the state it is in. What comes first of it and its
// buttons stand higher up.
func runBlocks(f finding.Finding, v remedy.View, now time.Time) []slack.Block {
	var out []slack.Block
	switch {
	case v.Outcome != "":
		out = proven(f, v, now)
	case v.Settled == nil:
		out = card(v, now)
	case !letsGo(*v.Settled):
		out = []slack.Block{report.Section(fmt.Sprintf(saysRunAnswered, voter(*v.Settled)))}
	default:
		out = progress(v, now)
	}
	return append(out, leaseBlocks(v)...)
}

var marks = map[remedy.StepState]string{remedy.Ahead: ":white_circle:", remedy.Doing: ":hourglass_flowing_sand:",
	remedy.Did: ":white_check_mark:", remedy.Skipped: ":fast_forward:", remedy.Broke: ":x:"}

// progress lists the steps.
func progress(v remedy.View, now time.Time) []slack.Block {
	out := append(waiting(v), report.Section(fmt.Sprintf(saysRunApproved, voters(v), steps(v, now))))
	if len(v.Ahead) > 0 {
		out = append(out, report.Context(fmt.Sprintf(saysInLine, others(len(v.Ahead)))))
	}
	if v.Trouble != "" {
		out = append(out, report.Context(fmt.Sprintf(saysKeepsTrying, report.Said(v.Trouble))))
	}
	return out
}

func others(n int) string {
	if n == 1 {
		return saysOneOtherRun
	}
	return fmt.Sprintf(saysOtherRuns, n)
}

func voters(v remedy.View) string {
	var names []string
	for _, x := range v.Votes {
		if name := voter(x); letsGo(x) && !slices.Contains(names, name) {
			names = append(names, name)
		}
	}
	if len(names) == 0 && v.Settled != nil {
		names = []string{voter(*v.Settled)}
	}
	if v.ByLease != "" {
		return fmt.Sprintf(saysLeaseOf, strings.Join(names, ", "))
	}
	return strings.Join(names, ", ")
}

// voter names a person, and how their word came where Slack did not bring it:
// the real one should see it when somebody spoke as them.
func voter(x remedy.Vote) string {
	if x.Via == "" {
		return report.Mention(x.By)
	}
	return report.Mention(x.By) + " (" + report.Escape(x.Via) + ")"
}

// steps is a line a step: what it is, how it stands, how long it takes.
func steps(v remedy.View, now time.Time) string {
	var b strings.Builder
	for _, s := range v.Steps {
		fmt.Fprintf(&b, "%s %s", marks[s.State], s.Title)
		switch {
		case s.State == remedy.Doing && s.Expected > 0:
			fmt.Fprintf(&b, saysStepOfAbout, report.Duration(now.Sub(s.Began)), report.Duration(s.Expected))
		case s.State == remedy.Doing && !s.Began.IsZero():
			fmt.Fprintf(&b, saysStepSince, report.Clock(s.Began))
		case s.State == remedy.Did && !s.Began.IsZero() && s.Name != "ask":
			fmt.Fprintf(&b, " – %s", report.Duration(s.Ended.Sub(s.Began)))
		}
		if s.Note != "" {
			b.WriteString(": " + report.Said(s.Note))
		}
		b.WriteString("\n")
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// outcome says how the run ended.
func outcome(v remedy.View) string {
	return icon(v.Outcome) + " *" + report.Escape(sentence(v.Outcome.Words())) + "*" + whyOf(v)
}

// proven is what an ended run did, with the numbers, and what is left of it.
func proven(f finding.Finding, v remedy.View, now time.Time) (out []slack.Block) {
	if v.Settled == nil || !began(v) {
		return nil
	}
	if v.Relapse != nil { // that stands first
		out = append(out, report.Section(outcome(v)))
	}
	if facts := proof(f, v, now); len(facts) > 0 {
		out = append(out, report.Fields(facts...))
	}
	out = append(out, report.Context(trail(v)))
	return append(out, shelf(v)...)
}

// trail is what an ended run did, and where it broke off, in one line. A step
// takes from the end of the one before: together they are what the run took.
func trail(v remedy.View) string {
	var parts []string
	since := v.Settled.At
	for _, s := range v.Steps {
		part, took := s.Title, s.Ended.Sub(since)
		switch {
		case s.Name == "ask" || s.State == remedy.Ahead || s.Name == "line" && took < time.Second:
			continue
		case s.State != remedy.Did:
			part = marks[s.State] + " " + part
		case took >= time.Second:
			part += " " + report.Duration(took)
			since = s.Ended
		}
		if s.Note != "" && s.Note != v.Why {
			part += ": " + report.Said(s.Note)
		}
		parts = append(parts, part)
	}
	return strings.Join(parts, " · ")
}

// whyOf says why a run ended as it did, and what state things are in, where
// the outcome's own words do not say all.
func whyOf(v remedy.View) string {
	var parts []string
	if v.Why != "" && v.Outcome != remedy.FreedWorking && v.Outcome != remedy.FreedNotSeenWorking && v.Outcome != remedy.Leased {
		parts = append(parts, report.Said(sentence(v.Why))+".")
	}
	if v.State != "" && v.Outcome != remedy.Rehearsed {
		parts = append(parts, report.Said(v.State))
	}
	if len(parts) == 0 {
		return ""
	}
	return "\n" + strings.Join(parts, " ")
}

// sentence begins with a capital letter.
func sentence(s string) string {
	if s == "" {
		return s
	}
	return strings.ToUpper(s[:1]) + s[1:]
}

// letsGo reports whether a person's word has a run go on.
func letsGo(x remedy.Vote) bool {
	return x.Kind == remedy.Approve || x.Kind == remedy.Later || x.Kind == remedy.Skip
}

// began reports whether the run got past the gate.
func began(v remedy.View) bool {
	return v.Settled.Kind == remedy.Approve || v.Settled.Kind == remedy.Skip
}

// proof is memory before and after, and the life that changed.
func proof(f finding.Finding, v remedy.View, now time.Time) (facts []string) {
	if v.Life != nil && v.Life.Now.Bytes > 0 {
		facts = append(facts, fmt.Sprintf(saysFieldMemory, report.Bytes(v.Before.Bytes), report.Bytes(v.Life.Now.Bytes)))
		if v.Freed() > 0.05*v.Before.Bytes {
			facts = append(facts, fmt.Sprintf(saysFieldFreed, freed(v)))
		}
	}
	if slope := growth(f, v, now); slope != "" && v.Life != nil {
		facts = append(facts, slope)
	}
	if !v.New.IsZero() {
		facts = append(facts, fmt.Sprintf(saysFieldMain, v.Old.PID, v.New.PID))
	}
	if v.Life != nil && v.Life.Pool > 0 {
		facts = append(facts, fmt.Sprintf(saysFieldPool, v.Life.Pool, v.Before.Processes))
	}
	if at := working(v.Life); at != "" {
		facts = append(facts, at)
	}
	if began := v.Settled.At; !v.Ended.IsZero() {
		facts = append(facts, fmt.Sprintf(saysFieldTook, report.Duration(v.Ended.Sub(began))))
	}
	return append(facts, fmt.Sprintf(saysFieldApproved, voters(v)))
}

// freed is how much memory came back, between what bounds where they are known.
func freed(v remedy.View) string {
	if between, sure := v.FreedBetween(); sure {
		return report.FreedBetween(v.Before.Bytes, v.Life.Now.Bytes, between.Low, between.High)
	}
	return report.Freed(v.Before.Bytes, v.Life.Now.Bytes)
}

// icon is loud where the outcome is.
func icon(o remedy.Outcome) string {
	switch o {
	case remedy.FreedWorking, remedy.Rehearsed, remedy.Snapshotted:
		return ":white_check_mark:"
	case remedy.FreedNotSeenWorking, remedy.Overtaken, remedy.NotFreed:
		return ":large_orange_circle:"
	case remedy.Declined, remedy.Dismissed, remedy.Cancelled, remedy.TimedOut, remedy.Leased:
		return ":information_source:"
	case remedy.NotRunning:
		return ":rotating_light::rotating_light::rotating_light:"
	}
	return ":red_circle:"
}

func dollars(v float64) string { return fmt.Sprintf("$%.2f", v) }

// buttons are those of the run that would be taken now. Two stand before the
// fold of a phone; what is rare is in the menu behind them, and the evidence
// below the facts. Where a snapshot is too late, skipping it is what a person
// needs next to approving.
func buttons(f finding.Finding, v remedy.View) (slack.Block, slack.Block) {
	var row []report.Press
	var menu []report.Choice
	for _, b := range pressing(v) {
		switch b.Kind {
		case remedy.Approve:
			if v.Only {
				row = append(row, report.Press{Action: report.ActionRestart, Value: v.Run, Text: saysLabelSnapshot, Style: slack.StylePrimary})
				break
			}
			row = append(row, report.Press{Action: report.ActionRestart, Value: v.Run, Text: saysLabelRestart, Style: slack.StylePrimary, Confirm: confirm(v)})
		case remedy.NotNow:
			row = append(row, report.Press{Action: report.ActionNotNow, Value: f.ID, Text: saysLabelNotNow})
			menu = append(menu, report.Choice{Value: report.ActionUntilWorse + ":" + f.ID, Text: saysLabelUntilWorse},
				report.Choice{Value: report.ActionUntil + ":" + f.ID, Text: saysLabelNotUntil})
		case remedy.Later:
			row = append(row, later(v, b.At))
		case remedy.FalseAlarm:
			menu = append(menu, report.Choice{Value: report.ActionFalseAlarm + ":" + f.ID, Text: saysLabelFalseAlarm})
		case remedy.Grant:
			menu = append(menu, report.Choice{Value: report.ActionLease + ":" + v.Run, Text: saysLabelLease})
		case remedy.Cancel:
			row = append(row, report.Press{Action: report.ActionCancel, Value: v.Run, Text: saysLabelCancel})
		case remedy.Skip:
			if v.TooLate && !waitsTooLong(v) {
				row = append(row, report.Press{Action: report.ActionSkip, Value: v.Run, Text: saysLabelSkip, Style: slack.StyleDanger})
				continue
			}
			menu = append(menu, report.Choice{Value: report.ActionSkip + ":" + v.Run, Text: saysLabelSkip})
		}
	}
	if v.Outcome != "" {
		row = append(row, after(f, v)...)
	}
	row = append(row, report.Press{Action: report.ActionDetails, Value: f.ID, Text: saysLabelDetails})
	return report.Row(menu, row...)
}

// pressing are the buttons in the order they stand in: skipping the snapshot
// directly behind approving, where memory runs out before it can finish.
func pressing(v remedy.View) []remedy.Button {
	skip := slices.IndexFunc(v.Buttons, func(b remedy.Button) bool { return b.Kind == remedy.Skip })
	if !v.TooLate || skip < 0 {
		return v.Buttons
	}
	b := v.Buttons[skip]
	rest := slices.Delete(slices.Clone(v.Buttons), skip, skip+1)
	return slices.Insert(rest, 1+slices.IndexFunc(rest, func(b remedy.Button) bool { return b.Kind == remedy.Approve }), b)
}

// after is what can be done once a run has ended.
func after(f finding.Finding, v remedy.View) (row []report.Press) {
	switch {
	case f.State.Final():
		return nil
	case f.State == finding.Muted:
		row = append(row, report.Press{Action: report.ActionUnmute, Value: f.ID, Text: saysLabelUnmute})
	}
	if v.Outcome != remedy.FreedWorking {
		row = append(row, report.Press{Action: report.ActionAskAgain, Value: f.ID, Text: saysLabelOfferRestart})
	}
	return row
}

// confirm names target and effect once more.
func confirm(v remedy.View) *report.Ask {
	return &report.Ask{Title: saysConfirmRestart, Yes: saysLabelRestart, No: saysLabelBack,
		Text: fmt.Sprintf(saysRestartMeans,
			report.Code(report.Plain(v.Plan.Worker, 40)), report.Escape(report.Plain(v.Plan.Droplet, 40)), orElse(stopping(v), saysStopsAsManager))}
}

func orElse(s, otherwise string) string {
	if s == "" {
		return otherwise
	}
	return s
}

// loud outcomes leave something for a person to do now.
func loud(o remedy.Outcome) bool {
	switch o {
	case remedy.NotRunning, remedy.CameBackBad, remedy.NotFreed, remedy.Unclear, remedy.Failed:
		return true
	}
	return false
}

// story is what to say of the subject in the headline while the run's end is newer than the forecast; ""
// leaves it to the forecast. Of what is cured by a restart it is how.
func story(f finding.Finding, v remedy.View) string {
	freed := v.Outcome == remedy.FreedWorking || v.Outcome == remedy.FreedNotSeenWorking
	switch {
	case v.Outcome == "" || f.State != finding.Resolved && (f.State.Final() || v.Ended.Before(f.LastSeen)):
		return ""
	case f.State == finding.Resolved && f.Subject.Kind != finding.KindRequest && (!freed || v.Relapse != nil):
		return ""
	}
	switch v.Outcome {
	case remedy.FreedWorking, remedy.FreedNotSeenWorking:
		if freed := v.Freed(); freed > 0 {
			return fmt.Sprintf(saysStoryFreed, report.Freed(v.Before.Bytes, v.Life.Now.Bytes))
		}
		return saysStoryFreedUnknown
	case remedy.NotFreed:
		return saysStoryNotFreed
	case remedy.CameBackBad:
		return saysStoryBad
	case remedy.Unclear:
		return saysStoryUnclear
	case remedy.NotRunning:
		return "IS NOT RUNNING"
	}
	return ""
}

// before is what a run read of its worker at the last moment before the
// restart. A finding's verdict is as old as the last scan, or of the new life.
func before(v remedy.View) string {
	if v.Before.Bytes <= 0 {
		return ""
	}
	s := fmt.Sprintf(saysBeforeHeld, report.Bytes(v.Before.Bytes))
	if v.Before.Rate != nil {
		s += fmt.Sprintf(saysBeforeGrew, report.Rate(*v.Before.Rate))
	}
	return s
}
