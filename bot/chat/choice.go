package chat

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/slack-go/slack"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/remedy"
	"github.com/dropleak/dropleak/bot/report"
	"github.com/dropleak/dropleak/bot/slackapp"
)

// later is the button that approves for the quiet window. Its text is plain,
// so the moment is said in the zone of the quiet hours; the dialog says it in
// the reader's.
func later(v remedy.View, at time.Time) report.Press {
	ask := confirm(v)
	ask.Title, ask.Yes = saysAskWindow, saysYesWindow
	ask.Text = fmt.Sprintf(saysWindowOpens, report.Date(at), ask.Text)
	return report.Press{Action: report.ActionQuiet, Value: v.Run, Text: fmt.Sprintf(saysAt, at.Format("15:04 MST")), Confirm: ask}
}

// waitsTooLong reports whether memory runs out before a run begins that was
// approved for later: skipping its snapshot would not help.
func waitsTooLong(v remedy.View) bool {
	return !v.Opens.IsZero() && !v.Exhausts.IsZero() && v.Exhausts.Before(v.Opens)
}

// waiting says when a run that was approved for later will act.
func waiting(v remedy.View) []slack.Block {
	if v.Opens.IsZero() {
		return nil
	}
	return []slack.Block{report.Section(fmt.Sprintf(saysWaitsFor, report.Date(v.Opens)))}
}

// Names within the modal that asks how long to be quiet.
const (
	callbackMute = "mute_until"
	inputUntil   = "until"
)

// askUntil opens the question until when to be quiet.
func (c *Chat) askUntil(ctx context.Context, k slackapp.Click) error {
	f, err := c.o.Findings.Finding(ctx, k.Value)
	if err != nil {
		return err
	}
	_, err = c.o.Slack.OpenView(ctx, k.TriggerID, untilModal(f, time.Now().Add(c.o.Scale.Real(quiet))))
	if errors.Is(err, slackapp.ErrExpiredTrigger) {
		return refusal{saysSlackGaveUp}
	}
	return err
}

func untilModal(f finding.Finding, suggest time.Time) slack.ModalViewRequest {
	at := slack.NewDateTimePickerBlockElement(inputUntil)
	at.InitialDateTime = suggest.Truncate(time.Minute).Unix()
	lead := fmt.Sprintf(saysQuietUntil, report.Escape(report.Plain(f.Subject.Title(), 120)))
	if x := f.Verdict.Exhaustion; x != nil && !x.Expected.IsZero() {
		lead += fmt.Sprintf(saysForecastRunsOut, report.Date(x.Expected))
	}
	return slack.ModalViewRequest{Type: slack.VTModal, CallbackID: callbackMute, PrivateMetadata: f.ID,
		Title: plain(saysLabelNotNow), Submit: plain(saysYesQuiet), Close: plain(saysLabelBack),
		Blocks: slack.Blocks{BlockSet: []slack.Block{report.Section(lead), slack.NewInputBlock(inputUntil, plain(saysLabelUntil), nil, at)}}}
}

// muteUntil acts on that modal.
func (c *Chat) muteUntil(ctx context.Context, in slackapp.Envelope, s slackapp.Submission) error {
	sec, err := strconv.ParseInt(s.State.Get(inputUntil), 10, 64)
	until := time.Unix(sec, 0)
	if err != nil || !until.After(time.Now()) {
		return refusal{saysTimePassed}
	}
	return c.setAside(ctx, in, s.Who, s.Metadata, remedy.NotNow, until)
}

// reminder says that nobody has answered, and how little time is left. The
// last one calls others.
func (c *Chat) reminder(v remedy.View) string {
	left := saysHalfGone
	switch v.Reminded {
	case remedy.AtQuarter:
		left = saysQuarterLeft
	case remedy.Escalated:
		left = saysHardlyLeft
	}
	text := fmt.Sprintf(saysReminder, report.Escape(v.Title()), left, report.Date(v.Exhausts))
	if v.Reminded == remedy.Escalated && c.o.Escalation != "" {
		text = report.Mention(c.o.Escalation) + " " + text
	}
	return text
}
