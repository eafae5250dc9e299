package bot

import (
	"context"
	"log/slog"
	"time"

	"github.com/dropleak/dropleak/bot/schedule"
	"github.com/dropleak/dropleak/bot/slackapp"
	"github.com/dropleak/dropleak/bot/source"
)

// refusedFor is how long a block type is not tried again in a channel that
// refused it: Slack brings new ones to a workspace one day or another.
const refusedFor = 24 * time.Hour

// refusals remembers which block types each channel refused, over restarts.
type refusals struct {
	cursors source.Cursors
	scale   schedule.Scale
	log     *slog.Logger
}

func refusal(channel, block string) string { return "slack/refused/" + channel + "/" + block }

// accepts reports whether a type is worth trying in a channel. Where that
// cannot be read it is tried: Slack says the same again.
func (r refusals) accepts(ctx context.Context, channel, block string) bool {
	said, err := r.cursors.Cursor(ctx, refusal(channel, block))
	if err != nil {
		r.log.Warn("ask whether a block type was refused", "channel", channel, "block", block, "err", err)
		return true
	}
	at, err := time.Parse(time.RFC3339Nano, said)
	return err != nil || time.Since(at) > r.scale.Real(refusedFor) || time.Until(at) > time.Minute
}

// degraded remembers what was refused just now.
func (r refusals) degraded(d slackapp.Degraded) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	for _, block := range d.Types {
		if err := r.cursors.SetCursor(ctx, refusal(d.Channel, block), time.Now().UTC().Format(time.RFC3339Nano)); err != nil {
			r.log.Warn("remember that a block type was refused", "channel", d.Channel, "block", block, "err", err)
		}
	}
}
