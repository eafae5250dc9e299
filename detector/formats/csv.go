package formats

import (
	"bufio"
	"encoding/csv"
	"errors"
	"fmt"
	"io"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dropleak/dropleak/detector/sample"
)

// csvColumns are the columns that are read; others get a note.
var csvColumns = []string{"time", "value", "rss", "pss", "uss", "swap", "pid", "ppid", "start", "role",
	"worker", "droplet", "memory_available", "memory_total", "utime", "cpu", "slot"}

// csvReader turns rows into samples by the names in the header.
type csvReader struct {
	Reading
	column map[string]int
	worker string // for rows that name none
	line   int
	row    []string
	nan    bool // the note about NaN was made
}

// CSV reads a header row and rows of samples. Times are seconds on any origin
// or RFC 3339, memory is bytes, an empty cell is "not measured then". A row
// that cannot be used is a note and the rest is still read. Without a worker
// column all rows belong to the worker named.
func CSV(in io.Reader, worker string) (Reading, error) {
	r := csvReader{worker: worker}
	c := csv.NewReader(skipBOM(in))
	c.FieldsPerRecord, c.LazyQuotes, c.ReuseRecord, c.TrimLeadingSpace = -1, true, true, true
	head, err := c.Read()
	if err != nil {
		return Reading{}, fmt.Errorf("read the header row: %w", noEOF(err))
	}
	if err := r.header(head); err != nil {
		return r.Reading, err
	}
	for {
		row, err := c.Read()
		var bad *csv.ParseError
		switch {
		case errors.Is(err, io.EOF):
			return r.done()
		case errors.As(err, &bad):
			r.note(bad.Line, "not a CSV row: %s", bad.Err)
			continue
		case err != nil:
			return r.Reading, fmt.Errorf("read line %d: %w", r.line+1, err)
		}
		r.line, _ = c.FieldPos(0)
		r.row = row
		if err := r.take(); err != nil {
			r.note(r.line, "%s", err)
		}
	}
}

func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return ErrNoRows
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
		return errors.New("the header has no column time")
	}
	kinds := slices.ContainsFunc([]string{"rss", "pss", "uss", "swap"}, r.has)
	switch {
	case r.has("value") && kinds:
		r.note(1, "column \"value\" is not read beside rss, pss, uss or swap")
	case r.has("value"):
		r.ValueOnly = true
	case !kinds && !r.has("memory_available"):
		return errors.New("the header has neither value nor any of rss, pss, uss, swap")
	}
	return nil
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
	if err != nil {
		return err
	}
	p := sample.Process{At: at, Worker: r.worker, Droplet: r.cell("droplet"), Slot: r.cell("slot")}
	if name := r.cell("worker"); name != "" {
		p.Worker = name
	}
	if err := errors.Join(r.identity(&p), r.memory(&p)); err != nil {
		return errors.New(strings.ReplaceAll(err.Error(), "\n", "; "))
	}
	if err := r.droplet(p); err != nil {
		return err
	}
	if sample.Measured(p.RSS) || sample.Measured(p.PSS) || sample.Measured(p.USS) {
		r.Processes = append(r.Processes, p)
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
	switch role := r.cell("role"); role {
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
		return sample.NaN, fmt.Errorf("%s %.40q is not a number of bytes or seconds", name, text)
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

// ParseTime reads seconds on any origin, with fractions, or RFC 3339.
func ParseTime(text string) (time.Time, error) {
	if text == "" {
		return time.Time{}, errors.New("the time is missing")
	}
	if s, err := strconv.ParseFloat(text, 64); err == nil {
		if math.IsNaN(s) || math.Abs(s) > farthest {
			return time.Time{}, fmt.Errorf("time %.40q is out of range", text)
		}
		return time.UnixMilli(int64(math.Round(s * 1000))).UTC(), nil
	}
	t, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return time.Time{}, fmt.Errorf("time %.40q is neither seconds nor RFC 3339", text)
	}
	return t.UTC(), nil
}
