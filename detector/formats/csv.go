package formats

import (
	"bufio"
	"cmp"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/dropleak/dropleak/detector/sample"
)

// csvColumns are the columns that are read; others get a note.
var csvColumns = []string{"time", "value", "rss", "pss", "uss", "swap", "pid", "ppid", "start", "role",
	"worker", "droplet", "memory_available", "memory_total", "utime", "cpu", "slot", "held"}

// csvReader turns rows into samples by the names in the header.
type csvReader struct {
	Reading
	column map[string]int
	width  int    // cells of the header
	worker string // for rows that name none
	line   int
	row    []string
	nan    bool // the note about NaN was made
	names  map[string]string
}

// name returns a cell that many rows share, as one string: a cell by itself
// keeps its whole line.
func (r *csvReader) name(column string) string {
	cell := r.cell(column)
	if cell == "" {
		return ""
	}
	kept, ok := r.names[cell]
	if !ok {
		kept = strings.Clone(cell)
		r.names[kept] = kept
	}
	return kept
}

// CSV reads a header row and rows of samples (RFC 4180, but for line breaks in
// cells, so that a stray quote costs its own line and no other). Times are
// seconds on any origin or RFC 3339, memory is bytes, an empty cell is "not
// measured then". A row that cannot be used is a note and the rest is still
// read. Without a worker column all rows belong to the worker named.
func CSV(in io.Reader, worker string) (Reading, error) {
	r := csvReader{worker: worker, names: map[string]string{}}
	l := newLines(skipBOM(in), r.tooLong)
	if err := r.begin(l); err != nil {
		return r.Reading, err
	}
	for l.next() {
		if l.text == "" {
			continue
		}
		r.line = l.n
		if err := r.split(l.text); err != nil {
			r.note(r.line, "not a CSV row: %s", err)
		} else if err := r.take(); err != nil {
			r.note(r.line, "%s", err)
		}
	}
	if l.err != nil {
		return r.Reading, l.err
	}
	return r.done()
}

// begin reads the header row, the first that is not empty.
func (r *csvReader) begin(l *lines) error {
	for l.next() {
		if l.text == "" {
			continue
		}
		if err := r.split(l.text); err != nil {
			return fmt.Errorf("read the header row: %w", err)
		}
		r.width = len(r.row)
		return r.header(r.row)
	}
	return cmp.Or(l.err, ErrEmpty)
}

// split makes the line the row, cell by cell.
func (r *csvReader) split(line string) (err error) {
	if !strings.Contains(line, `"`) {
		r.row = slices.AppendSeq(r.row[:0], strings.SplitSeq(line, ","))
		return nil
	}
	if strings.Count(line, `"`)%2 == 1 {
		return errors.New("a quote is opened and not closed")
	}
	c := csv.NewReader(strings.NewReader(line))
	c.FieldsPerRecord, c.LazyQuotes, c.TrimLeadingSpace = -1, true, true
	r.row, err = c.Read()
	if bad := (*csv.ParseError)(nil); errors.As(err, &bad) {
		return bad.Err // its line is the line's own first
	}
	return err
}

// skipBOM drops the byte order mark that spreadsheets write.
func skipBOM(in io.Reader) io.Reader {
	b := bufio.NewReader(in)
	if mark, err := b.Peek(3); err == nil && string(mark) == "\ufeff" {
		_, _ = b.Discard(3)
	}
	return b
}

// header learns which column stands where.
func (r *csvReader) header(head []string) error {
	r.column = map[string]int{}
	for i, name := range head {
		name = strings.ToLower(strings.TrimSpace(name))
		if _, twice := r.column[name]; twice {
			return fmt.Errorf("column %.40q stands twice in the header", name)
		}
		r.column[name] = i
		if !slices.Contains(csvColumns, name) {
			r.note(1, "column %.40q is not known and not read", name)
		}
	}
	if !r.has("time") {
		r.Notes = nil // of what is no header
		return fmt.Errorf("the header has no column time%s", otherThanCommas(head))
	}
	kinds := slices.ContainsFunc([]string{"rss", "pss", "uss", "swap"}, r.has)
	switch {
	case r.has("value") && kinds:
		r.note(1, "column \"value\" is not read beside rss, pss, uss or swap")
	case r.has("value"):
		r.ValueOnly = true
	case !kinds && !r.has("memory_available"):
		return fmt.Errorf("the header has neither value nor any of rss, pss, uss, swap%s", otherThanCommas(head))
	}
	return nil
}

// otherThanCommas says what a line that is no header of ours looks like.
func otherThanCommas(head []string) string {
	line := strings.Join(head, ",")
	switch {
	case strings.HasPrefix(line, "\xff\xfe"), strings.HasPrefix(line, "\xfe\xff"):
		return "; the file is UTF-16: save it as UTF-8"
	case !utf8.ValidString(line) || strings.ContainsRune(line, 0):
		return ""
	case strings.ContainsRune(line, '\r'):
		return "; lines end in a carriage return alone: save the file with line feeds"
	case strings.ContainsRune(line, ';'):
		return "; it is separated by semicolons: save it with commas"
	case strings.ContainsRune(line, '\t'):
		return "; it is separated by tabs: save it with commas"
	}
	return ""
}

func (r *csvReader) has(name string) bool {
	_, ok := r.column[name]
	return ok
}

// cell returns a cell without the spaces around it; "" where the row is short.
func (r *csvReader) cell(name string) string {
	if i, ok := r.column[name]; ok && i < len(r.row) {
		return strings.TrimSpace(r.row[i])
	}
	return ""
}

// take turns the row into samples.
func (r *csvReader) take() error {
	at, err := ParseTime(r.cell("time"))
	if err == nil {
		err = r.fits()
	}
	if err != nil {
		return err
	}
	p := sample.Process{At: at, Worker: r.worker, Droplet: r.name("droplet"), Slot: r.name("slot")}
	if name := r.name("worker"); name != "" {
		p.Worker = name
	}
	if err := errors.Join(r.identity(&p), r.memory(&p)); err != nil {
		return errors.New(strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	held, err := r.number("held")
	if err := errors.Join(err, r.droplet(p)); err != nil {
		return err
	}
	if sample.Measured(held) {
		r.Held = append(r.Held, Held{At: at, Droplet: p.Droplet, Worker: p.Worker, Tasks: held})
	}
	if sample.Measured(p.RSS) || sample.Measured(p.PSS) || sample.Measured(p.USS) {
		r.Processes = append(r.Processes, p)
	}
	return nil
}

// fits refuses a row that has cells beyond the header's, for then nobody knows
// which are which, and one that ends before any memory.
func (r *csvReader) fits() error {
	for len(r.row) > r.width && strings.TrimSpace(r.row[len(r.row)-1]) == "" {
		r.row = r.row[:len(r.row)-1]
	}
	memory := func(name string) bool { i, ok := r.column[name]; return ok && i < len(r.row) }
	if len(r.row) > r.width {
		return fmt.Errorf("the row has %d cells, the header has %d", len(r.row), r.width)
	}
	if !slices.ContainsFunc([]string{"value", "rss", "pss", "uss", "swap", "memory_available"}, memory) {
		return fmt.Errorf("the row ends after %d of the header's %d cells, before any memory", len(r.row), r.width)
	}
	return nil
}

// identity reads which process the row is about.
func (r *csvReader) identity(p *sample.Process) (err error) {
	for name, into := range map[string]*int{"pid": &p.PID, "ppid": &p.PPID} {
		if text := r.cell(name); text != "" {
			n, e := strconv.Atoi(text)
			if e != nil || n < 0 {
				err = errors.Join(err, fmt.Errorf("%s %.40q is not a process id", name, text))
			}
			*into = n
		}
	}
	if text := r.cell("start"); text != "" {
		start, e := ParseTime(text)
		if e != nil {
			err = errors.Join(err, fmt.Errorf("start: %w", e))
		}
		p.Start = start
	}
	switch role := r.name("role"); role {
	case "parent", "child", "other":
		p.Role = role
	default:
		p.Role = "unknown"
	}
	return err
}

// memory reads bytes and CPU seconds.
func (r *csvReader) memory(p *sample.Process) (err error) {
	rss := "rss"
	if r.ValueOnly {
		rss = "value"
	}
	cpu := "cpu"
	if r.has("utime") {
		cpu = "utime"
	}
	for name, into := range map[string]*float64{rss: &p.RSS, "pss": &p.PSS, "uss": &p.USS, "swap": &p.Swap, cpu: &p.CPU} {
		v, e := r.number(name)
		*into, err = v, errors.Join(err, e)
	}
	return err
}

// number reads a cell that may be empty: not measured.
func (r *csvReader) number(name string) (float64, error) {
	text := r.cell(name)
	nan := strings.EqualFold(text, "nan")
	if nan && !r.nan { // once: some programs write it for every cell that is empty
		r.nan = true
		r.note(r.line, "NaN is read as not measured, here and wherever else it stands")
	}
	if text == "" || nan {
		return sample.NaN, nil
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || v < 0 || math.IsInf(v, 0) || math.IsNaN(v) || v > 1<<60 {
		unit := "bytes"
		switch name {
		case "cpu", "utime":
			unit = "seconds"
		case "held":
			unit = "tasks"
		}
		return sample.NaN, fmt.Errorf("%s %.40q is not a plain number of %s", name, text, unit)
	}
	return v, nil
}

// droplet reads the host's memory, which stands beside the process's.
func (r *csvReader) droplet(p sample.Process) error {
	available, err := r.number("memory_available")
	total, err2 := r.number("memory_total")
	if err := errors.Join(err, err2); err != nil {
		return err
	}
	if !sample.Measured(available) && !sample.Measured(total) {
		return nil
	}
	r.Droplets = append(r.Droplets, sample.Droplet{At: p.At, Droplet: p.Droplet, Available: available, Total: total,
		Shmem: sample.NaN, Slab: sample.NaN, SwapUsed: sample.NaN, OOMKills: sample.NaN})
	return nil
}

func (r *csvReader) done() (Reading, error) {
	if len(r.Processes) == 0 && len(r.Droplets) == 0 {
		return r.Reading, ErrNoRows
	}
	return r.Reading, nil
}

// farthest bounds times to what a time.Time and milliseconds can carry.
const farthest = 1e11

// timeLayouts are RFC 3339, also with the space that a note to its section 5.6
// lets stand for the T, as pandas and psql write it.
var timeLayouts = []string{time.RFC3339, "2006-01-02 15:04:05Z07:00", "2006-01-02 15:04:05Z07"}

// ParseTime reads seconds on any origin, with fractions, or RFC 3339.
func ParseTime(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, errors.New("the time is missing")
	}
	if s, err := strconv.ParseFloat(text, 64); err == nil {
		switch {
		case math.IsNaN(s) || math.Abs(s) > 1e3*farthest:
			return time.Time{}, fmt.Errorf("time %.40q is out of range", text)
		case math.Abs(s) > farthest:
			return time.Time{}, fmt.Errorf("time %.40q is out of range; if these are milliseconds, divide by 1000", text)
		}
		return time.UnixMilli(int64(math.Round(s * 1000))).UTC(), nil
	}
	for _, layout := range timeLayouts {
		if t, err := time.Parse(layout, text); err == nil {
			return t.UTC(), nil
		}
	}
	if _, ok := parseStamp(text); ok {
		return time.Time{}, fmt.Errorf("time %.40q is not in RFC 3339, which ends in Z or a zone such as +02:00", text)
	}
	return time.Time{}, fmt.Errorf("time %.40q is neither seconds nor RFC 3339", text)
}
