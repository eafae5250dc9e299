package bot

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/history"
	"github.com/dropleak/dropleak/bot/remedy"
	"github.com/dropleak/dropleak/bot/watch"
)

// peers implements [remedy.Deps].Peers: every worker on our droplets that is
// remembered, with why it cannot be counted on.
func (s *Service) peers(ctx context.Context) ([]remedy.Peer, error) {
	f, err := s.fleet(ctx)
	if err != nil {
		return nil, err
	}
	seen, err := s.history.Seen(ctx)
	if err != nil {
		return nil, err
	}
	silent, err := s.d.Store.Findings(ctx, finding.Filter{Live: true})
	if err != nil {
		return nil, err
	}
	return peersOf(f, seen, silent, time.Now()), nil
}

// peersOf joins who is remembered with what is held against them.
func peersOf(f watch.Fleet, seen []history.Presence, live []finding.Finding, at time.Time) []remedy.Peer {
	every := map[string]time.Duration{} // droplet ids' interval between passes
	for _, p := range seen {
		if p.Worker == "" && p.Source == "" {
			every[p.DropletID] = p.Interval
		}
	}
	by := map[[2]string]*remedy.Peer{}
	var order [][2]string
	for _, p := range seen {
		i := slices.IndexFunc(f.Droplets, func(d watch.Droplet) bool { return d.ID == p.DropletID })
		if i < 0 || p.Worker == "" || p.Source == history.SourceImport {
			continue
		}
		if p.Interval == 0 && p.Source == "" {
			p.Interval = every[p.DropletID] // heard of once: its agent's passes tell
		}
		key, why := [2]string{p.DropletID, p.Worker}, unheard(p, at)
		if by[key] == nil {
			by[key] = &remedy.Peer{Subject: finding.Subject{DropletID: p.DropletID, DropletName: f.Droplets[i].Name, Worker: p.Worker}, Missing: why}
			order = append(order, key)
		} else if why == "" { // one source that sees it is enough
			by[key].Missing = ""
		}
	}
	var out []remedy.Peer
	for _, key := range order {
		p := *by[key]
		if p.Missing == "" && slices.ContainsFunc(live, func(f finding.Finding) bool { return missed(f, p.Subject) }) {
			p.Missing = "missed: a finding that it is silent is open"
		}
		out = append(out, p)
	}
	slices.SortFunc(out, func(a, b remedy.Peer) int { return strings.Compare(a.Title(), b.Title()) })
	return out
}

// unheard says why a worker cannot be believed to be up; empty: it was heard
// of within three intervals.
func unheard(p history.Presence, at time.Time) string {
	switch {
	case p.Interval <= 0:
		return "heard of only once, " + minute(p.Last)
	case watch.Silent(p, at):
		return "not seen since " + minute(p.Last)
	}
	return ""
}

// minute writes a moment within a sentence about a run, as the remedy does:
// whoever shows it puts it into the reader's zone.
func minute(t time.Time) string { return t.UTC().Truncate(time.Minute).Format(time.RFC3339) }

// missed reports whether a live finding says that a worker, or the agent that
// tells of it, is silent.
func missed(f finding.Finding, sub finding.Subject) bool {
	s := f.Subject
	if f.Missing != nil && s.DropletID == sub.DropletID && f.Missing.Gone(sub.Worker) {
		return !f.State.Final()
	}
	return s.Kind == finding.KindSilent && !f.State.Final() && f.Heard.IsZero() && s.DropletID == sub.DropletID && (s.Worker == "" || s.Worker == sub.Worker)
}
