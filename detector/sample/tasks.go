package sample

import "time"

// Names of the series in which an agent ships what the probe in a worker's
// processes counted. They are no part of a [Pass]: [Decode] leaves them to
// whoever asks for them.
const (
	NameTaskRuns   = "dropleak_task_runs_total"   // with the label task
	NameTaskBeside = "dropleak_task_beside_total" // runs that shared their process's time with another
)

// TaskCount is how often one process has run one task since it began, or
// with an empty Task how many of all its runs began beside another.
type TaskCount struct {
	At                    time.Time
	Droplet, Worker, Slot string
	Task                  string
	Runs                  float64
}

// EncodeTasks turns counts into series with one point each.
func EncodeTasks(counts []TaskCount) []Series {
	out := make([]Series, len(counts))
	for i, c := range counts {
		name := NameTaskRuns
		if c.Task == "" {
			name = NameTaskBeside
		}
		out[i] = Series{Labels: labels(MetricName, name, "droplet", c.Droplet, "worker", c.Worker, "slot", c.Slot, "task", c.Task),
			Points: []Point{{c.At.UnixMilli(), c.Runs}}}
	}
	return out
}
