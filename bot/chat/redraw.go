package chat

import (
	"cmp"
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

// growthEvery is how often it is looked whose growth can be told of now, and
// growthFor how far back runs are looked at. Scaled time.
const (
	growthEvery = time.Minute
	growthFor   = 80 * time.Hour // a little more than the longest calm that is waited for
)

// growthCursor is where it is kept up to when that was looked at, by any
// replica: a moment that passed while the service was down is told of later.
const growthCursor = "growth/told"

// retellGrowth has the message of a run told again when the moment has come
// that it names, from which on it can be known that growth has stopped.
func (c *Chat) retellGrowth(ctx context.Context) {
	tick := time.NewTicker(max(c.o.Scale.Real(growthEvery), time.Second))
	defer tick.Stop()
	began := time.Now()
	var last time.Time // up to when this process looked
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := time.Now()
		from, err := c.growthFrom(ctx, last)
		if err == nil {
			err = c.retellBetween(ctx, cmp.Or(from, began), now)
		}
		if err != nil {
			if ctx.Err() == nil {
				c.o.Log.Warn("tell again of runs whose growth can be told", "err", err)
			}
			continue // at the next look
		}
		last = now
		c.setGrowth(ctx, now)
	}
}

// growthFrom is up to when it was looked whose growth can be told, by this
// process or, where that is kept, by any; zero: by none.
func (c *Chat) growthFrom(ctx context.Context, known time.Time) (time.Time, error) {
	if c.o.Cursors == nil {
		return known, nil
	}
	said, err := c.o.Cursors.Cursor(ctx, growthCursor)
	if err != nil {
		return known, err
	}
	if at, err := time.Parse(time.RFC3339Nano, said); err == nil && at.After(known) {
		return at, nil
	}
	return known, nil
}

// setGrowth keeps it. Where it cannot be kept, a new process or another
// replica tells it twice rather than never.
func (c *Chat) setGrowth(ctx context.Context, at time.Time) {
	if c.o.Cursors == nil {
		return
	}
	if err := c.o.Cursors.SetCursor(context.WithoutCancel(ctx), growthCursor, at.UTC().Format(time.RFC3339Nano)); err != nil {
		c.o.Log.Warn("remember whose growth was told", "err", err)
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
