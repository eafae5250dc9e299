package report

import (
	"fmt"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"github.com/dropleak/dropleak/bot/finding"
)

// unlimited stands for the hours until nothing happens, so that a column of
// times left sorts as numbers.
const unlimited = 10 * 365 * 24

// table is a row for each finding, with a button that opens what its own
// message asks. What a phone shows without moving the table stands first: the
// worker, the time left, the button.
func table(shown []finding.Finding, others map[string]int, at time.Time) slack.Block {
	t := slack.NewDataTableBlock(Plain(fmt.Sprintf(saysTableTitle, count(len(shown), "finding")), 100)).WithPageSize(len(shown))
	t.AddRow(heads(saysColumnWhat, saysColumnLeft, saysColumnDecide, saysColumnMemory)...)
	for i, f := range shown {
		t.AddRow(named(f, others[f.Incident], at), timeLeft(f, at), decide(f, i), memory(f))
	}
	return t
}

func heads(names ...string) (row []slack.DataTableCell) {
	for _, name := range names {
		row = append(row, slack.NewDataTableRawTextCell(name))
	}
	return row
}

// named says what a row is about, and what was decided about it.
func named(f finding.Finding, others int, at time.Time) slack.DataTableCell {
	what := f.Subject.Title()
	if f.Subject.Kind != finding.KindLeak {
		what = Headline(f, at)
	}
	what = Plain(what, 110)
	if others > 0 {
		what += fmt.Sprintf(saysRowIncident, others)
	}
	if s := stands(f); s != "" {
		what += " (" + s + ")"
	}
	return slack.NewDataTableRawTextCell(what)
}

// timeLeft sorts what never runs out behind all else.
func timeLeft(f finding.Finding, at time.Time) slack.DataTableCell {
	if hours, known := finding.Left(f.Verdict.Exhaustion, at); known {
		return number(hours.Hours(), Duration(hours))
	}
	return number(unlimited, saysNotKnown)
}

// memory is what the worker holds, and how that grows.
func memory(f finding.Finding) slack.DataTableCell {
	v := f.Verdict
	if v.Footprint <= 0 {
		return number(0, "–")
	}
	s := Bytes(v.Footprint)
	if v.Rate != nil {
		s += ", " + Rate(v.Rate.Value)
	}
	return number(v.Footprint, s)
}

// decide is a row's button. A block may not hold an action twice.
func decide(f finding.Finding, row int) slack.DataTableCell {
	p := Press{Action: fmt.Sprint(ActionReview, ":", row), Value: f.ID, Text: ask(f)}
	return slack.NewDataTableActionCell(p.button()).WithFallback(slack.NewDataTableRawTextCell(saysInItsMessage))
}

func number(v float64, text string) slack.DataTableCell {
	return slack.NewDataTableRawNumberCell(v).WithText(text)
}

// ask is what a row's button says.
func ask(f finding.Finding) string {
	if f.Subject.Kind.OfWorker() && f.State == finding.Open {
		return saysLabelDecide
	}
	return saysLabelOpen
}

// stands says in plain words what was decided about a finding; "" while it is
// open.
func stands(f finding.Finding) string {
	switch f.State {
	case finding.Open:
		return ""
	case finding.Acknowledged:
		return "seen"
	case finding.InHand:
		return saysInHand
	}
	return string(f.State)
}

// listed is a line for each finding in as few blocks as hold them.
func listed(shown []finding.Finding, others map[string]int, at time.Time) (out []slack.Block) {
	const room = 30 // blocks
	var text strings.Builder
	flush := func() {
		if text.Len() > 0 {
			out = append(out, Section(strings.TrimSuffix(text.String(), "\n")))
			text.Reset()
		}
	}
	size := 0
	for i, f := range shown {
		line := strings.TrimSpace(fmt.Sprintf("%s *%s*, %s", icon(f), Escape(Plain(Headline(f, at), 150)), State(f)))
		if n := others[f.Incident]; n > 0 {
			line += fmt.Sprintf(saysLineIncident, n)
		}
		n := len([]rune(line)) + 1
		if size+n > maxSection {
			flush()
			size = 0
		}
		if len(out) == room {
			return append(out, Context(fmt.Sprintf(saysMoreFindings, len(shown)-i)))
		}
		text.WriteString(line + "\n")
		size += n
	}
	flush()
	return out
}
