package chat

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/remedy"
	"github.com/dropleak/dropleak/bot/report"
	"github.com/dropleak/dropleak/bot/slackapp"
)

// growth is the slope before and after a restart. After takes hours to see:
// until then it is called unknown.
func growth(f finding.Finding, v remedy.View) string {
	if v.Before.Rate == nil {
		return ""
	}
	now := "not known yet"
	switch {
	case v.Relapse != nil && v.Relapse.Rate > 0:
		now = report.Rate(v.Relapse.Rate)
	case f.State == finding.Resolved:
		now = "none seen"
	}
	return "*Growth*\n" + report.Rate(*v.Before.Rate) + " → " + now
}

// working says whether the worker was seen at work in its new life.
func working(l *remedy.Life) string {
	switch {
	case l == nil || !l.Seen:
		return ""
	case l.Working == remedy.Advancing:
		return "*Worker*\nalive and working"
	case l.Working == remedy.Idle:
		return "*Worker*\nalive; did nothing while watched"
	}
	return "*Worker*\nalive; whether it works is not measured"
}

// relapse says that it did not last.
func relapse(v remedy.View) string {
	r := v.Relapse
	text := ":repeat: It grows again"
	if r.Rate > 0 {
		text += ", " + report.Rate(r.Rate)
	}
	text += fmt.Sprintf(", seen %s. The restart helped for %s.", report.Date(r.At), report.Duration(time.Duration(r.Helped*float64(time.Second))))
	if !r.Exhaust.IsZero() {
		text += " Memory would run out " + report.Date(r.Exhaust) + "."
	}
	return text
}

// shelf is what is left of the snapshot and what may be done with it.
func shelf(v remedy.View) []slack.Block {
	if v.Snapshot == nil {
		return nil
	}
	state := fmt.Sprintf("%s a month until it expires", dollars(v.Snapshot.MonthlyUSD()))
	switch {
	case v.Disposal == "deleting":
		state = "being deleted" + by(v.Left)
	case v.Disposal == "deleted":
		state = "deleted" + by(v.Left)
	case v.Disposal == "refused":
		state = "DigitalOcean refuses to delete it: look in the control panel"
	case v.Left != nil && v.Left.Kind == remedy.KeepSnapshot:
		state = fmt.Sprintf("%s a month, kept until somebody deletes it%s", dollars(v.Snapshot.MonthlyUSD()), by(v.Left))
	}
	out := []slack.Block{report.Context(fmt.Sprintf("Snapshot %s, %.1f GB: %s.", report.Code(v.Snapshot.Name), v.Snapshot.SizeGB, state))}
	row := []report.Press{{Action: report.ActionRestore, Value: v.Run, Text: "How to restore"}}
	for _, b := range v.Buttons {
		switch b.Kind {
		case remedy.KeepSnapshot:
			row = append([]report.Press{{Action: report.ActionKeep, Value: v.Run, Text: "Keep snapshot"}}, row...)
		case remedy.DeleteSnapshot:
			row = append(row, report.Press{Action: report.ActionDelete, Value: v.Run, Text: "Delete snapshot", Style: slack.StyleDanger,
				Confirm: &report.Ask{Title: "Delete the snapshot?", Yes: "Delete it", No: "Back",
					Text: "The disk of " + report.Escape(report.Plain(v.Plan.Droplet, 40)) + " as it was " + report.Date(v.Snapshot.Done) + " cannot be had back afterwards."}})
		}
	}
	if v.Outcome == "" || v.Disposal != "" {
		return out
	}
	return append(out, report.Buttons(nil, row...))
}

func by(x *remedy.Vote) string {
	if x == nil {
		return ""
	}
	return ", by " + voter(*x)
}

// restore shows how a snapshot is put back. Dropleak does not do it: what is
// lost by it is for a person to weigh.
func (c *Chat) restore(ctx context.Context, k slackapp.Click) error {
	v, err := c.o.Remedy.View(ctx, k.Value)
	if err != nil {
		return err
	}
	if v.Snapshot == nil || v.Disposal == "deleted" {
		return refusal{"That snapshot is not there any more."}
	}
	_, err = c.o.Slack.OpenView(ctx, k.TriggerID, restoreModal(v, time.Now()))
	if errors.Is(err, slackapp.ErrExpiredTrigger) {
		return refusal{"Slack gave up waiting; please press the button again."}
	}
	return err
}

func restoreModal(v remedy.View, now time.Time) slack.ModalViewRequest {
	droplet := report.Escape(report.Plain(v.Plan.Droplet, 60))
	lines := []string{
		fmt.Sprintf("%s holds the disk of %s as it was %s. It holds neither memory nor attached volumes.", report.Code(v.Snapshot.Name), droplet, report.Date(v.Snapshot.Done)),
		fmt.Sprintf("*What would be lost*\nEverything written to that disk since, %s by now.", report.Duration(now.Sub(v.Snapshot.Done))),
		"*What would start*\nThe droplet boots, and its production workers begin to take tasks at once, " + members(v) +
			" among them. In a second droplet they would run beside those that run now, with the same names and schedules; dropleak's agent falls silent there.",
		fmt.Sprintf("*In place of the droplet's disk*\n```doctl compute droplet-action rebuild %d --image %s --wait```", v.Plan.DropletID, v.Snapshot.ID),
		"Dropleak never does this by itself.",
	}
	var blocks []slack.Block
	for _, l := range lines {
		blocks = append(blocks, report.Section(l))
	}
	return slack.ModalViewRequest{Type: slack.VTModal, CallbackID: callbackShown, Title: plain("How to restore"), Close: plain("Close"),
		Blocks: slack.Blocks{BlockSet: blocks}}
}

// members names the workers of the unit that was restarted.
func members(v remedy.View) string {
	names := []string{report.Code(v.Plan.Worker)}
	for _, w := range v.Facts.Workers {
		if w != v.Plan.Worker {
			names = append(names, report.Code(w))
		}
	}
	return strings.Join(names, ", ")
}

// kept sums up the snapshots that dropleak made and that stand; nil when there
// are none. A report is not held up by a list that cannot be had.
func (c *Chat) kept(ctx context.Context) *report.Kept {
	list, err := c.o.Remedy.Shelf(ctx)
	if err != nil {
		c.o.Log.Warn("list the snapshots that are kept", "err", err)
		return &report.Kept{Unknown: true}
	}
	if len(list) == 0 {
		return nil
	}
	k := report.Kept{Count: len(list)}
	for _, x := range list {
		k.GB += x.Snapshot.SizeGB
		k.MonthlyUSD += x.MonthlyUSD
	}
	return &k
}

// commandSnapshots lists the snapshots that stand, with what each costs and
// when it goes.
func (c *Chat) commandSnapshots(ctx context.Context, k slackapp.Command, _ string) error {
	list, err := c.o.Remedy.Shelf(ctx)
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return c.answerTo(ctx, k, say("No snapshot stands that dropleak made."))
	}
	var lines []string
	var total float64
	for i, x := range list {
		if total += x.MonthlyUSD; i >= 20 {
			continue
		}
		end := "stays while it is among the newest"
		switch {
		case x.Pinned != nil:
			end = "kept" + by(x.Pinned)
		case x.Doomed != nil:
			end = "goes" + by(x.Doomed)
		case !x.Expires.IsZero():
			end = "goes " + report.Date(x.Expires) + " at the latest"
		}
		lines = append(lines, fmt.Sprintf("%s %s of %s, %.1f GB, %s a month; %s", report.Date(x.Snapshot.Done), report.Code(x.Snapshot.Name),
			report.Escape(x.Plan.Title()), x.Snapshot.SizeGB, dollars(x.MonthlyUSD), end))
	}
	if more := len(list) - len(lines); more > 0 {
		lines = append(lines, fmt.Sprintf("and %d more", more))
	}
	return c.answerTo(ctx, k, say(strings.Join(lines, "\n")+fmt.Sprintf("\n*%s a month* for all of them", dollars(total))))
}
