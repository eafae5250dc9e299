package restart

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/dropleak/dropleak/bot/order"
	"github.com/dropleak/dropleak/doclient"
)

// Droplets is what DigitalOcean is asked for a reboot.
type Droplets interface {
	Reboot(ctx context.Context, dropletID int64) (doclient.Action, error)
	PowerCycle(ctx context.Context, dropletID int64) (doclient.Action, error)
	Action(ctx context.Context, id int64) (doclient.Action, error)
	FindActions(ctx context.Context, dropletID int64, kind string, since time.Time) ([]doclient.Action, error)
}

// Droplet restarts a worker by restarting the droplet it runs on.
type Droplet struct{ API Droplets }

var _ Restarter = Droplet{}

// Repeatable implements [Restarter]: DigitalOcean knows no run, and a second
// order is a second reboot.
func (Droplet) Repeatable() bool { return false }

// Order implements [Restarter].
func (d Droplet) Order(ctx context.Context, t Target) (json.RawMessage, error) {
	give := d.API.Reboot
	if t.Way == PowerCycle {
		give = d.API.PowerCycle
	}
	a, err := give(ctx, t.DropletID)
	switch {
	case err == nil:
		return json.Marshal(a.ID)
	case doclient.Pending(err), errors.Is(err, doclient.ErrLimited):
		return nil, &Refusal{Busy: true, Err: err}
	case !doclient.Unclear(err):
		return nil, &Refusal{Err: err}
	}
	return nil, err
}

// Observe implements [Restarter].
func (d Droplet) Observe(ctx context.Context, t Target, sent time.Time) ([]Sighting, error) {
	actions, err := d.API.FindActions(ctx, t.DropletID, string(t.Way), sent)
	if err != nil {
		return nil, err
	}
	var seen []Sighting
	for _, a := range actions {
		raw, err := json.Marshal(a.ID)
		if err != nil {
			return nil, err
		}
		seen = append(seen, Sighting{Receipt: raw})
	}
	return seen, nil
}

// Result implements [Restarter]. The new life is not known to DigitalOcean:
// New stays zero and verification has to see it.
func (d Droplet) Result(ctx context.Context, t Target, receipt json.RawMessage) (Result, bool, error) {
	var id int64
	if err := json.Unmarshal(receipt, &id); err != nil {
		return Result{}, false, fmt.Errorf("reading the receipt of the %s of droplet %d: %w", t.Way, t.DropletID, err)
	}
	a, err := d.API.Action(ctx, id)
	if err != nil {
		return Result{}, false, err
	}
	switch a.Status {
	case doclient.Completed:
		return Result{State: order.Done, Old: t.Expect, Ended: a.CompletedAt}, true, nil
	case doclient.Errored:
		return Result{State: order.Failed, Reason: order.ManagerError, Old: t.Expect, Ended: a.CompletedAt,
			Why: fmt.Sprintf("DigitalOcean ended the %s with an error and gives no reason", t.Way)}, true, nil
	}
	return Result{}, false, nil
}

// Start implements [Restarter]: a droplet's restart has no halves.
func (Droplet) Start(_ context.Context, t Target) error {
	return &Refusal{Err: fmt.Errorf("starting %s: a droplet's restart has no start of its own", t.Worker)}
}

// Void implements [Restarter]: what DigitalOcean took is under way.
func (Droplet) Void(context.Context, Target) (bool, error) { return false, nil }
