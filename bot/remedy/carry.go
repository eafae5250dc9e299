package remedy

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/dropleak/dropleak/bot/order"
	"github.com/dropleak/dropleak/bot/restart"
	"github.com/dropleak/dropleak/bot/workflow"
)

// recheck looks at the target once more. Only what was approved is
// restarted: anything else ends the run, and keeps the snapshot.
func (s *Service) recheck(ctx context.Context, w *work) (workflow.Next, error) {
	w.d.begin(stepRecheck, w.now)
	if w.g.Cancel != nil {
		return w.cancelled()
	}
	if why, err := s.allowed(ctx, w); err != nil || why != "" {
		return w.noLonger(why, err)
	}
	why, err := s.release(ctx, w)
	if err != nil {
		return workflow.Next{}, err
	}
	if why != "" {
		return s.waitForQueue(ctx, w, why)
	}
	moved, err := s.look(ctx, w.d, fmt.Sprintf("look-%d", w.now.UnixNano()))
	var cannot *Refusal
	switch {
	case errors.As(err, &cannot):
		if w.now.Sub(w.since()) < s.c.Pace.Recheck {
			w.d.Why = "the worker cannot be looked at; trying again"
			return workflow.Wait(w.now.Add(s.c.Pace.Poll)), nil
		}
		return w.end(Failed, "the worker could not be looked at before the restart, so it was not restarted", w.untouched())
	case err != nil:
		return workflow.Next{}, err
	case len(moved) > 0:
		return w.end(Overtaken, strings.Join(moved, "; "), w.untouched())
	}
	if before, err := s.d.Watcher.Measure(ctx, fmt.Sprint(w.d.Plan.DropletID), w.d.Plan.Worker); err == nil && before.Bytes > 0 {
		w.d.Before = before // as close to the restart as can be had
	}
	w.d.OnHand = s.onHand(ctx, w.d)
	w.now = time.Now()
	w.d.Checked = w.now
	w.d.OrderBy = w.now.Add(s.c.Pace.Order)
	return w.on(stepRestart)
}

// noLonger ends a run that what let it go does not cover any more.
func (w *work) noLonger(why string, err error) (workflow.Next, error) {
	if err != nil {
		return workflow.Next{}, err
	}
	return w.end(Overtaken, why, w.untouched())
}

// mayRestart is the first law, asked where the order leaves: a finished
// snapshot of this droplet made for this run, or a person who let it go
// without one and said why.
func (w *work) mayRestart() error {
	if w.d.Rehearsal || w.g.Skip != nil && w.g.Skip.Reason != "" {
		return nil
	}
	sn := w.d.Snapshot
	if sn == nil || sn.ID == "" || sn.DropletID != w.d.Plan.DropletID || sn.Name != w.d.SnapshotName {
		return errors.New("no finished snapshot of the droplet made for this run")
	}
	return nil
}

// unguarded is how old the last look may be where nobody compares the life
// once more: DigitalOcean reboots whatever runs, an agent does not.
const unguarded = 5 * time.Second

// fresh is how old the last look may be when the order leaves.
func (s *Service) fresh(way restart.Restarter) time.Duration {
	if way.Repeatable() {
		return s.c.Pace.Fresh
	}
	return min(s.c.Pace.Fresh, unguarded)
}

// restart gives the order, once, and waits for its result.
func (s *Service) restart(ctx context.Context, w *work) (workflow.Next, error) {
	w.d.begin(stepRestart, w.now)
	way, err := s.d.Ways.For(w.d.Plan.Way)
	if err != nil {
		return w.end(Failed, err.Error(), w.untouched())
	}
	name := try(actRestart, w.d.RestartTry)
	a, found, err := w.Find(ctx, name)
	if err != nil {
		return workflow.Next{}, err
	}
	if !found || a.State == workflow.Planned {
		switch {
		case w.g.Cancel != nil:
			return w.cancelled()
		case w.now.Sub(w.d.Checked) > s.fresh(way):
			return w.on(stepRecheck) // what was seen is too old to act on
		}
		if why, err := s.allowed(ctx, w); err != nil || why != "" {
			return w.noLonger(why, err)
		}
		if why, err := s.release(ctx, w); err != nil {
			return workflow.Next{}, err
		} else if why != "" {
			return w.on(stepRecheck) // and waits there
		}
		if err := w.mayRestart(); err != nil {
			return w.end(Failed, err.Error(), w.untouched())
		}
	}
	if found && a.State == workflow.Sent && way.Repeatable() && w.now.After(w.d.OrderBy) {
		return s.overdue(ctx, w, way, name)
	}
	t := w.d.Plan.target(w.d.Run, w.d.OrderBy)
	if a, err = w.Act(ctx, s.restartRequest(w, way, name, t)); err != nil {
		return workflow.Next{}, err
	}
	return s.afterOrder(ctx, w, way, a, t)
}

func (s *Service) restartRequest(w *work, way restart.Restarter, name string, t restart.Target) workflow.Request {
	q := workflow.Request{Name: name, Body: t, Repeatable: way.Repeatable() || w.d.Rehearsal}
	q.Send = func(ctx context.Context) (any, error) {
		if w.d.Rehearsal {
			return "rehearsal", nil
		}
		receipt, err := way.Order(ctx, t)
		var no *restart.Refusal
		if errors.As(err, &no) {
			err = workflow.NotTaken(err, no.Busy)
		}
		return receipt, err
	}
	q.Observe = func(ctx context.Context, sent time.Time) ([]workflow.Sighting, error) {
		seen, err := way.Observe(ctx, t, sent)
		var out []workflow.Sighting
		for _, o := range seen {
			out = append(out, workflow.Sighting{Result: o.Receipt, Certain: o.Certain})
		}
		return out, err
	}
	return q
}

// afterOrder goes on from where the act stands.
func (s *Service) afterOrder(ctx context.Context, w *work, way restart.Restarter, a workflow.Act, t restart.Target) (workflow.Next, error) {
	w.d.beganBy(stepRestart, a.Sent)
	switch {
	case a.State == workflow.Sent:
		w.d.Why = "the answer to the restart order was lost; looking for its trace"
		return workflow.Wait(a.Again), nil
	case a.State == workflow.Refused && a.Retry:
		w.d.RestartTry++
		if w.now.Sub(w.r.Entered) > s.c.Pace.Order {
			return w.end(Failed, "the order was not taken in time: "+a.Why, w.untouched())
		}
		w.d.Why = "the order is not taken yet: " + a.Why
		return workflow.Wait(w.now.Add(s.c.Pace.Poll)), nil
	case a.State == workflow.Refused:
		return w.end(Failed, "the restart was refused: "+a.Why, w.untouched())
	case a.State == workflow.Unknown:
		return w.end(Unclear, "it is not known whether the restart was begun: "+a.Why, "Look at the worker before doing anything: it may have been restarted.")
	case w.d.Rehearsal:
		return w.end(Rehearsed, "everything was looked at and nothing was carried out", "Nothing was touched.")
	}
	r, done, err := way.Result(ctx, t, a.Result)
	switch {
	case done && err == nil:
		return s.afterRestart(ctx, w, r)
	case w.now.After(w.d.OrderBy): // also when the result cannot be read: it may never be
		return s.overdue(ctx, w, way, a.Name)
	case err != nil:
		return workflow.Next{}, err
	}
	w.d.Why = ""
	return workflow.Wait(w.now.Add(s.c.Pace.Watch)), nil
}

// overdue deals with an order past its time without a result: one that
// nobody took is taken back, one that was taken is waited for a while.
func (s *Service) overdue(ctx context.Context, w *work, way restart.Restarter, name string) (workflow.Next, error) {
	void, err := way.Void(ctx, w.d.Plan.target(w.d.Run, w.d.OrderBy))
	if err != nil {
		return workflow.Next{}, err
	}
	if void {
		if _, err := w.GiveUp(ctx, name, "nobody took it, and it was taken back"); err != nil {
			return workflow.Next{}, err
		}
		return w.end(Failed, "the agent did not take the restart order in time, and it was taken back", w.untouched())
	}
	if w.now.Sub(w.d.OrderBy) < s.c.Pace.Carry+time.Duration(max(w.d.Facts.StopTimeout, 0)*float64(time.Second)) {
		w.d.Why = "the restart was begun; its result is awaited"
		return workflow.Wait(w.now.Add(s.c.Pace.Poll)), nil
	}
	if _, err := w.GiveUp(ctx, name, "no result came"); err != nil {
		return workflow.Next{}, err
	}
	return w.end(Unclear, "the restart was begun, and no result came", "Look at the worker now: it may be stopped.")
}

// afterRestart goes on from a restart's result.
func (s *Service) afterRestart(ctx context.Context, w *work, r restart.Result) (workflow.Next, error) {
	w.d.Restart = &r
	w.Note(workflow.Entry{What: "restart", Subject: w.d.Plan.Title(), Why: r.Why,
		Before: life(r.Old), After: strings.TrimSpace(string(r.State) + " " + life(r.New))})
	switch {
	case r.Reason == order.NotRunning && !w.d.Plan.Way.WholeDroplet():
		w.d.OrderBy = w.now.Add(s.c.Pace.Order)
		return w.on(stepStart)
	case r.State == order.Done, r.Reason == order.NotRunning:
		return w.on(stepVerify)
	case r.Reason == order.Overtaken:
		return w.end(Overtaken, r.Why, w.untouched())
	case r.Reason == order.ClaimLost:
		return w.end(Failed, "the agent could not be sure that the order was its own, and left the worker alone", w.untouched())
	case r.State == order.Refused:
		return w.end(Failed, "the restart was refused: "+r.Why, w.untouched())
	case r.State == order.Failed:
		return w.end(Unclear, "the restart failed: "+r.Why, s.runsNow(ctx, w))
	}
	return w.end(Unclear, "it is not known how the restart ended: "+r.Why, s.runsNow(ctx, w))
}

// runsNow says what a look tells of a worker whose restart did not end well.
// It promises nothing: what was begun may go on.
func (s *Service) runsNow(ctx context.Context, w *work) string {
	ctx, cancel := context.WithTimeout(ctx, s.c.Pace.Look)
	defer cancel()
	f, err := s.d.Looker.Inspect(ctx, w.d.Plan.target(w.d.Run, time.Time{}), fmt.Sprintf("after-%d", w.now.UnixNano()))
	at := moment(time.Now())
	switch {
	case err != nil || f.Fingerprint.IsZero():
		return "Look at the worker now: it may be stopped."
	case f.Fingerprint.Same(w.d.Plan.Life):
		return fmt.Sprintf("Its old main process, pid %d, still ran when last looked at (%s). Look at it: it may yet be stopped.", f.Fingerprint.PID, at)
	}
	return fmt.Sprintf("It ran with another main process, pid %d, when last looked at (%s). Look whether it works.", f.Fingerprint.PID, at)
}

// start completes a restart that stopped the worker and did not start it: a
// pending start is always completed, and never stops anything. Whatever comes
// of it, verification sees.
func (s *Service) start(ctx context.Context, w *work) (workflow.Next, error) {
	w.d.begin(stepStart, w.now)
	w.d.Why = "THE WORKER IS STOPPED; it is being started"
	way, err := s.d.Ways.For(w.d.Plan.Way)
	if err != nil || w.now.After(w.d.OrderBy) {
		if _, err := w.GiveUp(ctx, actStart, "no result came"); err != nil {
			return workflow.Next{}, err
		}
		return w.on(stepVerify)
	}
	t := w.d.Plan.target(w.d.Run, w.d.OrderBy)
	a, err := w.Act(ctx, workflow.Request{Name: actStart, Body: t, Repeatable: true, Send: func(ctx context.Context) (any, error) {
		err := way.Start(ctx, t)
		var no *restart.Refusal
		if errors.As(err, &no) {
			err = workflow.NotTaken(err, false)
		}
		return "ordered", err
	}})
	switch {
	case err != nil:
		return workflow.Next{}, err
	case a.State == workflow.Sent:
		return workflow.Wait(a.Again), nil
	case a.State != workflow.Done:
		return w.on(stepVerify)
	}
	r, done, err := way.Result(ctx, t, nil)
	if err != nil || !done {
		return workflow.Wait(w.now.Add(s.c.Pace.Watch)), err
	}
	w.Note(workflow.Entry{What: "start", Subject: w.d.Plan.Title(), Why: r.Why, After: strings.TrimSpace(string(r.State) + " " + life(r.New))})
	r.Old = w.d.Restart.Old
	w.d.Restart = &r
	return w.on(stepVerify)
}

func life(f order.Fingerprint) string {
	if f.IsZero() {
		return ""
	}
	return fmt.Sprintf("pid %d started %s", f.PID, moment(f.Start))
}

// verify watches the new life until both questions are answered.
func (s *Service) verify(ctx context.Context, w *work) (workflow.Next, error) {
	began := w.d.begin(stepVerify, w.now)
	since := w.d.Times[stepRestart].Began
	if came := w.d.Restart.New; !came.IsZero() {
		since = came.Start // by the droplet's own clock, as every sample is
	}
	l, err := s.d.Watcher.NewLife(ctx, fmt.Sprint(w.d.Plan.DropletID), w.d.Plan.Worker, w.d.Plan.Life, w.d.Before, since)
	last := w.now.Sub(began) >= s.c.Pace.Verify
	if err != nil && !last {
		return workflow.Next{}, err
	}
	if err == nil {
		w.d.Life = &l
	} else {
		l = Life{}
	}
	outcome, why, decided := judge(l, w.d.Before, last)
	if !decided {
		return workflow.Wait(w.now.Add(s.c.Pace.VerifyEvery)), nil
	}
	if outcome == Unclear && w.d.Restart.Reason == order.NotRunning {
		outcome, why = NotRunning, w.d.Restart.Why
	}
	return w.end(outcome, why, "")
}
