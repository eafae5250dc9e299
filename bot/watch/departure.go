package watch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/history"
)

// grace is how far apart two lists that lack a droplet must lie before it has
// left: one list may miss a droplet that moved between its pages.
const grace = 10 * time.Minute

// departures ends the findings about what is no longer watched: droplets that
// were destroyed or lost the tag, sources that were removed, and workers so long
// unheard of that history has forgotten them. Nobody knows whether those were cured, and the finding
// says so. What a run has in hand waits for the run.
func (w *Watch) departures(ctx context.Context, fleet Fleet, seen []history.Presence, sources []Source, at time.Time) (changes []Change, err error) {
	live, err := w.o.Findings.Findings(ctx, finding.Filter{Live: true})
	if err != nil {
		return nil, fmt.Errorf("look for what has left: %w", err)
	}
	away := w.away(fleet, live, seen)
	var errs []error
	for _, f := range live {
		why, first, absent := "", time.Time{}, false
		if first, absent = away[placeOf(f)]; absent {
			if fleet.Listed.Sub(first) >= w.o.Scale.Real(grace) {
				why = "the droplet left the fleet (it was destroyed or lost its tag)"
				switch {
				case f.Subject.Kind != finding.KindSource:
				case slices.ContainsFunc(seen, func(p history.Presence) bool { return strings.HasPrefix(p.Source, f.Subject.Source+"/") }):
					why = "senders are told apart by their tokens now"
				default:
					why = "all that it told of has left the fleet, or was not heard of for so long that its history is gone"
				}
			}
		} else if name := removed(f, seen, sources); name != "" {
			why = "the source " + name + " was removed: it is no longer in the configuration, or its token was revoked"
		} else if w.forgotten(f, seen, at) {
			why = "nothing was heard of it for so long that its history is gone"
		}
		if why == "" || f.State == finding.InHand {
			continue
		}
		c, err := w.leave(ctx, f.ID, why, at)
		errs = append(errs, err)
		if c != nil {
			changes = append(changes, *c)
		}
	}
	return changes, errors.Join(errs...)
}

// placeOf names where what a finding is about has its place: a droplet's id, or
// the key of the subject where that is a source, which is on all droplets that it told of.
func placeOf(f finding.Finding) string {
	if f.Subject.Kind == finding.KindSource {
		return f.Subject.Key()
	}
	return f.Subject.DropletID
}

// away returns the places of live findings that the list lacks, each with the
// time of the first list that lacked it.
func (w *Watch) away(fleet Fleet, live []finding.Finding, seen []history.Presence) map[string]time.Time {
	ours := map[string]bool{}
	for _, d := range fleet.Droplets {
		ours[d.ID] = true
	}
	for _, p := range seen {
		if ours[p.DropletID] {
			ours[finding.Subject{Kind: finding.KindSource, Source: p.Source}.Key()] = true
		}
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	now := map[string]time.Time{}
	for _, f := range live {
		id := placeOf(f)
		if f.Outage != nil && f.Outage.Never {
			continue // it never told of any
		}
		if ours[id] || id == "" || f.Subject.Kind == finding.KindClone { // a clone is for a person to judge
			continue
		}
		if now[id] = fleet.Listed; !w.absent[id].IsZero() {
			now[id] = w.absent[id]
		}
	}
	w.absent = now
	return now
}

// removed returns the source by whose removal a finding about silence has lost
// its subject; "" where somebody is still expected to tell of it.
func removed(f finding.Finding, seen []history.Presence, sources []Source) (gone string) {
	if f.Missing != nil { // by all of its workers
		for _, alone := range oneByOne(f) {
			if gone = removed(alone, seen, sources); gone == "" {
				return ""
			}
		}
		return gone
	}
	s := f.Subject
	if s.Kind == finding.KindSource && !expected(sources, s.Source) && (f.Outage == nil || !f.Outage.Removed) {
		return s.Source
	}
	if s.Kind != finding.KindNoMetrics && (s.Kind != finding.KindSilent || s.Worker == "") {
		return ""
	}
	for _, p := range seen {
		switch {
		case p.DropletID != s.DropletID || p.Worker != s.Worker || p.Source == history.SourceImport || s.Worker == "" && p.Source == "":
		case expected(sources, p.Source):
			return ""
		default:
			gone = p.Source
		}
	}
	return gone
}

// oneByOne are the findings that the workers of one would have alone.
func oneByOne(f finding.Finding) (out []finding.Finding) {
	for _, worker := range slices.Concat(f.Missing.Workers, f.Missing.Back) {
		alone := f
		alone.Missing, alone.Subject.Kind, alone.Subject.Worker = nil, finding.KindNoMetrics, worker
		out = append(out, alone)
	}
	return out
}

// forgotten reports whether history no longer knows what a finding is about.
func (w *Watch) forgotten(f finding.Finding, seen []history.Presence, at time.Time) bool {
	if f.Missing != nil {
		all := oneByOne(f)
		return len(all) > 0 && !slices.ContainsFunc(all, func(alone finding.Finding) bool { return !w.forgotten(alone, seen, at) })
	}
	about := func(history.Presence) bool { return true }
	switch f.Subject.Kind {
	case finding.KindSilent:
		about = func(p history.Presence) bool { return p.Source == "" || p.Worker != "" }
	case finding.KindNoMetrics:
		about = func(p history.Presence) bool { return p.Source != "" || p.Worker != "" }
	case finding.KindLeak, finding.KindThreshold:
		if at.Sub(f.LastSeen) <= w.o.Scale.Real(w.o.Window) {
			return false // it is still judged
		}
	default:
		return false // not about what is heard of
	}
	return !slices.ContainsFunc(seen, func(p history.Presence) bool {
		return p.DropletID == f.Subject.DropletID && p.Worker == f.Subject.Worker && about(p)
	})
}

// leave ends one finding, unless somebody else ended it in the same moment.
func (w *Watch) leave(ctx context.Context, id, why string, at time.Time) (*Change, error) {
	ours := false
	f, err := finding.Change(ctx, w.o.Findings, id, func(f *finding.Finding) error {
		if ours = !f.State.Final() && f.State != finding.InHand; !ours {
			return finding.ErrUnchanged
		}
		return f.Leave(why, at)
	})
	if err != nil || !ours {
		return nil, err
	}
	return &Change{What: Left, Finding: f}, nil
}
