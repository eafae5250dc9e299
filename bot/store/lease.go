package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"github.com/dropleak/dropleak/bot/workflow"
)

// pulse watches the owners of leases on SQLite: a lease has run out when its
// heartbeat has not changed for its length by this process's own monotonic
// time. No clock of anybody else's is believed.
type pulse struct {
	mu   sync.Mutex
	seen map[string]heard
}

// heard is a heartbeat and when it was first heard.
type heard struct {
	token, beat int64
	at          time.Time
}

// stopped reports whether an owner has been silent for the whole lease.
func (p *pulse) stopped(id string, token, beat int64, lease time.Duration) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	h, ok := p.seen[id]
	if !ok || h.token != token || h.beat != beat {
		if p.seen == nil {
			p.seen = map[string]heard{}
		}
		p.seen[id] = heard{token, beat, time.Now()}
		return false
	}
	return time.Since(h.at) >= lease
}

func (p *pulse) forget(id string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	delete(p.seen, id)
}

// dbNow is the database's clock in milliseconds, as SQL. On SQLite nobody
// looks at what it is written to.
func (s *Store) dbNow() string {
	if s.engine == Postgres {
		return `(extract(epoch from clock_timestamp()) * 1000)::bigint`
	}
	return `0`
}

// ClaimRun implements [workflow.Leases].
func (s *Store) ClaimRun(ctx context.Context, owner string, now time.Time, lease time.Duration) (workflow.Run, error) {
	var r workflow.Run
	// Most looks find nothing, and need not queue with those who write.
	var some int
	err := s.state.read.QueryRowContext(ctx, `select 1 from run where `+waiting+` limit 1`, ms(now)).Scan(&some)
	if errors.Is(err, sql.ErrNoRows) {
		return r, workflow.ErrNone
	}
	if err != nil {
		return r, fmt.Errorf("look for a run: %w", err)
	}
	err = s.tx(ctx, func(tx *sql.Tx) error {
		id, err := s.free(ctx, tx, now, lease)
		if err != nil {
			return err
		}
		r, err = scanRun(tx.QueryRowContext(ctx, `
			update run set owner = $1, token = token + 1, beat = beat + 1, lease_until = `+s.dbNow()+` + $2
			where id = $3 returning `+runColumns, owner, lease.Milliseconds(), id))
		return err
	})
	switch {
	case errors.Is(err, workflow.ErrNone):
		return r, workflow.ErrNone
	case err != nil:
		return r, fmt.Errorf("claim a run: %w", err)
	}
	s.pulse.forget(r.ID)
	return r, nil
}

// waiting is the condition of a run that somebody should look at by $1. Each of
// its three parts has an index.
const waiting = `((outcome = '' and due > 0 and due <= $1) or (announced < version and announce_at <= $1)
	or (echo_at > 0 and echo_at <= $1 and announce_at <= $1))`

// free finds the run that has waited longest for an owner.
func (s *Store) free(ctx context.Context, tx *sql.Tx, now time.Time, lease time.Duration) (string, error) {
	q := `select id, owner, token, beat from run where ` + waiting
	if s.engine == Postgres {
		q += ` and (owner = '' or lease_until < ` + s.dbNow() + `)`
	}
	q += ` order by case when outcome = '' and due > 0 and due <= $1 then due else announce_at end, id limit 200` + s.skipLocked()
	rows, err := tx.QueryContext(ctx, q, ms(now))
	if err != nil {
		return "", err
	}
	defer rows.Close()
	for rows.Next() {
		var id, owner string
		var token, beat int64
		if err := rows.Scan(&id, &owner, &token, &beat); err != nil {
			return "", err
		}
		if owner == "" || s.engine == Postgres || s.pulse.stopped(id, token, beat, lease) {
			return id, rows.Close()
		}
	}
	if err := rows.Err(); err != nil {
		return "", err
	}
	return "", workflow.ErrNone
}

// RenewRun implements [workflow.Leases].
func (s *Store) RenewRun(ctx context.Context, id string, token int64, lease time.Duration) error {
	res, err := s.state.exec(ctx, `
		update run set beat = beat + 1, lease_until = `+s.dbNow()+` + $1
		where id = $2 and token = $3 and owner <> ''`, lease.Milliseconds(), id, token)
	if err := one(res, err, workflow.ErrFenced); err != nil {
		return fmt.Errorf("renew the lease of run %s: %w", id, err)
	}
	return nil
}

// SaveRun implements [workflow.Leases].
func (s *Store) SaveRun(ctx context.Context, r workflow.Run, changed bool, entries ...workflow.Entry) (workflow.Run, error) {
	out := r
	err := s.tx(ctx, func(tx *sql.Tx) (err error) {
		out, err = saveRun(ctx, tx, r, changed)
		if err != nil {
			return err
		}
		if !r.Live() {
			if _, err := tx.ExecContext(ctx, `delete from run_slot where run = $1`, r.ID); err != nil {
				return err
			}
		}
		return journal(ctx, tx, entries)
	})
	if err != nil {
		return r, fmt.Errorf("save run %s: %w", r.ID, err)
	}
	return out, nil
}

func saveRun(ctx context.Context, tx *sql.Tx, r workflow.Run, changed bool) (workflow.Run, error) {
	out, err := scanRun(tx.QueryRowContext(ctx, `
		update run set step = $1, data = $2, outcome = $3, entered = $4, tries = $5, trouble = $6, owner = $7,
			announced = $8, announce_at = $9, updated = $10, ended = $11, version = version + $12, telling = $17, echo_at = $18, echoes = $19,
			due = case when $3 <> '' then 0 when gate_version = $13 then $14 else due end
		where id = $15 and token = $16 and owner <> '' and (gate_version = $13 or outcome <> '' or $3 = '')
		returning `+runColumns,
		r.Step, string(r.Data), r.Outcome, ms(r.Entered), r.Tries, r.Trouble, r.Owner,
		r.Announced, ms(r.AnnounceAt), ms(r.Updated), ms(r.Ended), yes(changed), r.GateVersion, ms(r.Due), r.ID, r.Token,
		r.Telling, ms(r.EchoAt), r.Echoes))
	if errors.Is(err, workflow.ErrNotFound) {
		if err := fence(ctx, tx, r.ID, r.Token); err != nil {
			return r, err
		}
		return r, workflow.ErrConflict
	}
	return out, err
}

// fence locks the run's row and makes sure that token still holds the lease.
func fence(ctx context.Context, tx *sql.Tx, id string, token int64) error {
	res, err := tx.ExecContext(ctx, `update run set beat = beat where id = $1 and token = $2 and owner <> ''`, id, token)
	return one(res, err, workflow.ErrFenced)
}

// TakeSlots implements [workflow.Leases].
func (s *Store) TakeSlots(ctx context.Context, id string, token int64, slots []workflow.Slot) ([]workflow.Slot, error) {
	var full []workflow.Slot
	err := s.tx(ctx, func(tx *sql.Tx) error {
		full = nil
		if err := fence(ctx, tx, id, token); err != nil {
			return err
		}
		var turn int64
		if err := tx.QueryRowContext(ctx, `update run_slot_turn set n = n + 1 where one = 1 returning n`).Scan(&turn); err != nil {
			return err
		}
		for _, slot := range slots {
			held, err := slotHolders(ctx, tx, slot.Name)
			if err != nil {
				return err
			}
			if !slices.Contains(held, id) && len(held) >= slot.Limit {
				slot.Holders = held
				full = append(full, slot)
			}
		}
		if len(full) > 0 {
			return nil
		}
		for _, slot := range slots {
			_, err := tx.ExecContext(ctx, `insert into run_slot (name, run, seq) values ($1, $2, $3) on conflict do nothing`, slot.Name, id, turn)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("take slots for run %s: %w", id, err)
	}
	return full, nil
}

// ReturnSlots implements [workflow.Leases].
func (s *Store) ReturnSlots(ctx context.Context, id string, token int64, but string) error {
	err := s.tx(ctx, func(tx *sql.Tx) error {
		if err := fence(ctx, tx, id, token); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `delete from run_slot where run = $1 and name <> $2`, id, but)
		return err
	})
	if err != nil {
		return fmt.Errorf("give back slots of run %s: %w", id, err)
	}
	return nil
}
