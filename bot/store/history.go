package store

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dropleak/dropleak/bot/history"
)

var _ history.Store = (*Store)(nil)

// InternSeries implements [history.Intake].
func (s *Store) InternSeries(ctx context.Context, owner string, limit int, sets []history.Set) ([]int64, error) {
	var ids []int64
	err := s.history.tx(ctx, func(tx *sql.Tx) error {
		in := interning{ctx: ctx, tx: tx, owner: owner, left: limit, limited: limit > 0, now: ms(time.Now())}
		ids = make([]int64, len(sets))
		for _, i := range byLabels(sets) {
			id, err := in.known(sets[i])
			if err != nil {
				return err
			}
			ids[i] = id
		}
		return in.create(sets, ids)
	})
	if err != nil {
		return nil, fmt.Errorf("intern series: %w", err)
	}
	return ids, nil
}

// byLabels is one order of rows for everybody, so that concurrent writers
// rarely lock each other out.
func byLabels(sets []history.Set) []int {
	order := make([]int, len(sets))
	for i := range order {
		order[i] = i
	}
	slices.SortFunc(order, func(a, b int) int { return strings.Compare(sets[a].Labels, sets[b].Labels) })
	return order
}

// interning is one InternSeries under way.
type interning struct {
	ctx     context.Context
	tx      *sql.Tx
	owner   string
	limited bool
	left    int // series the owner may still create
	now     int64
}

// known returns the id of a set that exists, marking it as written; or 0.
func (in *interning) known(set history.Set) (id int64, err error) {
	err = in.tx.QueryRowContext(in.ctx, `update series set touched = $1 where labels = $2 returning id`,
		in.now, set.Labels).Scan(&id)
	if errors.Is(err, sql.ErrNoRows) {
		return 0, nil
	}
	return id, err
}

// create gives ids to the sets that have none. The counter's row is locked
// first, so that replicas create one after the other.
func (in *interning) create(sets []history.Set, ids []int64) error {
	missing := 0
	for _, id := range ids {
		if id == 0 {
			missing++
		}
	}
	if missing == 0 {
		return nil
	}
	var last int64
	err := in.tx.QueryRowContext(in.ctx,
		`update series_counter set last = last + $1 where one = 1 returning last`, missing).Scan(&last)
	if err != nil {
		return err
	}
	if in.limited {
		var have int
		err := in.tx.QueryRowContext(in.ctx, `select count(*) from series where owner = $1`, in.owner).Scan(&have)
		if err != nil {
			return err
		}
		in.left -= have
	}
	next := last - int64(missing) + 1
	for i, set := range sets {
		if ids[i] != 0 {
			continue
		}
		// Another replica, or an equal set before this one, may have come first.
		if ids[i], err = in.known(set); err != nil || ids[i] != 0 {
			if err != nil {
				return err
			}
			continue
		}
		if in.limited && in.left <= 0 {
			continue
		}
		if err := in.insert(next, set); err != nil {
			return err
		}
		ids[i] = next
		next, in.left = next+1, in.left-1
	}
	return nil
}

func (in *interning) insert(id int64, set history.Set) error {
	_, err := in.tx.ExecContext(in.ctx, `
		insert into series (id, labels, name, droplet, worker, owner, touched) values ($1, $2, $3, $4, $5, $6, $7)`,
		id, set.Labels, set.Name, set.Droplet, set.Worker, in.owner, in.now)
	return err
}

// AppendPushes implements [history.Intake].
func (s *Store) AppendPushes(ctx context.Context, pushes []history.Push) error {
	err := s.history.tx(ctx, func(tx *sql.Tx) error {
		for _, p := range pushes {
			if err := appendPush(ctx, tx, p); err != nil {
				return fmt.Errorf("droplet %s: %w", p.Droplet, err)
			}
		}
		return nil
	})
	if err != nil {
		return fmt.Errorf("append samples: %w", err)
	}
	return nil
}

func appendPush(ctx context.Context, tx *sql.Tx, p history.Push) error {
	if len(p.Body) > 0 {
		_, err := tx.ExecContext(ctx, `insert into push (droplet, arrived, first, last, body) values ($1, $2, $3, $4, $5)`,
			p.Droplet, p.At, p.First, p.Last, p.Body)
		if err != nil {
			return err
		}
	}
	if err := spoilDigests(ctx, tx, p.Droplet, p.Late); err != nil {
		return err
	}
	if p.Was != "" {
		if err := takeOver(ctx, tx, p); err != nil {
			return err
		}
	}
	for _, pr := range p.Presence {
		// A long silence is not a new interval: the step follows gaps of less
		// than three of the old one, and doubles at longer ones, lest two
		// samples close together make it short for good. Late samples change
		// nothing.
		_, err := tx.ExecContext(ctx, `
			insert into presence (droplet, worker, source, last, step) values ($1, $2, $3, $4, 0)
			on conflict (droplet, worker, source) do update set
				step = case when presence.step = 0 or excluded.last - presence.last < 3 * presence.step
					then excluded.last - presence.last else 2 * presence.step end,
				last = excluded.last
			where excluded.last > presence.last`,
			pr.DropletID, pr.Worker, pr.Source, ms(pr.Last))
		if err != nil {
			return err
		}
	}
	return nil
}

// takeOver gives whoever told of a droplet what was told of it before senders
// were told apart.
func takeOver(ctx context.Context, tx *sql.Tx, p history.Push) error {
	for _, pr := range p.Presence {
		if pr.Source == p.Was || !strings.HasPrefix(pr.Source, p.Was+"/") {
			continue
		}
		_, err := tx.ExecContext(ctx, `
			update presence set source = $1 where droplet = $2 and source = $3
				and not exists (select 1 from presence known where known.droplet = $2 and known.worker = presence.worker and known.source = $1)`,
			pr.Source, p.Droplet, p.Was)
		return err // all of a push is by one sender
	}
	return nil
}

// SeriesIn implements [history.Reader].
func (s *Store) SeriesIn(ctx context.Context, sc history.Scope) ([]history.Entry, error) {
	where, args := scope(sc)
	out, err := list(ctx, s.history.read, func(r scanner) (e history.Entry, err error) {
		return e, r.Scan(&e.ID, &e.Labels)
	}, `select s.id, s.labels from series s where `+where+` order by s.id`, args...)
	if err != nil {
		return nil, fmt.Errorf("list series: %w", err)
	}
	return out, nil
}

// scope is the condition of a scope on the table series as s.
func scope(sc history.Scope) (string, []any) {
	switch {
	case sc.Droplet != "" && sc.Name != "":
		return `s.droplet = $1 and s.name = $2`, []any{sc.Droplet, sc.Name}
	case sc.Droplet != "":
		return `s.droplet = $1`, []any{sc.Droplet}
	case sc.Name != "":
		return `s.name = $1`, []any{sc.Name}
	}
	return `1 = 1`, nil
}

// ChunksIn implements [history.Reader].
func (s *Store) ChunksIn(ctx context.Context, sc history.Scope, from, to int64) ([]history.Chunk, error) {
	where, args := scope(sc)
	n := len(args)
	// Each resolution by itself, so that the key finds no more than may touch.
	of := func(resolution history.Resolution, start int) string {
		return fmt.Sprintf(`
		select c.series, c.resolution, c.start, c.last, c.body from series s join chunk c on c.series = s.id
		where %s and c.resolution = %d and c.start >= $%d and c.start <= $%d and c.last >= $%d`, where, resolution, start, n+2, n+3)
	}
	q, args := of(history.Raw, n+1), append(args, from-longestRaw, to, from)
	if !sc.Raw {
		q, args = q+` union all `+of(history.Coarse, n+4), append(args, from-longestCoarse)
	}
	out, err := list(ctx, s.history.read, scanChunk, q+` order by 1, 2, 3`, args...)
	if err != nil {
		return nil, fmt.Errorf("read chunks: %w", err)
	}
	return out, nil
}

// How much time the longest chunks of each resolution span, ms: none that
// starts earlier can touch what is asked for.
const (
	longestRaw    = 2 * 3600 * 1000
	longestCoarse = 24 * 3600 * 1000
)

func scanChunk(r scanner) (c history.Chunk, err error) {
	return c, r.Scan(&c.Series, &c.Resolution, &c.Start, &c.Last, &c.Body)
}

// PushesIn implements [history.Reader].
func (s *Store) PushesIn(ctx context.Context, droplet string, from, to int64) ([]history.Push, error) {
	q := `select seq, droplet, arrived, first, last, body from push where last >= $1 and first <= $2`
	args := []any{from, to}
	if droplet != "" {
		q, args = q+` and droplet = $3`, append(args, droplet)
	}
	out, err := list(ctx, s.history.read, func(r scanner) (p history.Push, err error) {
		return p, r.Scan(&p.Seq, &p.Droplet, &p.At, &p.First, &p.Last, &p.Body)
	}, q+` order by seq`, args...)
	if err != nil {
		return nil, fmt.Errorf("read pushes: %w", err)
	}
	return out, nil
}

// Presences implements [history.Reader].
func (s *Store) Presences(ctx context.Context) ([]history.Presence, error) {
	out, err := list(ctx, s.history.read, func(r scanner) (p history.Presence, err error) {
		var last, step int64
		err = r.Scan(&p.DropletID, &p.Worker, &p.Source, &last, &step)
		p.Last, p.Interval = fromMS(last), time.Duration(step)*time.Millisecond
		return p, err
	}, `select droplet, worker, source, last, step from presence order by droplet, worker, source`)
	if err != nil {
		return nil, fmt.Errorf("list presence: %w", err)
	}
	return out, nil
}

// querier is a pool, a connection or a transaction.
type querier interface {
	QueryContext(ctx context.Context, query string, args ...any) (*sql.Rows, error)
}

// list runs a query and scans every row.
func list[T any](ctx context.Context, db querier, scan func(scanner) (T, error), query string, args ...any) (out []T, err error) {
	rows, err := db.QueryContext(ctx, query, args...)
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, rows.Close()) }()
	for rows.Next() {
		v, err := scan(rows)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, rows.Err()
}

// HistorySize returns the bytes that samples take on disk, without the room
// that deleted rows left for new ones.
func (s *Store) HistorySize(ctx context.Context) (n int64, err error) {
	q := `select (select page_count from pragma_page_count()) * (select page_size from pragma_page_size())
		- (select freelist_count from pragma_freelist_count()) * (select page_size from pragma_page_size())`
	if s.engine == Postgres {
		q = `select pg_total_relation_size('chunk') + pg_total_relation_size('series')`
	}
	if err := s.history.read.QueryRowContext(ctx, q).Scan(&n); err != nil {
		return 0, fmt.Errorf("size of history: %w", err)
	}
	return n, nil
}
