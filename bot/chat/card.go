package chat

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"github.com/dropleak/dropleak/bot/order"
	"github.com/dropleak/dropleak/bot/remedy"
	"github.com/dropleak/dropleak/bot/report"
)

// card says, before the click, what a restart would mean. What is not known
// is called so.
func card(v remedy.View, now time.Time) []slack.Block {
	var out []slack.Block
	if v.Only {
		lead := "*Snapshot only* " + expected(v) + "\n*Newest snapshot* " + newest(v.Card) + "\nNothing is restarted."
		if v.Purpose != "" {
			lead = "*Why* " + report.Escape(report.Plain(v.Purpose, 300)) + "\n" + lead
		}
		return append(out, report.Section(lead), report.Context(foot(v)))
	}
	if v.TooLate {
		out = append(out, report.Section(":rotating_light: *Memory runs out before a snapshot can finish.* Those who may can restart without one."))
	}
	lines := []string{"*Restarts* " + scope(v), "*Running tasks* " + orElse(stopping(v), "are stopped as their manager stops them; how long it waits is not known"),
		"*Tasks now* " + onHand(v),
		"*Snapshot first* " + expected(v), "*Newest snapshot* " + newest(v.Card)}
	if q := v.Card.Queue; q != "" {
		lines = append(lines, "*Would wait in line* "+report.Escape(report.Plain(q, 900)))
	}
	out = append(out, report.Section(strings.Join(lines, "\n")))
	if past := former(v.Card.Past); past != "" {
		out = append(out, report.Section(past))
	}
	return append(out, report.Context(foot(v)))
}

// scope names everything that restarts.
func scope(v remedy.View) string {
	if v.Plan.Way.WholeDroplet() {
		return "the whole droplet, with everything on it"
	}
	s := report.Code(v.Plan.Unit.Name) + " through " + string(v.Plan.Way)
	switch nodes := v.Facts.Nodes; {
	case len(nodes) == 1:
		return s + ": " + member(nodes[0])
	case len(nodes) > 1:
		var names []string
		for _, n := range nodes {
			names = append(names, member(n))
		}
		return s + fmt.Sprintf(", with %d workers in it: %s", len(nodes), strings.Join(names, "; "))
	}
	if n := len(v.Facts.Workers); n > 1 { // an agent of before tells names alone
		var names []string
		for _, w := range v.Facts.Workers {
			names = append(names, report.Code(w))
		}
		s += fmt.Sprintf(", with %d workers in it: %s", n, strings.Join(names, ", "))
	}
	return s
}

// member says what one node is.
func member(n order.Node) string {
	s := report.Code(n.Worker)
	if n.App != "" {
		s += " of app " + report.Code(n.App)
	}
	var parts []string
	if n.Pool != "" {
		parts = append(parts, report.Escape(n.Pool))
	}
	if n.Processes > 0 {
		parts = append(parts, fmt.Sprintf("%d pool processes", n.Processes))
	}
	if n.Beat {
		parts = append(parts, "*with its beat*: no schedule runs meanwhile")
	}
	if len(parts) == 0 {
		return s
	}
	return s + " (" + strings.Join(parts, ", ") + ")"
}

// stopping says what running tasks will get, as the manager has it; "" where
// it did not tell.
func stopping(v remedy.View) string {
	t := v.Facts.StopTimeout
	switch {
	case v.Plan.Way.WholeDroplet():
		return "are cut off"
	case t > 0:
		return fmt.Sprintf("get %s to finish, then are killed", report.Duration(time.Duration(t*float64(time.Second)))) + killing(v)
	case t == 0:
		return "may finish; the manager waits for ever" + killing(v)
	}
	return ""
}

// killing is what the manager's kill mode adds to its time, where there is a
// pool for it to matter to.
func killing(v remedy.View) string {
	alone := func(n order.Node) bool { return n.Pool != "" && n.Processes == 0 && !n.Beat }
	if len(v.Facts.Nodes) > 0 && !slices.ContainsFunc(v.Facts.Nodes, func(n order.Node) bool { return !alone(n) }) {
		return ""
	}
	switch mode := v.Facts.KillMode; {
	case mode == "control-group":
		return ". The stop signal goes to pool processes too (`KillMode=control-group`), so tasks may be cut off at once"
	case mode == "process" && v.Plan.Unit.Kind == order.SystemdUnit:
		return ". Only the main process is killed (`KillMode=process`): pool processes may stay behind"
	case mode == "process":
		return ". Only the main process is killed (`killasgroup=false`): pool processes may stay behind"
	case mode == "none":
		return ". Nothing is killed (`KillMode=none`): processes may stay behind"
	}
	return ""
}

// expected says what the snapshot takes and costs.
func expected(v remedy.View) string {
	e := v.Card.Snapshot
	s := "of the droplet; it holds the disk, not the memory. How long it takes is not known"
	if e.Takes > 0 {
		s = "of the droplet, about " + report.Duration(e.Takes)
		switch {
		case e.Of > 1:
			s += fmt.Sprintf(" as the last %d of it took", e.Of)
		case e.Of == 1:
			s += " as the last one of it took"
		default:
			s += " by rule of thumb"
		}
		s += "; it holds the disk, not the memory"
	}
	if usd := e.MonthlyUSD(); usd > 0 {
		return s + fmt.Sprintf(". About %.0f GB, %s a month while it is kept", e.GB, dollars(usd))
	}
	return s + ". Its size and price are not known"
}

func newest(c remedy.Card) string {
	switch {
	case c.Newest != nil && c.Newest.At.IsZero():
		return report.Code(c.Newest.Name)
	case c.Newest != nil:
		return report.Code(c.Newest.Name) + ", " + report.Date(c.Newest.At)
	case c.NoneYet:
		return "there is none"
	}
	return "not known"
}

// former tells how the last restarts of this worker went.
func former(past []remedy.Past) string {
	if len(past) == 0 {
		return ""
	}
	lines := []string{"*Restarted before*"}
	for _, p := range past {
		line := "• " + report.Date(p.At) + ": " + report.Escape(p.Outcome.Words())
		if p.Freed > 0 {
			line += ", " + report.Bytes(p.Freed) + " came back"
		}
		switch {
		case p.Still:
			line += "; has helped for " + report.Duration(p.Helped) + " so far"
		case p.Helped > 0:
			line += "; helped for " + report.Duration(p.Helped)
		default:
			line += "; did not help"
		}
		lines = append(lines, line)
	}
	return strings.Join(lines, "\n")
}

// foot says until when a question stands, and how far it is answered.
func foot(v remedy.View) string {
	foot := "This question ends " + report.Date(v.Expires) + "."
	if v.Need > 1 {
		foot = fmt.Sprintf("%d of %d approvals. ", v.Have, v.Need) + foot
	}
	if v.AskedBy != "" {
		foot = "Asked by " + report.Mention(v.AskedBy) + ". " + foot
	}
	return foot
}
