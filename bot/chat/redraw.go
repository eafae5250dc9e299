package chat

import (
	"context"
	"errors"
	"time"

	"github.com/dropleak/dropleak/bot/remedy"
	"github.com/dropleak/dropleak/bot/workflow"
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

// growthTold is how often it is looked whose growth can be told of now, and
// growthFor how far back runs are looked at. Scaled time.
const (
	growthTold = time.Minute
	growthFor  = 80 * time.Hour // a little more than the longest calm that is waited for
)

// retellGrowth has the message of a run told again when the moment has come
// that it names, from which on it can be known that growth has stopped.
func (c *Chat) retellGrowth(ctx context.Context) {
	tick := time.NewTicker(max(c.o.Scale.Real(growthTold), time.Second))
	defer tick.Stop()
	last := time.Now()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := time.Now()
		if err := c.retellBetween(ctx, last, now); err != nil && ctx.Err() == nil {
			c.o.Log.Warn("tell again of runs whose growth can be told", "err", err)
			continue // at the next look
		}
		last = now
	}
}

func (c *Chat) retellBetween(ctx context.Context, last, now time.Time) error {
	views, err := c.o.Remedy.Views(ctx, workflow.Filter{Ended: true, Since: now.Add(-c.o.Scale.Real(growthFor))})
	errs := []error{err}
	for _, v := range views {
		if v.Life != nil && v.Life.Tells.After(last) && !v.Life.Tells.After(now) {
			errs = append(errs, c.o.Remedy.Retell(ctx, v.Run))
		}
	}
	return errors.Join(errs...)
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
