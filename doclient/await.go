package doclient

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"time"
)

// AwaitOptions say how to wait. The deadline is the context's: a wait without
// one may never end, so give it one.
type AwaitOptions struct {
	// Every is the time between two looks, ±20 %; 0 means 15 s.
	Every time.Duration

	// Grace is how long "not found" counts as "not visible yet"; 0 means 2 min.
	Grace time.Duration

	// Progress, when set, hears of each look that found the action.
	Progress func(Action)
}

func (o AwaitOptions) filled() AwaitOptions {
	if o.Every <= 0 {
		o.Every = 15 * time.Second
	}
	if o.Grace <= 0 {
		o.Grace = 2 * time.Minute
	}
	return o
}

// poll looks until look says done or fails for good. It looks at once, then
// every Every with jitter, so that a fleet's waits do not march in step. Lost
// answers, 429 and 5xx do not end it; the last of them is told if the context
// ends first.
func poll(ctx context.Context, o AwaitOptions, look func() (done bool, err error)) error {
	began := time.Now()
	for {
		done, err := look()
		if done || (err != nil && !passing(err) && !(errors.Is(err, ErrNotFound) && time.Since(began) < o.Grace)) {
			return err
		}
		pause := time.Duration(float64(o.Every) * (0.8 + 0.4*rand.Float64()))
		if ended := sleep(ctx, pause); ended != nil {
			return errors.Join(ended, err)
		}
	}
}

// Await waits for an action to complete. An errored one is [ErrActionErrored].
// When the context ends first the error wraps its cause, and the action returned
// is as last seen; it goes on without us.
func (r *Reader) Await(ctx context.Context, actionID int64, opts AwaitOptions) (Action, error) {
	o, last := opts.filled(), Action{ID: actionID}
	err := poll(ctx, o, func() (bool, error) {
		a, err := r.Action(ctx, actionID)
		if err != nil {
			return false, err
		}
		last = a
		if o.Progress != nil {
			o.Progress(a)
		}
		if a.Status == Errored {
			return true, ErrActionErrored
		}
		return a.Status == Completed, nil
	})
	if err != nil {
		return last, fmt.Errorf("await action %d: %w", actionID, err)
	}
	return last, nil
}

// AwaitSnapshot waits for a snapshot to be listed under its name, which may be a
// while after its action completed.
func (r *Reader) AwaitSnapshot(ctx context.Context, dropletID int64, name string, opts AwaitOptions) (Snapshot, error) {
	var found Snapshot
	err := poll(ctx, opts.filled(), func() (done bool, err error) {
		found, err = r.SnapshotByName(ctx, dropletID, name)
		return err == nil, err
	})
	if err != nil {
		return Snapshot{}, fmt.Errorf("await listing: %w", err)
	}
	return found, nil
}

// AwaitFree waits until no action of the droplet is in progress, as far as its
// list shows; a fresh one may not be listed yet, so an order may still be refused
// as [Pending], which [RetryPending] takes care of.
func (r *Reader) AwaitFree(ctx context.Context, dropletID int64, opts AwaitOptions) error {
	o := opts.filled()
	o.Grace = -1 // a droplet that is not found is not there
	err := poll(ctx, o, func() (bool, error) {
		a, busy, err := r.Busy(ctx, dropletID)
		if busy && o.Progress != nil {
			o.Progress(a)
		}
		return err == nil && !busy, err
	})
	if err != nil {
		return fmt.Errorf("await droplet %d free: %w", dropletID, err)
	}
	return nil
}

// Observe looks for the action of an order whose answer was lost (see [Unclear]),
// for opts.Grace (2 min by default) even when it finds one soon, since an action
// may take a while to show and a second candidate changes everything. It returns
// all actions of that type which started at or after since, less [Slack]. One is
// the order's; none and several are for a person to judge.
func (r *Reader) Observe(ctx context.Context, dropletID int64, kind string, since time.Time, opts AwaitOptions) ([]Action, error) {
	o, began := opts.filled(), time.Now()
	grace := o.Grace
	o.Grace = -1
	var found []Action
	err := poll(ctx, o, func() (bool, error) {
		now, err := r.FindActions(ctx, dropletID, kind, since)
		if err == nil {
			found = now
		}
		return err == nil && time.Since(began) >= grace, err
	})
	if err != nil {
		return nil, fmt.Errorf("observe droplet %d: %w", dropletID, err)
	}
	return found, nil
}

// RetryPending gives an order, and gives it again each time it is refused
// because the droplet is busy ([Pending], certain that nothing happened), until
// it is taken, fails otherwise, or the context ends. The order journals itself:
// it is called once for each request that leaves.
func RetryPending(ctx context.Context, opts AwaitOptions, order func(context.Context) (Action, error)) (Action, error) {
	o := opts.filled()
	for {
		a, err := order(ctx)
		if !Pending(err) {
			return a, err
		}
		pause := time.Duration(float64(o.Every) * (0.8 + 0.4*rand.Float64()))
		if ended := sleep(ctx, pause); ended != nil {
			return Action{}, fmt.Errorf("%w; last: %w", ended, err)
		}
	}
}
