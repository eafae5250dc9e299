package chat

import (
	"context"
	"errors"
	"fmt"
	"sort"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/remedy"
	"github.com/dropleak/dropleak/bot/report"
	"github.com/dropleak/dropleak/bot/schedule"
	"github.com/dropleak/dropleak/bot/slackapp"
	"github.com/dropleak/dropleak/bot/watch"
	"github.com/dropleak/dropleak/detector"
)

const notScanned = "The fleet has not been scanned yet; try again in a minute."

// verb is one word after /leaks.
type verb struct {
	name, args, help string
	do               func(c *Chat, ctx context.Context, k slackapp.Command, arg string) error
}

// verbs is the command table; help, the manifest's hint and the parser are
// made of it.
var verbs []verb

func init() {
	verbs = []verb{
		{"report", "[TAG|DROPLET]", "the report, now", (*Chat).commandReport},
		{"worker", "NAME", "how one worker stands", (*Chat).commandWorker},
		{"droplet", "NAME", "how a droplet and its workers stand", (*Chat).commandDroplet},
		{"why", "NAME", "the evidence about a worker", (*Chat).commandWhy},
		{"restart", "NAME", "offer a restart; somebody who may approves it", (*Chat).commandRestart},
		{"snapshot", "NAME [REASON]", "ask for a snapshot, before profiling or a deploy", (*Chat).commandSnapshot},
		{"mute", "NAME 24h|until-worse", "be quiet about a worker", (*Chat).commandMute},
		{"unmute", "NAME", "speak about it again", (*Chat).commandUnmute},
		{"history", "[NAME]", "what was found in the last 30 days", (*Chat).commandHistory},
		{"runs", "", "the latest runs", (*Chat).commandRuns},
		{"snapshots", "", "the snapshots that dropleak made and that stand", (*Chat).commandSnapshots},
		{"help", "", "this", (*Chat).commandHelp},
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
	var found []verb
	for _, v := range verbs {
		if v.name == strings.ToLower(word) {
			return v.do(c, ctx, k, strings.TrimSpace(arg))
		}
		if strings.HasPrefix(v.name, strings.ToLower(word)) {
			found = append(found, v)
		}
	}
	if len(found) == 1 {
		return found[0].do(c, ctx, k, strings.TrimSpace(arg))
	}
	return c.answerTo(ctx, k, slackapp.Message{Text: "dropleak does not know " + report.Code(word),
		Blocks: append([]slack.Block{report.Section("dropleak does not know " + report.Code(word) + ".")}, helpBlocks()...)})
}

func (c *Chat) answerTo(ctx context.Context, k slackapp.Command, m slackapp.Message) error {
	return c.respond(ctx, k.ResponseURL, k.Channel, k.User, m)
}

func (c *Chat) commandHelp(ctx context.Context, k slackapp.Command, _ string) error {
	return c.answerTo(ctx, k, slackapp.Message{Text: "How to talk to dropleak", Blocks: helpBlocks()})
}

func helpBlocks() []slack.Block {
	var lines []string
	for _, v := range verbs {
		lines = append(lines, fmt.Sprintf("`%s` – %s", strings.TrimSpace("/leaks "+v.name+" "+v.args), v.help))
	}
	return []slack.Block{report.Section(strings.Join(lines, "\n"))}
}

func (c *Chat) commandReport(ctx context.Context, k slackapp.Command, arg string) error {
	m, err := c.digest(ctx, arg)
	if err != nil {
		return err
	}
	// A response address cannot show our pictures: the plainer layout goes.
	out := message(m)
	if len(out.Rungs) > 0 {
		out.Blocks, out.Rungs = out.Rungs[0], out.Rungs[1:]
	}
	return c.answerTo(ctx, k, out)
}

// named finds a worker by its name or by a unique beginning of it, on any
// droplet; "worker@droplet" narrows it.
func (c *Chat) named(name string) ([]report.WorkerLine, bool) {
	s, ok := c.o.Fleet.Latest()
	if !ok {
		return nil, false
	}
	var exact, prefix []report.WorkerLine
	for _, v := range s.Views {
		for i, w := range v.Workers {
			line := lineOf(v, w, v.Verdicts[i])
			full := w.Name + "@" + v.Droplet.Name
			switch {
			case name == w.Name || name == full:
				exact = append(exact, line)
			case strings.HasPrefix(w.Name, name) || strings.HasPrefix(full, name):
				prefix = append(prefix, line)
			}
		}
	}
	if len(exact) > 0 {
		return exact, true
	}
	return prefix, true
}

// pick finds the one worker that is meant, or answers with choices.
func (c *Chat) pick(ctx context.Context, k slackapp.Command, name string) (report.WorkerLine, bool, error) {
	if name == "" {
		return report.WorkerLine{}, false, refusal{"Which worker? For example `/leaks worker mail`."}
	}
	lines, scanned := c.named(name)
	switch {
	case !scanned:
		return report.WorkerLine{}, false, refusal{notScanned}
	case len(lines) == 1:
		return lines[0], true, nil
	}
	lead := fmt.Sprintf("%d workers begin with %s. Which one?", len(lines), report.Code(name))
	if len(lines) == 0 {
		lead = "No worker begins with " + report.Code(name) + ". These are there:"
		lines, _ = c.named("")
	}
	sort.SliceStable(lines, func(i, j int) bool { return lines[i].Worker < lines[j].Worker })
	blocks := []slack.Block{report.Section(lead)}
	for _, l := range lines[:min(len(lines), 20)] {
		// A block for each: one row may not hold an action twice.
		blocks = append(blocks, report.Buttons(nil, report.Press{Action: report.ActionWorker, Value: l.DropletID + "/" + l.Worker, Text: l.Worker + " on " + l.Droplet}))
	}
	if len(lines) == 0 {
		blocks = []slack.Block{report.Section("No worker is seen yet. Is an agent running on a droplet?")}
	}
	return report.WorkerLine{}, false, c.answerTo(ctx, k, slackapp.Message{Text: lead, Blocks: blocks})
}

func (c *Chat) commandWorker(ctx context.Context, k slackapp.Command, arg string) error {
	line, ok, err := c.pick(ctx, k, arg)
	if err != nil || !ok {
		return err
	}
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
	return report.WorkerLine{}, refusal{"That worker is not seen any more."}
}

// commandRestart offers a restart of a worker, leaking or not: the finding is
// opened on the person's word where there is none.
func (c *Chat) commandRestart(ctx context.Context, k slackapp.Command, arg string) error {
	line, ok, err := c.pick(ctx, k, arg)
	if err != nil || !ok {
		return err
	}
	words, err := c.offerRestart(ctx, line, k.User)
	if err != nil {
		return err
	}
	return c.answerTo(ctx, k, say(words))
}

// offerRestart proposes a run on a person's wish and says where it stands.
func (c *Chat) offerRestart(ctx context.Context, line report.WorkerLine, by string) (string, error) {
	f, err := c.findingOf(ctx, line, by)
	if err != nil {
		return "", err
	}
	if err := c.refresh(ctx, f.ID, true); err != nil {
		return "", err
	}
	if err := c.propose(ctx, f.ID, by); err != nil {
		return "", err
	}
	return fmt.Sprintf("A restart of %s is offered in <#%s>. Somebody who may has to approve it.", report.Code(line.Worker), c.o.Channel), nil
}

// findingOf returns the live finding about a worker, or opens one.
func (c *Chat) findingOf(ctx context.Context, line report.WorkerLine, by string) (finding.Finding, error) {
	subject := subjectOf(line)
	f, err := c.o.Findings.LiveFinding(ctx, subject.Key())
	if err == nil || !errors.Is(err, finding.ErrNotFound) {
		return f, err
	}
	now := time.Now()
	f = finding.Finding{ID: watch.NewID(), Subject: subject, State: finding.Acknowledged, Version: 1, Opened: now, Updated: now,
		LastSeen: now, Severity: finding.Grade(line.Verdict.Exhaustion, 0, now), Verdict: line.Verdict, By: by}
	if !line.Verdict.Kind.Leaks() {
		f.Verdict.Kind = detector.Healthy
	}
	return f, c.o.Findings.OpenFinding(ctx, f)
}

func (c *Chat) commandMute(ctx context.Context, k slackapp.Command, arg string) error {
	name, span := arg, ""
	if i := strings.LastIndexByte(arg, ' '); i > 0 {
		name, span = strings.TrimSpace(arg[:i]), arg[i+1:]
	}
	line, ok, err := c.pick(ctx, k, name)
	if err != nil || !ok {
		return err
	}
	var until time.Time
	switch span = strings.TrimSpace(span); span {
	case "", "until-worse":
	default:
		d, err := schedule.ParseDuration(span)
		if err != nil || d <= 0 {
			return refusal{"How long? For example " + report.Code("/leaks mute "+report.Plain(name, 60)+" 24h") + ", or `until-worse`."}
		}
		until = time.Now().Add(c.o.Scale.Real(d))
	}
	return c.quieten(ctx, k, line, until)
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
		words = "Done: mute " + report.Code(line.Worker) + "."
	}
	return c.answerTo(ctx, k, say(words))
}

// liveFinding is the one about a worker, or a refusal.
func (c *Chat) liveFinding(ctx context.Context, line report.WorkerLine) (finding.Finding, error) {
	subject := subjectOf(line)
	f, err := c.o.Findings.LiveFinding(ctx, subject.Key())
	if errors.Is(err, finding.ErrNotFound) {
		return f, refusal{"There is no open finding about " + report.Code(line.Worker) + "."}
	}
	return f, err
}

func (c *Chat) commandUnmute(ctx context.Context, k slackapp.Command, arg string) error {
	line, ok, err := c.pick(ctx, k, arg)
	if err != nil || !ok {
		return err
	}
	f, err := c.liveFinding(ctx, line)
	if err != nil {
		return err
	}
	if err := c.Unmute(ctx, f.ID, remedy.Decision{By: k.User, Team: k.Team}); err != nil {
		return err
	}
	return c.answerTo(ctx, k, say("Done: unmute "+report.Code(line.Worker)+"."))
}
