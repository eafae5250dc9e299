package chat

import (
	"context"
	"slices"
	"strings"

	"github.com/slack-go/slack"

	"github.com/dropleak/dropleak/bot/report"
	"github.com/dropleak/dropleak/bot/slackapp"
)

// rehearsalMark stands at the top of whatever is written in a rehearsal.
const rehearsalMark = saysRehearsal

// Rehearsing marks everything that is written through s as a rehearsal's.
func Rehearsing(s Slack) Slack { return rehearsing{s} }

type rehearsing struct{ Slack }

// mark puts the mark in front of a message, in its words and in each layout.
func mark(m slackapp.Message) slackapp.Message {
	m.Text = "REHEARSAL: " + m.Text
	m.Blocks = marked(m.Blocks)
	rungs := slices.Clone(m.Rungs)
	for i := range rungs {
		rungs[i] = marked(rungs[i])
	}
	m.Rungs = rungs
	return m
}

// marked puts the mark in front of blocks. Text alone has it in its words,
// and a run's own message says it where the run does.
func marked(blocks []slack.Block) []slack.Block {
	if len(blocks) == 0 || slices.ContainsFunc(blocks, isMark) {
		return blocks
	}
	return append([]slack.Block{report.Context(rehearsalMark)}, blocks...)
}

func isMark(b slack.Block) bool {
	s, ok := b.(*slack.SectionBlock)
	return ok && s.Text != nil && strings.HasPrefix(s.Text.Text, rehearsalMark)
}

// Post implements [Slack].
func (r rehearsing) Post(ctx context.Context, channel string, m slackapp.Message) (string, error) {
	return r.Slack.Post(ctx, channel, mark(m))
}

// Reply implements [Slack].
func (r rehearsing) Reply(ctx context.Context, channel, thread string, m slackapp.Message) (string, error) {
	return r.Slack.Reply(ctx, channel, thread, mark(m))
}

// Update implements [Slack].
func (r rehearsing) Update(ctx context.Context, channel, ts string, m slackapp.Message) error {
	return r.Slack.Update(ctx, channel, ts, mark(m))
}

// UpdateLater implements [Slack].
func (r rehearsing) UpdateLater(channel, ts string, m slackapp.Message) error {
	return r.Slack.UpdateLater(channel, ts, mark(m))
}

// Ephemeral implements [Slack].
func (r rehearsing) Ephemeral(ctx context.Context, channel, user string, m slackapp.Message) error {
	return r.Slack.Ephemeral(ctx, channel, user, mark(m))
}

// Respond implements [Slack].
func (r rehearsing) Respond(ctx context.Context, responseURL string, m slackapp.Message, how ...slackapp.How) error {
	return r.Slack.Respond(ctx, responseURL, mark(m), how...)
}

// OpenView implements [Slack].
func (r rehearsing) OpenView(ctx context.Context, triggerID string, v slack.ModalViewRequest) (slackapp.View, error) {
	v.Blocks.BlockSet = marked(v.Blocks.BlockSet)
	return r.Slack.OpenView(ctx, triggerID, v)
}

// UpdateView implements [Slack].
func (r rehearsing) UpdateView(ctx context.Context, old slackapp.View, v slack.ModalViewRequest) (slackapp.View, error) {
	v.Blocks.BlockSet = marked(v.Blocks.BlockSet)
	return r.Slack.UpdateView(ctx, old, v)
}

// PublishHome implements [Slack].
func (r rehearsing) PublishHome(ctx context.Context, user, hash string, v slack.HomeTabViewRequest) (slackapp.View, error) {
	v.Blocks.BlockSet = marked(v.Blocks.BlockSet)
	return r.Slack.PublishHome(ctx, user, hash, v)
}
