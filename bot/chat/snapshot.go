package chat

import (
	"context"
	"errors"
	"fmt"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/remedy"
	"github.com/dropleak/dropleak/bot/report"
	"github.com/dropleak/dropleak/bot/slackapp"
)

// commandSnapshot offers a snapshot of a worker's droplet, and nothing else;
// it is approved as a restart is.
func (c *Chat) commandSnapshot(ctx context.Context, k slackapp.Command, line report.WorkerLine, purpose string) error {
	f, err := c.findingOf(ctx, line, k.User)
	if err != nil {
		return err
	}
	v, err := c.o.Remedy.ProposeSnapshot(ctx, f, k.User, purpose)
	var no *remedy.Refusal
	if errors.As(err, &no) && f.Subject.Kind != finding.KindRequest {
		return errors.Join(err, c.show(ctx, f.ID, true))
	}
	if err != nil {
		return err
	}
	if err := c.RunChanged(ctx, v); err != nil {
		return err
	}
	return c.answerTo(ctx, k, say(fmt.Sprintf(saysSnapshotOffered, report.Escape(line.Droplet), c.o.Channel)))
}
