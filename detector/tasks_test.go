package detector

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// shift is one child running tasks drawn from names; perCall bytes stay
// behind after each call of that name.
func shift(hours float64, names []string, perCall map[string]float64, seed uint64) Worker {
	r := rand.New(rand.NewPCG(seed, 9))
	w := Worker{Name: "w", Pool: PoolPrefork}
	for pid := 11; pid < 13; pid++ {
		l := Life{PID: pid, Role: RoleChild, Start: at(0)}
		rss := 80.0 * MiB
		for m := 0; m < int(hours*60); m++ {
			for k := range 2 {
				n := names[r.IntN(len(names))]
				begin := at((float64(m) + float64(k)*0.4 + 0.1) / 60)
				w.Tasks = append(w.Tasks, TaskRun{PID: pid, Task: n, Begin: begin, End: begin.Add(15 * time.Second)})
				rss += perCall[n] * (0.5 + r.Float64())
			}
			now := rss + MiB*(20*(1-1/(1+float64(m)/200))+0.05*r.NormFloat64())
			l.Samples = append(l.Samples, Sample{At: at(float64(m+1) / 60), RSS: now, PSS: now, USS: now, Swap: 0, CPU: float64(m)})
		}
		w.Lives = append(w.Lives, l)
	}
	return w
}

func kinds(v Verdict) map[string]TaskKind {
	m := map[string]TaskKind{}
	for _, t := range v.Tasks {
		m[t.Task] = t.Kind
	}
	return m
}

func TestTaskAttribution(t *testing.T) {
	names := []string{"a", "b", "c", "d"}
	v := Judge(shift(24, names, map[string]float64{"c": 30e3}, 1), time.Time{}, Options{})
	if got := kinds(v); got["c"] != TaskLeak || got["a"] != TaskClear || got["b"] != TaskClear || got["d"] != TaskClear {
		t.Errorf("%v: %+v", got, v.Tasks)
	}
	if b := v.Tasks[0].BytesPerCall; v.Tasks[0].Task != "c" || b.Low > 30e3 || b.High < 30e3 {
		t.Errorf("bytes per call %+v, true 30000", v.Tasks[0])
	}
	for seed := range uint64(5) {
		for n, k := range kinds(Judge(shift(24, names, nil, seed), time.Time{}, Options{})) {
			if k == TaskLeak {
				t.Errorf("seed %d: %s accused in a worker that does not leak", seed, n)
			}
		}
	}
}

// TestTwoTasks: of two tasks the one that leaks is told against the other, not
// against half of itself.
func TestTwoTasks(t *testing.T) {
	for seed := range uint64(4) {
		v := Judge(shift(24, []string{"a", "b"}, map[string]float64{"b": 30e3}, seed), time.Time{}, Options{})
		if k := v.Tasks[0]; k.Task != "b" || k.Kind != TaskLeak || k.BytesPerCall.Low > 30e3 || k.BytesPerCall.High < 30e3 {
			t.Errorf("seed %d: %+v, true 30000", seed, k)
		}
		if k := v.Tasks[1]; k.Kind == TaskLeak || k.BytesPerCall.Low > 0 || k.BytesPerCall.High < 0 {
			t.Errorf("seed %d: %+v, true 0", seed, k)
		}
	}
}

// TestTasksTogether: two tasks that always run together are named as a group,
// and neither is accused alone.
func TestTasksTogether(t *testing.T) {
	w := shift(24, []string{"a", "b", "c"}, map[string]float64{"c": 60e3}, 2)
	for _, r := range slices.Clone(w.Tasks) {
		if r.Task == "c" {
			r.Task, r.Begin, r.End = "with-c", r.End, r.End.Add(time.Second)
			w.Tasks = append(w.Tasks, r)
		}
	}
	v := Judge(w, time.Time{}, Options{})
	if !v.Kind.Leaks() {
		t.Fatalf("%s (%s)", v.Kind, v.Reason)
	}
	for _, k := range v.Tasks {
		if k.Kind == TaskLeak {
			t.Errorf("%+v accused", k)
		}
		if k.Task == "c" && !slices.Contains(k.Group, "with-c") {
			t.Errorf("group of c: %v", k.Group)
		}
	}
}

// TestTasksOverlapping: where tasks run at the same time in one process, the
// process's memory tells them apart no more.
func TestTasksOverlapping(t *testing.T) {
	w := shift(24, []string{"a", "b"}, map[string]float64{"a": 60e3}, 3)
	for i := range w.Tasks {
		w.Tasks[i].End = w.Tasks[i].End.Add(2 * time.Minute)
	}
	for n, k := range kinds(Judge(w, time.Time{}, Options{})) {
		if k != TaskUnsure {
			t.Error(fmt.Sprint(n, " is ", k))
		}
	}
}
