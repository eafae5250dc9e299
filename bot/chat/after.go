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
	"github.com/dropleak/dropleak/detector"
)

// growth is the slope before and after a restart. After takes hours to see:
// until then it is called unknown. That it grows may be told at any time, that
// it stopped not before a moment, which is said until it is over.
func growth(f finding.Finding, v remedy.View, now time.Time) string {
	if v.Before.Rate == nil {
		return ""
	}
	after := saysNotKnownYet
	switch {
	case v.Relapse != nil && v.Relapse.Rate > 0:
		after = report.Rate(v.Relapse.Rate)
	case calm(f):
		after = saysNoneSeen + wouldShow(f)
	case v.Life != nil && v.Life.Tells.After(now):
		after = fmt.Sprintf(saysNotKnownUntil, report.Date(v.Life.Tells))
	}
	return fmt.Sprintf(saysFieldGrowth, report.Rate(*v.Before.Rate), after)
}

// calm reports whether the worker was watched for long enough since its leak
// was seen last, and did not grow.
func calm(f finding.Finding) bool {
	return f.State == finding.Resolved && f.Verdict.Kind == detector.Healthy
}

// wouldShow says how little growth the watch that ended a finding would have
// seen.
func wouldShow(f finding.Finding) string {
	if f.Verdict.MinDetectable == nil {
		return ""
	}
	return fmt.Sprintf(saysWouldShow, report.Rate(*f.Verdict.MinDetectable))
}

// lasted returns the finding that a run's restart ended for good, nil where
// that was not seen.
func (c *Chat) lasted(ctx context.Context, v remedy.View) (*finding.Finding, error) {
	if v.Outcome != remedy.FreedWorking && v.Outcome != remedy.FreedNotSeenWorking || v.Relapse != nil {
		return nil, nil
	}
	f, err := c.o.Findings.Finding(ctx, v.Finding)
	if err != nil || !calm(f) || f.Closed.Before(v.Ended) {
		return nil, err
	}
	return &f, nil
}

// stays says that a restart lasted.
func stays(f finding.Finding, v remedy.View) string {
	text := fmt.Sprintf(saysStays, report.Duration(f.Closed.Sub(v.Ended)), saysNoneSeen+wouldShow(f))
	if v.Before.Rate != nil {
		text += fmt.Sprintf(saysGrewBefore, report.Rate(*v.Before.Rate))
	}
	return text
}

// working says whether the worker was seen at work in its new life.
func working(l *remedy.Life) string {
	switch {
	case l == nil || !l.Seen:
		return ""
	case l.Working == remedy.Advancing:
		return saysAliveWorking
	case l.Working == remedy.Idle:
		return saysAliveIdle
	}
	return saysAliveUnmeasured
}

// relapse says that it did not last.
func relapse(v remedy.View) string {
	r := v.Relapse
	text := saysGrowsAgain
	if r.Rate > 0 {
		text += ", " + report.Rate(r.Rate)
	}
	text += fmt.Sprintf(saysRestartHelped, report.Date(r.At), report.Duration(time.Duration(r.Helped*float64(time.Second))))
	if !r.Exhaust.IsZero() {
		text += fmt.Sprintf(saysWouldRunOut, report.Date(r.Exhaust))
	}
	return text
}

// shelf is what is left of the snapshot and what may be done with it.
func shelf(v remedy.View) []slack.Block {
	if v.Snapshot == nil {
		return nil
	}
	state := fmt.Sprintf(saysShelfExpires, dollars(v.Snapshot.MonthlyUSD()))
	switch {
	case v.Disposal == "deleting":
		state = fmt.Sprintf(saysShelfBeingDeleted, by(v.Left))
	case v.Disposal == "deleted":
		state = "deleted" + by(v.Left)
	case v.Disposal == "refused":
		state = saysShelfRefused
	case v.Left != nil && v.Left.Kind == remedy.KeepSnapshot:
		state = fmt.Sprintf(saysShelfKept, dollars(v.Snapshot.MonthlyUSD()), by(v.Left))
	}
	out := []slack.Block{report.Context(fmt.Sprintf(saysShelfSnapshot, report.Code(v.Snapshot.Name), v.Snapshot.SizeGB, state))}
	row := []report.Press{{Action: report.ActionRestore, Value: v.Run, Text: saysLabelRestore}}
	for _, b := range v.Buttons {
		switch b.Kind {
		case remedy.KeepSnapshot:
			row = append([]report.Press{{Action: report.ActionKeep, Value: v.Run, Text: saysLabelKeep}}, row...)
		case remedy.DeleteSnapshot:
			row = append(row, report.Press{Action: report.ActionDelete, Value: v.Run, Text: saysLabelDelete, Style: slack.StyleDanger,
				Confirm: &report.Ask{Title: saysAskDelete, Yes: saysYesDelete, No: saysLabelBack,
					Text: fmt.Sprintf(saysDeleteLoses, report.Escape(report.Plain(v.Plan.Droplet, 40)), report.Date(v.Snapshot.Done))}})
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
	return fmt.Sprintf(saysByWhom, voter(*x))
}

// restore shows how a snapshot is put back. Dropleak does not do it: what is
// lost by it is for a person to weigh.
func (c *Chat) restore(ctx context.Context, k slackapp.Click) error {
	v, err := c.o.Remedy.View(ctx, k.Value)
	if err != nil {
		return err
	}
	if v.Snapshot == nil || v.Disposal == "deleted" {
		return refusal{saysSnapshotGone}
	}
	_, err = c.o.Slack.OpenView(ctx, k.TriggerID, restoreModal(v, time.Now()))
	if errors.Is(err, slackapp.ErrExpiredTrigger) {
		return refusal{saysSlackGaveUp}
	}
	return err
}

func restoreModal(v remedy.View, now time.Time) slack.ModalViewRequest {
	droplet := report.Escape(report.Plain(v.Plan.Droplet, 60))
	lines := []string{
		fmt.Sprintf(saysRestoreHolds, report.Code(v.Snapshot.Name), droplet, report.Date(v.Snapshot.Done)),
		fmt.Sprintf(saysRestoreLoses, report.Duration(now.Sub(v.Snapshot.Done))),
		fmt.Sprintf(saysRestoreStarts, members(v)),
		fmt.Sprintf(saysRestoreDo, v.Plan.DropletID, v.Snapshot.ID),
		saysRestoreNever,
	}
	var blocks []slack.Block
	for _, l := range lines {
		blocks = append(blocks, report.Section(l))
	}
	return slack.ModalViewRequest{Type: slack.VTModal, CallbackID: callbackShown, Title: plain(saysLabelRestore), Close: plain(saysLabelClose),
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
	return c.answerTo(ctx, k, snapshotList(list))
}

func snapshotList(list []remedy.Kept) slackapp.Message {
	if len(list) == 0 {
		return say(saysNoSnapshots)
	}
	var lines []string
	var total float64
	for i, x := range list {
		if total += x.MonthlyUSD; i >= 20 {
			continue
		}
		end := saysSnapshotNewest
		switch {
		case x.Pinned != nil:
			end = "kept" + by(x.Pinned)
		case x.Doomed != nil:
			end = "goes" + by(x.Doomed)
		case !x.Expires.IsZero():
			end = fmt.Sprintf(saysSnapshotGoes, report.Date(x.Expires))
		}
		lines = append(lines, fmt.Sprintf(saysSnapshotLine, report.Date(x.Snapshot.Done), report.Code(x.Snapshot.Name),
			report.Escape(x.Plan.Title()), x.Snapshot.SizeGB, dollars(x.MonthlyUSD), end))
	}
	if more := len(list) - len(lines); more > 0 {
		lines = append(lines, fmt.Sprintf(saysAndMore, more))
	}
	return say(strings.Join(lines, "\n") + fmt.Sprintf(saysSnapshotsCost, dollars(total)))
}
