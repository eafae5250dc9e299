package chat

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/remedy"
	"github.com/dropleak/dropleak/bot/report"
	"github.com/dropleak/dropleak/bot/schedule"
	"github.com/dropleak/dropleak/bot/slackapp"
)

// spans are how long one may be quiet about a worker, as choices.
var spans = []string{"4h", "24h", "7d", untilWorse}

const untilWorse = "until-worse"

func (c *Chat) commandMute(ctx context.Context, k slackapp.Command, line report.WorkerLine, span string) error {
	if span == untilWorse {
		return c.quieten(ctx, k, line, time.Time{})
	}
	d, err := schedule.ParseDuration(span)
	if err == nil && d > 0 {
		return c.quieten(ctx, k, line, time.Now().Add(c.o.Scale.Real(d)))
	}
	var options []option
	for _, s := range spans {
		options = append(options, option{s, choice{Verb: "mute", Worker: line.DropletID + "/" + line.Worker, Arg: s}})
	}
	lead := fmt.Sprintf(saysMuteHowLong, report.Code(span))
	if span == "" {
		lead = fmt.Sprintf(saysMuteNoSpan, report.Code(line.Worker))
	}
	return c.answerTo(ctx, k, choices(lead, options, ""))
}

// quieten mutes the live finding about a worker as its button does: a question
// that stands about it is answered with it.
func (c *Chat) quieten(ctx context.Context, k slackapp.Command, line report.WorkerLine, until time.Time) error {
	f, err := c.liveFinding(ctx, line)
	if err != nil {
		return err
	}
	a, err := c.SetAside(ctx, f.ID, remedy.Decision{By: k.User, Team: k.Team, Kind: remedy.NotNow, Until: until})
	if err != nil {
		return err
	}
	words := answerWords(a, k.User)
	if words == "" {
		words = fmt.Sprintf(saysMuted, report.Code(line.Worker))
	}
	return c.answerTo(ctx, k, say(words))
}

// liveFinding is the one about a worker, or a refusal.
func (c *Chat) liveFinding(ctx context.Context, line report.WorkerLine) (finding.Finding, error) {
	subject := subjectOf(line)
	f, err := c.o.Findings.LiveFinding(ctx, subject.Key())
	if errors.Is(err, finding.ErrNotFound) {
		return f, refusal{fmt.Sprintf(saysNothingToUnmute, report.Code(line.Worker))}
	}
	return f, err
}

func (c *Chat) commandUnmute(ctx context.Context, k slackapp.Command, line report.WorkerLine, _ string) error {
	f, err := c.liveFinding(ctx, line)
	if err != nil {
		return err
	}
	if f.State != finding.Muted {
		return c.answerTo(ctx, k, say(fmt.Sprintf(saysNotMuted, report.Code(line.Worker))))
	}
	if err := c.Unmute(ctx, f.ID, remedy.Decision{By: k.User, Team: k.Team}); err != nil {
		return err
	}
	return c.answerTo(ctx, k, say(fmt.Sprintf(saysUnmuted, report.Code(line.Worker))))
}
