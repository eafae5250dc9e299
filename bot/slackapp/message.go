package slackapp

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/slack-go/slack"
)

// Message is what stands in a channel. Text is required: it is the notification,
// what a screen reader says, and the last rung of the ladder.
type Message struct {
	Text   string
	Blocks []slack.Block
	// Rungs are plainer layouts of the same message, tried in turn when Slack
	// refuses Blocks. After the last comes Text alone.
	Rungs [][]slack.Block
	// Broadcast shows a thread reply in the channel too.
	Broadcast bool
}

// Slack cuts a posted text at 40,000 characters and refuses an updated one above 4,000.
const (
	maxPostText   = 40000
	maxUpdateText = 4000
)

// target is where a message goes: a new one, one in a thread, one for a single
// person, or in place of ts.
type target struct {
	method              string
	channel, ts, thread string
	user                string
}

// Post writes a new message and returns its timestamp, which with the channel is
// its name. Slack has no way to make this happen only once: after ErrUnclear the
// message may stand there.
func (a *App) Post(ctx context.Context, channel string, m Message) (ts string, err error) {
	return a.send(ctx, target{method: "chat.postMessage", channel: channel}, m)
}

// Reply writes into a message's thread.
func (a *App) Reply(ctx context.Context, channel, thread string, m Message) (ts string, err error) {
	return a.send(ctx, target{method: "chat.postMessage", channel: channel, thread: thread}, m)
}

// Ephemeral shows a message to one member of the channel, for the moment.
func (a *App) Ephemeral(ctx context.Context, channel, user string, m Message) error {
	_, err := a.send(ctx, target{method: "chat.postEphemeral", channel: channel, user: user}, m)
	return err
}

// Update puts m in place of a message and returns when m, or a newer state given
// meanwhile, stands there. When ctx ends first, m is still going to be written.
// ErrGone asks for a new message.
func (a *App) Update(ctx context.Context, channel, ts string, m Message) error {
	if err := m.check(); err != nil {
		return err
	}
	return a.updates.put(ctx, channel, ts, m)
}

// UpdateLater is Update without the wait, for progress: an error is logged, and
// the next Update of the message meets it again.
func (a *App) UpdateLater(channel, ts string, m Message) error {
	if err := m.check(); err != nil {
		return err
	}
	return a.updates.later(channel, ts, m)
}

// Delete removes a message of ours.
func (a *App) Delete(ctx context.Context, channel, ts string) error {
	return a.call(ctx, request{method: "chat.delete", repeatable: true}, func(ctx context.Context) error {
		_, _, err := a.api.DeleteMessageContext(ctx, channel, ts)
		return err
	})
}

func (m Message) check() error {
	if strings.TrimSpace(m.Text) == "" {
		return errors.New("slack message without text")
	}
	return nil
}

// send writes m in the richest layout that Slack takes.
func (a *App) send(ctx context.Context, t target, m Message) (ts string, err error) {
	err = a.climbDown(ctx, t, m, func(blocks []slack.Block) (string, error) {
		ts, err = a.sendOnce(ctx, t, m, blocks)
		return ts, err
	})
	return ts, err
}

func (a *App) sendOnce(ctx context.Context, t target, m Message, blocks []slack.Block) (ts string, err error) {
	r := request{method: t.method}
	limit := maxPostText
	// The blocks are always sent, empty ones too: an update without them would
	// leave the old ones, and their buttons, to the client's discretion.
	opts := []slack.MsgOption{slack.MsgOptionBlocks(blocks...)}
	switch t.method {
	case "chat.update":
		limit, r.repeatable = maxUpdateText, true
		opts = append(opts, slack.MsgOptionUpdate(t.ts))
	case "chat.postEphemeral":
		opts = append(opts, slack.MsgOptionPostEphemeral(t.user))
	default:
		r.channel = t.channel
		opts = append(opts, slack.MsgOptionPost(),
			slack.MsgOptionDisableLinkUnfurl(), slack.MsgOptionDisableMediaUnfurl())
		if t.thread != "" {
			opts = append(opts, slack.MsgOptionTS(t.thread))
		}
		if t.thread != "" && m.Broadcast {
			opts = append(opts, slack.MsgOptionBroadcast())
		}
	}
	opts = append(opts, slack.MsgOptionText(cut(m.Text, limit), false))
	err = a.call(ctx, r, func(ctx context.Context) error {
		_, ts, _, err = a.api.SendMessageContext(ctx, t.channel, opts...)
		return err
	})
	if err != nil {
		return "", fmt.Errorf("write to %s: %w", t.channel, err)
	}
	return ts, nil
}

// cut shortens s to n characters, the last of them then an ellipsis.
func cut(s string, n int) string {
	if utf8.RuneCountInString(s) <= n {
		return s
	}
	r := []rune(s)
	return string(r[:n-1]) + "…"
}
