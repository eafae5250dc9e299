package chat

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"runtime/debug"
	"sync"
	"time"

	"github.com/dropleak/dropleak/bot/slackapp"
)

// Inbox keeps what Slack sent until it is worked off.
type Inbox interface {
	// SaveEnvelope commits an envelope; one whose id is known is left as it
	// is, and fresh is false.
	SaveEnvelope(ctx context.Context, id string, body []byte, at time.Time) (fresh bool, err error)
	// TakeEnvelope leases the oldest envelope that is neither done nor leased.
	// It says how often it was taken before; an empty id means there is none.
	TakeEnvelope(ctx context.Context, owner string, now time.Time, lease time.Duration) (id string, body []byte, before int, err error)
	// FinishEnvelope marks an envelope as done.
	FinishEnvelope(ctx context.Context, id string, at time.Time) error
}

const (
	lease    = 30 * time.Second // longer than any one answer takes
	tries    = 4                // before a person is told that it did not work
	idle     = 2 * time.Second  // between looks into an inbox where nobody called
	answerIn = 20 * time.Second
	hands    = 4               // envelopes worked off at a time
	tellIn   = 5 * time.Second // after that, to say that it did not work
)

// Receive implements [slackapp.Handler]: it persists, and nothing else.
func (c *Chat) Receive(ctx context.Context, in slackapp.Envelope) (slackapp.Ack, error) {
	body, err := json.Marshal(in)
	if err != nil {
		return slackapp.Ack{}, fmt.Errorf("save envelope: %w", err)
	}
	if _, err := c.o.Inbox.SaveEnvelope(ctx, in.ID, body, time.Now()); err != nil {
		return slackapp.Ack{}, fmt.Errorf("save envelope: %w", err)
	}
	c.call()
	return slackapp.Ack{}, nil
}

// call has a hand look into the inbox.
func (c *Chat) call() {
	select {
	case c.wake <- struct{}{}:
	default: // called already, and not answered yet
	}
}

// Run works the inbox off, and keeps the App Homes that are looked at true,
// until ctx ends.
func (c *Chat) Run(ctx context.Context) {
	var wg sync.WaitGroup
	look := time.NewTicker(idle)
	defer look.Stop()
	for range hands {
		wg.Go(func() { c.work(ctx, look.C) })
	}
	wg.Go(func() { c.keepHomes(ctx) })
	wg.Go(func() { c.redraw(ctx) })
	wg.Go(func() { c.retellGrowth(ctx) })
	wg.Wait()
}

// work is one hand. Of the hands that rest, one looks into the inbox at each
// tick; whoever finds something there has another look for more.
func (c *Chat) work(ctx context.Context, look <-chan time.Time) {
	for ctx.Err() == nil {
		busy, err := c.Once(ctx)
		if err != nil && ctx.Err() == nil {
			c.o.Log.Error("work off the inbox", "err", err)
		}
		if busy && err == nil {
			continue
		}
		select {
		case <-ctx.Done():
		case <-c.wake:
		case <-look:
		}
	}
}

// Once works one envelope off and reports whether there was one.
func (c *Chat) Once(ctx context.Context) (bool, error) {
	id, body, before, err := c.o.Inbox.TakeEnvelope(ctx, c.o.Owner, time.Now(), lease)
	if err != nil || id == "" {
		return false, err
	}
	c.call() // there may be more
	var in slackapp.Envelope
	if err := json.Unmarshal(body, &in); err != nil {
		c.o.Log.Error("an envelope that cannot be read is dropped", "id", id, "err", err)
		return true, c.o.Inbox.FinishEnvelope(ctx, id, time.Now())
	}
	work, cancel := context.WithTimeout(ctx, answerIn)
	defer cancel()
	if before < tries {
		err = c.guarded(work, in)
	} else {
		err = errors.New("the process ended each time it was tried") // it would end this one too
	}
	told, theirs := words(err)
	last, done := context.WithTimeout(ctx, tellIn) // the work's own time may be what ran out
	defer done()
	switch {
	case err == nil:
	case theirs:
		c.tell(last, in, told)
	case before+1 < tries:
		return true, fmt.Errorf("answer %s: %w", kindOf(in), err) // the lease runs out and it is taken again
	default:
		c.o.Log.Error("an envelope is given up", "kind", kindOf(in), "tries", before+1, "err", err)
		c.tell(last, in, saysDidNotWork)
	}
	return true, c.o.Inbox.FinishEnvelope(ctx, id, time.Now())
}

// guarded keeps one envelope that makes the code panic from ending them all.
func (c *Chat) guarded(ctx context.Context, in slackapp.Envelope) (err error) {
	defer func() {
		if p := recover(); p != nil {
			c.o.Log.Error("answering panicked", "kind", kindOf(in), "panic", p, "stack", string(debug.Stack()))
			err = fmt.Errorf("panic: %v", p)
		}
	}()
	return c.answer(ctx, in)
}

func kindOf(in slackapp.Envelope) string {
	switch {
	case in.Command != nil:
		return "command"
	case in.Click != nil:
		return "click " + in.Click.ActionID
	case in.Submission != nil:
		return "submission " + in.Submission.CallbackID
	case in.HomeOpened != nil:
		return "home opened"
	}
	return "event"
}

// tell says something to the sender alone. Not being able to is logged: the
// decision stands whatever Slack says.
func (c *Chat) tell(ctx context.Context, in slackapp.Envelope, text string) {
	var err error
	switch m := say(text); {
	case in.Command != nil:
		err = c.respond(ctx, in.Command.ResponseURL, in.Command.Channel, in.Command.User, m)
	case in.Click != nil && in.Click.CallbackID == callbackReview:
		err = c.reviewed(ctx, *in.Click, text)
	case in.Click != nil && in.Click.ViewID != "" && in.Click.ResponseURL == "":
		err = c.tellAtHome(ctx, *in.Click, m)
	case in.Click != nil:
		err = c.respond(ctx, in.Click.ResponseURL, in.Click.Channel, in.Click.User, m)
	case in.Submission != nil:
		err = c.o.Slack.Ephemeral(ctx, c.o.Channel, in.Submission.User, m)
	}
	if err != nil {
		c.o.Log.Warn("tell a person", "kind", kindOf(in), "err", err)
	}
}

// respond answers through the response address, or in the channel when that
// has run out.
func (c *Chat) respond(ctx context.Context, url, channel, user string, m slackapp.Message) error {
	if url != "" {
		err := c.o.Slack.Respond(ctx, url, m)
		if err == nil || !errors.Is(err, slackapp.ErrGone) {
			return err
		}
	}
	if channel == "" {
		channel = c.o.Channel
	}
	return c.o.Slack.Ephemeral(ctx, channel, user, m)
}

// answer acts on an envelope.
func (c *Chat) answer(ctx context.Context, in slackapp.Envelope) error {
	switch {
	case in.Command != nil:
		if err := c.mayAsk(ctx, in.Command.Who); err != nil {
			return err
		}
		return c.command(ctx, in, *in.Command)
	case in.Click != nil:
		return c.click(ctx, in, *in.Click)
	case in.Submission != nil:
		return c.submission(ctx, in, *in.Submission)
	case in.HomeOpened != nil:
		return c.openHome(ctx, *in.HomeOpened)
	}
	return nil
}

// mayAsk refuses guests, bots and people of other workspaces.
func (c *Chat) mayAsk(ctx context.Context, who slackapp.Who) error {
	if c.o.Team != "" && who.Team != "" && who.Team != c.o.Team {
		return refusal{saysOnlyPeople}
	}
	p, err := c.o.Person(ctx, who.User)
	switch {
	case err != nil:
		return err
	case p.Bot, p.Guest, p.Stranger, p.Deleted:
		return refusal{saysOnlyMembers}
	}
	return nil
}
