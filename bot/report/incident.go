package report

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"github.com/dropleak/dropleak/bot/finding"
)

// Band is what the one message of an incident shows besides its findings.
type Band struct {
	At      time.Time
	Picture string            // id of the uploaded chart of the worst; "" for none
	Ask     string            // the ask in the notification
	Story   string            // what becomes of it, after its name, where that is news; ""
	Row     slack.Block       // the buttons, after the first section; nil for none
	Roll    []slack.Block     // the rolling restart
	NoRun   string            // why no restart can be offered
	Marks   map[string]string // finding id → how its restart stands, in mrkdwn
	Anew    map[string]bool   // finding id → it was restarted since its forecast
}

// Incident is the one message of findings with one cause.
func Incident(members []finding.Finding, b Band) Message {
	members = byUrgency(members)
	worst := members[0]
	headline, text := incidentHeadline(members, b), incidentNotice(members, b)
	blocks := []slack.Block{Header(headline), Section(incidentLead(members, b))}
	if b.Row != nil {
		blocks = append(blocks, b.Row)
	}
	blocks = append(blocks, b.Roll...)
	if b.NoRun != "" {
		blocks = append(blocks, Context(":information_source: "+Said(b.NoRun)))
	}
	for _, f := range members[:min(len(members), foldAt)] {
		blocks = append(blocks, memberEntry(f, b))
	}
	if more := members[min(len(members), foldAt):]; len(more) > 0 {
		blocks = append(blocks, Context(fmt.Sprintf(saysMoreMembers, len(more), dropletNames(more))))
	}
	if b.Picture != "" {
		p := Picture(b.Picture, Alt(worst, b.At))
		if b.Anew[worst.ID] || worst.State.Final() {
			p.AltText = asItWas(worst)
			p.Title = plainText(saysAsItWas, 200)
		}
		blocks = append(blocks, p)
	}
	return laddered(text, blocks)
}

// asItWas says a chart of before in words; the verdict of what is closed may
// be about what came after.
func asItWas(f finding.Finding) string {
	s, v := fmt.Sprintf(saysAltAsItWas, f.Subject.Title()), f.Verdict
	if v.Rate != nil && !f.State.Final() {
		s += fmt.Sprintf(saysAltHeld, Bytes(v.Footprint), Rate(v.Rate.Value))
	}
	return Plain(s, 2000) + "."
}

// byUrgency puts what is open before what is over, and the soonest out of
// memory first.
func byUrgency(members []finding.Finding) []finding.Finding {
	members = slices.Clone(members)
	slices.SortStableFunc(members, func(a, b finding.Finding) int {
		return cmp.Or(over(a)-over(b), soonest(a.Verdict.Exhaustion).Compare(soonest(b.Verdict.Exhaustion)), cmp.Compare(a.Subject.Title(), b.Subject.Title()))
	})
	return members
}

func over(f finding.Finding) int {
	if f.State.Final() {
		return 1
	}
	return 0
}

// Crowd names in plain text what an incident is about.
func Crowd(members []finding.Finding) string {
	if len(members) == 0 {
		return saysAnIncident
	}
	return crowd(members, 60)
}

// crowd names what leaks: "mail on 12 droplets", "3 workers of shop on 2
// droplets".
func crowd(members []finding.Finding, room int) string {
	droplets, names := map[string]bool{}, map[string]bool{}
	for _, f := range members {
		droplets[f.Subject.DropletID], names[f.Subject.Worker] = true, true
	}
	on := fmt.Sprintf(saysOnDroplet, count(len(droplets), "droplet"))
	if len(names) == 1 {
		return Plain(members[0].Subject.Worker, room) + on
	}
	what := count(len(members), "worker")
	if app := members[0].App; app != "" {
		what += fmt.Sprintf(saysOfApp, Plain(app, room))
	}
	return what + on
}

func incidentHeadline(members []finding.Finding, b Band) string {
	s := crowd(members, 60)
	worst := members[0]
	switch left := Left(worst.Verdict.Exhaustion, b.At); {
	case b.Story != "":
		return s + " " + b.Story
	case worst.State.Final():
		return fmt.Sprintf(saysAllClosed, s)
	case left != "":
		return fmt.Sprintf(saysFirstRunsOut, s, left)
	}
	return fmt.Sprintf(saysLeaks, s)
}

func incidentNotice(members []finding.Finding, b Band) string {
	worst := members[0]
	s := crowd(members, briefWorker)
	left, known := finding.Left(worst.Verdict.Exhaustion, b.At)
	switch {
	case b.Story != "":
		return s + " " + b.Story
	case worst.State.Final():
		return fmt.Sprintf(saysAllClosed, s)
	case known:
		s += fmt.Sprintf(saysNoticeLeft, Duration(left))
	default:
		s += saysNoticeLeaks
	}
	if b.Ask != "" {
		s += ". " + b.Ask
	}
	return s
}

// incidentLead says what they share.
func incidentLead(members []finding.Finding, b Band) string {
	from, to := members[0].Began, members[0].Began
	for _, f := range members {
		if f.Began.Before(from) {
			from = f.Began
		}
		if f.Began.After(to) {
			to = f.Began
		}
	}
	open := 0
	for _, f := range members {
		open += 1 - over(f)
	}
	when := fmt.Sprintf(saysBegunAt, Date(from))
	if to.Sub(from) >= time.Minute {
		when = fmt.Sprintf(saysBegunBetween, Date(from), Date(to))
	}
	mark := icon(members[0])
	if b.Anew[members[0].ID] { // that was of before its restart
		mark = ""
	}
	s := fmt.Sprintf(saysOneIncident, mark, Escape(crowd(members, 60)), when)
	if 0 < open && open < len(members) {
		s += fmt.Sprintf(saysStillOpen, open, len(members))
	}
	return strings.TrimSpace(s)
}

// memberEntry is one of the workers, with a button to its evidence.
func memberEntry(f finding.Finding, b Band) slack.Block {
	v := f.Verdict
	line := "*" + Escape(f.Subject.Title()) + "*"
	past := f.State.Final() || b.Anew[f.ID]
	if left := Left(v.Exhaustion, b.At); left != "" && !past {
		line = fmt.Sprintf(saysMemberRunsOut, icon(f), line, left)
	}
	var facts []string
	if v.Rate != nil && !past {
		facts = append(facts, Rate(v.Rate.Value))
	}
	if v.Footprint > 0 && !past {
		facts = append(facts, fmt.Sprintf(saysHolds, Bytes(v.Footprint)))
	}
	if f.OOMKills > 0 {
		facts = append(facts, count(f.OOMKills, saysOOMKill))
	}
	lines := []string{line}
	if len(facts) > 0 {
		lines = append(lines, strings.Join(facts, ", "))
	}
	if mark := b.Marks[f.ID]; mark != "" {
		lines = append(lines, mark)
	} else if state := stateLine(f); state != "" {
		lines = append(lines, state)
	}
	return Beside(strings.Join(lines, "\n"), Press{Action: ActionDetails, Value: f.ID, Text: saysLabelDetails})
}

// dropletNames lists where the others are, as far as there is room.
func dropletNames(members []finding.Finding) string {
	var names []string
	for _, f := range members[:min(len(members), 30)] {
		names = append(names, Escape(f.Subject.Title()))
	}
	s := strings.Join(names, ", ")
	if n := len(members) - len(names); n > 0 {
		s += fmt.Sprintf(saysAndMore, n)
	}
	return s
}

// Worst is the finding of an incident whose memory runs out first among those
// that are open.
func Worst(members []finding.Finding) finding.Finding {
	if len(members) == 0 {
		return finding.Finding{}
	}
	return byUrgency(members)[0]
}
