package chat

import (
	"fmt"
	"time"

	"github.com/slack-go/slack"

	"github.com/dropleak/dropleak/bot/remedy"
	"github.com/dropleak/dropleak/bot/report"
	"github.com/dropleak/dropleak/bot/slackapp"
	"github.com/dropleak/dropleak/bot/watch"
)

// answers are what commands answer with and what stands in threads, besides
// what the report room makes.
func answers() map[string]slackapp.Message {
	var workers []option
	for i := range 23 {
		workers = append(workers, option{fmt.Sprintf("mail-%d on web-1", i), choice{"mute", fmt.Sprintf("42/mail-%d", i), "24h"}})
	}
	views := []watch.View{{Droplet: watch.Droplet{ID: "42", Name: "web-1", Tags: []string{"celery"}}}, {Droplet: watch.Droplet{ID: "43", Name: "web-2"}}}
	c := New(Options{Escalation: "S0LEADS"})
	bell := func(r remedy.Reminder) slackapp.Message {
		return say(c.reminder(change(asked(), func(v *remedy.View) { v.Reminded = r })))
	}
	end := func(o remedy.Outcome, why string) slackapp.Message { return say(logLine(ended(o, "", why, ""))) }
	return map[string]slackapp.Message{
		"choices":          choices("23 workers begin with `mail`. Which one?", workers, ""),
		"choices-few":      choices("No worker begins with `nosuch`. These are there:", workers[:2], ""),
		"choices-report":   whichPart(views, nil, "nosuch"),
		"choices-no-fleet": whichPart(nil, nil, "nosuch"),
		"help-topic":       help("approvals"),
		"help-command":     help("mute"),
		"help-unknown":     help("nosuch"),
		"refused":          say(answerWords(remedy.Answer{Words: "This was decided before your click.", Refusal: &remedy.Refusal{By: "U0BEN"}}, "U0ANNA")),
		"accepted":         say(answerWords(remedy.Answer{Accepted: true, Words: "Noted: not now."}, "U0ANNA")),
		"reminder-half":    bell(remedy.AtHalf),
		"reminder-quarter": bell(remedy.AtQuarter),
		"reminder-last":    bell(remedy.Escalated),
		"thread-freed":     end(remedy.FreedWorking, "memory came back and the worker is working"),
		"thread-down":      end(remedy.NotRunning, "the worker has no main process in the last 3 readings"),
		"thread-relapsed": say(logLine(change(ended(remedy.FreedWorking, "", "", ""), func(v *remedy.View) {
			v.Relapse = &remedy.Relapse{At: noon.Add(7 * time.Hour), Rate: 41 * mib, Exhaust: noon.Add(40 * time.Hour), Helped: 24000}
		}))),
		"why": {Text: "mail on web-1", Blocks: append(append([]slack.Block{report.Header(report.Headline(mail(), noon))}, report.Details(mail())...),
			report.Context("Advice could not be worked out: its samples could not be read."))},
	}
}
