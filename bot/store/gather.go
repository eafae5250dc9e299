package store

import (
	"context"
	"database/sql"
	"sync"
	"time"
)

// gathered commits what arrives at the same moment together: a hundred people
// who click at once wait for a disk that syncs twice, not a hundred times, and
// those who work the inbox off do not stand in their way.
type gathered struct {
	mu      sync.Mutex
	waiting []*write
	busy    bool // somebody commits what waits
}

// write is one change on its way into the store. It may be tried twice.
type write struct {
	do   func(ctx context.Context, tx *sql.Tx) error
	done chan struct{} // closed when err is known
	err  error
}

const (
	mostGathered = 200             // in one commit; it bounds how long they wait
	commitIn     = 5 * time.Second // Slack has long given up by then
)

// together commits do, with others if there are any. When it returns because
// ctx ended, do may be committed all the same.
func (s *Store) together(ctx context.Context, do func(ctx context.Context, tx *sql.Tx) error) error {
	w := &write{do: do, done: make(chan struct{})}
	s.inbox.mu.Lock()
	s.inbox.waiting = append(s.inbox.waiting, w)
	first := !s.inbox.busy
	s.inbox.busy = true
	s.inbox.mu.Unlock()
	if first {
		go s.commitGathered(context.WithoutCancel(ctx))
	}
	select {
	case <-w.done:
		return w.err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// commitGathered commits what waits, until nothing does.
func (s *Store) commitGathered(ctx context.Context) {
	for {
		s.inbox.mu.Lock()
		batch := s.inbox.waiting[:min(len(s.inbox.waiting), mostGathered)]
		s.inbox.waiting = s.inbox.waiting[len(batch):]
		if len(batch) == 0 {
			s.inbox.busy = false
			s.inbox.mu.Unlock()
			return
		}
		s.inbox.mu.Unlock()
		err := s.commitAll(ctx, batch)
		for i, w := range batch {
			if w.err = err; err != nil && len(batch) > 1 { // one must not take the others with it
				w.err = s.commitAll(ctx, batch[i:i+1])
			}
			close(w.done)
		}
	}
}

// commitAll commits all of a batch or none of it.
func (s *Store) commitAll(ctx context.Context, batch []*write) error {
	ctx, cancel := context.WithTimeout(ctx, commitIn)
	defer cancel()
	return s.tx(ctx, func(tx *sql.Tx) error {
		for _, w := range batch {
			if err := w.do(ctx, tx); err != nil {
				return err
			}
		}
		return nil
	})
}
