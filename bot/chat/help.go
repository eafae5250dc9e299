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
	{"names", saysTopicNames, saysTopicNamesMore},
	{"approvals", saysTopicApprovals, saysTopicApprovalsMore},
	{"verdicts", saysTopicVerdicts, saysTopicVerdictsMore},
}

func (c *Chat) commandHelp(ctx context.Context, k slackapp.Command, topic string) error {
	return c.answerTo(ctx, k, help(topic))
}

// help is about everything, or one topic; about a topic that there is none of
// it offers those that there are.
func help(topic string) slackapp.Message {
	topic = strings.ToLower(strings.TrimPrefix(topic, "/leaks "))
	if topic == "" {
		return slackapp.Message{Text: saysHelpTitle, Blocks: helpBlocks()}
	}
	for _, t := range topics {
		if strings.HasPrefix(t.name, topic) {
			return slackapp.Message{Text: fmt.Sprintf(saysLabelAbout, t.name), Blocks: []slack.Block{report.Header(sentence(t.about)), report.Section(t.text)}}
		}
	}
	found := meant(topic)
	if len(found) == 1 {
		v := found[0]
		return slackapp.Message{Text: fmt.Sprintf(saysHelpTitleTopic, v.name), Blocks: []slack.Block{report.Header("/leaks " + v.name),
			report.Section(fmt.Sprintf(saysHelpCommand, v.usage(), v.help, v.more, v.example))}}
	}
	lead := fmt.Sprintf(saysNoHelpAbout, report.Code(topic))
	if len(found) > 1 {
		lead = fmt.Sprintf(saysWhichOfThese, report.Code(topic))
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
		more = append(more, fmt.Sprintf(saysHelpTopicLine, t.name, t.about))
	}
	return []slack.Block{report.Section(strings.Join(lines, "\n")), report.Section(fmt.Sprintf(saysHelpMore, strings.Join(more, "\n")))}
}
