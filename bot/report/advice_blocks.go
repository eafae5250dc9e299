package report

import (
	"fmt"
	"strings"

	"github.com/slack-go/slack"
)

// Blocks are the advice for a modal or an answer; none where there is
// nothing to advise.
func (a Advice) Blocks() []slack.Block {
	var out []slack.Block
	if a.Misfit != "" {
		out = append(out, Section(":warning: "+a.Misfit))
	}
	for _, s := range a.Settings {
		out = append(out, Section(fmt.Sprintf("*%s*\n%s\n%s", s.Title, fence(s.Text), s.Why)))
	}
	for _, w := range a.Without {
		out = append(out, Context(w))
	}
	if len(a.Causes) > 0 {
		out = append(out, a.where()...)
	}
	if len(out) == 0 {
		return nil
	}
	return append([]slack.Block{Header(saysAdvice)}, out...)
}

// where says where to look for the cause.
func (a Advice) where() []slack.Block {
	lead := saysCausesRanked
	if !a.Told {
		lead = saysCausesUnranked
	}
	out := []slack.Block{Section(lead)}
	for i, c := range a.Causes {
		why := c.Why
		if why == "" {
			why = saysCauseUnmeasured
		}
		out = append(out, Section(fmt.Sprintf("%d. *%s.* %s\n_Next:_ %s", i+1, c.Name, why, c.Next)))
	}
	return append(out, Context(saysCausesInACopy))
}

// fence shows text to copy as it is.
func fence(text string) string {
	lines := strings.Split(strings.ReplaceAll(text, "`", "'"), "\n")
	for i := range lines {
		lines[i] = mrkdwn.Replace(Plain(lines[i], 200))
	}
	return "```" + strings.Join(lines, "\n") + "```"
}
