package chat

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/remedy"
	"github.com/dropleak/dropleak/bot/report"
	"github.com/dropleak/dropleak/bot/slackapp"
)

// The thread below a message is the log of its run or rolling restart.
//
// What was told last in the thread of a run or a rolling restart is remembered
// in the store, so that neither a new process nor another replica tells it
// again, and here, so that the store is asked only at news.

const maxSteps = 1000 // runs whose last line is remembered here

// told returns the mark of what was told last about a run, "" for nothing.
// known is what this process told.
func (c *Chat) told(ctx context.Context, run, mark string) (string, error) {
	c.mu.Lock()
	known := c.steps[run]
	c.mu.Unlock()
	if known == mark || c.o.Cursors == nil {
		return known, nil
	}
	kept, err := c.o.Cursors.Cursor(ctx, threadOf(run))
	if err != nil || kept == "" {
		return known, err
	}
	return kept, nil
}

// setTold remembers that a mark is told; aloud: that a line of it stands in the
// thread. Where it cannot be kept it is told twice rather than never.
func (c *Chat) setTold(ctx context.Context, run, mark string, aloud bool) {
	c.mu.Lock()
	if len(c.steps) >= maxSteps {
		clear(c.steps)
	}
	c.steps[run] = mark
	c.mu.Unlock()
	if !aloud || c.o.Cursors == nil {
		return
	}
	if err := c.o.Cursors.SetCursor(context.WithoutCancel(ctx), threadOf(run), mark); err != nil {
		c.o.Log.Warn("remember what a thread was told", "run", run, "err", err)
	}
}

// threadOf names the cursor of a run's thread.
func threadOf(run string) string { return "thread/" + run }

// log writes into the thread what a person scrolling back wants to find: who
// approved, and how it ended, with the evidence that the restart destroyed.
func (c *Chat) log(ctx context.Context, v remedy.View) error {
	mark := v.Step
	if v.Outcome != "" {
		mark = string(v.Outcome)
	}
	news, late := v.Ended, oldNews
	lasted, err := c.lasted(ctx, v)
	switch {
	case err != nil:
		return err
	case v.Relapse != nil:
		mark, news = mark+" relapse", v.Relapse.At
	case lasted != nil:
		mark, news = mark+"-lasted", lasted.Closed
	}
	unanswered := v.Settled == nil && v.Outcome == ""
	if unanswered {
		mark, news, late = fmt.Sprint("reminder ", v.Reminded), v.Rang, oldBell
	}
	told := mark
	if leaseOver(v) {
		mark, news = mark+" lease "+string(v.Lease.End), v.Lease.Ended
	}
	if unanswered && v.Reminded == remedy.NoReminder || !news.IsZero() && time.Since(news) > late {
		return nil
	}
	old, err := c.told(ctx, v.Run, mark)
	if err != nil || old == mark {
		return err
	}
	f, err := c.o.Findings.Finding(ctx, v.Finding)
	if err != nil || f.MessageTS == "" {
		return err
	}
	text := logLine(v)
	if lasted != nil {
		text = stays(*lasted, v)
	}
	if f.Incident != "" && text != "" { // its thread tells of many
		text = "*" + report.Escape(v.Title()) + "*: " + text
	}
	switch {
	case unanswered:
		text = c.reminder(v)
	case leaseOver(v) && old == told:
		text = leaseEnd(v.Lease)
	case leaseOver(v):
		text += "\n" + leaseEnd(v.Lease)
	}
	if text != "" {
		err := c.reply(ctx, f, v, say(text))
		if err != nil {
			return err
		}
	}
	c.setTold(ctx, v.Run, mark, text != "")
	return nil
}

const (
	oldBell = 15 * time.Minute // nor a reminder, which rings in the channel
	oldNews = 24 * time.Hour   // an end that nobody told of meanwhile is told of no more
)

// reply writes into the finding's thread; what a person must look at is shown
// in the channel too. When somebody deleted the message, a new one begins a
// new thread.
func (c *Chat) reply(ctx context.Context, f finding.Finding, v remedy.View, m slackapp.Message) error {
	m.Broadcast = loud(v.Outcome) || loudLease(v.Lease) || v.Settled == nil && v.Outcome == ""
	_, err := c.o.Slack.Reply(ctx, f.Channel, f.MessageTS, m)
	if !errors.Is(err, slackapp.ErrGone) {
		return err
	}
	if err := c.show(ctx, f.ID, true); err != nil {
		return err
	}
	if f, err = c.o.Findings.Finding(ctx, f.ID); err != nil {
		return err
	}
	_, err = c.o.Slack.Reply(ctx, f.Channel, f.MessageTS, m)
	return err
}

func logLine(v remedy.View) string {
	switch {
	case v.Relapse != nil:
		return relapse(v)
	case v.Outcome != "":
		text := icon(v.Outcome) + " " + report.Escape(sentence(v.Outcome.Words())) + whyOf(v)
		if v.Settled != nil && began(v) {
			text = voters(v) + ": " + text
		}
		if v.Evidence != nil {
			text += "\n" + evidence(v)
		}
		return text
	case v.Step == "line" && v.Only:
		return fmt.Sprintf(saysSnapshotApproved, voters(v))
	case v.Step == "line":
		return fmt.Sprintf(saysApproved, voters(v))
	case v.Step == "snapshot":
		return fmt.Sprintf(saysSnapshotTaken, report.Code(v.SnapshotName))
	case v.Step == "restart":
		return fmt.Sprintf(saysOrderGoes, atLast(v.OnHand))
	}
	return ""
}

// evidence says what the worker held before it was restarted.
func evidence(v remedy.View) string {
	var lines []string
	for _, p := range v.Evidence.Processes[:min(len(v.Evidence.Processes), 8)] {
		line := fmt.Sprintf(saysEvidenceLine, report.Escape(p.Role), p.PID, report.Bytes(float64(p.Memory["heap"])), report.Bytes(float64(p.Memory["anonymous"])))
		files := 0
		for _, n := range p.Files {
			files += n
		}
		lines = append(lines, fmt.Sprintf(saysEvidenceCounts, line, files, p.Threads))
	}
	return fmt.Sprintf(saysEvidenceBefore, strings.Join(lines, "\n"), heap(v.Evidence.Heap))
}

// logRollout writes the news of a rolling restart into the incident's thread;
// reminders and what a person must look at are shown in the channel too.
func (c *Chat) logRollout(ctx context.Context, v remedy.RolloutView) error {
	mark, text, news, late := "", "", time.Time{}, oldNews
	switch {
	case v.End != "":
		mark, text, news = "end "+string(v.End), rolloutEnd(v), v.Ended
	case v.Settled != nil:
		mark, text = "approved", fmt.Sprintf(saysRolloutApprovedBy, rollVoters(v))
	case v.Reminded != remedy.NoReminder:
		mark, news, late = fmt.Sprint("reminder ", v.Reminded), v.Rang, oldBell
		text = c.reminder(remedy.View{Reminded: v.Reminded, Exhausts: v.Exhausts, Plan: v.Turns[0].Plan})
	}
	if mark == "" || !news.IsZero() && time.Since(news) > late {
		return nil
	}
	if old, err := c.told(ctx, v.ID, mark); err != nil || old == mark {
		return err
	}
	members, err := c.o.Findings.Findings(ctx, finding.Filter{Incident: v.Incident})
	if err != nil {
		return err
	}
	place := placeOf(members)
	if place.MessageTS == "" {
		return nil
	}
	m := say(text)
	m.Broadcast = v.End == remedy.RolloutHalted || v.Settled == nil && v.End == ""
	if _, err := c.o.Slack.Reply(ctx, place.Channel, place.MessageTS, m); err != nil && !errors.Is(err, slackapp.ErrGone) {
		return err
	}
	c.setTold(ctx, v.ID, mark, true)
	return nil
}
