package store

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/dropleak/dropleak/bot/workflow"
)

// RunActs implements [workflow.Acts].
func (s *Store) RunActs(ctx context.Context, run string) ([]workflow.Act, error) {
	out, err := list(ctx, s.state.read, scanAct, `
		select run, name, state, request, result, why, retry, looks, planned, sent, first_look, over
		from run_act where run = $1 order by seq`, run)
	if err != nil {
		return nil, fmt.Errorf("list acts of run %s: %w", run, err)
	}
	return out, nil
}

func scanAct(row scanner) (workflow.Act, error) {
	var a workflow.Act
	var request, result string
	var retry, planned, sent, look, over int64
	err := row.Scan(&a.Run, &a.Name, &a.State, &request, &result, &a.Why, &retry, &a.Looks, &planned, &sent, &look, &over)
	a.Request, a.Result, a.Retry = raw(request), raw(result), retry == 1
	a.Planned, a.Sent, a.FirstLook, a.Over = fromMS(planned), fromMS(sent), fromMS(look), fromMS(over)
	return a, err
}

// PlanAct implements [workflow.Acts].
func (s *Store) PlanAct(ctx context.Context, a workflow.Act, token int64, entries ...workflow.Entry) error {
	err := s.tx(ctx, func(tx *sql.Tx) error {
		if err := fence(ctx, tx, a.Run, token); err != nil {
			return err
		}
		res, err := tx.ExecContext(ctx, `
			insert into run_act (run, name, seq, state, request, result, why, retry, looks, planned, sent, first_look, over)
			values ($1, $2, (select count(*) from run_act where run = $1), $3, $4, '', '', 0, 0, $5, 0, 0, 0)
			on conflict do nothing`, a.Run, a.Name, string(a.State), string(a.Request), ms(a.Planned))
		if err != nil {
			return err
		}
		if n, err := res.RowsAffected(); err != nil || n == 0 {
			return err
		}
		return journal(ctx, tx, entries)
	})
	if err != nil {
		return fmt.Errorf("plan act %s of run %s: %w", a.Name, a.Run, err)
	}
	return nil
}

// MoveAct implements [workflow.Acts].
func (s *Store) MoveAct(ctx context.Context, a workflow.Act, from workflow.ActState, token, gateVersion int64, entries ...workflow.Entry) error {
	err := s.tx(ctx, func(tx *sql.Tx) error {
		if err := fence(ctx, tx, a.Run, token); err != nil {
			return err
		}
		if from == workflow.Planned && a.State == workflow.Sent {
			res, err := tx.ExecContext(ctx, `
				update run set gate_version = gate_version + 1, version = version + 1
				where id = $1 and gate_version = $2`, a.Run, gateVersion)
			if err := one(res, err, workflow.ErrConflict); err != nil {
				return err
			}
		}
		res, err := tx.ExecContext(ctx, `
			update run_act set state = $1, result = $2, why = $3, retry = $4, looks = $5, sent = $6, first_look = $7, over = $8
			where run = $9 and name = $10 and state = $11`,
			string(a.State), string(a.Result), a.Why, yes(a.Retry), a.Looks, ms(a.Sent), ms(a.FirstLook), ms(a.Over),
			a.Run, a.Name, string(from))
		if err := one(res, err, workflow.ErrFenced); err != nil {
			return err
		}
		return journal(ctx, tx, entries)
	})
	if err != nil {
		return fmt.Errorf("move act %s of run %s from %s to %s: %w", a.Name, a.Run, from, a.State, err)
	}
	return nil
}
