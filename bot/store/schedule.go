package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/dropleak/dropleak/bot/schedule"
)

var _ schedule.Store = (*Store)(nil)

// Fire implements [schedule.Store].
func (s *Store) Fire(ctx context.Context, job string) (schedule.Fire, error) {
	var next, due, until int64
	var f schedule.Fire
	err := s.state.read.QueryRowContext(ctx, `select next_at, spec, due_at, until_at from fire where job = $1`, job).
		Scan(&next, &f.Spec, &due, &until)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return schedule.Fire{}, nil
	case err != nil:
		return schedule.Fire{}, fmt.Errorf("read next fire of %s: %w", job, err)
	}
	f.Next, f.Due, f.Until = fromMS(next), fromMS(due), fromMS(until)
	return f, nil
}

// MoveFire implements [schedule.Store].
func (s *Store) MoveFire(ctx context.Context, job string, from, to schedule.Fire) (bool, error) {
	res, err := s.state.exec(ctx, `
		insert into fire (job, spec, next_at, due_at, until_at) values ($1, $2, $3, $4, $5)
		on conflict (job) do update set spec = excluded.spec, next_at = excluded.next_at,
			due_at = excluded.due_at, until_at = excluded.until_at
		where fire.next_at = $6 and fire.due_at = $7 and fire.until_at = $8`,
		job, to.Spec, ms(to.Next), ms(to.Due), ms(to.Until), ms(from.Next), ms(from.Due), ms(from.Until))
	if err != nil {
		return false, fmt.Errorf("move fire of %s: %w", job, err)
	}
	n, err := res.RowsAffected()
	if err != nil {
		return false, fmt.Errorf("move fire of %s: %w", job, err)
	}
	return n == 1, nil
}
