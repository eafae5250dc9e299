// Package formats reads samples from what people already have: CSV, mprof, ps
// logs, Prometheus text, collectd.
//
// What a file is, its content says, never its name. [Gather] puts files that
// form one source together (rotated logs, a run of scrapes, a collectd host
// tree), and [Source.Read] reads one. Every reader goes line by line, bounds
// what it keeps of one line, and says what it could not use in a [Note] while
// the rest is still read.
package formats

import (
	"errors"
	"fmt"
	"io"
	"regexp"
	"time"

	"github.com/dropleak/dropleak/detector/sample"
)

// Format is a layout that samples come in.
type Format string

// The formats. LineTable is what memory_profiler prints of a function under
// @profile; it has no times and so no samples, only lines that grew.
const (
	FormatCSV         Format = "csv"
	FormatMProf       Format = "mprof"
	FormatPS          Format = "ps"
	FormatPrometheus  Format = "prometheus"
	FormatOpenMetrics Format = "openmetrics"
	FormatPromJSON    Format = "promjson"
	FormatCollectd    Format = "collectd"
	FormatLineTable   Format = "line table"
)

// Note is something worth saying about a file that did not stop the reading.
// Line counts from one; zero means the file as a whole.
type Note struct {
	Line int
	Text string
}

// Reading is what one source gave. Processes of one worker carry its name;
// rows are in the order of the file.
type Reading struct {
	Processes []sample.Process
	Droplets  []sample.Droplet
	Workers   []sample.Worker
	Held      []Held
	ValueOnly bool // memory came as a bare value, kept in RSS: of an unknown kind
	Notes     []Note
	Calls     []Call // of functions that were marked, in the order they began
	Evidence  []string

	untold int // notes beyond maxNotes
}

// Held is how many tasks a worker's main process held until their time at a
// moment.
type Held struct {
	At              time.Time
	Droplet, Worker string
	Tasks           float64
}

// Call is one run of a function that somebody marked for the profiler.
type Call struct {
	Name          string
	Begin, End    time.Time
	Before, After float64 // bytes
}

// Options steer a reading. The zero value has working defaults.
type Options struct {
	// Groupname finds worker and pid in process-exporter's groupname by its
	// groups of these names; nil: the name, and a number after ; : / - or a
	// space.
	Groupname *regexp.Regexp
}

// File is one file of a source.
type File struct {
	Path     string
	Modified time.Time // zero where unknown
	Open     func() (io.ReadCloser, error)
}

// ErrNoRows says that a file had no row that could be used.
var ErrNoRows = errors.New("no usable row")

// ErrEmpty says that there is nothing in a file at all.
var ErrEmpty = fmt.Errorf("%w: the file is empty", ErrNoRows)

// maxNotes bounds what one file may say about itself.
const maxNotes = 200

// note adds a note; past the bound only their number grows.
func (r *Reading) note(line int, format string, args ...any) {
	if len(r.Notes) < maxNotes {
		r.Notes = append(r.Notes, Note{Line: line, Text: fmt.Sprintf(format, args...)})
		return
	}
	r.untold++
}

// tell ends the notes with how many more there were.
func (r *Reading) tell() {
	if r.untold > 0 {
		r.Notes, r.untold = append(r.Notes, Note{Text: fmt.Sprintf("%d more notes like these are not shown", r.untold)}), 0
	}
}

// usable reports whether anything was read.
func (r *Reading) usable() bool {
	return len(r.Processes) > 0 || len(r.Droplets) > 0 || len(r.Evidence) > 0
}

// done closes a reading.
func (r *Reading) done() (Reading, error) {
	if !r.usable() {
		return *r, ErrNoRows
	}
	return *r, nil
}

// unmeasured is a process of which no memory is known yet.
func unmeasured(at time.Time, worker string) sample.Process {
	return sample.Process{At: at, Worker: worker, Role: "unknown",
		RSS: sample.NaN, PSS: sample.NaN, USS: sample.NaN, Swap: sample.NaN, CPU: sample.NaN}
}
