package chat

import (
	"context"
	"fmt"
	"strings"

	"github.com/slack-go/slack"

	"github.com/dropleak/dropleak/bot/report"
	"github.com/dropleak/dropleak/bot/slackapp"
)

// topics are what help knows besides the commands.
var topics = []struct{ name, about, text string }{
	{"names", "how to name a worker or a droplet", "A name may be cut short as long as one alone begins so: `/leaks worker ma` for `mail`. `mail@web-1` is mail on that droplet. " +
		"Where several are meant, or none, choices to click are the answer, and the click carries on with what you asked."},
	{"approvals", "who decides, and what is checked", "Anybody may ask; those under `approvals.approvers` in the configuration decide. An approval is for the worker as it was shown: " +
		"when its main process is another by then, nothing is restarted. A snapshot of the droplet is complete before the restart, unless somebody who may says why not. " +
		"Everything a button does, `dropleak approve` does on the command line."},
	{"verdicts", "what \"leaks\" and \"not sure\" mean", "*Leaks*: memory grows without bound. *Hidden by recycling*: each process grows and is replaced before it shows. " +
		"*Not sure*: the data cannot tell; `/leaks worker NAME` says how much longer to watch. What stepped up, warms up, or follows its load or the time of day does not leak."},
}

func (c *Chat) commandHelp(ctx context.Context, k slackapp.Command, topic string) error {
	return c.answerTo(ctx, k, help(topic))
}

// help is about everything, or one topic; about a topic that there is none of
// it offers those that there are.
func help(topic string) slackapp.Message {
	topic = strings.ToLower(strings.TrimPrefix(topic, "/leaks "))
	if topic == "" {
		return slackapp.Message{Text: "How to talk to dropleak", Blocks: helpBlocks()}
	}
	for _, t := range topics {
		if strings.HasPrefix(t.name, topic) {
			return slackapp.Message{Text: "About " + t.name, Blocks: []slack.Block{report.Header(sentence(t.about)), report.Section(t.text)}}
		}
	}
	found := meant(topic)
	if len(found) == 1 {
		v := found[0]
		return slackapp.Message{Text: "How to use /leaks " + v.name, Blocks: []slack.Block{report.Header("/leaks " + v.name),
			report.Section(fmt.Sprintf("`%s` – %s\n%s\nFor example `%s`", v.usage(), v.help, v.more, v.example))}}
	}
	lead := "There is no help about " + report.Code(topic) + ". There is about these:"
	if len(found) > 1 {
		lead = report.Code(topic) + " may be any of these. Which one?"
	}
	var options []option
	for _, v := range found {
		options = append(options, option{v.name, choice{Verb: "help", Arg: v.name}})
	}
	for _, name := range topicNames() {
		if len(found) == 0 {
			options = append(options, option{name, choice{Verb: "help", Arg: name}})
		}
	}
	return choices(lead, options, "")
}

// topicNames are all that help knows about.
func topicNames() (names []string) {
	for _, v := range verbs {
		names = append(names, v.name)
	}
	for _, t := range topics {
		names = append(names, t.name)
	}
	return names
}

func (v verb) usage() string { return strings.TrimSpace("/leaks " + v.name + " " + v.args) }

func helpBlocks() []slack.Block {
	var lines, more []string
	for _, v := range verbs {
		lines = append(lines, fmt.Sprintf("`%s` – %s", v.usage(), v.help))
	}
	for _, t := range topics {
		more = append(more, fmt.Sprintf("`/leaks help %s` – %s", t.name, t.about))
	}
	return []slack.Block{report.Section(strings.Join(lines, "\n")), report.Section("*More*\n" + strings.Join(more, "\n"))}
}
