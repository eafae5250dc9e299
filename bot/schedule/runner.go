package schedule

import (
	"context"
	"log/slog"
	"time"
)

// Store keeps the next fire of each job, so that a time missed while the
// service was down is caught up once and replicas fire once together.
type Store interface {
	// NextFire returns the stored next fire of a job and the spec it was
	// computed from; the zero time when the job is new.
	NextFire(ctx context.Context, name string) (next time.Time, spec string, err error)
	// ClaimFire moves a job from one next fire to another if the stored one
	// still is old, and reports whether this caller moved it.
	ClaimFire(ctx context.Context, name, spec string, old, next time.Time) (bool, error)
}

// Job is something to do on a schedule. Do is called with the time it was
// due, once per fire over all replicas; its error is logged, not retried.
type Job struct {
	Name string // unique; the key of its row
	Spec Spec
	Do   func(ctx context.Context, due time.Time) error
}

// Runner fires jobs.
type Runner struct {
	Store Store
	Log   *slog.Logger
	Scale Scale
}

// retry is how long a runner waits after its store failed.
const retry = 5 * time.Second

// Run fires the jobs until ctx ends, each in its own goroutine so that a slow
// job never delays another. It returns when all have stopped.
func (r *Runner) Run(ctx context.Context, jobs ...Job) {
	done := make(chan struct{})
	for _, j := range jobs {
		go func() {
			defer func() { done <- struct{}{} }()
			r.loop(ctx, j)
		}()
	}
	for range jobs {
		<-done
	}
}

func (r *Runner) loop(ctx context.Context, j Job) {
	for ctx.Err() == nil {
		wait, err := r.step(ctx, j)
		if err != nil {
			r.Log.Error("schedule", "job", j.Name, "err", err)
			wait = retry
		}
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// step fires the job if it is due and returns how long to wait until the
// next look. It never waits longer than a minute of wall time, so that a
// clock step is noticed.
func (r *Runner) step(ctx context.Context, j Job) (time.Duration, error) {
	now := time.Now()
	stored, spec, err := r.Store.NextFire(ctx, j.Name)
	if err != nil {
		return 0, err
	}
	if stored.IsZero() || spec != j.Spec.String() || r.astray(j.Spec, stored, now) {
		next := r.after(j.Spec, now)
		if _, err := r.Store.ClaimFire(ctx, j.Name, j.Spec.String(), stored, next); err != nil {
			return 0, err
		}
		return min(next.Sub(now), time.Minute), nil
	}
	if stored.After(now) {
		return min(stored.Sub(now), time.Minute), nil
	}
	next := r.after(j.Spec, now)
	won, err := r.Store.ClaimFire(ctx, j.Name, j.Spec.String(), stored, next)
	if err != nil || !won {
		return 0, err
	}
	if err := j.Do(ctx, stored); err != nil && ctx.Err() == nil {
		r.Log.Error("scheduled job", "job", j.Name, "due", stored, "err", err)
	}
	return 0, nil
}

// ahead is how far the clocks of two replicas may be apart.
const ahead = 5 * time.Minute

// astray reports whether a stored fire was computed by a clock that has been
// put back since: it lies beyond even the fire after the next. Waiting for it
// could take years of silence. Another replica, a little ahead, may have
// fired the next one already.
func (r *Runner) astray(s Spec, stored, now time.Time) bool {
	next := r.after(s, now)
	return stored.After(r.after(s, next).Add(ahead))
}

// after returns the next fire in real time; under a scale the wait shrinks.
func (r *Runner) after(s Spec, now time.Time) time.Time {
	next := s.Next(now)
	if r.Scale <= 1 {
		return next
	}
	return now.Add(max(r.Scale.Real(next.Sub(now)), 50*time.Millisecond))
}
