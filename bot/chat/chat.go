// Package chat is the conversation: slash commands, buttons, modals, App Home.
//
// What Slack sends is persisted first and acknowledged then; a worker takes it
// from the inbox, asks whether its sender may, and acts. One message belongs
// to each finding for its whole life. It is edited in place, and its thread is
// the log.
package chat

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"log/slog"
	"sync"
	"time"

	"github.com/slack-go/slack"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/remedy"
	"github.com/dropleak/dropleak/bot/report"
	"github.com/dropleak/dropleak/bot/schedule"
	"github.com/dropleak/dropleak/bot/slackapp"
	"github.com/dropleak/dropleak/bot/watch"
	"github.com/dropleak/dropleak/bot/workflow"
)

// Slack is what is said and shown.
type Slack interface {
	Post(ctx context.Context, channel string, m slackapp.Message) (ts string, err error)
	Reply(ctx context.Context, channel, thread string, m slackapp.Message) (ts string, err error)
	Update(ctx context.Context, channel, ts string, m slackapp.Message) error
	UpdateLater(channel, ts string, m slackapp.Message) error
	Ephemeral(ctx context.Context, channel, user string, m slackapp.Message) error
	Respond(ctx context.Context, responseURL string, m slackapp.Message, how ...slackapp.How) error
	UploadPNG(ctx context.Context, name, alt string, png []byte) (string, error)
	OpenView(ctx context.Context, triggerID string, v slack.ModalViewRequest) (slackapp.View, error)
	UpdateView(ctx context.Context, old slackapp.View, v slack.ModalViewRequest) (slackapp.View, error)
	PublishHome(ctx context.Context, user, hash string, v slack.HomeTabViewRequest) (slackapp.View, error)
}

// Remedy proposes runs and takes decisions on them.
type Remedy interface {
	Propose(ctx context.Context, f finding.Finding, by string) (remedy.View, error)
	Decide(ctx context.Context, run string, d remedy.Decision) (remedy.Answer, error)
	ProposeSnapshot(ctx context.Context, f finding.Finding, by, purpose string) (remedy.View, error)
	View(ctx context.Context, id string) (remedy.View, error)
	Views(ctx context.Context, f workflow.Filter) ([]remedy.View, error)
	Shelf(ctx context.Context) ([]remedy.Kept, error)
	Retell(ctx context.Context, run string) error
}

// Fleet answers what is seen of the droplets.
type Fleet interface {
	// Latest returns the newest scan, false before the first.
	Latest() (watch.Summary, bool)
	// Look judges one droplet now.
	Look(ctx context.Context, dropletID string) (watch.View, error)
}

// Standing answers what the App Home asks of runs besides, and who may decide.
type Standing interface {
	// May returns the *remedy.Refusal that a decision would get, or nil.
	May(ctx context.Context, run string, d remedy.Decision) error
	// Shelf lists the snapshots that dropleak made and that still stand.
	Shelf(ctx context.Context) ([]remedy.Kept, error)
	// Approver returns the *remedy.Refusal of somebody who may not decide
	// anything, or nil.
	Approver(ctx context.Context, user, team string) error
}

// Note is something a person did, for the audit log.
type Note struct{ Who, What, Subject, Why, Before, After string }

// Options are what a Chat works with.
type Options struct {
	Slack    Slack
	Inbox    Inbox
	Findings finding.Store
	Remedy   Remedy
	Standing Standing
	Rolling  Rolling
	Fleet    Fleet
	// Person says who somebody is; commands and clicks of guests, bots and
	// people of other workspaces are refused.
	Person func(ctx context.Context, id string) (slackapp.Person, error)
	Team   string // of this workspace
	// Audit writes down what a person did outside of a run.
	Audit func(context.Context, Note) error
	// Head is the end of the audit log's chain, for reports.
	Head    func(context.Context) (string, error)
	Cursors Cursors         // nil: reports tell of the last day
	Trouble func() []string // sources that do not answer
	Sources func() []string // a line for each that is pulled: how it stands
	Channel string
	// AnyoneMutes lets every full member mute a finding; else approvers only.
	AnyoneMutes bool
	// Escalation is mentioned when a question is about to be answered by
	// memory running out: a user or user group id, empty for nobody.
	Escalation string
	Zone       *time.Location // of charts and what stands in them; nil: UTC
	Scale      schedule.Scale
	Owner      string // unique among processes
	Log        *slog.Logger
}

// Chat is one end of the conversation.
type Chat struct {
	o     Options
	wake  chan struct{}
	over  chan remedy.View // runs that have just ended, whose chart is to be drawn anew
	mu    sync.Mutex
	steps map[string]string // run id → the step last told in the thread
	noRun map[string]string // finding id → why no restart is offered
	homes homes
	edit  [64]chan struct{} // full while a message is edited; by hash of the finding's id
}

// New returns a Chat; Run makes it work.
func New(o Options) *Chat {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Audit == nil {
		o.Audit = func(context.Context, Note) error { return nil }
	}
	if o.Sources == nil {
		o.Sources = func() []string { return nil }
	}
	if o.Trouble == nil {
		o.Trouble = func() []string { return nil }
	}
	c := &Chat{o: o, wake: make(chan struct{}, 1), over: make(chan remedy.View, 100), steps: map[string]string{}, noRun: map[string]string{},
		homes: homes{viewers: map[string]*viewer{}, changed: make(chan struct{}, 1)}}
	for i := range c.edit {
		c.edit[i] = make(chan struct{}, 1)
	}
	return c
}

// one lets the caller alone with a finding's message until it calls done:
// posting it, and editing what was posted, happen one after the other. Slack
// may keep the one before waiting, so the wait ends with ctx.
func (c *Chat) one(ctx context.Context, id string) (done func(), err error) {
	h := fnv.New32a()
	h.Write([]byte(id))
	busy := c.edit[h.Sum32()%uint32(len(c.edit))]
	select {
	case busy <- struct{}{}:
		return func() { <-busy }, nil
	case <-ctx.Done():
		return nil, fmt.Errorf("wait for the message of finding %s: %w", id, ctx.Err())
	}
}

// message is a report's message as the wire takes it.
func message(m report.Message) slackapp.Message {
	return slackapp.Message{Text: m.Text, Blocks: m.Blocks, Rungs: m.Rungs}
}

// say makes a message of plain words.
func say(words string) slackapp.Message {
	return slackapp.Message{Text: words, Blocks: []slack.Block{report.Section(words)}}
}

// refusal is what to tell somebody whose wish is not carried out.
type refusal struct{ words string }

func (r refusal) Error() string { return r.words }

// words returns what to tell a person about an error, and whether the error
// is theirs to hear; another one is ours to retry.
func words(err error) (string, bool) {
	var no refusal
	var refused *remedy.Refusal
	var over *finding.FinalError
	switch {
	case errors.As(err, &no):
		return no.words, true
	case errors.As(err, &refused):
		return report.Said(refused.Words), true
	case errors.As(err, &over):
		return report.Escape(sentence(over.Error())) + ".", true
	case errors.Is(err, finding.ErrNotFound):
		return saysFindingUnknown, true
	}
	return "", false
}
