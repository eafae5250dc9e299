package chat

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/dropleak/dropleak/bot/order"
	"github.com/dropleak/dropleak/bot/report"
)

// heapParts are the lists of a look at a heap in the order of what they help,
// in words; those of bytes say so. The rest is not worth a message's room.
var heapParts = []struct {
	name, title string
	bytes       bool
}{
	{"types", saysHeapObjects, false},
	{"held", saysHeapContainers, false},
	{"cycles", saysHeapCycles, false},
	{"files", saysHeapDescriptors, false},
	{"atoms", saysHeapPlain, true},
	{"lines", saysHeapTracemalloc, true},
	{"guppy", saysHeapGuppy, true},
	{"chain", saysHeapReferrers, false},
	{"malloc", saysHeapAllocator, false},
}

// heap says what grew inside the process that held most, "" where no probe
// was in it. It keeps within a message however much was sent.
func heap(h *order.Heap) string {
	if h == nil {
		return ""
	}
	head := fmt.Sprintf(saysHeapInside, h.PID)
	if h.Refused != "" {
		return fmt.Sprintf(saysHeapNotLooked, head, report.Escape(h.Refused))
	}
	first := h.Since.IsZero()
	if first {
		head += saysHeapMost
	} else {
		head += fmt.Sprintf(saysHeapGrewSince, report.Date(h.Since))
	}
	lines := []string{head}
	for _, p := range heapParts {
		for _, got := range h.Parts {
			if rows := heapRows(got, p.name, p.bytes, first || got.First); got.Name == p.name && rows != "" {
				lines = append(lines, "• "+p.title+sinceWhen(got)+": "+rows)
			}
		}
	}
	for _, n := range h.Notes[:min(len(h.Notes), 3)] {
		lines = append(lines, "• "+report.Escape(n))
	}
	return within(lines, heapMost)
}

// sinceWhen says of a part that the look before did not come to it.
func sinceWhen(p order.HeapPart) string {
	switch {
	case p.First:
		return saysHeapCutShort
	case !p.Since.IsZero():
		return fmt.Sprintf(saysHeapLineSince, report.Date(p.Since))
	}
	return ""
}

// heapMost is how many characters a look may take of a message that says more.
const heapMost = 2000

// within joins whole lines while they have room.
func within(lines []string, most int) string {
	var b strings.Builder
	n := 0
	for i, l := range lines {
		if n += utf8.RuneCountInString(l) + 1; n > most-1 {
			return b.String() + "…"
		}
		if i > 0 {
			b.WriteByte('\n')
		}
		b.WriteString(l)
	}
	return b.String()
}

// heapRows are the first rows of a part.
func heapRows(p order.HeapPart, name string, bytes, first bool) string {
	most := 4
	if first && name == "held" {
		most = 1
	}
	var out []string
	for _, r := range p.Rows[:min(len(p.Rows), most)] {
		what := report.Code(r.What)
		switch {
		case name == "chain":
			out = append(out, what)
		case name == "malloc":
			out = append(out, mallocRow(r))
		case first:
			out = append(out, what+" "+amount(r.Count, bytes))
		default:
			out = append(out, fmt.Sprintf("%s +%s (%s)", what, amount(r.Grown, bytes), amount(r.Count, bytes)))
		}
	}
	return strings.Join(out, ", ")
}

func mallocRow(r order.HeapRow) string {
	what, isBytes := strings.CutPrefix(r.What, "bytes ")
	return report.Escape(what) + " " + amount(r.Count, isBytes)
}

func amount(n float64, bytes bool) string {
	if bytes {
		return report.Bytes(n)
	}
	return fmt.Sprintf("%.0f", n)
}
