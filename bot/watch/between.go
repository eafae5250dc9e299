package watch

import (
	"context"
	"time"

	"github.com/dropleak/dropleak/bot/history"
	"github.com/dropleak/dropleak/detector"
)

// lookBack is how old the silence of something may be for its cause to be
// looked for in samples.
const lookBack = 24 * time.Hour

// catchesUp reports whether something fell silent with its source, which has
// been heard of again only since: the rest may yet follow. An outage that no
// scan fell into left no finding; the samples tell of it.
func (r *roll) catchesUp(ctx context.Context, t *teller, p history.Presence) bool {
	quiet := r.w.quiet(p)
	if t.found != nil || r.at.Sub(p.Last) > lookBack {
		return t.catchesUp(p.Last, quiet, r.at)
	}
	if !t.looked {
		t.looked, t.unseen = true, r.unseen(ctx, t)
	}
	return t.unseen != nil && t.unseen.From.Sub(p.Last).Abs() <= quiet
}

// unseen is the last outage of a source by what it told of, if it ended so
// short a while ago that not all of that need be back; nil: none.
func (r *roll) unseen(ctx context.Context, t *teller) *detector.Gap {
	quiet := r.w.quiet(t.p)
	all, err := r.w.o.Series.Coverage(ctx, t.p.DropletID, r.at.Add(-lookBack), r.at)
	if err != nil {
		r.w.o.Log.Error("look for an outage between two scans", "source", t.Name, "err", err)
		return nil
	}
	var most history.Coverage
	for _, c := range all {
		if c.Source == t.p.Told().Source && c.Readings > most.Readings {
			most = c
		}
	}
	for _, g := range most.Gaps {
		if g.To.Before(r.at) && r.at.Sub(g.To) <= quiet {
			return &g
		}
	}
	return nil
}
