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

// coverage looks how whole the last day is of all that was heard of in it.
func coverage(ctx context.Context, c configs.Config, st *store.Store, seen []history.Presence, at time.Time) (map[history.Told]history.Coverage, error) {
	var o history.Options
	if c.History.URL != "" {
		remote, err := history.NewRemote(c.History.URL, nil)
		if err != nil {
			return nil, err
		}
		o.Remote = remote
	}
	return history.New(st, o).Day(ctx, seen, at)
}

// gapsText is how many gaps there are, and how long together.
func gapsText(whole map[history.Told]history.Coverage, p history.Presence) string {
	c, ok := whole[p.Told()]
	switch {
	case !ok:
		return "-"
	case len(c.Gaps) == 0:
		return "none"
	}
	return fmt.Sprintf("%d, %s", len(c.Gaps), report.Duration(c.Missed()))
}
