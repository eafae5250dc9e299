package detector

import (
	"fmt"
	"strings"
	"time"
)

// Blame adds to a verdict which of a worker's tasks leak, where that was left
// out because samples and tasks were not at hand: from the samples and tasks
// of w, which may be of the last days only. It accuses nobody in a worker
// that does not leak, nor where tasks run beside one another in one process,
// and says so.
func Blame(v Verdict, w Worker, at time.Time, o Options) Verdict {
	if len(w.Tasks) == 0 {
		return v
	}
	w = upTo(w, at)
	v.Tasks = attribute(w, o)
	settleTasks(&v)
	v.Evidence = append(append([]string{}, v.Evidence...), taskSentence(v, w, o))
	return v.finite()
}

// taskSentence says how the tasks of a worker came to be judged.
func taskSentence(v Verdict, w Worker, o Options) string {
	rows, names, overlap := layTasks(w, o)
	runs := 0
	for _, t := range w.Tasks {
		runs += t.runs()
	}
	counted := fmt.Sprintf("%s of %s were counted", count(runs, "run", "runs"), count(len(names), "task", "tasks"))
	if overlap {
		return counted + ", many of them beside one another in one process: its memory does not tell which of them leaks."
	}
	var leak, together []string
	for _, t := range v.Tasks {
		if t.Kind == TaskLeak {
			leak = append(leak, fmt.Sprintf("one of %s leaves %s behind (%s to %s)", t.Task, size(t.BytesPerCall.Value),
				size(t.BytesPerCall.Low), size(t.BytesPerCall.High)))
		}
		if len(t.Group) > 0 && len(together) == 0 {
			together = append([]string{t.Task}, t.Group...)
		}
	}
	switch {
	case len(leak) > 0:
		how := "more than one of the other tasks does"
		if len(names) == 1 {
			how = "and no other task ran"
		}
		return fmt.Sprintf("%s in %s: %s, %s.", counted, count(len(rows), "span of time", "spans of time"), strings.Join(leak, ", "), how)
	case len(together) > 0:
		return fmt.Sprintf("%s; %s run so much together that they cannot be told apart.", counted, strings.Join(together, " and "))
	}
	return counted + "; what memory gained does not follow the runs of any of them closely enough to accuse it."
}
