package store

import (
	"context"
	"database/sql"
	"encoding/json"
	"errors"
	"fmt"
	"strings"

	"github.com/dropleak/dropleak/bot/finding"
)

var _ finding.Store = (*Store)(nil)

// OpenFinding implements [finding.Store].
func (s *Store) OpenFinding(ctx context.Context, f finding.Finding) error {
	body, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("open finding %s: %w", f.ID, err)
	}
	r, err := s.state.exec(ctx, `
		insert into finding (id, subject, droplet, worker, state, live, severity, opened, updated, version, body, incident)
		values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12) on conflict do nothing`,
		f.ID, f.Subject.Key(), f.Subject.DropletID, f.Subject.Worker, string(f.State), yes(!f.State.Final()),
		rank(f.Severity), ms(f.Opened), ms(f.Updated), f.Version, string(body), f.Incident)
	if err := one(r, err, finding.ErrConflict); err != nil {
		return fmt.Errorf("open finding %s: %w", f.ID, err)
	}
	return nil
}

// Finding implements [finding.Store].
func (s *Store) Finding(ctx context.Context, id string) (finding.Finding, error) {
	f, err := scanFinding(s.state.read.QueryRowContext(ctx, `select version, body from finding where id = $1`, id))
	if err != nil {
		return f, fmt.Errorf("read finding %s: %w", id, err)
	}
	return f, nil
}

// LiveFinding implements [finding.Store].
func (s *Store) LiveFinding(ctx context.Context, key string) (finding.Finding, error) {
	f, err := scanFinding(s.state.read.QueryRowContext(ctx,
		`select version, body from finding where subject = $1 and live = 1`, key))
	if err != nil {
		return f, fmt.Errorf("read live finding of %s: %w", key, err)
	}
	return f, nil
}

// Findings implements [finding.Store].
func (s *Store) Findings(ctx context.Context, f finding.Filter) ([]finding.Finding, error) {
	q, args := findingQuery(f)
	rows, err := s.state.read.QueryContext(ctx, q, args...)
	if err != nil {
		return nil, fmt.Errorf("list findings: %w", err)
	}
	defer rows.Close()
	var out []finding.Finding
	for rows.Next() {
		f, err := scanFinding(rows)
		if err != nil {
			return nil, fmt.Errorf("list findings: %w", err)
		}
		out = append(out, f)
	}
	if err := rows.Err(); err != nil {
		return nil, fmt.Errorf("list findings: %w", err)
	}
	return out, nil
}

func findingQuery(f finding.Filter) (string, []any) {
	var where []string
	var args []any
	add := func(cond string, v any) {
		args = append(args, v)
		where = append(where, fmt.Sprintf("%s $%d", cond, len(args)))
	}
	if f.Live {
		where = append(where, "live = 1")
	}
	if f.DropletID != "" {
		add("droplet =", f.DropletID)
	}
	if f.Worker != "" {
		add("worker =", f.Worker)
	}
	if f.Incident != "" {
		add("incident =", f.Incident)
	}
	if !f.Since.IsZero() {
		add("updated >=", ms(f.Since))
	}
	q := "select version, body from finding"
	if len(where) > 0 {
		q += " where " + strings.Join(where, " and ")
	}
	q += " order by severity, opened, id"
	if f.Limit > 0 {
		args = append(args, f.Limit)
		q += fmt.Sprintf(" limit $%d", len(args))
	}
	return q, args
}

// UpdateFinding implements [finding.Store]. A final finding stays final.
func (s *Store) UpdateFinding(ctx context.Context, f finding.Finding) error {
	old := f.Version
	f.Version++
	body, err := json.Marshal(f)
	if err != nil {
		return fmt.Errorf("update finding %s: %w", f.ID, err)
	}
	live := yes(!f.State.Final())
	r, err := s.state.exec(ctx, `
		update finding set state = $1, live = $2, severity = $3, updated = $4, version = $5, body = $6, incident = $7
		where id = $8 and version = $9 and live >= $10`,
		string(f.State), live, rank(f.Severity), ms(f.Updated), f.Version, string(body), f.Incident, f.ID, old, live)
	err = one(r, err, finding.ErrConflict)
	if errors.Is(err, finding.ErrConflict) {
		if _, rerr := s.Finding(ctx, f.ID); rerr != nil {
			err = rerr
		}
	}
	if err != nil {
		return fmt.Errorf("update finding %s: %w", f.ID, err)
	}
	return nil
}

type scanner interface{ Scan(...any) error }

func scanFinding(row scanner) (finding.Finding, error) {
	var f finding.Finding
	var version int64
	var body string
	switch err := row.Scan(&version, &body); {
	case errors.Is(err, sql.ErrNoRows):
		return f, finding.ErrNotFound
	case err != nil:
		return f, err
	}
	if err := json.Unmarshal([]byte(body), &f); err != nil {
		return f, fmt.Errorf("read its body: %w", err)
	}
	f.Version = version
	return f, nil
}

// rank orders severities, worst first; an unknown one comes last.
func rank(s finding.Severity) int64 {
	for i, k := range []finding.Severity{finding.Critical, finding.High, finding.Medium, finding.Low} {
		if s == k {
			return int64(i)
		}
	}
	return 4
}
