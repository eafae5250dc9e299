package agent

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"

	"github.com/cenkalti/backoff/v5"

	"github.com/dropleak/dropleak/bot/agent/manager"
	"github.com/dropleak/dropleak/bot/order"
	"github.com/dropleak/dropleak/detector/procfs"
)

// act carries out a permitted restart. What is returned holds New and
// Stopped only.
func (x *executor) act(ctx context.Context, o order.Order, n procfs.Node) (order.Result, error) {
	p := place{n.SupervisorURL, n.SupervisorConfig}
	if o.Phase == order.Start {
		if e, _ := x.journal.get(o.Key()); e.Place != nil {
			p = *e.Place // the worker, which would tell it, is down
		}
		return x.startHalf(ctx, o, p)
	}
	switch o.Way {
	case order.Systemd:
		return x.restartJob(ctx, o)
	case order.Supervisor:
		return x.stopStart(ctx, o, p)
	case order.Celery:
		return x.warmShutdown(ctx, o, p)
	}
	return order.Result{}, refuse(order.Unsupported, "way %s is not known here", o.Way)
}

// intent is written before the first act; from here the order counts
// against the hourly limit and is never begun again.
func (x *executor) intent(o order.Order, s step, p place) error {
	return x.journal.write(entry{Key: o.Key(), At: x.now(), Step: s, Place: &p, Acted: x.now()})
}

// restartJob is one job of systemd's, both halves in its hands.
func (x *executor) restartJob(ctx context.Context, o order.Order) (order.Result, error) {
	m, err := x.man.systemd(ctx)
	if err != nil {
		return order.Result{}, refuse(order.Unsupported, "%v", err)
	}
	defer m.Close()
	st, err := m.State(ctx, o.Unit.Name)
	if err != nil {
		return order.Result{}, err
	}
	if !st.Running {
		return order.Result{}, refuse(order.Overtaken, "unit %s is %s", o.Unit.Name, st.Word)
	}
	if err := x.intent(o, acting, place{}); err != nil {
		return order.Result{}, err
	}
	if err := m.Restart(ctx, o.Unit.Name); err != nil {
		return order.Result{}, err
	}
	return x.seen(ctx, o, time.Time{})
}

func (x *executor) seen(ctx context.Context, o order.Order, stoppedAt time.Time) (order.Result, error) {
	f, err := x.awaitNew(ctx, o)
	return order.Result{New: f, Stopped: stoppedAt}, err
}

// stopStart is supervisord's way: it knows no restart.
func (x *executor) stopStart(ctx context.Context, o order.Order, p place) (order.Result, error) {
	m, err := x.man.supervisor(p)
	if err != nil {
		return order.Result{}, refuse(order.Unsupported, "%v", err)
	}
	st, err := m.State(ctx, o.Unit.Name)
	if err != nil {
		return order.Result{}, err
	}
	if !st.Running {
		return order.Result{}, refuse(order.Overtaken, "program %s is %s", o.Unit.Name, st.Word)
	}
	if err := x.intent(o, stopping, p); err != nil {
		return order.Result{}, err
	}
	if err := m.Stop(ctx, o.Unit.Name); err != nil {
		// It may or may not have been heard. Look, as after a crash.
		return x.afterStop(ctx, o, p, err)
	}
	return x.startHalf(ctx, o, p)
}

// afterStop finds out what became of a stop whose answer is not known, and
// owes the start if it was carried out. It stops nothing.
func (x *executor) afterStop(ctx context.Context, o order.Order, p place, cause error) (order.Result, error) {
	st, err := x.settled(ctx, o, p)
	if err != nil {
		return order.Result{}, err
	}
	if !st.Running {
		return x.startHalf(ctx, o, p)
	}
	if n, err := x.find(o.Worker); err == nil && x.fingerprint(n).Same(o.Expect) {
		return order.Result{}, fmt.Errorf("the stop was not carried out and is not repeated; the old process runs on: %w", cause)
	}
	return x.seen(ctx, o, time.Time{}) // started again by somebody
}

// settled waits until the unit is neither stopping nor starting.
func (x *executor) settled(ctx context.Context, o order.Order, p place) (manager.State, error) {
	return persist(ctx, func() (manager.State, error) {
		m, closeIt, err := x.manager(ctx, o.Unit, p)
		if err != nil {
			return manager.State{}, err
		}
		defer closeIt()
		st, err := m.State(ctx, o.Unit.Name)
		if err == nil && st.Transient {
			err = fmt.Errorf("unit %s is %s", o.Unit, st.Word)
		}
		return st, err
	})
}

func (x *executor) manager(ctx context.Context, u order.Unit, p place) (unitManager, func(), error) {
	if u.Kind == order.SystemdUnit {
		m, err := x.man.systemd(ctx)
		if err != nil {
			return nil, nil, err
		}
		return m, m.Close, nil
	}
	m, err := x.man.supervisor(p)
	if err != nil {
		return nil, nil, err
	}
	return m, func() {}, nil
}

// startHalf completes a restart whose stop is done. Starting what runs does
// nothing, so this half may be repeated until it holds.
func (x *executor) startHalf(ctx context.Context, o order.Order, p place) (order.Result, error) {
	at := x.now()
	if err := x.intent(o, stopped, p); err != nil {
		// The worker is down: a start without a record beats no start.
		x.log.Error("start goes on without a journal", "error", err)
	}
	_, err := persist(ctx, func() (struct{}, error) {
		m, closeIt, err := x.manager(ctx, o.Unit, p)
		if err != nil {
			return struct{}{}, err
		}
		defer closeIt()
		return struct{}{}, m.Start(ctx, o.Unit.Name)
	})
	if err != nil {
		return order.Result{Stopped: at}, err
	}
	return x.seen(ctx, o, at)
}

// persist tries until it works, the manager gives a final answer, or the
// agent ends; then the next start of the agent goes on.
func persist[T any](ctx context.Context, try func() (T, error)) (T, error) {
	return backoff.Retry(ctx, func() (T, error) {
		v, err := try()
		if errors.Is(err, manager.ErrNotStarted) || errors.Is(err, manager.ErrNoUnit) {
			err = backoff.Permanent(err)
		}
		return v, err
	}, backoff.WithBackOff(&backoff.ExponentialBackOff{InitialInterval: 200 * time.Millisecond, RandomizationFactor: 0.5, Multiplier: 2,
		MaxInterval: 10 * time.Second}), backoff.WithMaxElapsedTime(0))
}

// warmShutdown asks Celery itself to finish its tasks and go. Only where the
// manager was read to start it again; otherwise the worker would stay down.
func (x *executor) warmShutdown(ctx context.Context, o order.Order, p place) (order.Result, error) {
	m, closeIt, err := x.manager(ctx, o.Unit, p)
	if err != nil {
		return order.Result{}, refuse(order.Unsupported, "%v", err)
	}
	defer closeIt()
	st, err := m.State(ctx, o.Unit.Name)
	if err != nil {
		return order.Result{}, err
	}
	if !st.StartsAgain {
		return order.Result{}, refuse(order.NoAutoRestart, "%s would not start %s again after a clean exit; it needs %s", o.Unit.Kind, o.Unit.Name, st.Change)
	}
	if err := x.intent(o, acting, p); err != nil {
		return order.Result{}, err
	}
	if st.PID == o.Expect.PID {
		// The manager may signal what we may not, and knows its pid for sure.
		err = m.Terminate(ctx, o.Unit.Name)
	} else {
		err = x.kill(o.Expect.PID, syscall.SIGTERM) // behind a wrapper
	}
	if err != nil {
		return order.Result{}, fmt.Errorf("warm shutdown of pid %d: %w", o.Expect.PID, err)
	}
	return x.awaitWarm(ctx, o)
}

// awaitWarm waits as long as the order is good: tasks may take their time.
func (x *executor) awaitWarm(ctx context.Context, o order.Order) (order.Result, error) {
	for {
		n, err := x.find(o.Worker)
		if err != nil || !x.fingerprint(n).Same(o.Expect) {
			return x.seen(ctx, o, time.Time{})
		}
		if x.now().After(o.NotAfter) {
			return order.Result{}, fmt.Errorf("worker %s was asked to shut down and still finishes tasks; it ends by itself when they do", o.Worker)
		}
		sleep(ctx, x.every)
		if ctx.Err() != nil {
			return order.Result{}, ctx.Err()
		}
	}
}
