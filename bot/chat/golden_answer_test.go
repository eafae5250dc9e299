package chat

import (
	"fmt"
	"time"

	"github.com/slack-go/slack"

	"github.com/dropleak/dropleak/bot/finding"
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
	kept := func(name string, change func(*remedy.Kept)) remedy.Kept {
		k := remedy.Kept{Snapshot: remedy.Snapshot{ID: "9", Name: name, SizeGB: 11.2, Done: noon.Add(-5 * time.Hour)}, Plan: asked().Plan, MonthlyUSD: 0.67}
		change(&k)
		return k
	}
	rollout, _ := rolled(3, remedy.FreedWorking, remedy.NotFreed)
	rollout.End, rollout.Why = remedy.RolloutHalted, "the restart of mail on web-2 ended: restarted, memory not freed"
	dismissed := mail()
	dismissed.State, dismissed.By, dismissed.Why, dismissed.ID = finding.Dismissed, "U0BEN", "a load test", "f8"
	return map[string]slackapp.Message{
		"runs":          runList([]remedy.View{asked(), under("snapshot"), ended(remedy.FreedWorking, "", "", ""), ended(remedy.NotRunning, "verify", "", "")}),
		"runs-none":     runList(nil),
		"history":       historyOf([]finding.Finding{mail(), dismissed}, ""),
		"history-none":  historyOf(nil, ""),
		"history-about": historyOf([]finding.Finding{mail()}, "video"),
		"snapshots": snapshotList([]remedy.Kept{
			kept("dropleak-mail-r3x7", func(k *remedy.Kept) { k.Expires = noon.Add(7 * 24 * time.Hour) }), kept("dropleak-mail-q1", func(*remedy.Kept) {}),
			kept("dropleak-mail-p9", func(k *remedy.Kept) { k.Pinned = &remedy.Vote{By: "U0ANNA", Kind: remedy.KeepSnapshot} })}),
		"snapshots-none": snapshotList(nil),
		"mute-how-long": choices(fmt.Sprintf(saysMuteNoSpan, report.Code("mail")),
			[]option{{"4h", choice{"mute", "42/mail", "4h"}}, {"24h", choice{"mute", "42/mail", "24h"}}, {"7d", choice{"mute", "42/mail", "7d"}}, {untilWorse, choice{"mute", "42/mail", untilWorse}}}, ""),
		"not-muted":               say(fmt.Sprintf(saysNotMuted, report.Code("mail"))),
		"restart-offered":         say(fmt.Sprintf(saysRestartOffered, report.Code("mail"), "C0OPS")),
		"snapshot-offered":        say(fmt.Sprintf(saysSnapshotOffered, report.Escape("web-1"), "C0OPS")),
		"muted":                   say(fmt.Sprintf(saysMuted, report.Code("mail"))),
		"unmuted":                 say(fmt.Sprintf(saysUnmuted, report.Code("mail"))),
		"thread-rollout-approved": say(fmt.Sprintf(saysRolloutApprovedBy, rollVoters(rollout))),
		"thread-rollout-halted":   say(rolloutEnd(rollout)),
		"choices":                 choices("23 workers begin with `mail`. Which one?", workers, ""),
		"choices-few":             choices("No worker begins with `nosuch`. These are there:", workers[:2], ""),
		"choices-report":          whichPart(views, nil, "nosuch"),
		"choices-no-fleet":        whichPart(nil, nil, "nosuch"),
		"help-topic":              help("approvals"),
		"help-command":            help("mute"),
		"help-unknown":            help("nosuch"),
		"refused":                 say(answerWords(remedy.Answer{Words: "This was decided before your click (2026-11-22T12:03:05Z): approved.", Refusal: &remedy.Refusal{By: "U0BEN"}}, "U0ANNA")),
		"accepted":                say(answerWords(remedy.Answer{Accepted: true, Words: "Noted: not now."}, "U0ANNA")),
		"reminder-half":           bell(remedy.AtHalf),
		"reminder-quarter":        bell(remedy.AtQuarter),
		"reminder-last":           bell(remedy.Escalated),
		"thread-freed":            end(remedy.FreedWorking, "memory was freed and the worker is working"),
		"thread-down":             end(remedy.NotRunning, "the worker has no main process in the last 3 readings"),
		"thread-relapsed": say(logLine(change(ended(remedy.FreedWorking, "", "", ""), func(v *remedy.View) {
			v.Relapse = &remedy.Relapse{At: noon.Add(7 * time.Hour), Rate: 41 * mib, Exhaust: noon.Add(40 * time.Hour), Helped: 24000}
		}))),
		"why": {Text: "mail on web-1", Blocks: append(append([]slack.Block{report.Header(report.Headline(mail(), noon))}, report.Details(mail())...),
			report.Context("Advice could not be worked out: its samples could not be read."))},
	}
}
