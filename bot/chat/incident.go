package chat

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/remedy"
	"github.com/dropleak/dropleak/bot/report"
	"github.com/dropleak/dropleak/bot/slackapp"
	"github.com/dropleak/dropleak/bot/watch"
)

// Rolling proposes rolling restarts of incidents and tells how they stand.
type Rolling interface {
	ProposeRollout(ctx context.Context, incident, by string) (remedy.RolloutView, error)
	Rollout(ctx context.Context, incident string) (remedy.RolloutView, bool, error)
	Rollouts(ctx context.Context) ([]remedy.RolloutView, error)
	MayRollout(ctx context.Context, id string, d remedy.Decision) error
}

// memberChanged tells of a finding that belongs to an incident: its message is
// theirs, and one question is asked about all of them.
func (c *Chat) memberChanged(ctx context.Context, ch watch.Change) error {
	f := ch.Finding
	members, err := c.o.Findings.Findings(ctx, finding.Filter{Incident: f.Incident})
	if err != nil {
		return err
	}
	lead := report.Worst(members)
	if ch.View != nil && f.ID == lead.ID && (ch.What != watch.Seen || f.Picture == "") {
		if err := c.draw(ctx, f, *ch.View); err != nil {
			c.o.Log.Warn("draw chart", "subject", f.Subject.Title(), "err", err)
		}
	}
	if err := c.show(ctx, f.ID, f.MessageTS == ""); err != nil {
		return err
	}
	if ch.What == watch.Seen || f.State != finding.Open {
		return nil
	}
	return c.offerRollout(ctx, f.Incident, "")
}

// offerRollout asks about the incident, or has its message say why that cannot
// be.
func (c *Chat) offerRollout(ctx context.Context, incident, by string) error {
	v, found, err := c.o.Rolling.Rollout(ctx, incident)
	if err != nil || found && v.End == "" && by == "" {
		return err
	}
	_, err = c.o.Rolling.ProposeRollout(ctx, incident, by)
	var no *remedy.Refusal
	if !errors.As(err, &no) {
		return err // the question is shown when it is announced
	}
	c.mu.Lock()
	c.noRun[incident] = no.Words
	c.mu.Unlock()
	err = c.showIncident(ctx, incident, true)
	if by != "" {
		err = errors.Join(no, err)
	}
	return err
}

// RolloutChanged shows a rolling restart in the message of its incident. It is
// the remedy's Rolled.
func (c *Chat) RolloutChanged(ctx context.Context, v remedy.RolloutView) error {
	c.mu.Lock()
	delete(c.noRun, v.Incident)
	c.mu.Unlock()
	if err := c.showIncident(ctx, v.Incident, v.End != "" || v.Settled == nil); err != nil {
		return err
	}
	return c.logRollout(ctx, v)
}

// showIncident makes the one message of an incident say what is true now.
func (c *Chat) showIncident(ctx context.Context, incident string, urgent bool) error {
	defer c.homes.touch()
	done, err := c.one(ctx, incident)
	if err != nil {
		return err
	}
	defer done()
	members, err := c.o.Findings.Findings(ctx, finding.Filter{Incident: incident})
	if err != nil || len(members) == 0 {
		return err
	}
	m, err := c.renderIncident(ctx, incident, members)
	if err != nil {
		return err
	}
	place := placeOf(members)
	switch {
	case place.MessageTS == "":
		place.Channel, place.MessageTS, err = c.postIncident(ctx, m)
	case !urgent:
		err = c.o.Slack.UpdateLater(place.Channel, place.MessageTS, m)
	default:
		if err = c.o.Slack.Update(ctx, place.Channel, place.MessageTS, m); errors.Is(err, slackapp.ErrGone) {
			place.Channel, place.MessageTS, err = c.postIncident(ctx, m) // somebody deleted it
		}
	}
	if err != nil {
		return fmt.Errorf("show incident %s: %w", incident, err)
	}
	return c.settleIn(ctx, members, place)
}

func (c *Chat) postIncident(ctx context.Context, m slackapp.Message) (channel, ts string, err error) {
	ts, err = c.o.Slack.Post(ctx, c.o.Channel, m)
	return c.o.Channel, ts, err
}

// placeOf is the finding whose message is the incident's: that of the first
// that has one.
func placeOf(members []finding.Finding) (place finding.Finding) {
	for _, f := range members {
		if f.MessageTS != "" && (place.MessageTS == "" || f.Opened.Before(place.Opened) || f.Opened.Equal(place.Opened) && f.ID < place.ID) {
			place = f
		}
	}
	return place
}

// settleIn has every member know the incident's message. One that had a
// message of its own has it say where it went.
func (c *Chat) settleIn(ctx context.Context, members []finding.Finding, place finding.Finding) error {
	for _, f := range members {
		if f.Channel == place.Channel && f.MessageTS == place.MessageTS {
			continue
		}
		if f.MessageTS != "" && slices.IndexFunc(members, func(o finding.Finding) bool { return o.ID != f.ID && o.MessageTS == f.MessageTS }) < 0 {
			words := fmt.Sprintf(saysPartOfIncident, report.Escape(f.Subject.Title()))
			if err := c.o.Slack.Update(ctx, f.Channel, f.MessageTS, say(words)); err != nil && !errors.Is(err, slackapp.ErrGone) {
				return fmt.Errorf("say where the message about %s went: %w", f.Subject.Title(), err)
			}
		}
		_, err := finding.Change(ctx, c.o.Findings, f.ID, func(f *finding.Finding) error {
			f.Channel, f.MessageTS = place.Channel, place.MessageTS
			return nil
		})
		if err != nil && !errors.Is(err, finding.ErrConflict) {
			return err
		}
	}
	return nil
}

func (c *Chat) renderIncident(ctx context.Context, incident string, members []finding.Finding) (slackapp.Message, error) {
	v, found, err := c.o.Rolling.Rollout(ctx, incident)
	if err != nil {
		return slackapp.Message{}, err
	}
	runs := map[string]remedy.View{}
	for _, f := range members {
		run, err := c.runOf(ctx, f)
		if err != nil {
			return slackapp.Message{}, err
		}
		if run != nil {
			runs[f.ID] = *run
		}
	}
	c.mu.Lock()
	no := c.noRun[incident]
	c.mu.Unlock()
	b := band(incident, members, runs, v, found, time.Now())
	b.NoRun = no
	return message(report.Incident(members, b)), nil
}

// band is what an incident's message shows of its rolling restart and of the
// runs about its members.
func band(incident string, members []finding.Finding, runs map[string]remedy.View, v remedy.RolloutView, found bool, now time.Time) report.Band {
	worst := report.Worst(members)
	b := report.Band{At: worst.LastSeen, Picture: worst.Picture, Marks: map[string]string{}, Anew: map[string]bool{}}
	open := false
	for _, f := range members {
		open = open || !f.State.Final()
		b.Marks[f.ID] = turnMark(f, runs[f.ID], v, now)
		b.Anew[f.ID] = story(f, runs[f.ID]) != ""
	}
	var row []report.Press
	var menu []report.Choice
	if found {
		b.Ask, b.Story, b.Roll = askRollout(v), storyRollout(v), rolloutBlocks(v, members, runs, now)
		row, menu = rolloutButtons(v)
	}
	b.Roll = append(b.Roll, lone(members, runs, v, now)...)
	if open && (!found || v.End != "") {
		row = append(row, report.Press{Action: report.ActionRollAsk, Value: incident, Text: saysLabelOfferRollout})
	}
	if len(row) > 0 {
		b.Row = report.Buttons(menu, row...)
	}
	return b
}

// lone is the question about one member alone, asked on a person's wish.
func lone(members []finding.Finding, runs map[string]remedy.View, v remedy.RolloutView, now time.Time) []slack.Block {
	for _, f := range members {
		if run := runs[f.ID]; run.Run != "" && run.Outcome == "" && run.Settled == nil && (v.ID == "" || v.End != "") {
			return append([]slack.Block{report.Section(fmt.Sprintf(saysMemberAlone, report.Escape(run.Title())))}, alone(f, run, now)...)
		}
	}
	return nil
}

// alone is the question about one member, buttons last.
func alone(f finding.Finding, run remedy.View, now time.Time) (out []slack.Block) {
	if words := first(run); words != "" {
		out = append(out, report.Section(words))
	}
	return append(append(out, runBlocks(f, run, now)...), pressable(f, run)...)
}

// pressable are all buttons of a run, one below the other.
func pressable(f finding.Finding, run remedy.View) []slack.Block {
	row, below := buttons(f, run)
	if below == nil {
		return []slack.Block{row}
	}
	return []slack.Block{row, below}
}

// clickRollout acts on a button of an incident; false: it is none of them.
func (c *Chat) clickRollout(ctx context.Context, in slackapp.Envelope, k slackapp.Click) (bool, error) {
	d := remedy.Decision{}
	switch k.ActionID {
	case report.ActionRollout:
		d.Kind = remedy.Approve
		k.Value, d.Set, _ = strings.Cut(k.Value, ":")
	case report.ActionRollNotNow:
		d.Kind, d.Until = remedy.NotNow, time.Now().Add(c.o.Scale.Real(quiet))
	case report.ActionRollFalse:
		d.Kind = remedy.FalseAlarm
	case report.ActionRollCancel:
		d.Kind = remedy.Cancel
	case report.ActionRollAsk:
		if err := c.mayAsk(ctx, k.Who); err != nil {
			return true, err
		}
		return true, c.offerRollout(ctx, k.Value, k.User)
	default:
		return false, nil
	}
	return true, c.decide(ctx, in, k.Who, k.Value, d)
}
