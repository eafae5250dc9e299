package chat

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/report"
	"github.com/dropleak/dropleak/bot/slackapp"
	"github.com/dropleak/dropleak/bot/watch"
)

const notScanned = saysNotScannedYet

// verb is one word after /leaks. Either do answers it, or about does once it
// is known which worker is meant.
type verb struct {
	name, args, help string
	more             string // what help says of it besides
	example          string // as it may be typed
	do               func(c *Chat, ctx context.Context, k slackapp.Command, arg string) error
	about            func(c *Chat, ctx context.Context, k slackapp.Command, line report.WorkerLine, rest string) error
	split            func(arg string) (name, rest string) // parts the worker's name from the rest; nil: there is none
}

// verbs is the command table; help, the manifest's hint and the parser are
// made of it.
var verbs []verb

func init() {
	verbs = []verb{
		{name: "report", args: "[TAG|DROPLET|all]", help: saysHelpReport, example: saysExampleReport, do: (*Chat).commandReport,
			more: saysMoreReport},
		{name: "worker", args: "NAME", help: saysHelpWorker, example: saysExampleWorker, about: (*Chat).commandWorker,
			more: saysMoreWorker},
		{name: "droplet", args: "NAME", help: saysHelpDroplet, example: saysExampleDroplet, do: (*Chat).commandDroplet,
			more: saysMoreDroplet},
		{name: "why", args: "NAME", help: saysHelpWhy, example: saysExampleWhy, about: (*Chat).commandWhy,
			more: saysMoreWhy},
		{name: "restart", args: "NAME", help: saysHelpRestart, example: saysExampleRestart, about: (*Chat).commandRestart,
			more: saysMoreRestart},
		{name: "snapshot", args: "NAME [REASON]", help: saysHelpSnapshot, example: saysExampleSnapshot,
			about: (*Chat).commandSnapshot, split: cutFirst,
			more: saysMoreSnapshot},
		{name: "mute", args: "NAME 24h|until-worse", help: saysHelpMute, example: saysExampleMute, about: (*Chat).commandMute, split: cutSpan,
			more: saysMoreMute},
		{name: "unmute", args: "NAME", help: saysHelpUnmute, example: saysExampleUnmute, about: (*Chat).commandUnmute,
			more: saysMoreUnmute},
		{name: "history", args: "[NAME]", help: saysHelpHistory, example: saysExampleHistory, do: (*Chat).commandHistory,
			more: saysMoreHistory},
		{name: "runs", help: saysHelpRuns, example: saysExampleRuns, do: (*Chat).commandRuns,
			more: saysMoreRuns},
		{name: "snapshots", help: saysHelpSnapshots, example: saysExampleSnapshots, do: (*Chat).commandSnapshots,
			more: saysMoreSnapshots},
		{name: "help", args: "[TOPIC]", help: saysHelpHelp, example: saysExampleHelp, do: (*Chat).commandHelp,
			more: saysMoreHelp},
	}
}

// Usage is the hint that Slack shows behind the command.
func Usage() string {
	var parts []string
	for _, v := range verbs {
		parts = append(parts, strings.TrimSpace(v.name+" "+v.args))
	}
	return strings.Join(parts, " | ")
}

// command answers a slash command; without a word it is the report.
func (c *Chat) command(ctx context.Context, _ slackapp.Envelope, k slackapp.Command) error {
	word, arg, _ := strings.Cut(strings.TrimSpace(k.Text), " ")
	if word == "" {
		word = "report"
	}
	arg = strings.TrimSpace(arg)
	found := meant(word)
	if len(found) == 1 {
		return c.carry(ctx, k, found[0], arg)
	}
	lead := fmt.Sprintf(saysUnknownCommand, report.Code(word))
	if len(found) > 1 {
		lead = fmt.Sprintf(saysWhichOfThese, report.Code(word))
	}
	if len(found) == 0 {
		found = verbs
	}
	var options []option
	for _, v := range found {
		options = append(options, option{v.name, choice{Verb: v.name, Arg: arg}})
	}
	return c.answerTo(ctx, k, choices(lead, options, saysHelpSays))
}

// meant are the commands that a word may be: the one of that name, or those
// that begin with it.
func meant(word string) (found []verb) {
	word = strings.ToLower(word)
	for _, v := range verbs {
		if v.name == word {
			return []verb{v}
		}
		if strings.HasPrefix(v.name, word) {
			found = append(found, v)
		}
	}
	return found
}

// carry carries a command out, or asks first which worker is meant.
func (c *Chat) carry(ctx context.Context, k slackapp.Command, v verb, arg string) error {
	if v.about == nil {
		return v.do(c, ctx, k, arg)
	}
	name, rest := arg, ""
	if v.split != nil {
		name, rest = v.split(arg)
	}
	line, ok, err := c.pick(ctx, k, v, name, rest)
	if err != nil || !ok {
		return err
	}
	return v.about(c, ctx, k, line, rest)
}

// cutFirst takes the first word for the name.
func cutFirst(arg string) (name, rest string) {
	name, rest, _ = strings.Cut(arg, " ")
	return name, strings.TrimSpace(rest)
}

// cutSpan takes the last word for the time, where there are two. "until worse"
// is one, as people type it.
func cutSpan(arg string) (name, rest string) {
	lower := strings.ToLower(arg)
	for _, s := range []string{typedUntilWorse, typedUntilItIs, " " + untilWorse} {
		if strings.HasSuffix(lower, s) {
			return strings.TrimSpace(arg[:len(arg)-len(s)]), untilWorse
		}
	}
	if i := strings.LastIndexByte(arg, ' '); i > 0 {
		return strings.TrimSpace(arg[:i]), arg[i+1:]
	}
	return arg, ""
}

func (c *Chat) answerTo(ctx context.Context, k slackapp.Command, m slackapp.Message) error {
	return c.respond(ctx, k.ResponseURL, k.Channel, k.User, m)
}

func (c *Chat) commandReport(ctx context.Context, k slackapp.Command, arg string) error {
	if s, scanned := c.o.Fleet.Latest(); scanned && arg != "" && arg != everything {
		found := parts(s.Views, arg)
		if len(found) != 1 {
			return c.answerTo(ctx, k, whichPart(s.Views, found, arg))
		}
		arg = found[0]
	}
	m, err := c.digest(ctx, arg, time.Time{})
	if err != nil {
		return err
	}
	return c.answerTo(ctx, k, answerReport(m))
}

// everything is what to ask a report for to have nothing folded.
const everything = "all"

func (c *Chat) commandWorker(ctx context.Context, k slackapp.Command, line report.WorkerLine, _ string) error {
	return c.aboutWorker(ctx, line.DropletID+"/"+line.Worker, k.ResponseURL, k.Channel, k.User)
}

// aboutWorker judges one worker now and says how it stands.
func (c *Chat) aboutWorker(ctx context.Context, key, url, channel, user string) error {
	line, err := c.worker(ctx, key)
	if err != nil {
		return err
	}
	return c.respond(ctx, url, channel, user, message(report.Worker(line, time.Now())))
}

// worker judges one worker now; key is its droplet's id and its name.
func (c *Chat) worker(ctx context.Context, key string) (report.WorkerLine, error) {
	droplet, name, _ := strings.Cut(key, "/")
	v, err := c.o.Fleet.Look(ctx, droplet)
	if err != nil {
		return report.WorkerLine{}, err
	}
	for i, w := range v.Workers {
		if w.Name == name {
			return lineOf(v, w, v.Verdicts[i]), nil
		}
	}
	return report.WorkerLine{}, refusal{saysWorkerNotSeen}
}

// commandRestart offers a restart of a worker, leaking or not.
func (c *Chat) commandRestart(ctx context.Context, k slackapp.Command, line report.WorkerLine, _ string) error {
	words, err := c.offerRestart(ctx, line, k.User)
	if err != nil {
		return err
	}
	return c.answerTo(ctx, k, say(words))
}

// offerRestart proposes a run on a person's wish and says where it stands.
func (c *Chat) offerRestart(ctx context.Context, line report.WorkerLine, by string) (string, error) {
	f, err := c.findingOf(ctx, line, by)
	switch {
	case err != nil:
		return "", err
	case f.Subject.Kind == finding.KindRequest:
		v, err := c.o.Remedy.Propose(ctx, f, by)
		if err != nil {
			return "", err // whoever asked is told, and nothing stands anywhere
		}
		if err := c.o.Remedy.Retell(ctx, v.Run); err != nil {
			return "", err
		}
	default:
		if err := errors.Join(c.refresh(ctx, f.ID, true), c.propose(ctx, f.ID, by)); err != nil {
			return "", err
		}
	}
	return fmt.Sprintf(saysRestartOffered, report.Code(line.Worker), c.o.Channel), nil
}

// findingOf returns the live finding about a worker that a restart may end, or
// a request, which is stored only when its run can be proposed.
func (c *Chat) findingOf(ctx context.Context, line report.WorkerLine, by string) (finding.Finding, error) {
	subject := subjectOf(line)
	for _, kind := range []finding.Kind{finding.KindLeak, finding.KindThreshold} {
		subject.Kind = kind
		f, err := c.o.Findings.LiveFinding(ctx, subject.Key())
		if err == nil && !f.OnRequest() || err != nil && !errors.Is(err, finding.ErrNotFound) {
			return f, err
		}
	}
	subject.Kind = finding.KindRequest
	now := time.Now()
	return finding.Finding{ID: watch.NewID(), Subject: subject, State: finding.Acknowledged, Version: 1, Opened: now, Updated: now,
		LastSeen: now, Severity: finding.Low, Verdict: line.Verdict, By: by}, nil
}
