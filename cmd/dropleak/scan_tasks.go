package main

import (
	"bufio"
	"bytes"
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
// error that names it: an attribution on half of the calls would be wrong. But
// a last line that is cut off, as a killed worker leaves it, is only told.
func readTasks(path string) (runs []detector.TaskRun, cut bool, err error) {
	r, err := openFile(path)
	if err != nil {
		return nil, false, err
	}
	runs, cut, err = decodeTasks(r)
	if err := errors.Join(err, r.Close()); err != nil {
		return nil, false, fmt.Errorf("%s: %w", path, err)
	}
	return runs, cut, nil
}

// decodeTasks returns the runs of all lines but a last one that was cut off.
func decodeTasks(r io.Reader) (runs []detector.TaskRun, cut bool, err error) {
	lines := bufio.NewScanner(r)
	lines.Buffer(nil, 1<<20)
	n := 0
	for lines.Scan() {
		n++
		if len(lines.Bytes()) == 0 {
			continue
		}
		run, err := decodeTask(lines.Bytes())
		switch {
		case errors.Is(err, io.ErrUnexpectedEOF) && !lines.Scan() && lines.Err() == nil:
			return runs, true, nil
		case err != nil:
			return nil, false, fmt.Errorf("line %d: %w", n, err)
		}
		runs = append(runs, run)
	}
	if err := lines.Err(); err != nil {
		return nil, false, fmt.Errorf("line %d: %w", n+1, err)
	}
	return runs, false, nil
}

// decodeTask reads one line; [io.ErrUnexpectedEOF] where it is cut off.
func decodeTask(b []byte) (detector.TaskRun, error) {
	var l taskLine
	if err := json.Unmarshal(b, &l); err != nil {
		if end := json.NewDecoder(bytes.NewReader(b)).Decode(new(json.RawMessage)); errors.Is(end, io.ErrUnexpectedEOF) {
			return detector.TaskRun{}, end
		}
		return detector.TaskRun{}, err
	}
	if l.PID <= 0 || l.Task == "" || l.Begin == nil {
		return detector.TaskRun{}, errors.New("wants pid, task and begin")
	}
	end := *l.Begin
	if l.End != nil {
		end = *l.End
	}
	run := detector.TaskRun{PID: l.PID, Start: moment(l.Start), Task: l.Task, Begin: instant(*l.Begin), End: instant(end)}
	if run.Begin.IsZero() || run.End.IsZero() {
		return detector.TaskRun{}, errors.New("begin and end are out of range; they are seconds, not milliseconds")
	}
	if run.End.Before(run.Begin) {
		run.End = run.Begin // the clock was set back meanwhile; it ran all the same
	}
	return run, nil
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
