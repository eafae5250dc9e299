package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/dropleak/dropleak/bot/history"
)

// DuePushes implements [history.Folder].
func (s *Store) DuePushes(ctx context.Context, before int64) ([]history.Due, error) {
	out, err := list(ctx, s.history.read, func(r scanner) (d history.Due, err error) {
		return d, r.Scan(&d.Droplet, &d.Oldest, &d.Fold)
	}, `
		select p.droplet, min(p.arrived), coalesce(max(f.token), 0) from push p left join fold f on f.droplet = p.droplet
		group by p.droplet having min(p.arrived) < $1 order by 2`, before)
	if err != nil {
		return nil, fmt.Errorf("list waiting pushes: %w", err)
	}
	return out, nil
}

// AmendChunks implements [history.Folder].
func (s *Store) AmendChunks(ctx context.Context, d *history.Due, keys []history.ChunkKey,
	merge func(i int, old []byte) (history.Chunk, error)) error {
	return s.folding(ctx, d, func(tx *sql.Tx) error {
		read, err := tx.PrepareContext(ctx, `select body from chunk where series = $1 and resolution = $2 and start = $3`)
		if err != nil {
			return err
		}
		defer read.Close()
		for i, k := range keys {
			var old []byte
			err := read.QueryRowContext(ctx, k.Series, int64(k.Resolution), k.Start).Scan(&old)
			if err != nil && !errors.Is(err, sql.ErrNoRows) {
				return err
			}
			c, err := merge(i, old)
			if err != nil {
				return err
			}
			if err := putChunk(ctx, tx, c); err != nil {
				return err
			}
		}
		return nil
	})
}

func putChunk(ctx context.Context, tx *sql.Tx, c history.Chunk) error {
	_, err := tx.ExecContext(ctx, `
		insert into chunk (series, resolution, start, last, body) values ($1, $2, $3, $4, $5)
		on conflict (series, resolution, start) do update set last = excluded.last, body = excluded.body`,
		c.Series, int64(c.Resolution), c.Start, c.Last, c.Body)
	return err
}

// DropPushes implements [history.Folder].
func (s *Store) DropPushes(ctx context.Context, d *history.Due, seqs []int64) error {
	return s.folding(ctx, d, func(tx *sql.Tx) error {
		drop, err := tx.PrepareContext(ctx, `delete from push where seq = $1`)
		if err != nil {
			return err
		}
		defer drop.Close()
		for _, seq := range seqs {
			if _, err := drop.ExecContext(ctx, seq); err != nil {
				return err
			}
		}
		return nil
	})
}

// folding runs fn in a transaction if d still has the droplet's turn, and
// takes the next token with it. Of two replicas that fold one droplet the
// second finds the token moved and leaves.
func (s *Store) folding(ctx context.Context, d *history.Due, fn func(*sql.Tx) error) error {
	err := s.history.tx(ctx, func(tx *sql.Tx) error {
		r, err := tx.ExecContext(ctx, `
			insert into fold (droplet, token) values ($1, $2 + 1)
			on conflict (droplet) do update set token = fold.token + 1 where fold.token = $3`,
			d.Droplet, d.Fold, d.Fold)
		if err := one(r, err, history.ErrTaken); err != nil {
			return err
		}
		return fn(tx)
	})
	if err != nil {
		return err
	}
	d.Fold++
	return nil
}

// SeriesAfter implements [history.Sweeper].
func (s *Store) SeriesAfter(ctx context.Context, id int64, limit int) ([]int64, error) {
	out, err := list(ctx, s.history.read, func(r scanner) (id int64, err error) { return id, r.Scan(&id) },
		`select id from series where id > $1 order by id limit $2`, id, limit)
	if err != nil {
		return nil, fmt.Errorf("list series: %w", err)
	}
	return out, nil
}

// CoarsenSeries implements [history.Sweeper].
func (s *Store) CoarsenSeries(ctx context.Context, id, before int64, merge func(raw, coarse []history.Chunk) ([]history.Chunk, error)) error {
	// Most series have nothing to do most of the time: look first, without
	// holding up those who write.
	var n int
	err := s.history.read.QueryRowContext(ctx,
		`select count(*) from chunk where series = $1 and resolution = 0 and start < $2`, id, before).Scan(&n)
	if err != nil || n == 0 {
		return err
	}
	return s.history.tx(ctx, func(tx *sql.Tx) error { return coarsenIn(ctx, tx, id, before, merge) })
}

func coarsenIn(ctx context.Context, tx *sql.Tx, id, before int64, merge func(raw, coarse []history.Chunk) ([]history.Chunk, error)) error {
	raw, err := list(ctx, tx, scanChunk, `
		delete from chunk where series = $1 and resolution = 0 and start < $2
		returning series, resolution, start, last, body`, id, before)
	if err != nil || len(raw) == 0 {
		return err
	}
	first := raw[0].Start
	for _, c := range raw {
		first = min(first, c.Start)
	}
	coarse, err := list(ctx, tx, scanChunk, `
		select series, resolution, start, last, body from chunk
		where series = $1 and resolution = 1 and last >= $2 and start < $3 order by start`, id, first-coarseDay, before)
	if err != nil {
		return err
	}
	out, err := merge(raw, coarse)
	if err != nil {
		return err
	}
	for _, c := range out {
		if err := putChunk(ctx, tx, c); err != nil {
			return err
		}
	}
	return nil
}

// coarseDay is the span of a coarse chunk, ms.
const coarseDay = 24 * 60 * 60 * 1000

// SweepSeries implements [history.Sweeper].
func (s *Store) SweepSeries(ctx context.Context, id, before int64) error {
	var old int
	err := s.history.read.QueryRowContext(ctx, `
		select (select count(*) from chunk where series = $1 and last < $2) + (select count(*) from series where id = $1 and touched < $2)`,
		id, before).Scan(&old)
	if err != nil || old == 0 {
		return err
	}
	return s.history.tx(ctx, func(tx *sql.Tx) error {
		if _, err := tx.ExecContext(ctx, `delete from chunk where series = $1 and last < $2`, id, before); err != nil {
			return err
		}
		_, err := tx.ExecContext(ctx, `
			delete from series where id = $1 and touched < $2
			and not exists (select 1 from chunk where series = $1)`, id, before)
		return err
	})
}

// SweepPresence implements [history.Sweeper].
func (s *Store) SweepPresence(ctx context.Context, before int64) error {
	_, err := s.history.exec(ctx, `delete from presence where last < $1`, before)
	return err
}
