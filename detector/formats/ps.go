package formats

import (
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

// psReader reads blocks of a line that says when, a header and rows.
type psReader struct {
	Reading
	worker string // for logs that tell neither command nor parent
	at     time.Time
	stamp  bool
	head   psHeader
	block  []psRow
	kept   []sample.Process // of processes that are not Celery's, while nothing else was seen
	celery bool
}

// psRow is one process in one block.
type psRow struct {
	p       sample.Process
	command string
	line    int
}

// PS reads a log of ps: blocks of a line with the time (what date prints, ISO
// 8601, or seconds since 1970), a header with any -o columns, and rows. RSS,
// PSS and USS are KiB. Workers are named by -n or --hostname in the command,
// else by their main process's pid; a log without commands and parents is the
// worker named.
func PS(in io.Reader, worker string) (Reading, error) {
	r := psReader{worker: worker}
	l := newLines(in, r.tooLong)
	for l.next() {
		r.take(l.text, l.n)
	}
	if l.err != nil {
		return r.Reading, l.err
	}
	r.flush()
	switch {
	case r.head.names == nil:
		return r.Reading, fmt.Errorf("there is no header of ps with PID and RSS: %w", ErrNoRows)
	case !r.celery && len(r.kept) > 0:
		r.note(0, "no row shows a Celery worker; every process is read")
		r.Processes, r.kept = r.kept, nil
	}
	return r.done()
}

func (r *psReader) take(line string, n int) {
	if strings.TrimSpace(line) == "" {
		return
	}
	if at, ok := parseStamp(line); ok {
		r.flush()
		r.at, r.stamp = at, true
		return
	}
	if head, ok := psHeaderOf(line); ok {
		// A second header without a time is the same moment: two calls of ps.
		r.head = head
		return
	}
	row, err := r.row(line, n)
	if err != nil {
		r.note(n, "%s", err)
		return
	}
	r.block = append(r.block, row)
}

var errNoStamp = errors.New("no line before this one says when")

func (r *psReader) row(line string, n int) (psRow, error) {
	switch {
	case r.head.names == nil:
		return psRow{}, fmt.Errorf("%.40q stands before the first header", line)
	case !r.stamp:
		return psRow{}, errNoStamp
	case len(r.block) >= maxBlock:
		return psRow{}, fmt.Errorf("only the first %d rows of a block are read", maxBlock)
	}
	cells, err := r.head.cells(line)
	if err != nil {
		return psRow{}, err
	}
	row := psRow{p: unmeasured(r.at, r.worker), line: n}
	return row, row.fill(r.head, cells)
}

// maxBlock bounds the processes of one moment.
const maxBlock = 50_000

// fill reads the cells that are known.
func (row *psRow) fill(h psHeader, cells []string) error {
	for i, name := range h.names {
		text := cells[i]
		var err error
		switch name {
		case "PID":
			row.p.PID, err = psID(name, text)
		case "PPID":
			row.p.PPID, err = psID(name, text)
		case "RSS", "RSZ":
			row.p.RSS, err = psKibibytes(name, text)
		case "PSS":
			row.p.PSS, err = psKibibytes(name, text)
		case "USS":
			row.p.USS, err = psKibibytes(name, text)
		case "SWAP":
			row.p.Swap, err = psKibibytes(name, text)
		case "TIME":
			if s, ok := psClock(text); ok {
				row.p.CPU = s
			}
		case "ELAPSED":
			if s, ok := psClock(text); ok {
				row.p.Start = row.p.At.Add(-time.Duration(s * float64(time.Second)))
			}
		case "STARTED":
			if at, ok := parseStamp(text); ok {
				row.p.Start = at
			}
		case "COMMAND", "CMD", "ARGS":
			row.command = text
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func psID(name, text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%s %.20q is not a process id", name, text)
	}
	return n, nil
}

func psKibibytes(name, text string) (float64, error) {
	if text == "-" || text == "" {
		return sample.NaN, nil
	}
	v, err := strconv.ParseFloat(text, 64)
	if err != nil || !(v >= 0 && v < 1<<50) {
		return sample.NaN, fmt.Errorf("%s %.20q is not a number of KiB", name, text)
	}
	return v * 1024, nil
}

// psClock reads [[DD-]HH:]MM:SS or plain seconds.
func psClock(text string) (seconds float64, ok bool) {
	days := 0.0
	if d, rest, found := strings.Cut(text, "-"); found {
		n, err := strconv.Atoi(d)
		if err != nil || n < 0 {
			return 0, false
		}
		days, text = float64(n), rest
	}
	for part := range strings.SplitSeq(text, ":") {
		v, err := strconv.ParseFloat(part, 64)
		if err != nil || !(v >= 0 && v < 1e9) {
			return 0, false
		}
		seconds = seconds*60 + v
	}
	seconds += days * 86400
	return seconds, seconds < farthest && !math.IsNaN(seconds)
}

// flush names the workers of a block that is complete and takes its rows.
func (r *psReader) flush() {
	defer func() { r.block = r.block[:0] }()
	members := r.members()
	if len(members) > 0 && !r.celery {
		r.celery, r.kept = true, nil
	}
	if !r.celery {
		for _, row := range r.block {
			if len(r.kept) < maxKept && measured(row.p) && row.p.RSS != 0 { // the kernel's own threads hold nothing
				r.kept = append(r.kept, r.plain(row))
			}
		}
		return
	}
	for _, p := range members {
		if measured(p) {
			r.Processes = append(r.Processes, p)
		}
	}
}

// maxKept bounds what is kept of a log that may turn out to hold no worker.
const maxKept = 1_000_000

func measured(p sample.Process) bool {
	return sample.Measured(p.RSS) || sample.Measured(p.PSS) || sample.Measured(p.USS)
}

// plain is a process of a log without workers. It belongs to its parent's
// worker where that is in the block, else is one of its own.
func (r *psReader) plain(row psRow) sample.Process {
	p := row.p
	if !r.head.has("PID") || (!r.head.commands() && !r.head.has("PPID")) {
		return p
	}
	root := p.PID
	if p.PPID != 0 && slices.ContainsFunc(r.block, func(o psRow) bool { return o.p.PID == p.PPID && p.PPID > 2 }) {
		root = p.PPID
	}
	p.Worker = strconv.Itoa(root)
	return p
}

// members are the rows that belong to Celery workers, named. A child shows
// its parent's command line; a title or a wrapper may hide it, so what a
// worker forked counts too, unless it says that it is something else.
func (r *psReader) members() (out []sample.Process) {
	byPID := make(map[int]*psRow, len(r.block))
	for i := range r.block {
		byPID[r.block[i].p.PID] = &r.block[i]
	}
	for i := range r.block {
		row := &r.block[i]
		c := celeryIn(row.command)
		parent := byPID[row.p.PPID]
		under := celery{}
		if parent != nil && parent != row {
			under = celeryIn(parent.command)
		}
		p := row.p
		switch {
		case c.other:
			continue
		case under.worker && (c.worker || strings.TrimSpace(row.command) != ""):
			p.Role, p.Worker = "child", nameOf(under, parent.p.PID)
			if c.node != "" {
				p.Worker = c.node
			}
		case c.worker:
			p.Role, p.Worker = c.role(), nameOf(c, r.lowest(row))
			if !r.head.has("PPID") && !c.child {
				p.Role = "unknown"
			}
		default:
			continue
		}
		out = append(out, p)
	}
	return out
}

// lowest is the pid a worker without a name goes by. Without parents in the
// log, what shows one command line is one worker, and its first process has
// the lowest pid.
func (r *psReader) lowest(row *psRow) int {
	pid := row.p.PID
	if r.head.has("PPID") {
		return pid
	}
	for _, o := range r.block {
		if o.command == row.command {
			pid = min(pid, o.p.PID)
		}
	}
	return pid
}

func nameOf(c celery, pid int) string {
	if c.node != "" {
		return c.node
	}
	return strconv.Itoa(pid)
}
