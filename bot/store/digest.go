package store

import (
	"context"
	"database/sql"
	"fmt"

	"github.com/dropleak/dropleak/bot/history"
)

// DigestsIn implements [history.Digests].
func (s *Store) DigestsIn(ctx context.Context, droplet string, from, to int64) ([]history.KeptDigest, error) {
	out, err := list(ctx, s.history.read, func(r scanner) (d history.KeptDigest, err error) {
		return d, r.Scan(&d.Start, &d.Version, &d.Body)
	}, `select start, version, body from digest where droplet = $1 and start >= $2 and start <= $3 order by start`, droplet, from, to)
	if err != nil {
		return nil, fmt.Errorf("read digests: %w", err)
	}
	return out, nil
}

// PutDigests implements [history.Digests].
func (s *Store) PutDigests(ctx context.Context, droplet string, ds []history.KeptDigest) error {
	err := s.history.tx(ctx, func(tx *sql.Tx) error {
		for _, d := range ds {
			_, err := tx.ExecContext(ctx, `
				insert into digest (droplet, start, version, body) values ($1, $2, $3, $4)
				on conflict (droplet, start) do update set body = excluded.body where digest.version = excluded.version`,
				droplet, d.Start, d.Version, d.Body)
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("keep digests: %w", err)
	}
	return nil
}

// spoilDigests makes the digests that late samples fall into untrue. One that
// is not there yet may be in the making: it gets a version too.
func spoilDigests(ctx context.Context, tx *sql.Tx, droplet string, starts []int64) error {
	for _, start := range starts {
		_, err := tx.ExecContext(ctx, `
			insert into digest (droplet, start, version, body) values ($1, $2, 1, $3)
			on conflict (droplet, start) do update set version = digest.version + 1, body = excluded.body`,
			droplet, start, []byte{})
		if err != nil {
			return err
		}
	}
	return nil
}

// SweepDigests implements [history.Digests].
func (s *Store) SweepDigests(ctx context.Context, before int64) error {
	err := s.history.tx(ctx, func(tx *sql.Tx) error {
		_, err := tx.ExecContext(ctx, `delete from digest where start < $1`, before)
		return err
	})
	if err != nil {
		return fmt.Errorf("sweep digests: %w", err)
	}
	return nil
}
