package chat

import (
	"fmt"
	"time"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/order"
	"github.com/dropleak/dropleak/bot/remedy"
	"github.com/dropleak/dropleak/bot/report"
	"github.com/dropleak/dropleak/bot/restart"
)

// struck are n droplets on which mail began to leak within the hour.
func struck(n int) (out []finding.Finding) {
	for i := range n {
		f := mail()
		x := *f.Verdict.Exhaustion
		x.Expected, x.Earliest, x.Latest = x.Expected.Add(time.Duration(i)*time.Hour), x.Earliest.Add(time.Duration(i)*time.Hour), x.Latest.Add(time.Duration(i)*time.Hour)
		f.Verdict.Exhaustion = &x
		f.ID, f.Incident, f.Began, f.App = fmt.Sprint("f", i), "f0", noon.Add(-27*time.Hour+time.Duration(i)*time.Minute), "shop"
		f.Subject.DropletID, f.Subject.DropletName = fmt.Sprint(42+i), fmt.Sprint("web-", i+1)
		out = append(out, f)
	}
	return out
}

// rollingQuestion is the question about them; the last cannot be restarted.
func rollingQuestion(n int) remedy.RolloutView {
	v := remedy.RolloutView{ID: "rollout-r3x7", Incident: "f0", Set: "abc", Asked: noon, Expires: noon.Add(24 * time.Hour), Exhausts: noon.Add(12 * time.Hour), Need: 1,
		Buttons: []remedy.Button{{Kind: remedy.Approve}, {Kind: remedy.NotNow}, {Kind: remedy.FalseAlarm}}}
	for i := range n {
		t := remedy.Turn{Finding: fmt.Sprint("f", i), Plan: remedy.Plan{DropletID: int64(42 + i), Droplet: fmt.Sprint("web-", i+1), Worker: "mail",
			Way: restart.Systemd, Unit: order.Unit{Kind: order.SystemdUnit, Name: "celery-mail.service"}}}
		if i == n-1 && n > 3 {
			t.Refused = fmt.Sprintf("mail on web-%d could not be looked at, so no restart can be offered: the agent is away.", n)
		}
		v.Turns = append(v.Turns, t)
	}
	return v
}

// rolled is an approved rolling restart of which the first ones ended so, and
// the runs of those.
func rolled(n int, ends ...remedy.Outcome) (remedy.RolloutView, map[string]remedy.View) {
	v, runs := rollingQuestion(n), map[string]remedy.View{}
	v.Votes = []remedy.Vote{{By: "U0ANNA", Kind: remedy.Approve, At: noon}}
	v.Settled, v.Have, v.Buttons = &v.Votes[0], 1, []remedy.Button{{Kind: remedy.Cancel}}
	for i, o := range ends {
		run := under("snapshot")
		if o != "" {
			run = ended(o, "", "", "")
		}
		run.Run, run.Finding, run.Plan, run.Rollout = fmt.Sprint("r", i), v.Turns[i].Finding, v.Turns[i].Plan, v.ID
		v.Turns[i].Run, v.Turns[i].Outcome, runs[run.Finding] = run.Run, o, run
	}
	return v, runs
}

// incidents is an incident in every state its message can show.
func incidents() map[string]report.Message {
	show := func(members []finding.Finding, v remedy.RolloutView, runs map[string]remedy.View) report.Message {
		return report.Incident(members, band("f0", members, runs, v, v.ID != "", noon.Add(11*time.Minute)))
	}
	end := func(n int, e remedy.RolloutEnd, why string, ends ...remedy.Outcome) report.Message {
		v, runs := rolled(n, ends...)
		v.End, v.Ended, v.Why, v.Buttons = e, noon.Add(time.Hour), why, nil
		if e == remedy.RolloutCancelled {
			v.Cancel = &remedy.Vote{By: "U0BEN", Kind: remedy.Cancel}
		}
		return show(struck(n), v, runs)
	}
	line, runs := rolled(40, remedy.FreedWorking, remedy.FreedNotSeenWorking, "")
	line.Turns[1].Passed, line.Turns[1].Outcome = "the worker's main process is another", ""
	quorum := rollingQuestion(3)
	quorum.Need, quorum.Have, quorum.AskedBy = 2, 1, "U0CARLA"
	declined := rollingQuestion(3)
	declined.End, declined.Settled, declined.Buttons = remedy.RolloutDeclined, &remedy.Vote{By: "U0ANNA", Kind: remedy.NotNow}, nil
	muted := struck(3)
	for i := range muted {
		muted[i].State, muted[i].By, muted[i].MutedUntil = finding.Muted, "U0ANNA", noon.Add(4*time.Hour)
	}
	closed := struck(3)
	for i := range closed {
		closed[i].State, closed[i].Why = finding.Resolved, "level for 12 h"
	}
	return map[string]report.Message{
		"question":  show(struck(40), rollingQuestion(40), nil),
		"two":       show(struck(2), rollingQuestion(2), nil),
		"quorum":    show(struck(3), quorum, nil),
		"rolling":   show(struck(40), line, runs),
		"done":      end(3, remedy.RolloutDone, "", remedy.FreedWorking, remedy.FreedWorking, remedy.FreedNotSeenWorking),
		"halted":    end(12, remedy.RolloutHalted, "the restart of mail on web-2 ended: restarted, memory not freed", remedy.FreedWorking, remedy.NotFreed),
		"cancelled": end(3, remedy.RolloutCancelled, "", remedy.FreedWorking, remedy.Cancelled),
		"declined":  show(muted, declined, nil),
		"closed":    show(closed, remedy.RolloutView{}, nil),
		"no-run":    report.Incident(struck(2), report.Band{At: noon, NoRun: "A restart of mail on web-1 was cancelled (2026-11-22T11:40:00Z)."}),
	}
}
