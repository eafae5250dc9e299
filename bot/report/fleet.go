package report

import (
	"cmp"
	"fmt"
	"math"
	"slices"
	"strings"
	"time"

	"github.com/slack-go/slack"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/detector"
)

// sparks are the heights of a trend, lowest first.
var sparks = []rune("▁▂▃▄▅▆▇█")

// Trend draws memory over time in eight signs, "" with fewer than two points.
// Between lowest and highest lies at least a quarter of the highest, so that
// noise stays flat.
func Trend(points []detector.Point) string {
	if len(points) < 2 {
		return ""
	}
	from, to := points[0].At, points[len(points)-1].At
	span := to.Sub(from)
	sums, counts := make([]float64, len(sparks)), make([]float64, len(sparks))
	for _, p := range points {
		i := 0
		if span > 0 {
			i = min(int(float64(len(sparks))*float64(p.At.Sub(from))/float64(span)), len(sparks)-1)
		}
		sums[i], counts[i] = sums[i]+p.V, counts[i]+1
	}
	low, high := math.Inf(1), 0.0
	for i := range sums {
		if counts[i] > 0 {
			sums[i] /= counts[i]
			low, high = min(low, sums[i]), max(high, sums[i])
		}
	}
	return drawn(sums, counts, low, max(high-low, high/4))
}

func drawn(heights, counts []float64, low, span float64) string {
	var b strings.Builder
	for i, h := range heights {
		switch {
		case counts[i] == 0:
			b.WriteRune(' ')
		case span <= 0:
			b.WriteRune(sparks[0])
		default:
			b.WriteRune(sparks[min(int(float64(len(sparks))*(h-low)/span), len(sparks)-1)])
		}
	}
	return b.String()
}

// Fleet lists every worker in as few blocks as hold them: what leaks first,
// the soonest at its limit on top, then what is not known, then the rest by
// name. What does not fit into so many blocks is counted.
func Fleet(lines []WorkerLine, at time.Time, blocks int) []slack.Block {
	lines = slices.Clone(lines)
	slices.SortStableFunc(lines, func(a, b WorkerLine) int {
		return cmp.Or(cmp.Compare(rank(a), rank(b)), soonest(a.Verdict.Exhaustion).Compare(soonest(b.Verdict.Exhaustion)),
			cmp.Compare(a.Worker, b.Worker), cmp.Compare(a.Droplet, b.Droplet))
	})
	var out []slack.Block
	var text []rune
	for i, l := range lines {
		line := []rune(l.line(at) + "\n")
		if len(text)+len(line) > maxSection {
			out = append(out, Section(string(text)))
			text = nil
		}
		if len(out) == blocks {
			return append(out, Context(fmt.Sprintf(saysMoreWorkers, count(len(lines)-i, saysMoreWorker))))
		}
		text = append(text, line...)
	}
	if len(text) > 0 {
		out = append(out, Section(string(text)))
	}
	return out
}

func rank(l WorkerLine) int {
	switch l.Verdict.Kind {
	case detector.Leak, detector.LeakMasked:
		return 0
	case detector.Unsure:
		return 1
	}
	return 2
}

// soonest is when memory is expected to run out; far ahead where it is not.
func soonest(e *detector.Exhaustion) time.Time {
	if e == nil || e.Expected.IsZero() {
		return time.Unix(1<<40, 0)
	}
	return e.Expected
}

// line is a worker with its trend, what it holds, and the time left.
func (l WorkerLine) line(at time.Time) string {
	v := l.Verdict
	s := fmt.Sprintf(saysOn, Code(l.Worker), Escape(Plain(l.Droplet, 40)))
	if l.Trend != "" {
		s += "  " + l.Trend
	}
	s += "  " + Bytes(v.Footprint)
	left := Left(v.Exhaustion, at)
	if !v.Kind.Leaks() {
		return s + ", " + Reason(v.Reason)
	}
	s = icons[finding.Grade(v.Exhaustion, 0, at)] + " " + s
	if v.Rate != nil {
		s += ", " + Rate(v.Rate.Value)
	}
	if left == "" {
		return s + ", " + Reason(v.Reason)
	}
	return fmt.Sprintf(saysOutOfMemory, s, left)
}

// Entry is a finding in a list: its headline, its numbers, and a button that
// shows the evidence.
func Entry(f finding.Finding, at time.Time) slack.Block {
	line := strings.TrimSpace(fmt.Sprintf("%s *%s*", icon(f), Escape(Headline(f, at))))
	v := f.Verdict
	switch {
	case f.Subject.Kind != finding.KindLeak:
		line += "\n" + summary(f)
	case v.Rate != nil:
		line += fmt.Sprintf(saysEntryNumbers, Rate(v.Rate.Value), Bytes(v.Footprint), Sure(v.Confidence))
	}
	if state := stateLine(f); state != "" {
		line += "\n" + state
	}
	return Beside(line, Press{Action: ActionDetails, Value: f.ID, Text: saysLabelDetails})
}
