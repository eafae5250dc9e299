package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"

	"github.com/dropleak/dropleak/bot/schedule"
)

var _ schedule.Store = (*Store)(nil)

// NextFire returns when a job fires next and the spec that said so; the zero
// time when the job is new.
func (s *Store) NextFire(ctx context.Context, name string) (time.Time, string, error) {
	var next int64
	var spec string
	err := s.state.read.QueryRowContext(ctx, `select next_at, spec from fire where job = $1`, name).Scan(&next, &spec)
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return time.Time{}, "", nil
	case err != nil:
		return time.Time{}, "", fmt.Errorf("read next fire of %s: %w", name, err)
	}
	return fromMS(next), spec, nil
}

// ClaimFire moves a job from one next fire to another if the stored one still
// is old (the zero time: there is none), and reports whether it did.
func (s *Store) ClaimFire(ctx context.Context, name, spec string, old, next time.Time) (bool, error) {
	res, err := s.state.write.ExecContext(ctx, `
		insert into fire (job, spec, next_at) values ($1, $2, $3)
		on conflict (job) do update set spec = excluded.spec, next_at = excluded.next_at
		where fire.next_at = $4`, name, spec, ms(next), ms(old))
	if err != nil {
		return false, fmt.Errorf("claim fire of %s: %w", name, err)
	}
	n, err := res.RowsAffected()
	if err != nil {
		return false, fmt.Errorf("claim fire of %s: %w", name, err)
	}
	return n == 1, nil
}
