package watch

import (
	"context"
	"time"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/history"
)

// hearing is how something that was heard of stands.
type hearing int

const (
	unknown hearing = iota // who would tell of it is silent, or was not asked since
	missing                // who tells of it goes on without it
	heard
)

// unit is a worker, an agent or a droplet, by whoever of those that tell of it
// will be missed last: one that goes on is enough.
type unit struct {
	droplet Droplet
	p       history.Presence
	hearing hearing
}

func (u unit) subject() finding.Subject { return subjectOf(u.droplet, u.p) }

// roll is who tells of what, as of a moment.
type roll struct {
	w       *Watch
	at      time.Time
	ours    map[string]Droplet
	deaf    map[string]bool          // droplet ids whose agent is silent
	every   map[string]time.Duration // droplet ids' interval between passes
	tellers map[string]*teller       // by source
	units   []unit
	removed map[string][]history.Presence // of ours, by sources that are to tell no more
}

func (w *Watch) roll(ctx context.Context, fleet []Droplet, seen []history.Presence, sources []Source, live map[string]finding.Finding, at time.Time) *roll {
	r := &roll{w: w, at: at, ours: map[string]Droplet{}, deaf: map[string]bool{}, every: map[string]time.Duration{}, tellers: map[string]*teller{}, removed: map[string][]history.Presence{}}
	for _, d := range fleet {
		r.ours[d.ID] = d
	}
	var told []history.Presence
	for _, p := range seen {
		_, ours := r.ours[p.DropletID]
		switch {
		case !ours || p.Source == history.SourceImport:
			continue
		case !expected(sources, p.Source):
			r.removed[p.Source] = append(r.removed[p.Source], p)
			continue
		}
		told = append(told, p)
		if p.Worker == "" && p.Source == "" {
			r.deaf[p.DropletID], r.every[p.DropletID] = Silent(p, at), p.Interval
		}
	}
	r.hear(told, sources, live)
	at0 := map[[3]string]int{} // of a unit, in units
	for _, p := range told {
		if p.Interval == 0 && p.Source == "" {
			p.Interval = r.every[p.DropletID] // heard of once: its agent's passes tell
		}
		u := unit{r.ours[p.DropletID], p, r.hearing(ctx, p)}
		key := [3]string{p.DropletID, p.Worker}
		if p.Worker == "" && p.Source == "" {
			key[2] = "agent" // that it runs is one question, the droplet's memory another
		}
		i, known := at0[key]
		switch {
		case !known:
			at0[key], r.units = len(r.units), append(r.units, u)
		case r.later(u, r.units[i]):
			r.units[i] = u
		}
	}
	return r
}

// hearing is how it stands by one that tells of it.
func (r *roll) hearing(ctx context.Context, p history.Presence) hearing {
	agents := p.Source == ""
	switch {
	case agents && p.Worker != "" && r.deaf[p.DropletID]:
		return unknown
	case p.Interval == 0 || r.at.Sub(p.Last) <= r.w.quiet(p):
		return heard
	case agents:
		return missing
	case r.tellers[p.Source].without(p.Last) > r.w.quiet(p) && !r.catchesUp(ctx, r.tellers[p.Source], p):
		return missing
	}
	return unknown
}

// later reports whether u is to be believed rather than the other: what was
// told but once, or of a name that a source had before, misses nothing.
func (r *roll) later(u, than unit) bool {
	switch {
	case u.p.Interval == 0 || than.p.Interval == 0:
		return u.p.Interval > 0
	case (u.hearing == heard) != (than.hearing == heard):
		return u.hearing == heard
	}
	return r.due(u.p).After(r.due(than.p))
}

// due is when something will be missed unless it is told of before.
func (r *roll) due(p history.Presence) time.Time { return p.Last.Add(r.w.quiet(p)) }
