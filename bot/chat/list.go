package chat

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/remedy"
	"github.com/dropleak/dropleak/bot/report"
	"github.com/dropleak/dropleak/bot/slackapp"
	"github.com/dropleak/dropleak/bot/watch"
	"github.com/dropleak/dropleak/bot/workflow"
)

// The commands that only tell.

// commandWhy shows the evidence behind the open finding about a worker, or how
// it stands when there is none.
func (c *Chat) commandWhy(ctx context.Context, k slackapp.Command, line report.WorkerLine, _ string) error {
	f, err := c.o.Findings.LiveFinding(ctx, subjectOf(line).Key())
	if errors.Is(err, finding.ErrNotFound) {
		return c.aboutWorker(ctx, line.DropletID+"/"+line.Worker, k.ResponseURL, k.Channel, k.User)
	}
	if err != nil {
		return err
	}
	headline := report.Headline(f, f.LastSeen)
	blocks := append([]slack.Block{report.Header(headline)}, report.Details(f)...)
	return c.answerTo(ctx, k, slackapp.Message{Text: report.Escape(headline), Blocks: append(blocks, c.advice(ctx, f)...)})
}

func subjectOf(l report.WorkerLine) finding.Subject {
	return finding.Subject{Kind: finding.KindLeak, DropletID: l.DropletID, DropletName: l.Droplet, Worker: l.Worker}
}

// commandDroplet says how a droplet and its workers stand.
func (c *Chat) commandDroplet(ctx context.Context, k slackapp.Command, arg string) error {
	s, scanned := c.o.Fleet.Latest()
	if !scanned {
		return refusal{notScanned}
	}
	found := dropletsNamed(s.Views, arg)
	if len(found) == 1 && arg != "" {
		v := found[0]
		var lines []report.WorkerLine
		for i, w := range v.Workers {
			lines = append(lines, lineOf(v, w, v.Verdicts[i]))
		}
		return c.answerTo(ctx, k, message(report.Droplet(v.Droplet.Name, v.Verdict, lines, v.At)))
	}
	lead := fmt.Sprintf(saysWhichDroplet, len(found), report.Code(arg))
	switch {
	case arg == "":
		lead = saysNameDroplet
	case len(found) == 0:
		lead, found = fmt.Sprintf(saysNoDropletBegins, report.Code(arg)), s.Views
	}
	if len(found) == 0 {
		return refusal{saysNoDropletWatched}
	}
	var options []option
	for _, v := range found {
		options = append(options, option{v.Droplet.Name, choice{Verb: "droplet", Arg: v.Droplet.ID}})
	}
	return c.answerTo(ctx, k, choices(lead, options, ""))
}

// dropletsNamed finds a droplet by its name or id, or those that begin so.
func dropletsNamed(views []watch.View, name string) (found []watch.View) {
	for _, v := range views {
		if v.Droplet.Name == name || v.Droplet.ID == name {
			return []watch.View{v}
		}
		if strings.HasPrefix(v.Droplet.Name, name) {
			found = append(found, v)
		}
	}
	return found
}

// past is how far back history goes.
const past = 30 * 24 * time.Hour

// commandHistory lists findings, the newest first; with a name, of workers that begin
// with it.
func (c *Chat) commandHistory(ctx context.Context, k slackapp.Command, arg string) error {
	found, err := c.o.Findings.Findings(ctx, finding.Filter{Since: time.Now().Add(-past)})
	if err != nil {
		return err
	}
	return c.answerTo(ctx, k, historyOf(found, arg))
}

func historyOf(found []finding.Finding, arg string) slackapp.Message {
	var lines []string
	for _, f := range newestFirst(found) {
		if strings.HasPrefix(f.Subject.Worker, arg) && !f.OnRequest() && len(lines) < 15 {
			lines = append(lines, fmt.Sprintf(saysListed, report.Date(f.Opened), report.Escape(f.Subject.Title()), report.State(f)))
		}
	}
	switch {
	case len(lines) > 0:
		return say(strings.Join(lines, "\n"))
	case arg != "":
		return say(fmt.Sprintf(saysNothingFoundAbout, report.Code(arg)))
	}
	return say(saysNothingFound)
}

func (c *Chat) commandRuns(ctx context.Context, k slackapp.Command, _ string) error {
	views, err := c.o.Remedy.Views(ctx, workflow.Filter{Limit: 10})
	if err != nil {
		return err
	}
	return c.answerTo(ctx, k, runList(views))
}

func runList(views []remedy.View) slackapp.Message {
	lines := make([]string, 0, len(views))
	for _, v := range views {
		lines = append(lines, fmt.Sprintf(saysListed, report.Date(v.Asked), report.Escape(v.Title()), stateOf(v)))
	}
	text := saysNoRun
	if len(lines) > 0 {
		text = strings.Join(lines, "\n")
	}
	return say(text)
}

func stateOf(v remedy.View) string {
	if v.Outcome != "" {
		return v.Outcome.Words()
	}
	if v.Settled == nil {
		return saysWaitingForApproval
	}
	return fmt.Sprintf(saysUnderWay, v.Step)
}
