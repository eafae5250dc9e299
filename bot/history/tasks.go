package history

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dropleak/dropleak/detector"
	"github.com/dropleak/dropleak/detector/sample"
)

// taskGap is how long a count may have been away and still be told from its
// neighbours: what ran in a longer time ran nobody knows when.
const taskGap = 10 * time.Minute

// TaskRuns are the executions that the probe in one worker's processes
// counted, each count as one record that ends with the pass that told it;
// none where there is no probe.
func (h *History) TaskRuns(ctx context.Context, dropletID, worker string, from, to time.Time) ([]detector.TaskRun, error) {
	read := func(name string) ([]sample.Series, error) {
		return h.Select(ctx, []Matcher{Is(sample.MetricName, name), Is(labelDroplet, dropletID), Is(labelWorker, worker), Is(LabelSource, "")}, from, to)
	}
	runs, err := read(sample.NameTaskRuns)
	if err != nil || len(runs) == 0 {
		return nil, err
	}
	beside, err := read(sample.NameTaskBeside)
	if err != nil {
		return nil, err
	}
	l := lifeline{}
	for _, name := range []string{"dropleak_process_pid", "dropleak_process_start_time_seconds"} {
		series, err := read(name)
		if err != nil {
			return nil, err
		}
		l.add(series)
	}
	var out []detector.TaskRun
	for _, s := range runs {
		out = append(out, l.runs(s, false)...)
	}
	for _, s := range beside {
		out = append(out, l.runs(s, true)...)
	}
	return out, nil
}

// withTasks reads one worker with its tasks, or nobody where no task was
// counted: that is asked first, because it costs little.
func (h *History) withTasks(ctx context.Context, q Query) ([]detector.Worker, error) {
	if len(q.DropletIDs) != 1 || q.Worker == "" {
		return nil, errors.New("read tasks: of one worker on one droplet only")
	}
	runs, err := h.TaskRuns(ctx, q.DropletIDs[0], q.Worker, q.From, q.To)
	if err != nil {
		return nil, fmt.Errorf("read tasks of worker %s: %w", q.Worker, err)
	}
	if len(runs) == 0 {
		return nil, nil
	}
	q.Tasks = false
	found, err := h.Workers(ctx, q)
	for i := range found {
		found[i].Tasks = runs
	}
	return found, err
}

// lifeline says which process was in which slot at which moment.
type lifeline map[string]map[int64]sample.Process

func (l lifeline) add(series []sample.Series) {
	passes, _ := sample.Decode(series)
	for _, p := range passes {
		for _, r := range p.Processes {
			at := l[r.Slot]
			if at == nil {
				at = map[int64]sample.Process{}
				l[r.Slot] = at
			}
			was := at[r.At.UnixMilli()]
			if r.PID == 0 {
				r.PID = was.PID
			}
			if r.Start.IsZero() {
				r.Start = was.Start
			}
			at[r.At.UnixMilli()] = r
		}
	}
}

// runs are the rises of one counter, each told of the process that was in
// the slot. A process's first count is a rise from nought only if the process
// is no older than the pass before; what else ran before its counts were
// first heard of, ran nobody knows when.
func (l lifeline) runs(s sample.Series, beside bool) (out []detector.TaskRun) {
	slot, task := s.Get("slot"), s.Get("task")
	var was sample.Process
	var last sample.Point
	for _, p := range s.Points {
		if sample.IsStale(p.V) {
			continue
		}
		now, known := l[slot][p.At]
		if !known || now.PID == 0 {
			continue
		}
		at := time.UnixMilli(p.At).UTC()
		before, rise := last, p.V
		switch same := was.PID == now.PID && was.Start.Sub(now.Start).Abs() <= sample.SameStart; {
		case same && p.V >= before.V:
			rise -= before.V
		case at.Sub(now.Start) > taskGap || now.Start.IsZero():
			rise = 0
		}
		if before.At > 0 && p.At-before.At > taskGap.Milliseconds() && was.PID == now.PID {
			rise = 0
		}
		was, last = now, p
		if rise < 1 || rise > 1e9 {
			continue
		}
		r := detector.TaskRun{PID: now.PID, Start: now.Start, Task: task, Begin: at, End: at, Count: int(rise)}
		if beside {
			r.Task, r.Count, r.Beside = "", 0, int(rise)
		}
		out = append(out, r)
	}
	return out
}

// OnHand is what one worker had on hand at each pass of a time, by the word of
// the probe in its main process; none where there is no probe, and gaps where
// the process was too busy to tell.
func (h *History) OnHand(ctx context.Context, dropletID, worker string, from, to time.Time) ([]sample.OnHand, error) {
	series, err := h.Select(ctx, []Matcher{Is(sample.MetricName, sample.NameWorkerTasks), Is(labelDroplet, dropletID), Is(labelWorker, worker), Is(LabelSource, "")}, from, to)
	if err != nil {
		return nil, fmt.Errorf("read what worker %s has on hand: %w", worker, err)
	}
	return sample.DecodeOnHand(series), nil
}

// Held is how many tasks one worker held until their time (ETA, countdown) at
// each pass of a time, as [History.OnHand] tells them.
func (h *History) Held(ctx context.Context, dropletID, worker string, from, to time.Time) ([]detector.Point, error) {
	counts, err := h.OnHand(ctx, dropletID, worker, from, to)
	held := make([]detector.Point, len(counts))
	for i, c := range counts {
		held[i] = detector.Point{At: c.At, V: c.ETA}
	}
	return held, err
}
