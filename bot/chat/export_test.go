package chat

import (
	"context"

	"github.com/dropleak/dropleak/bot/slackapp"
)

// LooksAtHome is what an opened App Home does, here and now.
func (c *Chat) LooksAtHome(ctx context.Context, who slackapp.Who) error {
	return c.openHome(ctx, slackapp.HomeOpened{Who: who})
}

// RefreshHomes is what a change does to the pages that are looked at.
func (c *Chat) RefreshHomes(ctx context.Context) { c.refreshHomes(ctx) }
