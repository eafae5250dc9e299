// Package formats reads samples from what people already have: CSV, mprof, ps
// logs, Prometheus text, collectd.
package formats

import (
	"errors"
	"fmt"

	"github.com/dropleak/dropleak/detector/sample"
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
	ValueOnly bool // memory came as a bare value, kept in RSS: of an unknown kind
	Notes     []Note
}

// ErrNoRows says that a file had no row that could be used.
var ErrNoRows = errors.New("no usable row")

// maxNotes bounds what one file may say about itself.
const maxNotes = 200

// note adds a note; past the bound only their number grows.
func (r *Reading) note(line int, format string, args ...any) {
	switch n := len(r.Notes); {
	case n < maxNotes:
		r.Notes = append(r.Notes, Note{Line: line, Text: fmt.Sprintf(format, args...)})
	case n == maxNotes:
		r.Notes = append(r.Notes, Note{Text: "more such notes follow and are not shown"})
	}
}
