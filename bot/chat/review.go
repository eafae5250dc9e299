package chat

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/slack-go/slack"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/report"
	"github.com/dropleak/dropleak/bot/slackapp"
)

// callbackReview names the modal in which a finding is decided about from a
// row of the report.
const callbackReview = "review"

// elsewhere are what a modal leaves to the finding's own message: they open a
// modal themselves.
var elsewhere = []string{report.ActionDetails, report.ActionUntil, report.ActionLease, report.ActionSkip, report.ActionRestore}

// review shows what a finding's message shows, with its buttons, to whoever
// asked for it in a report.
func (c *Chat) review(ctx context.Context, k slackapp.Click) error {
	v, err := c.reviewModal(ctx, k.Value, "")
	if err != nil {
		return err
	}
	_, err = c.o.Slack.OpenView(ctx, k.TriggerID, v)
	if errors.Is(err, slackapp.ErrExpiredTrigger) {
		return refusal{saysSlackGaveUp}
	}
	return err
}

// reviewModal is a finding's message as a modal; told is the answer to what was
// just pressed there.
func (c *Chat) reviewModal(ctx context.Context, id, told string) (slack.ModalViewRequest, error) {
	f, err := c.o.Findings.Finding(ctx, id)
	if err != nil {
		return slack.ModalViewRequest{}, err
	}
	m, err := c.messageOf(ctx, f)
	if err != nil {
		return slack.ModalViewRequest{}, err
	}
	return reviewModal(f, m.Blocks, told, c.o.Channel), nil
}

// messageOf is what the message says in which a finding stands.
func (c *Chat) messageOf(ctx context.Context, f finding.Finding) (slackapp.Message, error) {
	if f.Incident == "" {
		return c.render(ctx, f)
	}
	members, err := c.o.Findings.Findings(ctx, finding.Filter{Incident: f.Incident})
	if err != nil {
		return slackapp.Message{}, err
	}
	return c.renderIncident(ctx, f.Incident, members)
}

func reviewModal(f finding.Finding, blocks []slack.Block, told, channel string) slack.ModalViewRequest {
	var out []slack.Block
	if told != "" {
		out = append(out, report.Section(told))
	}
	for _, b := range blocks {
		if b = decided(b); b != nil {
			out = append(out, b)
		}
	}
	out = append(out, report.Context(fmt.Sprintf(saysMoreInMessage, channel)))
	return slack.ModalViewRequest{Type: slack.VTModal, CallbackID: callbackReview, PrivateMetadata: f.ID, Title: plain(saysAskDecide), Close: plain(saysLabelClose),
		Blocks: slack.Blocks{BlockSet: out}}
}

// decided is a block with the buttons alone that decide by themselves; nil
// where nothing is left of it.
func decided(b slack.Block) slack.Block {
	switch b := b.(type) {
	case *slack.SectionBlock:
		if b.Accessory == nil {
			return b
		}
		bare := *b
		bare.Accessory = nil
		return &bare
	case *slack.ActionBlock:
		var left []slack.BlockElement
		for _, e := range b.Elements.ElementSet {
			if e = deciding(e); e != nil {
				left = append(left, e)
			}
		}
		if len(left) == 0 {
			return nil
		}
		return slack.NewActionBlock("", left...)
	case *slack.ImageBlock:
		return nil // one that is not ready would keep the modal from opening
	}
	return b
}

func deciding(e slack.BlockElement) slack.BlockElement {
	switch e := e.(type) {
	case *slack.ButtonBlockElement:
		if slices.Contains(elsewhere, e.ActionID) {
			return nil
		}
	case *slack.OverflowBlockElement:
		less := *e
		less.Options = slices.DeleteFunc(slices.Clone(e.Options), func(o *slack.OptionBlockObject) bool {
			action, _, _ := strings.Cut(o.Value, ":")
			return slices.Contains(elsewhere, action)
		})
		if len(less.Options) == 0 {
			return nil
		}
		return &less
	}
	return e
}

// reviewed shows in the modal what is true after a click there, so that its
// buttons do not outlive what they decide. Of the answer and the mere look
// again the first that comes is kept: it has the modal's hash.
func (c *Chat) reviewed(ctx context.Context, k slackapp.Click, told string) error {
	v, err := c.reviewModal(ctx, k.Metadata, told)
	if err != nil {
		return err
	}
	_, err = c.o.Slack.UpdateView(ctx, slackapp.View{ID: k.ViewID, Hash: k.ViewHash}, v)
	var refused *slackapp.Error
	if errors.Is(err, slackapp.ErrHashConflict) || errors.As(err, &refused) && refused.Code == "not_found" {
		return nil // answered already, or closed meanwhile
	}
	return err
}
