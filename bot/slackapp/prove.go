package slackapp

import (
	"context"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/slack-go/slack"
)

// What a self-test asks of Slack besides: each leaves nothing behind.

// farAhead is when a message would be posted that is only there to see whether
// it could be. Slack takes up to 120 days.
const farAhead = 100 * 24 * time.Hour

// ProvePost finds out whether the bot may post in a channel, without anybody
// seeing it: a message far ahead is put up and taken back.
func (a *App) ProvePost(ctx context.Context, channel string) error {
	var id string
	err := a.call(ctx, request{method: "chat.scheduleMessage"}, func(ctx context.Context) (err error) {
		at := strconv.FormatInt(time.Now().Add(farAhead).Unix(), 10)
		_, id, err = a.api.ScheduleMessageContext(ctx, channel, at, slack.MsgOptionText("This message was left behind by a check of dropleak. It means nothing.", false))
		return err
	})
	if err != nil {
		return err
	}
	return a.call(ctx, request{method: "chat.deleteScheduledMessage", repeatable: true}, func(ctx context.Context) error {
		_, err := a.api.DeleteScheduledMessageContext(ctx, &slack.DeleteScheduledMessageParameters{Channel: channel, ScheduledMessageID: id})
		return err
	})
}

// ProveUpload finds out whether pictures can be uploaded and are ready in
// time; the picture goes again.
func (a *App) ProveUpload(ctx context.Context, png []byte) error {
	id, err := a.UploadPNG(ctx, "check.png", "a check of dropleak", png)
	if err != nil {
		return err
	}
	return a.call(ctx, request{method: "files.delete", repeatable: true}, func(ctx context.Context) error {
		return a.api.DeleteFileContext(ctx, id)
	})
}

// ProveSocket opens a socket as Socket Mode would, waits for Slack's hello and
// closes it at once. It returns how many sockets of this app Slack then counts,
// a running service's included.
func (a *App) ProveSocket(ctx context.Context) (sockets int, err error) {
	var url string
	err = a.call(ctx, request{method: "apps.connections.open", repeatable: true}, func(ctx context.Context) (err error) {
		_, url, err = a.api.StartSocketModeContext(ctx)
		return err
	})
	if err != nil {
		return 0, err
	}
	conn, _, err := a.dialer().DialContext(ctx, url, nil)
	if err != nil {
		return 0, errors.New("dial the socket that Slack named: it did not answer as a web socket") // its address is a secret
	}
	defer conn.Close()
	if until, ok := ctx.Deadline(); ok {
		if err := conn.SetReadDeadline(until); err != nil {
			return 0, err
		}
	}
	var hello struct {
		Type  string `json:"type"`
		Count int    `json:"num_connections"`
	}
	if err := conn.ReadJSON(&hello); err != nil {
		return 0, fmt.Errorf("wait for Slack's hello: %w", err)
	}
	if hello.Type != "hello" {
		return 0, fmt.Errorf("wait for Slack's hello: it said %q", hello.Type)
	}
	return hello.Count, nil
}
