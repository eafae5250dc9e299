package chat

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/remedy"
	"github.com/dropleak/dropleak/bot/report"
	"github.com/dropleak/dropleak/bot/slackapp"
	"github.com/dropleak/dropleak/bot/watch"
	"github.com/dropleak/dropleak/bot/workflow"
	"github.com/dropleak/dropleak/detector/chart"
)

// FindingChanged tells of a finding: a new one is posted and a restart is
// offered, a known one is edited in place.
func (c *Chat) FindingChanged(ctx context.Context, ch watch.Change) error {
	f := ch.Finding
	if f.Incident != "" {
		return c.memberChanged(ctx, ch)
	}
	if ch.View != nil && f.Subject.Kind.OfWorker() && (ch.What != watch.Seen || f.Picture == "") {
		if err := c.draw(ctx, f, *ch.View); err != nil {
			c.o.Log.Warn("draw chart", "subject", f.Subject.Title(), "err", err) // the words go without it
		}
	}
	if err := c.refresh(ctx, f.ID, ch.What != watch.Seen); err != nil {
		return err
	}
	if ch.What == watch.Seen || !f.Subject.Kind.OfWorker() || f.State != finding.Open {
		return nil
	}
	switch run, err := c.runOf(ctx, f); {
	case err != nil:
		return err
	case run != nil && run.Outcome == "":
		return nil // the question stands
	}
	return c.offer(ctx, f.ID)
}

// offer proposes a run, so that what a restart would mean stands below the
// finding before anybody clicks. When none can be offered the message says
// why.
func (c *Chat) offer(ctx context.Context, id string) error {
	err := c.propose(ctx, id, "")
	var refused *remedy.Refusal
	if errors.As(err, &refused) {
		return nil // the message says so
	}
	return err
}

// propose asks for a run about a finding and shows it, or why there is none.
func (c *Chat) propose(ctx context.Context, id, by string) error {
	f, err := c.o.Findings.Finding(ctx, id)
	if err != nil {
		return err
	}
	v, err := c.o.Remedy.Propose(ctx, f, by)
	var refused *remedy.Refusal
	if errors.As(err, &refused) {
		c.mu.Lock()
		c.noRun[id] = refused.Words
		c.mu.Unlock()
		return errors.Join(err, c.show(ctx, id, true))
	}
	if err != nil {
		return err
	}
	c.mu.Lock()
	delete(c.noRun, id)
	c.mu.Unlock()
	return c.o.Remedy.Retell(ctx, v.Run)
}

// draw uploads a chart of a finding, which tells of a run where that is the
// news, and remembers it.
func (c *Chat) draw(ctx context.Context, f finding.Finding, v watch.View) error {
	words := ""
	run, err := c.runOf(ctx, f)
	if err != nil {
		return err
	}
	if run != nil {
		words = story(f, *run)
	}
	return c.drawStory(ctx, f, v, words)
}

// drawStory is draw of what became of the subject; "" leaves it to the
// forecast.
func (c *Chat) drawStory(ctx context.Context, f finding.Finding, v watch.View, story string) error {
	scene := report.Scene{At: v.At, Workers: v.Workers, Verdicts: v.Verdicts, Story: story}
	png, err := scene.Picture(f, c.o.Zone)
	if errors.Is(err, chart.ErrNoData) {
		return nil
	}
	if err != nil {
		return err
	}
	file, err := c.o.Slack.UploadPNG(ctx, "memory.png", report.Alt(f, v.At), png)
	if err != nil {
		return err
	}
	_, err = finding.Change(ctx, c.o.Findings, f.ID, func(f *finding.Finding) error {
		f.Picture, f.Drawn = file, time.Now()
		return nil
	})
	return err
}

// RunChanged shows a run below its finding. It is the remedy's Announce: what
// the run comes to rest in is not believed shown before Slack has it.
func (c *Chat) RunChanged(ctx context.Context, v remedy.View) error {
	c.mu.Lock()
	delete(c.noRun, v.Finding)
	c.mu.Unlock()
	if err := c.show(ctx, v.Finding, !v.Passing); err != nil {
		return err
	}
	c.ended(v)
	return c.log(ctx, v)
}

// runOf returns the newest run about a finding, nil for none. It is read
// anew each time: another replica may have proposed it.
func (c *Chat) runOf(ctx context.Context, f finding.Finding) (*remedy.View, error) {
	if f.Subject.Worker == "" {
		return nil, nil
	}
	views, err := c.o.Remedy.Views(ctx, workflow.Filter{Key: f.Subject.DropletID + "/" + f.Subject.Worker, Limit: 5})
	if err != nil {
		return nil, fmt.Errorf("look for a run about %s: %w", f.Subject.Title(), err)
	}
	for i := range views {
		if views[i].Finding == f.ID {
			return &views[i], nil
		}
	}
	return nil, nil
}

// Recall shows the live runs again after a start of the service: the one
// before may have ended between a change and telling of it.
func (c *Chat) Recall(ctx context.Context) error {
	views, err := c.o.Remedy.Views(ctx, workflow.Filter{Live: true})
	if err != nil {
		return err
	}
	rolling, err := c.o.Rolling.Rollouts(ctx)
	errs := []error{err, c.EndRequests(ctx)}
	for _, v := range views {
		errs = append(errs, c.o.Remedy.Retell(ctx, v.Run))
	}
	for _, v := range rolling {
		errs = append(errs, c.showIncident(ctx, v.Incident, false))
	}
	return errors.Join(errs...)
}

// refresh has the finding's message say what is true now. Where a run stands
// in it, the run's owner writes it: of two replicas that did, the one that
// Slack keeps waiting would have the last word, and an old one.
func (c *Chat) refresh(ctx context.Context, id string, urgent bool) error {
	f, err := c.o.Findings.Finding(ctx, id)
	if errors.Is(err, finding.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	v, err := c.runOf(ctx, f)
	if err != nil {
		return err
	}
	if v == nil {
		return c.show(ctx, id, urgent)
	}
	return c.o.Remedy.Retell(ctx, v.Run)
}

// show makes the finding's one message say what is true now. Urgent states
// wait until Slack has them; the others may be overtaken by newer ones.
func (c *Chat) show(ctx context.Context, id string, urgent bool) error {
	defer c.homes.touch()
	done, err := c.one(ctx, id)
	if err != nil {
		return err
	}
	f, err := c.o.Findings.Finding(ctx, id)
	if err == nil && f.Incident != "" {
		done()
		return c.showIncident(ctx, f.Incident, urgent)
	}
	defer done()
	if errors.Is(err, finding.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	m, err := c.render(ctx, f)
	if err != nil {
		return err
	}
	if f.MessageTS == "" {
		return c.post(ctx, f, m)
	}
	if !urgent {
		return c.o.Slack.UpdateLater(f.Channel, f.MessageTS, m)
	}
	err = c.o.Slack.Update(ctx, f.Channel, f.MessageTS, m)
	if errors.Is(err, slackapp.ErrGone) {
		return c.post(ctx, f, m) // somebody deleted it
	}
	return err
}

// post puts the message into the channel and remembers where it stands.
func (c *Chat) post(ctx context.Context, f finding.Finding, m slackapp.Message) error {
	ts, err := c.o.Slack.Post(ctx, c.o.Channel, m)
	if err != nil {
		return fmt.Errorf("post finding about %s: %w", f.Subject.Title(), err)
	}
	_, err = finding.Change(ctx, c.o.Findings, f.ID, func(f *finding.Finding) error {
		f.Channel, f.MessageTS = c.o.Channel, ts
		return nil
	})
	return err
}

// shown adds a run to what a finding's message shows.
func shown(look report.Look, f finding.Finding, v remedy.View, now time.Time) report.Look {
	look.First, look.Run, look.Ask, look.Story, look.Before = first(v), runBlocks(f, v, now), ask(v), story(f, v), before(v)
	look.Row, look.Below = buttons(f, v)
	look.Redrawn = f.Drawn.After(v.Ended)
	return look
}

// render makes the message of a finding, with the run about it if there is
// one worth showing.
func (c *Chat) render(ctx context.Context, f finding.Finding) (slackapp.Message, error) {
	look := report.Look{At: f.LastSeen, Zone: c.o.Zone, Picture: f.Picture}
	c.mu.Lock()
	look.NoRun = c.noRun[f.ID]
	if f.State.Final() {
		delete(c.noRun, f.ID)
	}
	c.mu.Unlock()
	v, err := c.runOf(ctx, f)
	if err != nil {
		return slackapp.Message{}, err
	}
	if v != nil {
		look = shown(look, f, *v, time.Now())
	}
	return message(report.Finding(f, look)), nil
}
