package schedule

import (
	"context"
	"errors"
	"time"
)

// lease is how long a claim outlives a process that died, and renewals how
// often its holder renews it in that time.
const (
	lease    = time.Minute
	renewals = 4
)

// errTaken says that somebody else has the fire, or claimed a later one.
var errTaken = errors.New("the fire is no longer ours")

// do does the job for the fire that was claimed, renews the claim meanwhile,
// and settles it. A fire that the end of the service interrupted is left for
// the next process, at once.
func (r *Runner) do(ctx context.Context, j Job, mine Fire) error {
	doing, done := context.WithCancel(ctx)
	held := make(chan Fire)
	go func() { held <- r.hold(doing, j, mine) }()
	err := j.Do(ctx, mine.Due)
	done()
	mine = <-held
	interrupted := err != nil && ctx.Err() != nil
	if err != nil && !interrupted {
		r.Log.Error("scheduled job", "job", j.Name, "due", mine.Due, "err", err)
	}
	last, cancel := context.WithTimeout(context.WithoutCancel(ctx), retry)
	defer cancel()
	_, err = r.change(last, j.Name, mine, func(f *Fire) {
		f.Until = time.Time{}
		if !interrupted {
			f.Due = time.Time{}
		}
	})
	if errors.Is(err, errTaken) {
		return nil
	}
	return err
}

// hold renews a claim until ctx ends, and returns it as it is then.
func (r *Runner) hold(ctx context.Context, j Job, mine Fire) Fire {
	tick := time.NewTicker(lease / renewals)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return mine
		case <-tick.C:
		}
		// A renewal that was begun is brought to its end: one whose outcome
		// nobody knows could not be settled.
		renewing, cancel := context.WithTimeout(context.WithoutCancel(ctx), lease/renewals)
		now, err := r.change(renewing, j.Name, mine, func(f *Fire) {
			f.Until = time.Now().Add(lease).Truncate(time.Millisecond)
		})
		cancel()
		switch {
		case errors.Is(err, errTaken):
			r.Log.Warn("a scheduled job was taken over while it was being done", "job", j.Name, "due", mine.Due)
			return mine
		case err != nil:
			r.Log.Warn("the claim of a scheduled job was not renewed", "job", j.Name, "due", mine.Due, "err", err)
		default:
			mine = now
		}
	}
}

// change changes the row of a job as long as the claim in it is mine: what
// else is in it, another replica may move.
func (r *Runner) change(ctx context.Context, name string, mine Fire, change func(*Fire)) (Fire, error) {
	for {
		f, err := r.Store.Fire(ctx, name)
		if err != nil {
			return mine, err
		}
		if !f.Due.Equal(mine.Due) || !f.Until.Equal(mine.Until) {
			return mine, errTaken
		}
		to := f
		change(&to)
		if won, err := r.Store.MoveFire(ctx, name, f, to); err != nil || won {
			return to, err
		}
	}
}
