package workflow

import (
	"context"
	"fmt"
	"time"
)

// After a telling whose end nobody saw, the same is told once more after
// echoFirst, and then after four times as long each time: the owner may only
// be frozen, and its words arrive whenever it wakes. The last comes after half
// a day, in which a connection has long been closed from the other side.
const (
	echoFirst = 10 * time.Second
	echoMost  = 7
)

// echoGap is how long to wait for the next echo, when there were n.
func echoGap(n int) time.Duration { return echoFirst << (2 * n) }

// announce tells of the last change, within a bound: telling never holds up
// the work for long. Its error is that the run could not be stored.
func (e *Engine) announce(ctx context.Context, j *Job, recipe Recipe) error {
	now := time.Now()
	if !j.run.Untold(now) {
		return nil
	}
	if recipe.Announce == nil {
		j.run.Announced, j.run.EchoAt = j.run.Version, time.Time{}
		return nil
	}
	if !j.fresh() {
		return nil // somebody else may have told newer things already
	}
	if err := e.mark(ctx, j, now); err != nil || !j.fresh() {
		return err
	}
	show, passing := recipe.Announce, recipe.Glimpse != nil && j.run.isDue(now)
	if passing {
		show = recipe.Glimpse
	}
	err := e.tell(ctx, j, show)
	if !j.fresh() {
		e.retell(ctx, j)
	}
	switch {
	case err != nil:
		e.log.Warn("announcing", "run", j.run.ID, "of", j.run.Key, "step", j.run.Step, "err", err)
		j.run.AnnounceAt = time.Now().Add(e.opts.RetryMin * 5)
	case !passing:
		j.told(time.Now())
	}
	return nil
}

// mark writes down, before anything is told, that this owner begins to. The
// mark of another owner says that its words may be on their way still.
func (e *Engine) mark(ctx context.Context, j *Job, now time.Time) error {
	switch j.run.Telling {
	case e.opts.Owner: // what one process tells arrives in order
		return nil
	case "":
	default:
		j.run.Echoes, j.run.EchoAt = 0, now.Add(echoGap(0))
	}
	j.run.Telling = e.opts.Owner
	return e.save(ctx, j, false)
}

// told notes that what the run looks like was accepted. It is stored with the
// next save.
func (j *Job) told(now time.Time) {
	r := &j.run
	r.Announced, r.Telling = r.Version, ""
	if r.EchoAt.IsZero() || r.EchoAt.After(now) {
		return
	}
	r.Echoes++
	r.EchoAt = now.Add(echoGap(r.Echoes))
	if r.Echoes >= echoMost {
		r.EchoAt = time.Time{}
	}
}

// tell guards the engine against an announcement that panics, as call does.
func (e *Engine) tell(ctx context.Context, j *Job, show func(context.Context, Run) error) (err error) {
	ctx, cancel := context.WithTimeout(ctx, e.opts.AnnounceFor)
	defer cancel()
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("announcing at step %s panicked: %v", j.run.Step, p)
		}
	}()
	return show(ctx, j.run)
}

// retell is for an owner that slept past its lease while it told: what it
// told may have come after newer things, so they are told again at once. Where
// it dies instead, the mark it left sees to that later.
func (e *Engine) retell(ctx context.Context, j *Job) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), e.opts.AnnounceFor)
	defer cancel()
	if err := e.store.RetellRun(ctx, j.run.ID); err != nil {
		e.log.Error("asking for a message to be shown again", "run", j.run.ID, "err", err)
	}
}
