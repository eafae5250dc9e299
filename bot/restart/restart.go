// Package restart is every way to restart behind one interface: agent order,
// SSH, droplet action.
//
// A restart has two moments. Giving the order is the act that is journalled:
// it happens at most once for a run, or harmlessly again where whoever is
// asked knows the run. Its result is then only looked at, as often as needed.
package restart

import (
	"context"
	"encoding/json"
	"fmt"
	"time"

	"github.com/dropleak/dropleak/bot/order"
)

// Way is how a worker is restarted, in the words of the configuration.
type Way string

// The ways.
const (
	Systemd    = Way(order.Systemd)
	Supervisor = Way(order.Supervisor)
	Celery     = Way(order.Celery)
	SSH        = Way("ssh")
	Reboot     = Way("reboot")
	PowerCycle = Way("power_cycle")
)

// WholeDroplet reports whether everything on the droplet restarts with it.
func (w Way) WholeDroplet() bool { return w == Reboot || w == PowerCycle }

// Target is one restart: what, how, and the only life it may end.
type Target struct {
	Run       string            `json:"run"`
	DropletID int64             `json:"droplet_id"`
	Worker    string            `json:"worker"`
	Unit      order.Unit        `json:"unit,omitzero"`
	Way       Way               `json:"way"`
	Expect    order.Fingerprint `json:"expect"`
	NotAfter  time.Time         `json:"not_after"` // the order is void afterwards
}

// Result is what became of an order that was taken.
type Result struct {
	State  order.State       `json:"state"`
	Reason order.Reason      `json:"reason,omitempty"`
	Why    string            `json:"why,omitempty"` // for people; empty when done
	Old    order.Fingerprint `json:"old,omitzero"`
	New    order.Fingerprint `json:"new,omitzero"` // zero: not known yet
	Ended  time.Time         `json:"ended,omitzero"`
}

// Sighting is the trace of an order whose answer was lost.
type Sighting struct {
	Receipt json.RawMessage
	Certain bool // it is surely this run's
}

// Restarter is one way to restart.
type Restarter interface {
	// Repeatable says that giving the same order again does no harm.
	Repeatable() bool
	// Order gives the order and returns what to look its result up by. See
	// [Refusal] for errors that mean that nothing was done; after any other
	// nobody knows.
	Order(ctx context.Context, t Target) (receipt json.RawMessage, err error)
	// Observe lists what may be the trace of an order sent at a moment.
	Observe(ctx context.Context, t Target, sent time.Time) ([]Sighting, error)
	// Result looks at what became of the order; done is false while it is
	// under way.
	Result(ctx context.Context, t Target, receipt json.RawMessage) (r Result, done bool, err error)
	// Start gives the order to start, and only to start, what a restart of
	// this target stopped. It may be given again.
	Start(ctx context.Context, t Target) error
	// Void takes back an order that nobody has begun to carry out, and
	// reports whether it could: then, and only then, nothing will happen.
	Void(ctx context.Context, t Target) (bool, error)
}

// Refusal is an error that says for certain that the order did nothing.
type Refusal struct {
	Busy bool // something else is under way there, or too much was asked: it may be asked again
	Err  error
}

// Error implements error.
func (r *Refusal) Error() string { return r.Err.Error() }

// Unwrap returns the cause.
func (r *Refusal) Unwrap() error { return r.Err }

// Ways is the restarter of each way that this service has.
type Ways map[Way]Restarter

// For returns the restarter of a way.
func (w Ways) For(way Way) (Restarter, error) {
	r, ok := w[way]
	if !ok {
		return nil, fmt.Errorf("restarting by %q: this service has no such way", way)
	}
	return r, nil
}
