package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"time"
)

// keepDone is how long an envelope that was worked off is remembered, so that
// a repeated delivery of it is known.
const keepDone = 24 * time.Hour

// SaveEnvelope implements chat.Inbox.
func (s *Store) SaveEnvelope(ctx context.Context, id string, body []byte, at time.Time) (bool, error) {
	res, err := s.state.write.ExecContext(ctx, `
		insert into envelope (id, received, body) values ($1, $2, $3) on conflict (id) do nothing`, id, ms(at), string(body))
	if err != nil {
		return false, fmt.Errorf("save envelope: %w", err)
	}
	n, err := res.RowsAffected()
	if err != nil {
		return false, fmt.Errorf("save envelope: %w", err)
	}
	return n == 1, nil
}

// TakeEnvelope implements chat.Inbox.
func (s *Store) TakeEnvelope(ctx context.Context, owner string, now time.Time, lease time.Duration) (id string, body []byte, before int, err error) {
	var text string
	err = s.state.write.QueryRowContext(ctx, `
		update envelope set owner = $1, until = $2, tries = tries + 1
		where id = (select id from envelope where done = 0 and until <= $3 order by received, id limit 1`+s.skipLocked()+`)
		returning id, body, tries`, owner, ms(now.Add(lease)), ms(now)).Scan(&id, &text, &before)
	if errors.Is(err, sql.ErrNoRows) {
		return "", nil, 0, nil
	}
	if err != nil {
		return "", nil, 0, fmt.Errorf("take envelope: %w", err)
	}
	return id, []byte(text), before - 1, nil
}

// FinishEnvelope implements chat.Inbox; it also forgets the long finished.
func (s *Store) FinishEnvelope(ctx context.Context, id string, at time.Time) error {
	if _, err := s.state.write.ExecContext(ctx, `update envelope set done = $1 where id = $2`, ms(at), id); err != nil {
		return fmt.Errorf("finish envelope: %w", err)
	}
	if _, err := s.state.write.ExecContext(ctx, `delete from envelope where done > 0 and done < $1`, ms(at.Add(-keepDone))); err != nil {
		return fmt.Errorf("forget finished envelopes: %w", err)
	}
	return nil
}
