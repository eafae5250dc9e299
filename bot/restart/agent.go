package restart

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/dropleak/dropleak/bot/order"
)

// Orders is where agents fetch what they are asked to do.
type Orders interface {
	// Place puts an order up. The same order again is the same order.
	Place(ctx context.Context, o order.Order) error
	// Result returns the result the agent sent for an order, if it has.
	Result(ctx context.Context, key string) (order.Result, bool, error)
	// Void takes back an order that no agent has claimed, and reports
	// whether it is void now.
	Void(ctx context.Context, key string) (bool, error)
}

// Agent restarts through the agent on the droplet, which knows each run and
// carries its order out at most once.
type Agent struct {
	Orders Orders
	// Every is how often a read-only order's result is looked for; 200 ms.
	Every time.Duration
}

var _ Restarter = Agent{}

// Repeatable implements [Restarter].
func (Agent) Repeatable() bool { return true }

// Order implements [Restarter].
func (a Agent) Order(ctx context.Context, t Target) (json.RawMessage, error) {
	return a.place(ctx, t, order.Whole)
}

// Start implements [Restarter].
func (a Agent) Start(ctx context.Context, t Target) error {
	_, err := a.place(ctx, t, order.Start)
	return err
}

func (a Agent) place(ctx context.Context, t Target, phase order.Phase) (json.RawMessage, error) {
	o := order.Order{Run: t.Run, Kind: order.Restart, Droplet: strconv.FormatInt(t.DropletID, 10), Worker: t.Worker,
		Unit: t.Unit, Way: order.Way(t.Way), Phase: phase, Expect: t.Expect, NotAfter: t.NotAfter}
	if err := o.Validate(); err != nil {
		return nil, &Refusal{Err: err}
	}
	if err := a.Orders.Place(ctx, o); err != nil {
		return nil, fmt.Errorf("placing the restart order for %s: %w", t.Worker, err)
	}
	return json.Marshal(o.Key())
}

// Observe implements [Restarter]. A repeatable order needs no observing.
func (Agent) Observe(context.Context, Target, time.Time) ([]Sighting, error) { return nil, nil }

// Result implements [Restarter].
func (a Agent) Result(ctx context.Context, t Target, _ json.RawMessage) (Result, bool, error) {
	r, ok, err := a.Orders.Result(ctx, order.Key(t.Run, order.Restart))
	if err != nil || !ok {
		return Result{}, false, err
	}
	return Result{State: r.State, Reason: r.Reason, Why: r.Error, Old: r.Old, New: r.New, Ended: r.Ended}, true, nil
}

// Void implements [Restarter].
func (a Agent) Void(ctx context.Context, t Target) (bool, error) {
	return a.Orders.Void(ctx, order.Key(t.Run, order.Restart))
}

// ErrSilent says that an agent did not answer in time.
var ErrSilent = errors.New("the agent did not answer in time")

// Inspect asks the agent what a restart would mean now. look makes the
// question one of its own: a run asks several times.
func (a Agent) Inspect(ctx context.Context, t Target, look string) (order.Facts, error) {
	r, err := a.ask(ctx, t, order.Inspect, look)
	if err != nil {
		return order.Facts{}, fmt.Errorf("inspecting %s: %w", t.Worker, err)
	}
	return *r.Facts, nil
}

// Evidence asks the agent what the worker holds now.
func (a Agent) Evidence(ctx context.Context, t Target) (order.Findings, error) {
	r, err := a.ask(ctx, t, order.Evidence, "")
	if err != nil {
		return order.Findings{}, fmt.Errorf("gathering evidence on %s: %w", t.Worker, err)
	}
	return *r.Evidence, nil
}

// ask places a read-only order and waits for its result until ctx ends.
func (a Agent) ask(ctx context.Context, t Target, kind order.Kind, look string) (order.Result, error) {
	run := t.Run
	if look != "" {
		run += "-" + look
	}
	until, ok := ctx.Deadline()
	if !ok {
		until = time.Now().Add(10 * time.Second)
	}
	o := order.Order{Run: run, Kind: kind, Droplet: strconv.FormatInt(t.DropletID, 10), Worker: t.Worker,
		Unit: t.Unit, Way: order.Way(t.Way), NotAfter: until}
	if err := o.Validate(); err != nil {
		return order.Result{}, err
	}
	if err := a.Orders.Place(ctx, o); err != nil {
		return order.Result{}, err
	}
	every := a.Every
	if every == 0 {
		every = 200 * time.Millisecond
	}
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		r, done, err := a.Orders.Result(ctx, o.Key())
		switch {
		case ctx.Err() != nil:
			return r, ErrSilent
		case err != nil:
			return r, err
		case done && r.State != order.Done:
			return r, fmt.Errorf("the agent answered %s: %s", r.State, r.Error)
		case done:
			return r, nil
		}
		select {
		case <-ctx.Done():
			return r, ErrSilent
		case <-tick.C:
		}
	}
}
