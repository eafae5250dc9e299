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
	laid := layTasks(w, o)
	if laid.runs == 0 {
		return fmt.Sprintf("None of the %s of tasks belongs to a process that was measured here: pid, start and time do not fit.", count(laid.astray, "run", "runs"))
	}
	counted := fmt.Sprintf("%s of %s were counted", count(laid.runs, "run", "runs"), count(len(laid.names), "task", "tasks"))
	if laid.astray > laid.runs/o.defaults().besidePart {
		counted += fmt.Sprintf(" (%s more belong to no process that was measured here)", count(laid.astray, "run", "runs"))
	}
	if laid.overlap {
		return counted + ", many of them beside one another in one process: its memory does not tell which of them leaks."
	}
	var leak []string
	for _, t := range v.Tasks {
		if t.Kind == TaskLeak {
			leak = append(leak, fmt.Sprintf("one of %s leaves %s behind (%s to %s)", t.Task, size(t.BytesPerCall.Value),
				size(t.BytesPerCall.Low), size(t.BytesPerCall.High)))
		}
	}
	together := ""
	for _, g := range groups(v.Tasks) {
		together += fmt.Sprintf("; %s run so much together that they cannot be told apart", strings.Join(g, " and "))
	}
	switch {
	case len(leak) > 0:
		how := "more than one of the other tasks does"
		if len(laid.names) == 1 {
			how = "and no other task ran"
		}
		return fmt.Sprintf("%s in %s: %s, %s%s.", counted, count(len(laid.rows), "span of time", "spans of time"), strings.Join(leak, ", "), how, together)
	case together != "":
		return counted + together + "."
	}
	return counted + "; what memory gained does not follow the runs of any of them closely enough to accuse it."
}

// groups lists the names that the data cannot separate, each group once.
func groups(tasks []TaskVerdict) (out [][]string) {
	told := map[string]bool{}
	for _, t := range tasks {
		if len(t.Group) == 0 || told[t.Task] {
			continue
		}
		g := append([]string{t.Task}, t.Group...)
		for _, name := range g {
			told[name] = true
		}
		out = append(out, g)
	}
	return out
}
