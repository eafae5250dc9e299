// Package corpus reads the labelled recordings that the detector is measured
// on.
//
// The recordings are data of others and of our own that the repository does
// not hold; tests find their folder in DROPLEAK_CORPUS. It has two parts.
// celery/ are real Celery nodes whose applications were made to leak, or
// not, in a known way. real/ are series that others published, with labels
// of different strength.
//
// Each part is split once and for all into a half to calibrate on and a half
// to report; see [Half].
package corpus

import (
	"compress/gzip"
	"encoding/csv"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/dropleak/dropleak/detector"
)

// Env names the environment variable that holds the folder.
const Env = "DROPLEAK_CORPUS"

// Half says what a recording may be used for.
type Half string

// The two halves. Thresholds are set on Calibrate (and on generated data)
// and never on Report, whose numbers are the ones published.
const (
	Calibrate Half = "calibrate"
	Report    Half = "report"
)

// halfOf is the split: even numbers calibrate, odd numbers report.
func halfOf(n int) Half {
	if n%2 == 0 {
		return Calibrate
	}
	return Report
}

// Strength says how much a label is worth.
type Strength string

// The strengths: the source names this very series; a general statement
// covers it; nobody says.
const (
	Strong  Strength = "strong"
	Weak    Strength = "weak"
	Unknown Strength = "unknown"
)

// Recording is one labelled series or node.
type Recording struct {
	Name     string // file name without extensions
	Family   string // h1…l12 for Celery nodes, the source's short name else
	Half     Half
	Strength Strength
	Kind     detector.Kind // Healthy, Leak, LeakMasked; Unsure where the label is unknown
	Rate     float64       // true bytes per hour, 0 where healthy or unknown
	Onset    time.Time     // zero where healthy or unknown
	Task     string        // the leaky task's name, where one is to blame
	Notes    string
	Worker   detector.Worker
	Begin    time.Time // of the first sample
	End      time.Time // of the last sample
	Lives    []Life    // per-process truth; Celery nodes only
	Tasks    []Task    // what each task name leaked in each process; Celery nodes only
}

// Life is the truth about one process of a Celery node.
type Life struct {
	PID    int
	Start  time.Time
	Label  string // leak, leak_masked, healthy; leak_minor, leak_hidden and other are not to be judged
	Rate   float64
	Leaked float64 // bytes
}

// Task is what one task name leaked in one process.
type Task struct {
	PID    int
	Task   string
	Calls  int
	Leaked float64 // bytes
}

// row is one line of a CSV file by column name.
type row map[string]string

// number is the column as a number, NaN where it is empty.
func (r row) number(column string) float64 {
	v, err := strconv.ParseFloat(r[column], 64)
	if err != nil {
		return math.NaN()
	}
	return v
}

// amount is number with 0 for empty.
func (r row) amount(column string) float64 {
	if v := r.number(column); !math.IsNaN(v) {
		return v
	}
	return 0
}

// moment is the column, in seconds since the recording's origin, as a time.
func (r row) moment(column string) time.Time {
	v := r.number(column)
	if math.IsNaN(v) {
		return time.Time{}
	}
	return Moment(v)
}

// Moment is the time of a recording's second; node recordings count from
// their start, so their dates lie in 1970.
func Moment(seconds float64) time.Time {
	return time.UnixMilli(int64(math.Round(seconds * 1000))).UTC()
}

// table reads a CSV file with a header, through gzip where named so.
func table(path string) ([]row, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, fmt.Errorf("read recording: %w", err)
	}
	defer f.Close() //nolint:errcheck // read only
	r := csv.NewReader(f)
	if strings.HasSuffix(path, ".gz") {
		z, err := gzip.NewReader(f)
		if err != nil {
			return nil, fmt.Errorf("read recording %s: %w", filepath.Base(path), err)
		}
		r = csv.NewReader(z)
	}
	lines, err := r.ReadAll()
	if err != nil {
		return nil, fmt.Errorf("read recording %s: %w", filepath.Base(path), err)
	}
	if len(lines) == 0 {
		return nil, fmt.Errorf("read recording %s: no header", filepath.Base(path))
	}
	rows := make([]row, 0, len(lines)-1)
	for _, line := range lines[1:] {
		m := make(row, len(line))
		for i, name := range lines[0] {
			m[name] = line[i]
		}
		rows = append(rows, m)
	}
	return rows, nil
}
