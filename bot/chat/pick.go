package chat

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	"github.com/slack-go/slack"

	"github.com/dropleak/dropleak/bot/report"
	"github.com/dropleak/dropleak/bot/slackapp"
	"github.com/dropleak/dropleak/bot/watch"
)

// choice is a command that waits for one word, as the button that says the
// word carries it. Whether its clicker may is asked when it is carried out, as
// of whoever types it.
type choice struct {
	Verb   string `json:"v"`
	Worker string `json:"w,omitempty"` // droplet id / worker; "" where Arg says all
	Arg    string `json:"a,omitempty"` // what else was typed
}

// option is a choice and what its button says.
type option struct {
	text string
	choice
}

const (
	maxChoices = 20
	perRow     = 5
	maxCarried = 300 // characters of what was typed: a reason, at most
)

// choices asks which of several is meant. What is left out is counted.
func choices(lead string, options []option, foot string) slackapp.Message {
	blocks := []slack.Block{report.Section(lead)}
	for row := range slices.Chunk(options[:min(len(options), maxChoices)], perRow) {
		var presses []report.Press
		for i, o := range row {
			o.Arg = report.Plain(o.Arg, maxCarried)
			value, err := json.Marshal(o.choice)
			if err != nil {
				panic(err) // strings alone
			}
			// One row may not hold an action twice.
			presses = append(presses, report.Press{Action: fmt.Sprint(report.ActionChoice, ":", i), Value: string(value), Text: report.Plain(o.text, 75)})
		}
		blocks = append(blocks, report.Buttons(nil, presses...))
	}
	if more := len(options) - maxChoices; more > 0 {
		foot = strings.TrimSpace(fmt.Sprintf(saysMoreChoices, more) + foot)
	}
	if foot != "" {
		blocks = append(blocks, report.Context(foot))
	}
	return slackapp.Message{Text: lead, Blocks: blocks}
}

// chosen carries on with the command that a choice belongs to, on the word of
// whoever clicked.
func (c *Chat) chosen(ctx context.Context, click slackapp.Click) error {
	k := slackapp.Command{Who: click.Who, Channel: click.Channel, ResponseURL: click.ResponseURL, TriggerID: click.TriggerID}
	var o choice
	if err := json.Unmarshal([]byte(click.Value), &o); err != nil {
		return refusal{saysButtonOld}
	}
	i := slices.IndexFunc(verbs, func(v verb) bool { return v.name == o.Verb })
	switch {
	case i < 0:
		return refusal{saysButtonOld}
	case o.Worker == "" || verbs[i].about == nil:
		return c.carry(ctx, k, verbs[i], o.Arg)
	}
	lines, scanned := c.named("")
	if !scanned {
		return refusal{notScanned}
	}
	for _, line := range lines {
		if line.DropletID+"/"+line.Worker == o.Worker {
			return verbs[i].about(c, ctx, k, line, o.Arg)
		}
	}
	return refusal{saysWorkerNotSeen}
}

// named finds a worker by its name or by a unique beginning of it, on any
// droplet; "worker@droplet" narrows it. Capitals matter only between names that
// differ in nothing else.
func (c *Chat) named(name string) ([]report.WorkerLine, bool) {
	s, ok := c.o.Fleet.Latest()
	if !ok {
		return nil, false
	}
	var exact, alike, prefix []report.WorkerLine
	low := strings.ToLower(name)
	for _, v := range s.Views {
		for i, w := range v.Workers {
			line := lineOf(v, w, v.Verdicts[i])
			full := w.Name + "@" + v.Droplet.Name
			switch {
			case name == w.Name || name == full:
				exact = append(exact, line)
			case strings.EqualFold(name, w.Name) || strings.EqualFold(name, full):
				alike = append(alike, line)
			case strings.HasPrefix(strings.ToLower(full), low): // and so of the worker's own
				prefix = append(prefix, line)
			}
		}
	}
	for _, found := range [][]report.WorkerLine{exact, alike} {
		if len(found) > 0 {
			return found, true
		}
	}
	return prefix, true
}

// pick finds the one worker that is meant, or answers with choices that carry
// on with the command.
func (c *Chat) pick(ctx context.Context, k slackapp.Command, v verb, name, rest string) (report.WorkerLine, bool, error) {
	lines, scanned := c.named(name)
	lead := fmt.Sprintf(saysWhichWorker, len(lines), report.Code(name))
	switch {
	case !scanned:
		return report.WorkerLine{}, false, refusal{notScanned}
	case name == "":
		lead = fmt.Sprintf(saysNameWorker, report.Code(v.example))
	case len(lines) == 1:
		return lines[0], true, nil
	case len(lines) == 0:
		lead = fmt.Sprintf(saysNoWorkerBegins, report.Code(name))
		lines, _ = c.named("")
	}
	if len(lines) == 0 {
		return report.WorkerLine{}, false, refusal{saysNoWorkerSeen}
	}
	likeliest(lines, name)
	var options []option
	for _, l := range lines[:min(len(lines), maxChoices)] {
		options = append(options, option{fmt.Sprintf(saysOn, report.Plain(l.Worker, 40), l.Droplet), choice{v.name, l.DropletID + "/" + l.Worker, rest}})
	}
	more := ""
	if n := len(lines) - len(options); n > 0 {
		more = fmt.Sprintf(saysMoreWorkersNamed, n)
	}
	return report.WorkerLine{}, false, c.answerTo(ctx, k, choices(lead, options, more))
}

// likeliest puts first what has the name in it, then what leaks, then by name.
func likeliest(lines []report.WorkerLine, name string) {
	far := func(l report.WorkerLine) (n int) {
		if !strings.Contains(strings.ToLower(l.Worker+"@"+l.Droplet), strings.ToLower(name)) {
			n += 2
		}
		return n + 1 - one(l.Verdict.Kind.Leaks())
	}
	slices.SortStableFunc(lines, func(a, b report.WorkerLine) int {
		return cmp.Or(far(a)-far(b), cmp.Compare(a.Worker, b.Worker), cmp.Compare(a.Droplet, b.Droplet))
	})
}

// parts finds the tag or droplet that is named, or those that begin so.
func parts(views []watch.View, name string) (found []string) {
	for _, v := range views {
		if v.Droplet.ID == name {
			return []string{name}
		}
		found = append(found, v.Droplet.Name)
		found = append(found, v.Droplet.Tags...)
	}
	slices.Sort(found)
	found = slices.Compact(found)
	if slices.Contains(found, name) {
		return []string{name}
	}
	return slices.DeleteFunc(found, func(s string) bool { return !strings.HasPrefix(s, name) })
}

// whichPart asks about which tag or droplet a report shall be.
func whichPart(views []watch.View, found []string, name string) slackapp.Message {
	lead := fmt.Sprintf(saysWhichTag, report.Code(name))
	if len(found) == 0 {
		lead, found = fmt.Sprintf(saysNoTagChoices, report.Code(name)), parts(views, "")
	}
	if len(found) == 0 {
		lead = saysNoDropletWatched
	}
	var options []option
	for _, f := range found {
		options = append(options, option{f, choice{Verb: "report", Arg: f}})
	}
	return choices(lead, options, "")
}
