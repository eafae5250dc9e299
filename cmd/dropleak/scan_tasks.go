package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"time"

	"github.com/dropleak/dropleak/detector"
)

// taskLine is one line of a tasks file: one execution. Times are in seconds
// on the same origin as the samples.
type taskLine struct {
	PID   int      `json:"pid"`
	Start float64  `json:"start"`
	Task  string   `json:"task"`
	Begin *float64 `json:"begin"`
	End   *float64 `json:"end"`
}

// readTasks reads JSON lines, through gzip where needed. One bad line is an
// error that names it: an attribution on half of the calls would be wrong.
func readTasks(path string) ([]detector.TaskRun, error) {
	r, err := openFile(path)
	if err != nil {
		return nil, err
	}
	runs, err := decodeTasks(r)
	if err := errors.Join(err, r.Close()); err != nil {
		return nil, fmt.Errorf("%s: %w", path, err)
	}
	return runs, nil
}

func decodeTasks(r io.Reader) ([]detector.TaskRun, error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	var runs []detector.TaskRun
	n := 0
	for lines.Scan() {
		n++
		if len(lines.Bytes()) == 0 {
			continue
		}
		var l taskLine
		if err := json.Unmarshal(lines.Bytes(), &l); err != nil {
			return nil, fmt.Errorf("line %d: %w", n, err)
		}
		if l.PID <= 0 || l.Task == "" || l.Begin == nil {
			return nil, fmt.Errorf("line %d: wants pid, task and begin", n)
		}
		end := *l.Begin
		if l.End != nil {
			end = *l.End
		}
		run := detector.TaskRun{PID: l.PID, Start: moment(l.Start), Task: l.Task, Begin: instant(*l.Begin), End: instant(end)}
		if run.Begin.IsZero() || run.End.IsZero() {
			return nil, fmt.Errorf("line %d: begin and end are out of range; they are seconds, not milliseconds", n)
		}
		if run.End.Before(run.Begin) {
			run.End = run.Begin // the clock was set back meanwhile; it ran all the same
		}
		runs = append(runs, run)
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("line %d: %w", n+1, err)
	}
	return runs, nil
}

// moment turns seconds into a time; zero stays "unknown".
func moment(s float64) time.Time {
	if s == 0 {
		return time.Time{}
	}
	return instant(s)
}

// instant turns seconds on any origin into a time, the zero time where there
// is no such.
func instant(s float64) time.Time {
	if math.Abs(s) > 1e11 || math.IsNaN(s) {
		return time.Time{}
	}
	return time.UnixMilli(int64(math.Round(s * 1000))).UTC()
}
