package watch_test

import (
	"context"
	"encoding/json"
	"math/rand/v2"
	"strings"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/history"
	"github.com/dropleak/dropleak/bot/report"
	"github.com/dropleak/dropleak/bot/store/storetest"
	"github.com/dropleak/dropleak/bot/watch"
	"github.com/dropleak/dropleak/detector"
	"github.com/dropleak/dropleak/detector/sample"
)

// probed is what an agent sends of two children of which each runs tasks a, b
// and c at random; 60 kB stay behind after each c. beside: they run beside
// one another.
func probed(now time.Time, hours int, beside bool) (series []sample.Series) {
	r := rand.New(rand.NewPCG(5, 8))
	by := map[string]*sample.Series{}
	var order []string
	held := [2]float64{80 << 20, 80 << 20}
	runs := [2]map[string]float64{{}, {}}
	for m := range hours * 60 {
		at := now.Add(time.Duration(m-hours*60) * time.Minute)
		p := sample.Pass{Droplet: &sample.Droplet{At: at, Droplet: web.ID, Available: 2<<30 - held[0] - held[1], Total: 4 << 30,
			Shmem: nan(), Slab: nan(), SwapUsed: nan(), OOMKills: nan()}}
		var counts []sample.TaskCount
		for i := range held {
			for range 4 {
				task := []string{"app.a", "app.b", "app.c"}[r.IntN(3)]
				if runs[i][task]++; task == "app.c" {
					held[i] += 60e3
				}
			}
			now := held[i] + 50e3*r.NormFloat64()
			slot := string(rune('0' + i))
			p.Processes = append(p.Processes, sample.Process{At: at, Droplet: web.ID, Worker: "mail", Slot: slot, Role: "child", PID: 11 + i,
				Start: at.Add(-time.Duration(m) * time.Minute), RSS: now, PSS: now, USS: now, Swap: 0, CPU: float64(m)})
			for task, n := range runs[i] {
				counts = append(counts, sample.TaskCount{At: at, Droplet: web.ID, Worker: "mail", Slot: slot, Task: task, Runs: n})
			}
			shared := sample.TaskCount{At: at, Droplet: web.ID, Worker: "mail", Slot: slot}
			if beside {
				shared.Runs = float64(3 * m)
			}
			counts = append(counts, shared)
		}
		for _, s := range append(sample.Encode(p), sample.EncodeTasks(counts)...) {
			if by[s.Key()] == nil {
				by[s.Key()] = &sample.Series{Labels: s.Labels}
				order = append(order, s.Key())
			}
			by[s.Key()].Points = append(by[s.Key()].Points, s.Points...)
		}
	}
	for _, k := range order {
		series = append(series, *by[k])
	}
	return series
}

// TestTheTaskIsNamed: from what agents send to the finding's message and
// details; and nobody is accused where tasks ran beside one another.
func TestTheTaskIsNamed(t *testing.T) {
	for _, beside := range []bool{false, true} {
		h := history.New(storetest.Open(t, "sqlite:"+t.TempDir()), history.Options{})
		now := time.Now().Truncate(time.Minute)
		if err := h.Write(t.Context(), probed(now, 30, beside)); err != nil {
			t.Fatal(err)
		}
		bed := newBed(t)
		w := watch.New(watch.Options{Series: h, Findings: bed.store, Fleet: func(context.Context) (watch.Fleet, error) {
			return watch.Fleet{Droplets: []watch.Droplet{web}, Listed: now}, nil
		}})
		s, err := w.Scan(t.Context(), now)
		if err != nil || len(s.Changes) != 1 {
			t.Fatalf("%d changes, %v: %+v", len(s.Changes), err, s.Views[0].Verdicts)
		}
		sameView(t, w, s.Views[0])
		f := s.Changes[0].Finding
		accused := map[string]bool{}
		for _, v := range f.Verdict.Tasks {
			accused[v.Task] = v.Kind == detector.TaskLeak
		}
		if len(accused) != 3 || accused["app.a"] || accused["app.b"] || accused["app.c"] == beside {
			t.Errorf("beside %t: %+v", beside, f.Verdict.Tasks)
		}
		message, err := json.Marshal(report.Finding(f, report.Look{At: now}))
		if err != nil {
			t.Fatal(err)
		}
		if strings.Contains(string(message), "the task that leaks is `app.c`") == beside {
			t.Errorf("beside %t: %s", beside, message)
		}
		said := strings.Join(f.Verdict.Evidence, "\n")
		if want := map[bool]string{false: "one of app.c leaves ", true: "beside one another in one process"}[beside]; !strings.Contains(said, want) {
			t.Errorf("beside %t: %s", beside, said)
		}
	}
}
