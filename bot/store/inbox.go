package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync/atomic"
	"time"
)

const (
	// keepDone is how long an envelope that was worked off is remembered, so
	// that a repeated delivery of it is known.
	keepDone = 24 * time.Hour
	// keepTold is how long it is remembered what a run's thread was told: longer
	// than anybody is waited for.
	keepTold = 30 * 24 * time.Hour
	// forgetEvery is how often those are looked for that need not be.
	forgetEvery = 10 * time.Minute
)

// forgotten is when the long finished envelopes were deleted last, ms.
type forgotten struct{ at atomic.Int64 }

// due reports whether it is time to delete again, and takes the turn.
func (f *forgotten) due(now time.Time) bool {
	last := f.at.Load()
	return now.Sub(time.UnixMilli(last)).Abs() >= forgetEvery && f.at.CompareAndSwap(last, now.UnixMilli())
}

// SaveEnvelope implements chat.Inbox.
func (s *Store) SaveEnvelope(ctx context.Context, id string, body []byte, at time.Time) (bool, error) {
	var rows int64
	err := s.together(ctx, func(ctx context.Context, tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `
			insert into envelope (id, received, body) values ($1, $2, $3) on conflict (id) do nothing`, id, ms(at), string(body))
		if err != nil {
			return err
		}
		rows, err = res.RowsAffected()
		return err
	})
	if err != nil {
		return false, fmt.Errorf("save envelope: %w", err)
	}
	return rows == 1, nil
}

// taken is an envelope in somebody's hands.
type taken struct {
	id, body string
	tries    int
}

// TakeEnvelope implements chat.Inbox.
func (s *Store) TakeEnvelope(ctx context.Context, owner string, now time.Time, lease time.Duration) (id string, body []byte, before int, err error) {
	// Most looks find nothing, and need not queue with those who write.
	var some int
	err = s.state.read.QueryRowContext(ctx, `select 1 from envelope where done = 0 and until <= $1 limit 1`, ms(now)).Scan(&some)
	var t taken
	if err == nil {
		caller := ctx
		err = s.together(ctx, func(ctx context.Context, tx *sql.Tx) error {
			if caller.Err() != nil { // nobody would work it off
				return nil
			}
			return s.take(ctx, tx, &t, owner, now, lease)
		})
	}
	switch {
	case errors.Is(err, sql.ErrNoRows):
		return "", nil, 0, nil
	case err != nil:
		return "", nil, 0, fmt.Errorf("take envelope: %w", err)
	case t.id == "":
		return "", nil, 0, ctx.Err()
	}
	return t.id, []byte(t.body), t.tries - 1, nil
}

// take leases the oldest envelope to owner, if there is one.
func (s *Store) take(ctx context.Context, tx *sql.Tx, t *taken, owner string, now time.Time, lease time.Duration) error {
	*t = taken{}
	err := tx.QueryRowContext(ctx, `
		update envelope set owner = $1, until = $2, tries = tries + 1
		where id = (select id from envelope where done = 0 and until <= $3 order by received, id limit 1`+s.skipLocked()+`)
		returning id, body, tries`, owner, ms(now.Add(lease)), ms(now)).Scan(&t.id, &t.body, &t.tries)
	if errors.Is(err, sql.ErrNoRows) {
		return nil
	}
	return err
}

// FinishEnvelope implements chat.Inbox; now and then it also forgets the long
// finished, and what the threads of runs long over were told.
func (s *Store) FinishEnvelope(ctx context.Context, id string, at time.Time) error {
	forget := s.forgotten.due(at)
	err := s.together(ctx, func(ctx context.Context, tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `update envelope set done = $1 where id = $2`, ms(at), id); err != nil || !forget {
			return err
		}
		if _, err := tx.ExecContext(ctx, `delete from envelope where done > 0 and done < $1`, ms(at.Add(-keepDone))); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `delete from cursor_at where name like 'thread/%' and updated < $1`, ms(at.Add(-keepTold)))
		return err
	})
	if err != nil {
		return fmt.Errorf("finish envelope: %w", err)
	}
	return nil
}
