package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/dropleak/dropleak/bot/hub"
	"github.com/dropleak/dropleak/bot/order"
)

var _ hub.Store = (*Store)(nil)

// AddToken implements [hub.TokenStore].
func (s *Store) AddToken(ctx context.Context, t hub.Token, hash string) error {
	bound, err := json.Marshal(t.Bound)
	if err != nil {
		return fmt.Errorf("add token: %w", err)
	}
	_, err = s.state.exec(ctx, `
		insert into token (id, hash, name, kind, droplet, tag, created, revoked, bound)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9)`,
		t.ID, hash, t.Name, string(t.Kind), t.Droplet, t.Tag, ms(t.Created), ms(t.Revoked), string(bound))
	if err != nil {
		return fmt.Errorf("add token: %w", err)
	}
	return nil
}

const tokenColumns = `id, name, kind, droplet, tag, created, revoked, bound`

func scanToken(r scanner) (t hub.Token, err error) {
	var created, revoked int64
	var bound string
	if err := r.Scan(&t.ID, &t.Name, &t.Kind, &t.Droplet, &t.Tag, &created, &revoked, &bound); err != nil {
		return t, err
	}
	t.Created, t.Revoked = fromMS(created), fromMS(revoked)
	if err := json.Unmarshal([]byte(bound), &t.Bound); err != nil {
		return t, fmt.Errorf("token %s: %w", t.ID, err)
	}
	return t, nil
}

// TokenByHash implements [hub.TokenStore].
func (s *Store) TokenByHash(ctx context.Context, hash string) (hub.Token, error) {
	t, err := scanToken(s.state.read.QueryRowContext(ctx, `select `+tokenColumns+` from token where hash = $1`, hash))
	if errors.Is(err, sql.ErrNoRows) {
		return t, hub.ErrNoToken
	}
	if err != nil {
		return t, fmt.Errorf("read token: %w", err)
	}
	var at, ahead int64
	err = s.history.read.QueryRowContext(ctx, `select at, ahead from token_use where token = $1`, t.ID).Scan(&at, &ahead)
	if err != nil && !errors.Is(err, sql.ErrNoRows) {
		return t, fmt.Errorf("read use of token %s: %w", t.ID, err)
	}
	t.Seen = hub.Seen{At: fromMS(at), Ahead: time.Duration(ahead) * time.Millisecond}
	return t, nil
}

// Tokens implements [hub.TokenStore].
func (s *Store) Tokens(ctx context.Context) ([]hub.Token, error) {
	out, err := list(ctx, s.state.read, scanToken, `select `+tokenColumns+` from token order by created, id`)
	if err != nil {
		return nil, fmt.Errorf("list tokens: %w", err)
	}
	seen := map[string]hub.Seen{}
	_, err = list(ctx, s.history.read, func(r scanner) (none struct{}, err error) {
		var id string
		var at, ahead int64
		err = r.Scan(&id, &at, &ahead)
		seen[id] = hub.Seen{At: fromMS(at), Ahead: time.Duration(ahead) * time.Millisecond}
		return none, err
	}, `select token, at, ahead from token_use`)
	if err != nil {
		return nil, fmt.Errorf("list uses of tokens: %w", err)
	}
	for i := range out {
		out[i].Seen = seen[out[i].ID]
	}
	return out, nil
}

// RevokeToken implements [hub.TokenStore].
func (s *Store) RevokeToken(ctx context.Context, id string, at time.Time) error {
	r, err := s.state.exec(ctx, `update token set revoked = $1 where id = $2 and revoked = 0`, ms(at), id)
	if err := one(r, err, hub.ErrNoToken); err != nil {
		return fmt.Errorf("revoke token %s: %w", id, err)
	}
	return nil
}

// BindToken implements [hub.IdentityStore].
func (s *Store) BindToken(ctx context.Context, id string, old, bound hub.Identity) error {
	was, err := json.Marshal(old)
	if err != nil {
		return fmt.Errorf("bind token %s: %w", id, err)
	}
	is, err := json.Marshal(bound)
	if err != nil {
		return fmt.Errorf("bind token %s: %w", id, err)
	}
	r, err := s.state.exec(ctx, `update token set bound = $1 where id = $2 and bound = $3`,
		string(is), id, string(was))
	if err := one(r, err, hub.ErrBoundMeanwhile); err != nil {
		return fmt.Errorf("bind token %s: %w", id, err)
	}
	return nil
}

// TouchToken implements [hub.IdentityStore].
func (s *Store) TouchToken(ctx context.Context, id string, seen hub.Seen) error {
	_, err := s.history.exec(ctx, `
		insert into token_use (token, at, ahead) values ($1, $2, $3)
		on conflict (token) do update set at = excluded.at, ahead = excluded.ahead where token_use.at < excluded.at`,
		id, ms(seen.At), seen.Ahead.Milliseconds())
	if err != nil {
		return fmt.Errorf("keep use of token %s: %w", id, err)
	}
	return nil
}

// PlaceOrder implements [hub.OrderStore].
func (s *Store) PlaceOrder(ctx context.Context, o order.Order) error {
	body, err := json.Marshal(o)
	if err != nil {
		return err
	}
	now := ms(time.Now())
	q := `insert into agent_order (id, droplet, state, placed, not_after, claimed, body, result)
		values ($1, $2, 'waiting', $3, $4, 0, $5, '') on conflict (id) do `
	if o.Phase == order.Start {
		q += `update set state = 'waiting', placed = excluded.placed, not_after = excluded.not_after,
			claimed = 0, body = excluded.body, result = ''
			where agent_order.state in ('claimed', 'ended') and agent_order.body <> excluded.body`
	} else {
		q += `nothing`
	}
	if _, err = s.state.exec(ctx, q, o.Key(), o.Droplet, now, ms(o.NotAfter), string(body)); err != nil || o.Kind == order.Restart {
		return err
	}
	// Questions are asked at every click and look, and their answers are used
	// at once. A restart's order stays: that there was one must be known.
	_, err = s.state.exec(ctx, `delete from agent_order where id like '%.%' and not_after < $1`, now-keepAsked.Milliseconds())
	return err
}

// keepAsked is how long an order that only reads is kept past its time.
const keepAsked = 24 * time.Hour

// Order implements [hub.OrderStore].
func (s *Store) Order(ctx context.Context, key string) (hub.Placed, error) {
	var p hub.Placed
	var claimed int64
	var body, result string
	err := s.state.read.QueryRowContext(ctx, `select state, claimed, body, result from agent_order where id = $1`, key).
		Scan(&p.State, &claimed, &body, &result)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return p, hub.ErrNoOrder
	case err != nil:
		return p, err
	}
	p.Claimed = fromMS(claimed)
	if err := json.Unmarshal([]byte(body), &p.Order); err != nil {
		return p, fmt.Errorf("its body: %w", err)
	}
	if result != "" {
		p.Result = new(order.Result)
		if err := json.Unmarshal([]byte(result), p.Result); err != nil {
			return p, fmt.Errorf("its result: %w", err)
		}
	}
	return p, nil
}

// WaitingOrders implements [hub.OrderStore].
func (s *Store) WaitingOrders(ctx context.Context, droplet string, at time.Time) ([]order.Order, error) {
	out, err := list(ctx, s.state.read, func(r scanner) (o order.Order, err error) {
		var body string
		if err := r.Scan(&body); err != nil {
			return o, err
		}
		return o, json.Unmarshal([]byte(body), &o)
	}, `select body from agent_order where droplet = $1 and state = 'waiting' and not_after >= $2 order by placed, id`,
		droplet, ms(at))
	if err != nil {
		return nil, fmt.Errorf("list orders of droplet %s: %w", droplet, err)
	}
	return out, nil
}

// DropletsWithOrders implements [hub.OrderStore].
func (s *Store) DropletsWithOrders(ctx context.Context) ([]string, error) {
	out, err := list(ctx, s.state.read, func(r scanner) (d string, err error) { return d, r.Scan(&d) },
		`select distinct droplet from agent_order where state = 'waiting' and not_after >= $1`, ms(time.Now()))
	if err != nil {
		return nil, fmt.Errorf("list droplets with orders: %w", err)
	}
	return out, nil
}

// MoveOrder implements [hub.OrderStore].
func (s *Store) MoveOrder(ctx context.Context, key string, from, to hub.State, at time.Time, res *order.Result) (bool, error) {
	var result string
	if res != nil {
		b, err := json.Marshal(res)
		if err != nil {
			return false, err
		}
		result = string(b)
	}
	var claimed int64 // added to the 0 of an order that waited
	if to == hub.Claimed {
		claimed = ms(at)
	}
	r, err := s.state.exec(ctx, `
		update agent_order set state = $1, result = $2, claimed = claimed + $3
		where id = $4 and state = $5`, string(to), result, claimed, key, string(from))
	if err != nil {
		return false, err
	}
	n, err := r.RowsAffected()
	return n == 1, err
}
