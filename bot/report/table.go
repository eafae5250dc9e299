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
// message asks.
func table(shown []finding.Finding, others map[string]int, at time.Time) slack.Block {
	t := slack.NewDataTableBlock(Plain(fmt.Sprintf("The worst first: %s", count(len(shown), "finding")), 100)).WithPageSize(len(shown))
	t.AddRow(heads("What", "Out of memory", "Grows", "Holds", "State", "Decide")...)
	for i, f := range shown {
		t.AddRow(append(cells(f, others[f.Incident], at), decide(f, i))...)
	}
	return t
}

func heads(names ...string) (row []slack.DataTableCell) {
	for _, name := range names {
		row = append(row, slack.NewDataTableRawTextCell(name))
	}
	return row
}

func cells(f finding.Finding, others int, at time.Time) []slack.DataTableCell {
	what, v := f.Subject.Title(), f.Verdict
	if f.Subject.Kind != finding.KindLeak {
		what = Headline(f, at)
	}
	if others > 0 {
		what = Plain(what, 70) + fmt.Sprintf(" and %d more, one incident", others)
	}
	left := number(unlimited, "not known")
	if hours, known := finding.Left(v.Exhaustion, at); known {
		left = number(hours.Hours(), "in "+Duration(hours))
	}
	grows := number(0, "–")
	if v.Rate != nil {
		grows = number(v.Rate.Value, Rate(v.Rate.Value))
	}
	holds := number(v.Footprint, "–")
	if v.Footprint > 0 {
		holds = number(v.Footprint, Bytes(v.Footprint))
	}
	return []slack.DataTableCell{slack.NewDataTableRawTextCell(Plain(what, 150)), left, grows, holds, slack.NewDataTableRawTextCell(stands(f))}
}

// decide is a row's button. A block may not hold an action twice.
func decide(f finding.Finding, row int) slack.DataTableCell {
	p := Press{Action: fmt.Sprint(ActionReview, ":", row), Value: f.ID, Text: ask(f)}
	return slack.NewDataTableActionCell(p.button()).WithFallback(slack.NewDataTableRawTextCell("in its message"))
}

func number(v float64, text string) slack.DataTableCell {
	return slack.NewDataTableRawNumberCell(v).WithText(text)
}

// ask is what a row's button says.
func ask(f finding.Finding) string {
	if f.Subject.Kind.OfWorker() && f.State == finding.Open {
		return "Decide …"
	}
	return "Open"
}

// stands says in plain words how urgent an open finding is, or what was
// decided about it.
func stands(f finding.Finding) string {
	switch f.State {
	case finding.Open:
		return string(f.Severity)
	case finding.Acknowledged:
		return "seen"
	case finding.InHand:
		return "a run is working on it"
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
			line += fmt.Sprintf(", one incident with %d more", n)
		}
		n := len([]rune(line)) + 1
		if size+n > maxSection {
			flush()
			size = 0
		}
		if len(out) == room {
			return append(out, Context(fmt.Sprintf("and %d more: `/leaks report TAG` or `/leaks droplet NAME`", len(shown)-i)))
		}
		text.WriteString(line + "\n")
		size += n
	}
	flush()
	return out
}
