package chat

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/slack-go/slack"

	"github.com/dropleak/dropleak/bot/remedy"
	"github.com/dropleak/dropleak/bot/report"
	"github.com/dropleak/dropleak/bot/schedule"
	"github.com/dropleak/dropleak/bot/slackapp"
)

// leaseBlocks say what a lease allows, what was made of it, and how it ended.
func leaseBlocks(v remedy.View) []slack.Block {
	l := v.Lease
	if l == nil {
		return nil
	}
	text := fmt.Sprintf(saysLeaseStands,
		report.Date(l.Terms.Until), granters(l), report.Duration(l.Terms.Below), l.Used, l.Terms.Most)
	if l.End == "" && l.Used == 0 {
		text += saysLeaseSnapshotFirst
	}
	if l.Snapshot != nil && l.End == "" {
		text += fmt.Sprintf(saysLeaseSnapshot, report.Code(l.Snapshot.Name))
	}
	out := []slack.Block{report.Section(text)}
	switch {
	case l.End != "":
		out = []slack.Block{report.Section(leaseEnd(l))}
	case l.Revoked != nil:
		out = append(out, report.Context(fmt.Sprintf(saysLeaseRevoking, report.Mention(l.Revoked.By))))
	}
	for _, b := range v.Buttons {
		if b.Kind == remedy.Revoke {
			out = append(out, report.Buttons(nil, report.Press{Action: report.ActionRevoke, Value: l.ID, Text: saysLabelRevoke}))
		}
	}
	return out
}

func granters(l *remedy.Lease) string {
	s := ""
	for i, v := range l.By {
		if i > 0 {
			s += ", "
		}
		s += report.Mention(v.By)
	}
	return s
}

// leaseEnd says how a lease ended, and that nobody keeps the worker alive any
// more.
func leaseEnd(l *remedy.Lease) string {
	used := fmt.Sprintf(saysLeaseUsed, l.Used, l.Terms.Most)
	switch l.End {
	case remedy.LeaseOver:
		return fmt.Sprintf(saysLeaseTimeCame, used)
	case remedy.LeaseUsedUp:
		return fmt.Sprintf(saysLeaseUsedUp, used)
	case remedy.LeaseRevoked:
		who := ""
		if l.Revoked != nil {
			who = fmt.Sprintf(saysLeaseBy, report.Mention(l.Revoked.By))
		}
		return fmt.Sprintf(saysLeaseRevoked, who, used)
	}
	return fmt.Sprintf(saysLeaseEnded, report.Said(orElse(l.Why, saysLeaseUnclear)), used)
}

// leaseOver reports whether the lease that a run granted or belongs to has
// ended.
func leaseOver(v remedy.View) bool {
	return v.Lease != nil && v.Lease.End != "" && (v.Outcome == remedy.Leased || v.ByLease == v.Lease.ID)
}

// loudLease reports whether a lease's end leaves something to do.
func loudLease(l *remedy.Lease) bool {
	return l != nil && l.End != "" && l.End != remedy.LeaseOver && l.End != remedy.LeaseRevoked
}

// Names within the modal that asks for the terms of a lease.
const (
	callbackLease = "lease"
	inputBelow    = "below"
	inputMost     = "most"
)

// askTerms opens the question on what terms a worker is to be kept alive.
func (c *Chat) askTerms(ctx context.Context, k slackapp.Click) error {
	v, err := c.o.Remedy.View(ctx, k.Value)
	if err != nil {
		return err
	}
	_, err = c.o.Slack.OpenView(ctx, k.TriggerID, leaseModal(v, c.morning(time.Now())))
	if errors.Is(err, slackapp.ErrExpiredTrigger) {
		return refusal{saysSlackGaveUp}
	}
	return err
}

// morning is the next eight o'clock of the reports' zone.
func (c *Chat) morning(now time.Time) time.Time {
	zone := c.o.Zone
	if zone == nil {
		zone = time.UTC
	}
	l := now.In(zone)
	at := time.Date(l.Year(), l.Month(), l.Day(), 8, 0, 0, 0, zone)
	if !at.After(now) {
		at = time.Date(l.Year(), l.Month(), l.Day()+1, 8, 0, 0, 0, zone)
	}
	return at
}

func leaseModal(v remedy.View, morning time.Time) slack.ModalViewRequest {
	lead := fmt.Sprintf(saysLeaseMeans, report.Escape(report.Plain(v.Title(), 120)))
	below := slack.NewPlainTextInputBlockElement(nil, inputBelow)
	below.InitialValue = "30m"
	until := slack.NewDateTimePickerBlockElement(inputUntil)
	until.InitialDateTime = morning.Unix()
	most := slack.NewPlainTextInputBlockElement(nil, inputMost)
	most.InitialValue = "3"
	return slack.ModalViewRequest{Type: slack.VTModal, CallbackID: callbackLease, PrivateMetadata: v.Run,
		Title: plain(saysAskLease), Submit: plain(saysYesGrant), Close: plain(saysLabelBack),
		Blocks: slack.Blocks{BlockSet: []slack.Block{report.Section(lead),
			slack.NewInputBlock(inputBelow, plain(saysLabelLeaseBelow), plain(saysHintLeaseBelow), below),
			slack.NewInputBlock(inputUntil, plain(saysLabelUntil), nil, until),
			slack.NewInputBlock(inputMost, plain(saysLabelLeaseTimes), nil, most)}}}
}

// grant acts on that modal. Whether the terms are sensible is the remedy's to
// say.
func (c *Chat) grant(ctx context.Context, in slackapp.Envelope, s slackapp.Submission) error {
	below, err := schedule.ParseDuration(s.State.Get(inputBelow))
	if err != nil {
		return refusal{saysLeaseHowMuch}
	}
	most, err := strconv.Atoi(s.State.Get(inputMost))
	if err != nil {
		return refusal{saysLeaseHowMany}
	}
	sec, err := strconv.ParseInt(s.State.Get(inputUntil), 10, 64)
	if err != nil {
		return refusal{saysLeaseUntilWhen}
	}
	terms := remedy.Terms{Below: c.o.Scale.Real(below), Until: time.Unix(sec, 0).UTC(), Most: most}
	return c.decide(ctx, in, s.Who, s.Metadata, remedy.Decision{Kind: remedy.Grant, Terms: &terms})
}
