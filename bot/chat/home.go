package chat

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sync"
	"time"

	"github.com/slack-go/slack"

	"github.com/dropleak/dropleak/bot/remedy"
	"github.com/dropleak/dropleak/bot/report"
	"github.com/dropleak/dropleak/bot/slackapp"
)

// The App Home is published when somebody opens it and kept true while they
// may be looking. Slack tells of the opening alone, so that "looking" lasts
// viewFor. Who looks is not stored: after a start of the service a page stands
// as it was until it is opened again, and it says as of when it is.
const (
	viewFor    = 8 * time.Hour
	maxViewers = 200
	homeEvery  = 30 * time.Second // between looks whether a page is still true
	homeRest   = 3 * time.Second  // between refreshes on change
	shelfFor   = 10 * time.Minute // snapshots are asked of DigitalOcean no more often
)

// homes are the pages somebody may be looking at.
type homes struct {
	changed chan struct{} // holds one: something to show has changed

	mu      sync.Mutex
	viewers map[string]*viewer
	shelf   []remedy.Kept
	shelfAt time.Time // zero: never listed
	fleetAt time.Time // of the scan that fleet is made of
	fleet   []slack.Block
}

// viewer is one person and what their page shows.
type viewer struct {
	busy   chan struct{} // full while their page is published
	who    slackapp.Who
	opened time.Time         // guarded by homes.mu
	hash   string            // of the page as Slack has it
	shown  [sha256.Size]byte // of the page's JSON
}

// touch says that pages may have become untrue.
func (h *homes) touch() {
	select {
	case h.changed <- struct{}{}:
	default:
	}
}

// opened notes that somebody looks, and returns them.
func (h *homes) opened(who slackapp.Who, at time.Time) *viewer {
	h.mu.Lock()
	defer h.mu.Unlock()
	v, ok := h.viewers[who.User]
	if !ok {
		v = &viewer{busy: make(chan struct{}, 1)}
		h.viewers[who.User] = v
	}
	v.who, v.opened = who, at
	if len(h.viewers) > maxViewers {
		oldest := slices.MinFunc(slices.Collect(maps.Keys(h.viewers)), func(a, b string) int {
			return h.viewers[a].opened.Compare(h.viewers[b].opened)
		})
		delete(h.viewers, oldest)
	}
	return v
}

// looking lists who may be looking at their page.
func (h *homes) looking(now time.Time) (out []*viewer) {
	h.mu.Lock()
	defer h.mu.Unlock()
	maps.DeleteFunc(h.viewers, func(_ string, v *viewer) bool { return now.Sub(v.opened) > viewFor })
	for _, user := range slices.Sorted(maps.Keys(h.viewers)) {
		out = append(out, h.viewers[user])
	}
	return out
}

// openHome publishes the page of somebody who opened it. Who may not talk to
// dropleak is told so there.
func (c *Chat) openHome(ctx context.Context, in slackapp.HomeOpened) error {
	err := c.mayAsk(ctx, in.Who)
	if said, theirs := words(err); theirs {
		_, err := c.o.Slack.PublishHome(ctx, in.User, "", homeView(report.Section(said)))
		return err
	}
	if err != nil {
		return err
	}
	v := c.homes.opened(in.Who, time.Now())
	if err := c.publish(ctx, v, func() { v.hash, v.shown = in.ViewHash, [sha256.Size]byte{} }); err != nil {
		return err
	}
	c.homes.touch() // with the snapshots, which take a while to list
	return nil
}

// keepHomes refreshes the pages that are looked at until ctx ends.
func (c *Chat) keepHomes(ctx context.Context) {
	tick := time.NewTicker(homeEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-c.homes.changed:
		case <-tick.C:
		}
		c.refreshHomes(ctx)
		select {
		case <-ctx.Done():
			return
		case <-time.After(homeRest):
		}
	}
}

func (c *Chat) refreshHomes(ctx context.Context) {
	viewers := c.homes.looking(time.Now())
	if len(viewers) == 0 {
		return
	}
	c.listShelf(ctx)
	for _, v := range viewers {
		one, cancel := context.WithTimeout(ctx, answerIn)
		err := c.publish(one, v, func() {})
		cancel()
		if err != nil && ctx.Err() == nil {
			c.o.Log.Warn("refresh an App Home", "user", v.who.User, "err", err)
		}
	}
}

// publish puts what is true now on somebody's page, unless it stands there;
// first is done while nobody else publishes it.
// The hash of the page last seen guards against overwriting a newer one, of
// another replica. On a conflict everything is read anew, later than what the
// other one read, and goes out without a guard.
func (c *Chat) publish(ctx context.Context, v *viewer, first func()) error {
	select {
	case v.busy <- struct{}{}:
		defer func() { <-v.busy }()
	case <-ctx.Done():
		return fmt.Errorf("publish the App Home of %s: %w", v.who.User, ctx.Err())
	}
	first()
	for _, hash := range []string{v.hash, ""} {
		view, sum, err := c.home(ctx, v.who)
		if err != nil {
			return fmt.Errorf("make the App Home of %s: %w", v.who.User, err)
		}
		if sum == v.shown {
			return nil
		}
		now, err := c.o.Slack.PublishHome(ctx, v.who.User, hash, view)
		if errors.Is(err, slackapp.ErrHashConflict) {
			continue
		}
		if err != nil {
			return fmt.Errorf("publish the App Home of %s: %w", v.who.User, err)
		}
		v.hash, v.shown = now.Hash, sum
		return nil
	}
	return fmt.Errorf("publish the App Home of %s: %w", v.who.User, slackapp.ErrHashConflict)
}

func (c *Chat) home(ctx context.Context, who slackapp.Who) (view slack.HomeTabViewRequest, sum [sha256.Size]byte, err error) {
	s, err := c.scene(ctx, who)
	if err != nil {
		return view, sum, err
	}
	view = homeView(s.blocks()...)
	raw, err := json.Marshal(view)
	return view, sha256.Sum256(raw), err
}

func homeView(blocks ...slack.Block) slack.HomeTabViewRequest {
	return slack.HomeTabViewRequest{Type: slack.VTHomeTab, Blocks: slack.Blocks{BlockSet: blocks}}
}

// tellAtHome answers a click on the App Home where the clicker looks: in a
// modal, or in the channel when Slack gave up waiting for one.
func (c *Chat) tellAtHome(ctx context.Context, k slackapp.Click, m slackapp.Message) error {
	_, err := c.o.Slack.OpenView(ctx, k.TriggerID, slack.ModalViewRequest{Type: slack.VTModal, CallbackID: callbackShown,
		Title: plain("dropleak"), Close: plain(saysLabelClose), Blocks: slack.Blocks{BlockSet: m.Blocks}})
	if err == nil {
		return nil
	}
	c.o.Log.Info("an answer goes to the channel instead of a modal", "err", err)
	return c.o.Slack.Ephemeral(ctx, c.o.Channel, k.User, m)
}
