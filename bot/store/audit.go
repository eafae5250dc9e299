package store

import (
	"context"
	"database/sql"
	"fmt"
	"time"

	"github.com/dropleak/dropleak/bot/audit"
	"github.com/dropleak/dropleak/bot/workflow"
)

var _ audit.Log = (*Store)(nil)

// AppendAudit implements [audit.Log].
func (s *Store) AppendAudit(ctx context.Context, e audit.Entry) (audit.Entry, error) {
	err := s.tx(ctx, func(tx *sql.Tx) (err error) {
		e, err = appendAudit(ctx, tx, e)
		return err
	})
	if err != nil {
		return e, fmt.Errorf("append to the audit log: %w", err)
	}
	return e, nil
}

// appendAudit adds an entry within a transaction. The update of the head
// comes first: it makes writers queue.
func appendAudit(ctx context.Context, tx *sql.Tx, e audit.Entry) (audit.Entry, error) {
	var head audit.Head
	err := tx.QueryRowContext(ctx, `update audit_head set seq = seq + 1 where one = 1 returning seq - 1, hash`).
		Scan(&head.Seq, &head.Hash)
	if err != nil {
		return e, fmt.Errorf("lock its head: %w", err)
	}
	e = audit.Seal(head, e)
	_, err = tx.ExecContext(ctx, `
		insert into audit (seq, at, who, what, run, subject, why, was, became, prev, hash)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11)`,
		e.Seq, ms(e.At), e.Who, e.What, e.Run, e.Subject, e.Why, e.Before, e.After, e.Prev, e.Hash)
	if err != nil {
		return e, err
	}
	_, err = tx.ExecContext(ctx, `update audit_head set hash = $1 where one = 1`, e.Hash)
	return e, err
}

// journal writes a run's journal into the audit log, in the transaction of
// the change it tells of: there is one record, and no change without it.
func journal(ctx context.Context, tx *sql.Tx, entries []workflow.Entry) error {
	for _, e := range entries {
		if e.At.IsZero() {
			e.At = time.Now()
		}
		_, err := appendAudit(ctx, tx, audit.Entry{At: e.At, Who: e.Who, What: e.What, Run: e.Run, Subject: e.Subject,
			Why: e.Why, Before: e.Before, After: e.After})
		if err != nil {
			return fmt.Errorf("journal: %w", err)
		}
	}
	return nil
}

// AuditHead implements [audit.Log].
func (s *Store) AuditHead(ctx context.Context) (audit.Head, error) {
	var h audit.Head
	err := s.state.read.QueryRowContext(ctx, `select seq, hash from audit_head where one = 1`).Scan(&h.Seq, &h.Hash)
	if err != nil {
		return h, fmt.Errorf("read the head of the audit log: %w", err)
	}
	return h, nil
}

// AuditEntries implements [audit.Log].
func (s *Store) AuditEntries(ctx context.Context, f audit.Filter) ([]audit.Entry, error) {
	if f.Limit <= 0 {
		f.Limit = 1 << 30
	}
	out, err := list(ctx, s.state.read, scanEntry, `
		select seq, at, who, what, run, subject, why, was, became, prev, hash from audit
		where seq > $1 and ($2 = '' or run = $2) order by seq limit $3`, f.After, f.Run, f.Limit)
	if err != nil {
		return nil, fmt.Errorf("read the audit log: %w", err)
	}
	return out, nil
}

func scanEntry(row scanner) (audit.Entry, error) {
	var e audit.Entry
	var at int64
	err := row.Scan(&e.Seq, &at, &e.Who, &e.What, &e.Run, &e.Subject, &e.Why, &e.Before, &e.After, &e.Prev, &e.Hash)
	e.At = fromMS(at)
	return e, err
}
