package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"sync"
	"time"
)

// keepDone is how long an envelope that was worked off is remembered, so that
// a repeated delivery of it is known.
const keepDone = 24 * time.Hour

// saves gathers envelopes that arrive at the same moment into one commit: a
// hundred people who click at once wait for a disk that syncs twice, not a
// hundred times.
type saves struct {
	mu      sync.Mutex
	waiting []*save
	busy    bool // somebody commits what waits
}

// save is one envelope on its way into the store.
type save struct {
	id, body string
	at       time.Time
	done     chan struct{} // closed when fresh and err are known
	fresh    bool
	err      error
}

// mostSaves bounds one commit, and with it how long its envelopes wait.
const mostSaves = 200

// SaveEnvelope implements chat.Inbox.
func (s *Store) SaveEnvelope(ctx context.Context, id string, body []byte, at time.Time) (bool, error) {
	e := &save{id: id, body: string(body), at: at, done: make(chan struct{})}
	s.saves.mu.Lock()
	s.saves.waiting = append(s.saves.waiting, e)
	first := !s.saves.busy
	s.saves.busy = true
	s.saves.mu.Unlock()
	if first {
		go s.commitSaves(context.WithoutCancel(ctx))
	}
	select {
	case <-e.done:
	case <-ctx.Done(): // it may be stored all the same: the sender tries again, or not
		return false, fmt.Errorf("save envelope: %w", ctx.Err())
	}
	if e.err != nil {
		return false, fmt.Errorf("save envelope: %w", e.err)
	}
	return e.fresh, nil
}

// commitSaves commits what waits, until nothing does.
func (s *Store) commitSaves(ctx context.Context) {
	for {
		s.saves.mu.Lock()
		batch := s.saves.waiting[:min(len(s.saves.waiting), mostSaves)]
		s.saves.waiting = s.saves.waiting[len(batch):]
		if len(batch) == 0 {
			s.saves.busy = false
			s.saves.mu.Unlock()
			return
		}
		s.saves.mu.Unlock()
		err := s.saveAll(ctx, batch)
		for i, e := range batch {
			if e.err = err; err != nil && len(batch) > 1 { // one must not take the others with it
				e.err = s.saveAll(ctx, batch[i:i+1])
			}
			close(e.done)
		}
	}
}

// saveFor bounds one commit of envelopes: Slack has long given up by then.
const saveFor = 5 * time.Second

// saveAll stores all of a batch or none of it. An id that is known, or comes
// twice, is fresh once.
func (s *Store) saveAll(ctx context.Context, batch []*save) error {
	ctx, cancel := context.WithTimeout(ctx, saveFor)
	defer cancel()
	return s.tx(ctx, func(tx *sql.Tx) error {
		for _, e := range batch {
			res, err := tx.ExecContext(ctx, `
				insert into envelope (id, received, body) values ($1, $2, $3) on conflict (id) do nothing`, e.id, ms(e.at), e.body)
			if err != nil {
				return err
			}
			n, err := res.RowsAffected()
			if err != nil {
				return err
			}
			e.fresh = n == 1
		}
		return nil
	})
}

// TakeEnvelope implements chat.Inbox.
func (s *Store) TakeEnvelope(ctx context.Context, owner string, now time.Time, lease time.Duration) (id string, body []byte, before int, err error) {
	// Most looks find nothing, and need not queue with those who write.
	var some int
	err = s.state.read.QueryRowContext(ctx, `select 1 from envelope where done = 0 and until <= $1 limit 1`, ms(now)).Scan(&some)
	var text string
	if err == nil {
		err = s.state.write.QueryRowContext(ctx, `
			update envelope set owner = $1, until = $2, tries = tries + 1
			where id = (select id from envelope where done = 0 and until <= $3 order by received, id limit 1`+s.skipLocked()+`)
			returning id, body, tries`, owner, ms(now.Add(lease)), ms(now)).Scan(&id, &text, &before)
	}
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
