package main

import (
	"context"
	"fmt"
	"time"

	"github.com/dropleak/dropleak/bot/history"
	"github.com/dropleak/dropleak/bot/report"
	"github.com/dropleak/dropleak/bot/store"
	"github.com/dropleak/dropleak/configs"
)

// presenceKey names what was heard of: droplet, worker, source.
type presenceKey [3]string

func keyOf(p history.Presence) presenceKey { return presenceKey{p.DropletID, p.Worker, p.Source} }

// coverage looks how whole the last day is of all that was heard of in it.
func coverage(ctx context.Context, c configs.Config, st *store.Store, seen []history.Presence, at time.Time) (map[presenceKey]history.Coverage, error) {
	var o history.Options
	if c.History.URL != "" {
		remote, err := history.NewRemote(c.History.URL, nil)
		if err != nil {
			return nil, err
		}
		o.Remote = remote
	}
	h, from := history.New(st, o), at.Add(-24*time.Hour)
	out, looked := map[presenceKey]history.Coverage{}, map[string]bool{}
	for _, p := range seen {
		if looked[p.DropletID] || p.Last.Before(from) {
			continue
		}
		looked[p.DropletID] = true
		all, err := h.Coverage(ctx, p.DropletID, from, at)
		if err != nil {
			return nil, fmt.Errorf("look for gaps of droplet %s: %w", p.DropletID, err)
		}
		for _, c := range all {
			out[presenceKey{c.DropletID, c.Worker, c.Source}] = c
		}
	}
	return out, nil
}

// missed is how long the gaps are together.
func missed(c history.Coverage) (sum time.Duration) {
	for _, g := range c.Gaps {
		sum += g.To.Sub(g.From)
	}
	return sum
}

// gapsText is how many gaps there are, and how long together.
func gapsText(whole map[presenceKey]history.Coverage, p history.Presence) string {
	c, ok := whole[keyOf(p)]
	switch {
	case !ok:
		return "-"
	case len(c.Gaps) == 0:
		return "none"
	}
	return fmt.Sprintf("%d, %s", len(c.Gaps), report.Duration(missed(c)))
}
