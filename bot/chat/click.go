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

// quiet is how long "Not now" lasts.
const quiet = 4 * time.Hour

// click acts on a button. Whether the clicker may decide on a run is the
// remedy's to say, which also writes refusals down.
func (c *Chat) click(ctx context.Context, in slackapp.Envelope, k slackapp.Click) error {
	err := c.pressed(ctx, in, k)
	if err == nil && k.CallbackID == callbackReview {
		return c.reviewed(ctx, k, "")
	}
	return err
}

func (c *Chat) pressed(ctx context.Context, in slackapp.Envelope, k slackapp.Click) error {
	if k.ActionID == report.ActionMore {
		k.ActionID, k.Value, _ = strings.Cut(k.Value, ":")
	}
	k.ActionID, _, _ = strings.Cut(k.ActionID, ":") // what tells those of a row apart
	if done, err := c.clickRollout(ctx, in, k); done {
		return err
	}
	switch k.ActionID {
	case report.ActionRestart:
		return c.decide(ctx, in, k.Who, k.Value, remedy.Decision{Kind: remedy.Approve})
	case report.ActionCancel:
		return c.decide(ctx, in, k.Who, k.Value, remedy.Decision{Kind: remedy.Cancel})
	case report.ActionKeep:
		return c.decide(ctx, in, k.Who, k.Value, remedy.Decision{Kind: remedy.KeepSnapshot})
	case report.ActionDelete:
		return c.decide(ctx, in, k.Who, k.Value, remedy.Decision{Kind: remedy.DeleteSnapshot})
	case report.ActionRevoke:
		return c.decide(ctx, in, k.Who, k.Value, remedy.Decision{Kind: remedy.Revoke})
	case report.ActionSkip:
		return c.askReason(ctx, k)
	case report.ActionQuiet:
		return c.decide(ctx, in, k.Who, k.Value, remedy.Decision{Kind: remedy.Later})
	case report.ActionNotNow:
		return c.setAside(ctx, in, k.Who, k.Value, remedy.NotNow, time.Now().Add(c.o.Scale.Real(quiet)))
	case report.ActionUntilWorse:
		return c.setAside(ctx, in, k.Who, k.Value, remedy.NotNow, time.Time{})
	case report.ActionFalseAlarm:
		return c.setAside(ctx, in, k.Who, k.Value, remedy.FalseAlarm, time.Time{})
	}
	if err := c.mayAsk(ctx, k.Who); err != nil {
		return err
	}
	switch k.ActionID {
	case report.ActionLease:
		return c.askTerms(ctx, k)
	case report.ActionUntil:
		return c.askUntil(ctx, k)
	case report.ActionRestore:
		return c.restore(ctx, k)
	case report.ActionReview:
		return c.review(ctx, k)
	case report.ActionDetails:
		return c.details(ctx, k)
	case report.ActionAskAgain:
		return c.propose(ctx, k.Value, k.User)
	case report.ActionUnmute:
		return c.Unmute(ctx, k.Value, remedy.Decision{By: k.User, Team: k.Team})
	case report.ActionOffer:
		line, err := c.worker(ctx, k.Value)
		if err != nil {
			return err
		}
		words, err := c.offerRestart(ctx, line, k.User)
		if err == nil {
			c.tell(ctx, in, words)
		}
		return err
	case report.ActionChoice:
		return c.chosen(ctx, k)
	case report.ActionWorker:
		return c.aboutWorker(ctx, k.Value, k.ResponseURL, k.Channel, k.User)
	}
	c.o.Log.Warn("a button nobody knows", "action", k.ActionID)
	return refusal{saysButtonOld}
}

// decide hands a decision on a run to the remedy.
func (c *Chat) decide(ctx context.Context, in slackapp.Envelope, who slackapp.Who, run string, d remedy.Decision) error {
	d.By, d.Team, d.Envelope = who.User, who.Team, in.ID
	a, err := c.o.Remedy.Decide(ctx, run, d)
	if err != nil {
		return err
	}
	c.answered(ctx, in, who, a)
	return nil
}

// answered tells whoever decided what came of it.
func (c *Chat) answered(ctx context.Context, in slackapp.Envelope, who slackapp.Who, a remedy.Answer) {
	if words := answerWords(a, who.User); words != "" {
		c.tell(ctx, in, words)
	}
}

// answerWords is what to tell a user about the answer to their decision.
func answerWords(a remedy.Answer, user string) string {
	words := report.Said(a.Words)
	if a.Accepted {
		return words
	}
	words = ":no_entry: " + words
	if no := a.Refusal; no != nil && no.By != "" && no.By != user {
		words += fmt.Sprintf(saysItWas, report.Mention(no.By))
	}
	return words
}

// setAside is "not now" and "false alarm" as buttons: see [Chat.SetAside].
func (c *Chat) setAside(ctx context.Context, in slackapp.Envelope, who slackapp.Who, id string, kind remedy.Kind, until time.Time) error {
	a, err := c.SetAside(ctx, id, remedy.Decision{By: who.User, Team: who.Team, Envelope: in.ID, Kind: kind, Until: until})
	if err != nil {
		return err
	}
	c.answered(ctx, in, who, a)
	return nil
}

// SetAside takes NotNow or FalseAlarm about a finding: a decision on the live
// run where there is one, else on the finding itself. A zero Until is until it
// gets worse.
func (c *Chat) SetAside(ctx context.Context, id string, d remedy.Decision) (remedy.Answer, error) {
	f, err := c.o.Findings.Finding(ctx, id)
	if err != nil {
		return remedy.Answer{}, err
	}
	run, err := c.runOf(ctx, f)
	if err != nil {
		return remedy.Answer{}, err
	}
	// To call it a false alarm takes an approver, also on a stale message.
	if run != nil && (run.Outcome == "" || d.Kind == remedy.FalseAlarm) {
		return c.o.Remedy.Decide(ctx, run.Run, d)
	}
	if err := c.mayHide(ctx, d, f.Subject); err != nil {
		return remedy.Answer{}, err
	}
	return remedy.Answer{Accepted: true}, c.alter(ctx, id, Note{Who: d.By, What: string(d.Kind), Why: d.Journal()}, func(f *finding.Finding) error {
		if d.Kind == remedy.FalseAlarm {
			return f.Dismiss(d.By, d.Reason, time.Now())
		}
		return f.Mute(d.By, d.Until, time.Now())
	})
}

// Unmute opens a muted finding again, on the word of any full member.
func (c *Chat) Unmute(ctx context.Context, id string, d remedy.Decision) error {
	if err := c.mayAsk(ctx, slackapp.Who{User: d.By, Team: d.Team}); err != nil {
		return err
	}
	return c.alter(ctx, id, Note{Who: d.By, What: "unmute", Why: d.Journal()}, func(f *finding.Finding) error {
		return f.Unmute(d.By, time.Now())
	})
}

// mayHide refuses who may not mute or dismiss a finding: both keep a leak from those who would act on it. A refusal is written down, as those at
// runs are.
func (c *Chat) mayHide(ctx context.Context, d remedy.Decision, sub finding.Subject) error {
	err := c.mayAsk(ctx, slackapp.Who{User: d.By, Team: d.Team})
	if err != nil || c.o.AnyoneMutes && d.Kind == remedy.NotNow {
		return err
	}
	err = c.o.Standing.Approver(ctx, d.By, d.Team)
	var no *remedy.Refusal
	if errors.As(err, &no) {
		why := remedy.Decision{Reason: no.Error(), Via: d.Via}.Journal()
		return errors.Join(err, c.o.Audit(ctx, Note{Who: d.By, What: "refusal", Subject: string(d.Kind) + " " + sub.Title(), Why: why}))
	}
	return err
}

// alter changes a finding on a person's word, writes it down and shows it. The
// rest of the note is filled in.
func (c *Chat) alter(ctx context.Context, id string, n Note, fn func(*finding.Finding) error) error {
	var before finding.State
	f, err := finding.Change(ctx, c.o.Findings, id, func(f *finding.Finding) error {
		before = f.State
		return fn(f)
	})
	if err != nil {
		return err
	}
	n.Subject, n.Before, n.After = f.Subject.Title(), string(before), string(f.State)
	if err := c.o.Audit(ctx, n); err != nil {
		return err
	}
	return c.refresh(ctx, f.ID, true)
}

// askReason opens the question why no snapshot is wanted. The reasons are the
// run's own; typing is optional.
func (c *Chat) askReason(ctx context.Context, k slackapp.Click) error {
	v, err := c.o.Remedy.View(ctx, k.Value)
	if err != nil {
		return err
	}
	for _, b := range v.Buttons {
		if b.Kind == remedy.Skip {
			_, err := c.o.Slack.OpenView(ctx, k.TriggerID, skipModal(v, b.Reasons))
			if errors.Is(err, slackapp.ErrExpiredTrigger) {
				return refusal{saysSlackGaveUp}
			}
			return err
		}
	}
	return refusal{saysTooLateToSkip}
}

// Names within the modals.
const (
	callbackSkip  = "skip_reason"
	inputReason   = "reason"
	inputRemark   = "remark"
	callbackShown = "shown"
)

func skipModal(v remedy.View, reasons []string) slack.ModalViewRequest {
	remark := slack.NewInputBlock(inputRemark, plain(saysHintReason), nil, slack.NewPlainTextInputBlockElement(nil, inputRemark))
	blocks := []slack.Block{report.Section(fmt.Sprintf(saysSkipMeans, report.Escape(v.Title())))}
	if len(reasons) > 0 {
		var options []*slack.OptionBlockObject
		for _, r := range reasons {
			options = append(options, slack.NewOptionBlockObject(report.Plain(r, 75), plain(report.Plain(r, 75)), nil))
		}
		choice := slack.NewOptionsSelectBlockElement(slack.OptTypeStatic, nil, inputReason, options...)
		choice.InitialOption = options[0]
		blocks = append(blocks, slack.NewInputBlock(inputReason, plain(saysLabelWhy), nil, choice))
		remark.Optional = true
	}
	return slack.ModalViewRequest{Type: slack.VTModal, CallbackID: callbackSkip, PrivateMetadata: v.Run,
		Title: plain(saysAskSkip), Submit: plain(saysYesSkip), Close: plain(saysLabelBack),
		Blocks: slack.Blocks{BlockSet: append(blocks, remark)}}
}

func plain(s string) *slack.TextBlockObject {
	return slack.NewTextBlockObject(slack.PlainTextType, s, false, false)
}

// submission acts on a modal sent in.
func (c *Chat) submission(ctx context.Context, in slackapp.Envelope, s slackapp.Submission) error {
	switch s.CallbackID {
	case callbackMute:
		return c.muteUntil(ctx, in, s)
	case callbackLease:
		return c.grant(ctx, in, s)
	case callbackSkip:
	default:
		return nil
	}
	reason := s.State.Get(inputReason)
	if remark := report.Plain(s.State.Get(inputRemark), 300); remark != "" {
		reason = strings.TrimPrefix(reason+": "+remark, ": ")
	}
	return c.decide(ctx, in, s.Who, s.Metadata, remedy.Decision{Kind: remedy.Skip, Reason: reason})
}

// details shows the evidence, then the advice beneath it: in a modal, or to
// the clicker alone when Slack gave up waiting for one.
func (c *Chat) details(ctx context.Context, k slackapp.Click) error {
	f, err := c.o.Findings.Finding(ctx, k.Value)
	if err != nil {
		return err
	}
	view, err := c.o.Slack.OpenView(ctx, k.TriggerID, detailsModal(f, advising(f)))
	if err == nil {
		if advising(f) == nil {
			return nil
		}
		_, err = c.o.Slack.UpdateView(ctx, view, detailsModal(f, c.advice(ctx, f)))
		var refused *slackapp.Error
		if errors.As(err, &refused) && refused.Code == "not_found" {
			return nil // closed meanwhile
		}
		return err
	}
	c.o.Log.Info("details go to the clicker instead of a modal", "err", err)
	blocks := detailsModal(f, c.advice(ctx, f)).Blocks.BlockSet
	return c.respond(ctx, k.ResponseURL, k.Channel, k.User, slackapp.Message{Text: report.Escape(report.Headline(f, f.LastSeen)), Blocks: blocks[:len(blocks)-pictures(blocks)]})
}

// detailsModal is the evidence behind a finding, and the advice about it.
func detailsModal(f finding.Finding, advice []slack.Block) slack.ModalViewRequest {
	blocks := append([]slack.Block{report.Section("*" + report.Escape(report.Headline(f, f.LastSeen)) + "*")}, report.Details(f)...)
	blocks = append(blocks, advice...)
	if f.Picture != "" {
		blocks = append(blocks, report.Picture(f.Picture, report.Alt(f, f.LastSeen)))
	}
	return slack.ModalViewRequest{Type: slack.VTModal, CallbackID: callbackShown, Title: plain(saysLabelWhy), Close: plain(saysLabelClose),
		Blocks: slack.Blocks{BlockSet: blocks}}
}

// pictures counts the pictures at the end; a response address cannot show
// them.
func pictures(blocks []slack.Block) int {
	if n := len(blocks); n > 0 && blocks[n-1].BlockType() == slack.MBTImage {
		return 1
	}
	return 0
}
