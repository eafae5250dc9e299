package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"fmt"

	"github.com/dropleak/dropleak/bot/alert"
)

var _ alert.Store = (*Store)(nil)

// Dues implements [alert.Store].
func (s *Store) Dues(ctx context.Context) ([]alert.Due, error) {
	out, err := list(ctx, s.state.read, func(r scanner) (d alert.Due, err error) {
		var body string
		var seq int64
		if err := r.Scan(&seq, &body); err != nil {
			return d, err
		}
		err = json.Unmarshal([]byte(body), &d)
		d.Seq = seq
		return d, err
	}, `select seq, body from alert_due order by endpoint, name`)
	if err != nil {
		return nil, fmt.Errorf("list alerts due: %w", err)
	}
	return out, nil
}

// PutDue implements [alert.Store].
func (s *Store) PutDue(ctx context.Context, d alert.Due) error {
	body, err := json.Marshal(d)
	if err != nil {
		return fmt.Errorf("store alert %s: %w", d.Alert.Key, err)
	}
	var r sql.Result
	if d.Seq == 0 {
		r, err = s.state.exec(ctx, `
			insert into alert_due (endpoint, name, seq, body) values ($1, $2, 1, $3) on conflict do nothing`, d.Endpoint, d.Alert.Key, string(body))
	} else {
		r, err = s.state.exec(ctx, `
			update alert_due set seq = seq + 1, body = $1 where endpoint = $2 and name = $3 and seq = $4`, string(body), d.Endpoint, d.Alert.Key, d.Seq)
	}
	if err := one(r, err, alert.ErrConflict); err != nil {
		return fmt.Errorf("store alert %s: %w", d.Alert.Key, err)
	}
	return nil
}

// DropDue implements [alert.Store].
func (s *Store) DropDue(ctx context.Context, d alert.Due) error {
	r, err := s.state.exec(ctx, `delete from alert_due where endpoint = $1 and name = $2 and seq = $3`, d.Endpoint, d.Alert.Key, d.Seq)
	if err := one(r, err, alert.ErrConflict); err != nil {
		return fmt.Errorf("drop alert %s: %w", d.Alert.Key, err)
	}
	return nil
}
