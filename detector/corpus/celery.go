package corpus

import (
	"fmt"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/dropleak/dropleak/detector"
)

// Celery reads the Celery nodes below dir, by family and name. With tasks,
// every execution is read too.
func Celery(dir string, tasks bool) ([]Recording, error) {
	dir = filepath.Join(dir, "celery")
	labels, err := table(filepath.Join(dir, "labels.csv"))
	if err != nil {
		return nil, err
	}
	lives, called, err := truths(dir)
	if err != nil {
		return nil, err
	}
	var out []Recording
	for _, l := range labels {
		r := Recording{Name: strings.TrimSuffix(filepath.Base(l["file"]), ".csv.gz"), Family: l["family"], Strength: Strong,
			Kind: detector.Kind(l["label"]), Rate: l.amount("true_rate_bytes_per_hour"), Onset: l.moment("leak_onset_ts"), Notes: l["notes"]}
		if r.Kind.Leaks() {
			r.Task = l["leaky_task"]
		}
		number, err := strconv.Atoi(strings.TrimPrefix(r.Name, "w"))
		if err != nil {
			return nil, fmt.Errorf("number of recording %q: %w", r.Name, err)
		}
		r.Half, r.Lives, r.Tasks = halfOf(number), lives[r.Name], called[r.Name]
		if err := r.readNode(dir, tasks); err != nil {
			return nil, err
		}
		out = append(out, r)
	}
	slices.SortFunc(out, func(a, b Recording) int { return strings.Compare(a.Family+a.Name, b.Family+b.Name) })
	return out, nil
}

// truths reads what is known per process and per task name, by recording.
func truths(dir string) (map[string][]Life, map[string][]Task, error) {
	lives, called := map[string][]Life{}, map[string][]Task{}
	series, err := table(filepath.Join(dir, "series.csv"))
	if err != nil {
		return nil, nil, err
	}
	for _, s := range series {
		lives[s["file"]] = append(lives[s["file"]], Life{PID: int(s.amount("pid")), Start: s.moment("starttime"),
			Label: s["label"], Rate: s.amount("rate_bytes_per_hour"), Leaked: s.amount("leaked_bytes")})
	}
	tasks, err := table(filepath.Join(dir, "truth_tasks.csv"))
	if err != nil {
		return nil, nil, err
	}
	for _, s := range tasks {
		called[s["file"]] = append(called[s["file"]], Task{PID: int(s.amount("pid")), Task: s["task"],
			Calls: int(s.amount("calls")), Leaked: s.amount("leaked_bytes")})
	}
	return lives, called, nil
}

// readNode reads a node's samples, and its executions where wanted.
func (r *Recording) readNode(dir string, tasks bool) error {
	rows, err := table(filepath.Join(dir, "recordings", r.Name+".csv.gz"))
	if err != nil {
		return err
	}
	r.Worker = detector.Worker{Name: r.Name, Pool: detector.PoolPrefork}
	index := map[string]int{}
	for _, m := range rows {
		key := m["pid"] + "/" + m["start"]
		i, known := index[key]
		if !known {
			i = len(r.Worker.Lives)
			index[key] = i
			r.Worker.Lives = append(r.Worker.Lives, detector.Life{PID: int(m.amount("pid")), Start: m.moment("start"), Role: detector.Role(m["role"])})
		}
		l := &r.Worker.Lives[i]
		l.Samples = append(l.Samples, detector.Sample{At: m.moment("time"), RSS: m.number("rss"), PSS: m.number("pss"),
			USS: m.number("uss"), Swap: m.number("swap"), CPU: m.number("utime")})
		r.span(m)
	}
	if !tasks {
		return nil
	}
	return r.readTasks(dir)
}

// span widens Begin and End to the row's time.
func (r *Recording) span(m row) {
	at := m.moment("time")
	if r.Begin.IsZero() || at.Before(r.Begin) {
		r.Begin = at
	}
	if at.After(r.End) {
		r.End = at
	}
}

// readTasks reads every execution; pids do not repeat within a node.
func (r *Recording) readTasks(dir string) error {
	rows, err := table(filepath.Join(dir, "tasks", r.Name+".csv.gz"))
	if err != nil {
		return err
	}
	for _, m := range rows {
		r.Worker.Tasks = append(r.Worker.Tasks, detector.TaskRun{PID: int(m.amount("pid")), Task: m["task"],
			Begin: m.moment("start"), End: m.moment("end")})
	}
	return nil
}
