package chat

import (
	"context"
	"time"

	"github.com/dropleak/dropleak/bot/remedy"
)

// drawIn is how long one chart may take, with its upload.
const drawIn = time.Minute

// redraw draws the charts of runs that have just ended anew, so that the
// message shows the fall that it tells of. It is done beside the telling, which
// an upload would hold up.
func (c *Chat) redraw(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case v := <-c.over:
			one, cancel := context.WithTimeout(ctx, drawIn)
			if err := c.redrawOne(one, v); err != nil && ctx.Err() == nil {
				c.o.Log.Warn("draw the chart of a run's end", "run", v.Run, "err", err) // the one of before stays, and says so
			}
			cancel()
		}
	}
}

// ended has a run's chart drawn anew. Where too many wait it stays as it is.
func (c *Chat) ended(v remedy.View) {
	if !v.Outcome.Restarted() || time.Since(v.Ended) > oldNews {
		return
	}
	select {
	case c.over <- v:
	default:
	}
}

func (c *Chat) redrawOne(ctx context.Context, v remedy.View) error {
	f, err := c.o.Findings.Finding(ctx, v.Finding)
	if err != nil || f.Drawn.After(v.Ended) || f.Picture == "" {
		return err
	}
	words := story(f, v)
	if words == "" {
		return nil
	}
	view, err := c.o.Fleet.Look(ctx, f.Subject.DropletID)
	if err != nil {
		return err
	}
	if err := c.drawStory(ctx, f, view, words); err != nil {
		return err
	}
	return c.show(ctx, f.ID, false)
}
