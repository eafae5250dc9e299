package formats

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/dropleak/dropleak/detector/sample"
)

// Prometheus text and OpenMetrics are read line by line here and not by
// expfmt: that one holds the whole of a file, gives up at the first line it
// does not like, and does not read OpenMetrics. The tests hold this reader to
// what expfmt writes.

// scrape is one file of a dump under way.
type scrape struct {
	into   *series
	notes  *Reading
	file   File
	format Format
	at     time.Time // of samples without a stamp of their own
	from   string    // where at comes from, for the note; "" once said or sure
	stamps []stamped
	open   bool   // OpenMetrics, by what the file says
	float  bool   // a stamp had a fraction
	memory bool   // it has samples of the kind that is looked for
	tail   string // the last line, where it has no end
	tailAt int    // its number
}

// stamped is a sample whose stamp waits for the unit of stamps to be known.
type stamped struct {
	labels []sample.Label
	value  float64
	stamp  float64
}

// read reads one dump up to its tail, which is left to who knows whether the
// file was cut off there.
func (s *scrape) read(in io.Reader) error {
	s.open = s.format == FormatOpenMetrics
	l := newLines(in, s.notes.tooLong)
	for l.next() {
		if l.cut {
			s.tail, s.tailAt = strings.TrimSpace(l.text), l.n
			break
		}
		s.line(l.text, l.n)
	}
	s.settle()
	return l.err
}

// line takes a line or notes why not.
func (s *scrape) line(text string, n int) {
	if err := s.take(strings.TrimSpace(text)); err != nil {
		s.notes.note(n, "%s", err)
	}
}

func (s *scrape) take(line string) error {
	if line == "" {
		return nil
	}
	if strings.HasPrefix(line, "#") {
		s.comment(line)
		return nil
	}
	if at, ok := parseStamp(line); ok {
		s.at, s.from = at, "" // somebody wrote the date before each scrape
		return nil
	}
	p, err := parsePromLine(line)
	if err != nil {
		return err
	}
	if !wanted(p.labels) {
		return nil
	}
	s.memory = true
	if p.hasStamp {
		s.float = s.float || p.stamp != math.Trunc(p.stamp)
		if len(s.stamps) >= maxStamped {
			s.settle()
		}
		s.stamps = append(s.stamps, stamped{p.labels, p.value, p.stamp})
		return nil
	}
	if s.from != "" {
		s.notes.note(0, "the samples carry no time; that of %s is taken", s.from)
		s.from = ""
	}
	if s.at.IsZero() {
		return errors.New("the sample carries no time, and neither does the file")
	}
	return s.into.add(p.labels, s.at.UnixMilli(), p.value)
}

// maxStamped bounds what waits for the unit of its stamps to be known.
const maxStamped = 1 << 20

func (s *scrape) comment(line string) {
	if openMetrics.MatchString(line) {
		s.open = true
	}
	if at, ok := parseStamp(line); ok {
		s.at, s.from = at, ""
	}
}

// settle gives the stamps their unit: OpenMetrics has seconds, Prometheus'
// text milliseconds, and some write seconds there, which nobody's memory of
// January 1970 contradicts.
func (s *scrape) settle() {
	unit := 1.0
	if s.open || s.float {
		unit = 1000
	}
	if len(s.stamps) > 0 && unit == 1 && s.stamps[0].stamp > 9.5e8 && s.stamps[0].stamp < 4e9 {
		unit = 1000
		s.notes.note(0, "stamps of %.0f are taken for seconds, though this format has milliseconds", s.stamps[0].stamp)
	}
	for _, p := range s.stamps {
		ms := p.stamp * unit
		if math.Abs(ms) > farthest*1000 {
			s.notes.note(0, "stamp %v is out of range", p.stamp)
			continue
		}
		if err := s.into.add(p.labels, int64(math.Round(ms)), p.value); err != nil {
			s.notes.note(0, "%s", err)
		}
	}
	s.stamps = s.stamps[:0]
}

// promLine is one sample of a dump.
type promLine struct {
	labels   []sample.Label
	value    float64
	stamp    float64
	hasStamp bool
}

// parsePromLine reads name{label="value",…} value [stamp] [# exemplar].
func parsePromLine(line string) (promLine, error) {
	var p promLine
	brace := strings.IndexByte(line, '{')
	space := strings.IndexAny(line, " \t")
	name, rest := line, ""
	switch {
	case brace >= 0 && (space < 0 || brace < space || strings.TrimSpace(line[:brace]) == strings.TrimSpace(line[:space]) && strings.TrimSpace(line[space:brace]) == ""):
		var err error
		name = strings.TrimSpace(line[:brace])
		if p.labels, rest, err = parsePromLabels(line[brace+1:]); err != nil {
			return p, err
		}
	case space > 0:
		name, rest = line[:space], line[space:]
	default:
		return p, fmt.Errorf("%.40q is no sample", line)
	}
	if name != "" {
		if !promName(name) {
			return p, fmt.Errorf("%.40q is no sample", line)
		}
		p.labels = append(p.labels, sample.Label{Name: sample.MetricName, Value: name})
	}
	return p, p.numbers(rest)
}

func (p *promLine) numbers(rest string) (err error) {
	rest, _, _ = strings.Cut(rest, "#") // an exemplar
	f := strings.Fields(rest)
	if len(f) == 0 || len(f) > 2 {
		return fmt.Errorf("%.40q is no value with an optional stamp", strings.TrimSpace(rest))
	}
	if p.value, err = strconv.ParseFloat(f[0], 64); err != nil {
		return fmt.Errorf("%.40q is no value", f[0])
	}
	if len(f) == 2 {
		if p.stamp, err = strconv.ParseFloat(f[1], 64); err != nil || math.IsNaN(p.stamp) {
			return fmt.Errorf("%.40q is no stamp", f[1])
		}
		p.hasStamp = true
	}
	return nil
}

func promName(name string) bool {
	for i, r := range name {
		if r != '_' && r != ':' && (r < 'a' || r > 'z') && (r < 'A' || r > 'Z') && (i == 0 || r < '0' || r > '9') {
			return false
		}
	}
	return name != ""
}

// maxLabels bounds the labels of one series.
const maxLabels = 64

// parsePromLabels reads what follows the opening brace, up to and with the
// closing one. A quoted string without a name is the metric's.
func parsePromLabels(text string) (out []sample.Label, rest string, err error) {
	for {
		text = strings.TrimLeft(text, " \t,")
		if strings.HasPrefix(text, "}") {
			return out, text[1:], nil
		}
		if len(out) >= maxLabels {
			return nil, "", fmt.Errorf("more than %d labels", maxLabels)
		}
		name := sample.MetricName
		if !strings.HasPrefix(text, `"`) || quotedName(text) {
			equals := strings.IndexByte(text, '=')
			if equals <= 0 {
				return nil, "", errors.New("a label has no value")
			}
			name = strings.Trim(strings.TrimSpace(text[:equals]), `"`)
			text = strings.TrimLeft(text[equals+1:], " \t")
		}
		value, after, err := parsePromString(text)
		if err != nil {
			return nil, "", err
		}
		out, text = append(out, sample.Label{Name: name, Value: value}), after
	}
}

// quotedName reports whether a quoted string is a label's name: an equals
// sign follows it.
func quotedName(text string) bool {
	_, after, err := parsePromString(text)
	return err == nil && strings.HasPrefix(strings.TrimLeft(after, " \t"), "=")
}

// parsePromString reads a quoted string with the escapes \\ \" \n.
func parsePromString(text string) (value, rest string, err error) {
	if !strings.HasPrefix(text, `"`) {
		return "", "", errors.New("a label's value is not quoted")
	}
	var b strings.Builder
	for i := 1; i < len(text); i++ {
		switch c := text[i]; {
		case c == '"':
			return b.String(), text[i+1:], nil
		case c == '\\' && i+1 < len(text):
			i++
			switch text[i] {
			case 'n':
				b.WriteByte('\n')
			default:
				b.WriteByte(text[i])
			}
		default:
			b.WriteByte(c)
		}
	}
	return "", "", errors.New("a label's value does not end")
}
