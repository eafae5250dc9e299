package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/dropleak/dropleak/bot/workflow"
)

var _ workflow.Store = (*Store)(nil)

const runColumns = `id, recipe, subject, step, data, gate, gate_version, outcome, due, entered, tries, trouble,
	owner, token, version, announced, announce_at, created, updated, ended, telling, echo_at, echoes`

func scanRun(row scanner) (workflow.Run, error) {
	var r workflow.Run
	var data, gate string
	var due, entered, announceAt, created, updated, ended, echoAt int64
	err := row.Scan(&r.ID, &r.Recipe, &r.Key, &r.Step, &data, &gate, &r.GateVersion, &r.Outcome, &due, &entered, &r.Tries, &r.Trouble,
		&r.Owner, &r.Token, &r.Version, &r.Announced, &announceAt, &created, &updated, &ended,
		&r.Telling, &echoAt, &r.Echoes)
	if errors.Is(err, sql.ErrNoRows) {
		return r, workflow.ErrNotFound
	}
	r.Data, r.Gate = raw(data), raw(gate)
	r.Due, r.Entered, r.AnnounceAt = fromMS(due), fromMS(entered), fromMS(announceAt)
	r.Created, r.Updated, r.Ended, r.EchoAt = fromMS(created), fromMS(updated), fromMS(ended), fromMS(echoAt)
	return r, err
}

// raw is stored JSON; nothing stored is nil.
func raw(s string) json.RawMessage {
	if s == "" {
		return nil
	}
	return json.RawMessage(s)
}

// CreateRun implements [workflow.Runs].
func (s *Store) CreateRun(ctx context.Context, r workflow.Run, entries ...workflow.Entry) error {
	err := s.tx(ctx, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, `
			insert into run (`+runColumns+`, beat, lease_until)
			values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21, $22, $23, 0, 0)
			on conflict do nothing`,
			r.ID, r.Recipe, r.Key, r.Step, string(r.Data), string(r.Gate), r.GateVersion, r.Outcome, ms(r.Due), ms(r.Entered), r.Tries, r.Trouble,
			r.Owner, r.Token, r.Version, r.Announced, ms(r.AnnounceAt), ms(r.Created), ms(r.Updated), ms(r.Ended),
			r.Telling, ms(r.EchoAt), r.Echoes)
		if err := one(res, err, workflow.ErrExists); err != nil {
			return err
		}
		return journal(ctx, tx, entries)
	})
	if err != nil {
		return fmt.Errorf("create run %s: %w", r.ID, err)
	}
	return nil
}

// Run implements [workflow.Runs].
func (s *Store) Run(ctx context.Context, id string) (workflow.Run, error) {
	r, err := scanRun(s.state.read.QueryRowContext(ctx, `select `+runColumns+` from run where id = $1`, id))
	if err != nil {
		return r, fmt.Errorf("read run %s: %w", id, err)
	}
	return r, nil
}

// Runs implements [workflow.Runs].
func (s *Store) Runs(ctx context.Context, f workflow.Filter) ([]workflow.Run, error) {
	q, args := runQuery(f)
	out, err := list(ctx, s.state.read, scanRun, q, args...)
	if err != nil {
		return nil, fmt.Errorf("list runs: %w", err)
	}
	return out, nil
}

func runQuery(f workflow.Filter) (string, []any) {
	where := []string{"updated >= $1"}
	args := []any{ms(f.Since)}
	add := func(column, v string) {
		if v != "" {
			args = append(args, v)
			where = append(where, fmt.Sprintf("%s = $%d", column, len(args)))
		}
	}
	add("recipe", f.Recipe)
	add("subject", f.Key)
	if f.Live {
		where = append(where, "outcome = ''")
	}
	if f.Ended {
		where = append(where, "outcome <> ''")
	}
	q := "select " + runColumns + " from run where " + strings.Join(where, " and ") + " order by created desc, id"
	if f.Limit > 0 {
		args = append(args, f.Limit)
		q += fmt.Sprintf(" limit $%d", len(args))
	}
	return q, args
}

// DecideRun implements [workflow.Runs].
func (s *Store) DecideRun(ctx context.Context, id string, gateVersion int64, gate json.RawMessage, now time.Time, entries ...workflow.Entry) error {
	err := s.setGate(ctx, id, entries, `
		update run set gate = $1, gate_version = gate_version + 1, version = version + 1, due = $2
		where id = $3 and gate_version = $4 and outcome = ''`, string(gate), ms(now), id, gateVersion)
	if err != nil {
		return fmt.Errorf("decide run %s: %w", id, err)
	}
	return nil
}

// AmendRun implements [workflow.Runs].
func (s *Store) AmendRun(ctx context.Context, id string, gateVersion int64, gate json.RawMessage, entries ...workflow.Entry) error {
	err := s.setGate(ctx, id, entries, `
		update run set gate = $1, gate_version = gate_version + 1, version = version + 1
		where id = $2 and gate_version = $3 and outcome <> ''`, string(gate), id, gateVersion)
	if err != nil {
		return fmt.Errorf("amend run %s: %w", id, err)
	}
	return nil
}

// setGate writes a gate and its journal, and tells a conflict from a run
// that is not there.
func (s *Store) setGate(ctx context.Context, id string, entries []workflow.Entry, update string, args ...any) error {
	err := s.tx(ctx, func(tx *sql.Tx) error {
		res, err := tx.ExecContext(ctx, update, args...)
		if err := one(res, err, workflow.ErrConflict); err != nil {
			return err
		}
		return journal(ctx, tx, entries)
	})
	if errors.Is(err, workflow.ErrConflict) {
		if _, rerr := s.Run(ctx, id); rerr != nil {
			return rerr
		}
	}
	return err
}

// RetellRun implements [workflow.Runs].
func (s *Store) RetellRun(ctx context.Context, id string) error {
	res, err := s.state.exec(ctx, `update run set version = version + 1, announce_at = 0 where id = $1`, id)
	if err := one(res, err, workflow.ErrNotFound); err != nil {
		return fmt.Errorf("have run %s told again: %w", id, err)
	}
	return nil
}

// SlotHolders implements [workflow.Runs].
func (s *Store) SlotHolders(ctx context.Context, slot string) ([]string, error) {
	held, err := slotHolders(ctx, s.state.read, slot)
	if err != nil {
		return nil, fmt.Errorf("list holders of slot %s: %w", slot, err)
	}
	return held, nil
}

func slotHolders(ctx context.Context, db querier, slot string) ([]string, error) {
	return list(ctx, db, func(row scanner) (id string, err error) {
		err = row.Scan(&id)
		return id, err
	}, `select run from run_slot where name = $1 order by seq`, slot)
}
