package hub

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"reflect"
	"time"

	"github.com/dropleak/dropleak/bot/order"
)

// State is where a placed order stands.
type State string

// The states. Void orders were withdrawn, or were open when the store was
// restored from a backup; nobody gets them.
const (
	Waiting State = "waiting"
	Claimed State = "claimed"
	Ended   State = "ended" // there is a result
	Void    State = "void"
)

// Placed is an order at the hub.
type Placed struct {
	Order   order.Order
	State   State
	Claimed time.Time // zero before
	Result  *order.Result
}

// OrderStore keeps orders by their key.
type OrderStore interface {
	// PlaceOrder stores an order as waiting unless one with its key exists.
	// An order for the start alone replaces one that was claimed or ended.
	PlaceOrder(ctx context.Context, o order.Order) error
	// Order returns an order by key, or [ErrNoOrder].
	Order(ctx context.Context, key string) (Placed, error)
	// WaitingOrders lists a droplet's waiting orders that are good at a
	// time, oldest first.
	WaitingOrders(ctx context.Context, droplet string, at time.Time) ([]order.Order, error)
	// DropletsWithOrders lists the droplets that have waiting orders.
	DropletsWithOrders(ctx context.Context) ([]string, error)
	// MoveOrder changes an order's state from one to another, with the time
	// of a claim or the result if there is one; false: it was not in that
	// state.
	MoveOrder(ctx context.Context, key string, from, to State, at time.Time, res *order.Result) (bool, error)
}

// ErrNoOrder says that no order has this key.
var ErrNoOrder = errors.New("no such order")

// Place hands an order to the agent of its droplet. Placing it again, from
// any replica, changes nothing.
func (h *Hub) Place(ctx context.Context, o order.Order) error {
	if err := o.Validate(); err != nil {
		return err
	}
	if err := h.store.PlaceOrder(ctx, o); err != nil {
		return fmt.Errorf("place order %s: %w", o.Key(), err)
	}
	h.bell.ring(o.Droplet)
	return nil
}

// Withdraw makes an order void if nobody has claimed it, and reports whether
// it did.
func (h *Hub) Withdraw(ctx context.Context, run string, kind order.Kind) (bool, error) {
	ok, err := h.store.MoveOrder(ctx, order.Key(run, kind), Waiting, Void, time.Now(), nil)
	if err != nil {
		return false, fmt.Errorf("withdraw order %s: %w", order.Key(run, kind), err)
	}
	return ok, nil
}

// Order returns a placed order, or [ErrNoOrder].
func (h *Hub) Order(ctx context.Context, run string, kind order.Kind) (Placed, error) {
	p, err := h.store.Order(ctx, order.Key(run, kind))
	if err != nil {
		return p, fmt.Errorf("read order %s: %w", order.Key(run, kind), err)
	}
	return p, nil
}

// Result returns what became of an order; false: nothing yet.
func (h *Hub) Result(ctx context.Context, run string, kind order.Kind) (order.Result, bool, error) {
	p, err := h.Order(ctx, run, kind)
	if err != nil || p.Result == nil {
		return order.Result{}, false, err
	}
	return *p.Result, true, nil
}

// Wait waits for an order's result until ctx ends.
func (h *Hub) Wait(ctx context.Context, run string, kind order.Kind) (order.Result, error) {
	rung, stop := h.bell.wait(resultBell(order.Key(run, kind)))
	defer stop()
	tick := time.NewTicker(time.Second) // another replica may take the result
	defer tick.Stop()
	for {
		res, ok, err := h.Result(ctx, run, kind)
		if ok || err != nil {
			return res, err
		}
		select {
		case <-ctx.Done():
			return order.Result{}, ctx.Err()
		case <-rung:
		case <-tick.C:
		}
	}
}

// resultBell keeps results' bells apart from droplets'.
func resultBell(key string) string { return "result " + key }

const (
	defaultWait = 30 * time.Second
	longestWait = 2 * time.Minute
)

// agent returns the token of a request that must come from an agent.
func (h *Hub) agent(r *http.Request) (Token, error) {
	t, err := h.bearer(r)
	if err != nil {
		return t, err
	}
	if t.Kind != Agent {
		return t, refuse(http.StatusForbidden, "orders are for agents' tokens")
	}
	return t, h.identify(r, t, time.Time{}, t.Bound.Boot == "")
}

// serveOrders answers a long poll: the waiting orders, or 204.
func (h *Hub) serveOrders(w http.ResponseWriter, r *http.Request) {
	list, err := h.awaitOrders(r)
	switch {
	case r.Context().Err() != nil: // the agent has gone
	case err != nil:
		h.answer(w, r, err)
	case len(list) == 0:
		w.WriteHeader(http.StatusNoContent)
	default:
		w.Header().Set("Content-Type", "application/json")
		if err := json.NewEncoder(w).Encode(list); err != nil {
			h.o.Log.Warn("orders not delivered; the agent will ask again", "err", err)
		}
	}
}

func (h *Hub) awaitOrders(r *http.Request) ([]order.Order, error) {
	t, err := h.agent(r)
	if err != nil {
		return nil, err
	}
	wait := defaultWait
	if q := r.URL.Query().Get("wait"); q != "" {
		if wait, err = time.ParseDuration(q); err != nil || wait < 0 {
			return nil, refuse(http.StatusBadRequest, "wait is not a duration, such as 30s")
		}
	}
	over := time.NewTimer(min(wait, longestWait))
	defer over.Stop()
	rung, stop := h.bell.wait(t.Droplet)
	defer stop()
	for last := false; ; {
		list, err := h.store.WaitingOrders(r.Context(), t.Droplet, time.Now())
		if err != nil || len(list) > 0 || last {
			return list, err
		}
		select {
		case <-r.Context().Done():
			return nil, r.Context().Err()
		case <-rung:
		case <-over.C:
			last = true
		}
	}
}

// ordered returns the order a request's path names, if it is for the agent
// that asks. Others' orders are as unknown to it as none.
func (h *Hub) ordered(r *http.Request) (key string, p Placed, err error) {
	t, err := h.agent(r)
	if err != nil {
		return "", p, err
	}
	key = r.PathValue("key")
	p, err = h.store.Order(r.Context(), key)
	if errors.Is(err, ErrNoOrder) || err == nil && p.Order.Droplet != t.Droplet {
		return key, p, refuse(http.StatusNotFound, "no such order for this droplet")
	}
	return key, p, err
}

// serveClaim gives an order to the first who claims it in time.
func (h *Hub) serveClaim(w http.ResponseWriter, r *http.Request) {
	if err := h.claim(r); err != nil {
		h.answer(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (h *Hub) claim(r *http.Request) error {
	key, p, err := h.ordered(r)
	if err != nil {
		return err
	}
	now := time.Now()
	switch {
	case p.State == Void:
		return refuse(http.StatusGone, "the order is void")
	case p.State == Waiting && now.After(p.Order.NotAfter):
		return refuse(http.StatusGone, "the order was good until %s", p.Order.NotAfter.UTC().Format(time.RFC3339))
	}
	ok, err := h.store.MoveOrder(r.Context(), key, Waiting, Claimed, now, nil)
	switch {
	case err != nil:
		return fmt.Errorf("claim order %s: %w", key, err)
	case !ok:
		return refuse(http.StatusConflict, "the order was claimed before")
	}
	return nil
}

// serveResult takes what became of a claimed order.
func (h *Hub) serveResult(w http.ResponseWriter, r *http.Request) {
	if err := h.result(w, r); err != nil {
		h.answer(w, r, err)
		return
	}
	w.WriteHeader(http.StatusNoContent)
}

func (h *Hub) result(w http.ResponseWriter, r *http.Request) error {
	key, p, err := h.ordered(r)
	if err != nil {
		return err
	}
	res, err := order.ReadResult(http.MaxBytesReader(w, r.Body, order.MaxBody))
	var large *http.MaxBytesError
	switch {
	case errors.As(err, &large):
		return refuse(http.StatusRequestEntityTooLarge, "the result has more than %d bytes", large.Limit)
	case err != nil:
		return refuse(http.StatusBadRequest, "%v", err)
	case res.Key() != key:
		return refuse(http.StatusBadRequest, "the result is of order %q, not of %q", res.Key(), key)
	case p.State == Waiting || p.State == Void:
		return refuse(http.StatusConflict, "the order was not claimed")
	}
	ok, err := h.store.MoveOrder(r.Context(), key, Claimed, Ended, time.Now(), &res)
	if err != nil {
		return fmt.Errorf("keep result of order %s: %w", key, err)
	}
	if ok {
		h.bell.ring(resultBell(key))
		return nil
	}
	return h.repeated(r.Context(), key, res)
}

// repeated takes the same result again, and no other.
func (h *Hub) repeated(ctx context.Context, key string, res order.Result) error {
	p, err := h.store.Order(ctx, key)
	if err != nil {
		return fmt.Errorf("read order %s: %w", key, err)
	}
	if p.Result == nil || !sameJSON(*p.Result, res) {
		return refuse(http.StatusConflict, "the order has another result already")
	}
	return nil
}

func sameJSON(a, b order.Result) bool {
	var x, y any
	for v, into := range map[*order.Result]*any{&a: &x, &b: &y} {
		body, err := json.Marshal(v)
		if err != nil || json.Unmarshal(body, into) != nil {
			return false
		}
	}
	return reflect.DeepEqual(x, y)
}
