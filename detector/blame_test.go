package detector

import (
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// counted turns executions into what passes a minute apart tell of them.
func counted(runs []TaskRun) []TaskRun {
	type key struct {
		pid, minute int
		task        string
	}
	by := map[key]int{}
	var order []key
	for _, r := range runs {
		k := key{r.PID, int(r.End.Sub(at(0)).Minutes()) + 1, r.Task}
		if by[k]++; by[k] == 1 {
			order = append(order, k)
		}
	}
	var out []TaskRun
	for _, k := range order {
		seen := at(float64(k.minute) / 60)
		out = append(out, TaskRun{PID: k.pid, Task: k.task, Begin: seen, End: seen, Count: by[k]})
	}
	return out
}

// TestBlame: counts a minute name the task that every single run names, on a
// verdict that was made without tasks.
func TestBlame(t *testing.T) {
	w := shift(24, []string{"a", "b", "c", "d"}, map[string]float64{"c": 30e3}, 1)
	runs := w.Tasks
	w.Tasks = nil
	bare := Judge(w, time.Time{}, Options{})
	if got := Blame(bare, w, time.Time{}, Options{}); !cmp.Equal(got, bare) {
		t.Errorf("without tasks: %+v, want the verdict as it was", got)
	}
	w.Tasks = counted(runs)
	v := Blame(bare, w, time.Time{}, Options{})
	if got := kinds(v); got["c"] != TaskLeak || got["a"] == TaskLeak || got["b"] == TaskLeak || got["d"] == TaskLeak {
		t.Errorf("%v: %+v", got, v.Tasks)
	}
	if b := v.Tasks[0].BytesPerCall; b.Low > 30e3 || b.High < 30e3 {
		t.Errorf("bytes per call %+v, true 30000", b)
	}
	last := v.Evidence[len(v.Evidence)-1]
	if len(v.Evidence) != len(bare.Evidence)+1 || !strings.HasPrefix(last, "5760 runs of 4 tasks were counted in ") || !strings.Contains(last, "one of c leaves ") {
		t.Errorf("evidence %q", v.Evidence)
	}
}

// TestBlameNobody: where tasks were counted running beside one another, or
// the worker does not leak, nobody is accused, and it is said why.
func TestBlameNobody(t *testing.T) {
	leaky := shift(24, []string{"a", "b"}, map[string]float64{"a": 60e3}, 3)
	verdict := Judge(leaky, time.Time{}, Options{})
	leaky.Tasks = counted(leaky.Tasks)
	for i := range 40 {
		seen := at(float64(i+1) / 60)
		leaky.Tasks = append(leaky.Tasks, TaskRun{PID: 11, Begin: seen, End: seen, Beside: 10})
	}
	calm := shift(24, []string{"a", "b"}, nil, 4)
	calm.Tasks = counted(calm.Tasks)
	for _, tt := range []struct {
		name, want string
		v          Verdict
	}{
		{"beside", "beside one another in one process", Blame(verdict, leaky, time.Time{}, Options{})},
		{"calm", "accuse", Blame(Judge(calm, time.Time{}, Options{}), calm, time.Time{}, Options{})},
	} {
		if len(tt.v.Tasks) != 2 || tt.v.Tasks[0].Kind == TaskLeak || tt.v.Tasks[1].Kind == TaskLeak {
			t.Errorf("%s: %+v", tt.name, tt.v.Tasks)
		}
		if last := tt.v.Evidence[len(tt.v.Evidence)-1]; !strings.Contains(last, tt.want) {
			t.Errorf("%s: %q, want %q", tt.name, last, tt.want)
		}
	}
}

// TestBlameTogether: every group of tasks that the data cannot separate is
// named, also where another task is accused.
func TestBlameTogether(t *testing.T) {
	w := shift(24, []string{"a", "b", "c", "d", "e"}, map[string]float64{"e": 120e3}, 2)
	runs := w.Tasks
	w.Tasks = nil
	v := Judge(w, time.Time{}, Options{})
	for _, r := range runs {
		w.Tasks = append(w.Tasks, r)
		if r.Task == "a" || r.Task == "b" {
			r.Task, r.Begin, r.End = "with-"+r.Task, r.End, r.End.Add(time.Second)
			w.Tasks = append(w.Tasks, r)
		}
	}
	last := lastOf(Blame(v, w, time.Time{}, Options{}).Evidence)
	for _, want := range []string{"one of e leaves ", "with-a", "with-b", " run so much together that they cannot be told apart; "} {
		if !strings.Contains(last, want) {
			t.Errorf("%q lacks %q", last, want)
		}
	}
}

// TestBlameStrangers: runs that fall into no life that was measured are not
// counted, and it is said how many they are.
func TestBlameStrangers(t *testing.T) {
	w := shift(24, []string{"a", "b"}, map[string]float64{"b": 30e3}, 1)
	runs := w.Tasks
	w.Tasks = nil
	bare := Judge(w, time.Time{}, Options{})
	for i := range runs {
		if i%4 == 0 {
			runs[i].PID, runs[i].Task = 99, "elsewhere"
		}
	}
	w.Tasks = runs
	v := Blame(bare, w, time.Time{}, Options{})
	if last := lastOf(v.Evidence); len(v.Tasks) != 2 || !strings.HasPrefix(last, "4320 runs of 2 tasks were counted (1440 runs more belong to no process that was measured here) in ") {
		t.Errorf("%d tasks, %q", len(v.Tasks), last)
	}
	for i := range runs {
		runs[i].PID = 99
	}
	v = Blame(bare, w, time.Time{}, Options{})
	if last := lastOf(v.Evidence); len(v.Tasks) != 0 || !strings.HasPrefix(last, "None of the 5760 runs of tasks belongs to a process that was measured here") {
		t.Errorf("%d tasks, %q", len(v.Tasks), last)
	}
}

func lastOf(s []string) string { return s[len(s)-1] }
