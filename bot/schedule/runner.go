package schedule

import (
	"context"
	"log/slog"
	"time"
)

// Fire is what is known of a job's fires.
type Fire struct {
	Next time.Time // when the job fires next; zero when the job is new
	Spec string    // what Next was computed from
	// Due is the fire that was claimed and is not settled, the zero time when
	// there is none; Until is when the claim lapses unless it is renewed.
	Due, Until time.Time
}

// Store keeps the fires of each job, so that a time missed while the service
// was down is caught up once, replicas fire once together, and what a process
// claimed before it died is done by the next one.
type Store interface {
	// Fire returns the row of a job; the zero value when the job is new.
	Fire(ctx context.Context, name string) (Fire, error)
	// MoveFire replaces the row of a job if its times still are those of from,
	// and reports whether it did. Times are kept to the millisecond.
	MoveFire(ctx context.Context, name string, from, to Fire) (bool, error)
}

// Job is something to do on a schedule. Do is called with the time it was
// due, by one replica at a time, and again with the same time if the process
// died before Do returned: a fire is done at least once. Do's error is
// logged, not retried.
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
	f, err := r.Store.Fire(ctx, j.Name)
	if err != nil {
		return 0, err
	}
	to := Fire{Next: f.Next, Spec: j.Spec.String(), Due: f.Due, Until: now.Add(lease).Truncate(time.Millisecond)}
	switch {
	case f.Next.IsZero() || f.Spec != j.Spec.String() || r.astray(j.Spec, f.Next, now):
		to.Next, to.Until = r.after(j.Spec, now), f.Until
		if _, err := r.Store.MoveFire(ctx, j.Name, f, to); err != nil {
			return 0, err
		}
		return min(r.wait(to, now), time.Minute), nil
	case !f.Next.After(now): // an older one that nobody settled is folded into it
		to.Next, to.Due = r.after(j.Spec, now), f.Next
	case !f.Due.IsZero() && !f.Until.After(now):
		r.Log.Info("a scheduled job is taken over", "job", j.Name, "due", f.Due)
	default:
		return min(r.wait(f, now), time.Minute), nil
	}
	won, err := r.Store.MoveFire(ctx, j.Name, f, to)
	if err != nil || !won {
		return 0, err
	}
	return 0, r.do(ctx, j, to)
}

// wait returns how long nothing is to be done for the job.
func (r *Runner) wait(f Fire, now time.Time) time.Duration {
	if !f.Due.IsZero() && f.Until.Before(f.Next) {
		return max(f.Until.Sub(now), 0)
	}
	return max(f.Next.Sub(now), 0)
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
