package watch_test

import (
	"context"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/history"
	"github.com/dropleak/dropleak/bot/store/storetest"
	"github.com/dropleak/dropleak/bot/watch"
	"github.com/dropleak/dropleak/detector"
	"github.com/dropleak/dropleak/detector/sample"
	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// moved is a worker at another time.
func moved(w detector.Worker, by time.Duration) detector.Worker {
	w.Lives = slices.Clone(w.Lives)
	for i := range w.Lives {
		l := &w.Lives[i]
		l.Start, l.Samples = l.Start.Add(by), slices.Clone(l.Samples)
		for k := range l.Samples {
			l.Samples[k].At = l.Samples[k].At.Add(by)
		}
	}
	return w
}

// sent is what an agent would send of workers on droplet 1 within a time.
func sent(workers []detector.Worker, from, to time.Time) []sample.Series {
	by := map[int64]*sample.Pass{}
	var order []int64
	for _, w := range workers {
		for i, l := range w.Lives {
			slot := l.Slot
			if slot == "" {
				slot = strconv.Itoa(i)
			}
			for _, s := range l.Samples {
				at := s.At.Truncate(time.Second)
				if at.Before(from) || !at.Before(to) {
					continue
				}
				p := by[at.UnixMilli()]
				if p == nil {
					p = &sample.Pass{Droplet: &sample.Droplet{At: at, Droplet: web.ID, Available: 3<<30 - float64(len(order))*4096, Total: 4 << 30,
						Shmem: nan(), Slab: nan(), SwapUsed: nan(), OOMKills: nan()}}
					by[at.UnixMilli()] = p
					order = append(order, at.UnixMilli())
				}
				p.Processes = append(p.Processes, sample.Process{At: at, Droplet: web.ID, Worker: w.Name, Slot: slot, Role: string(l.Role), PID: l.PID,
					Start: l.Start.Truncate(time.Second), RSS: s.RSS, PSS: s.PSS, USS: s.USS, Swap: s.Swap, CPU: s.CPU})
			}
		}
	}
	slices.Sort(order)
	series := map[string]*sample.Series{}
	var out []*sample.Series
	for _, at := range order {
		for _, s := range sample.Encode(*by[at]) {
			have := series[s.Key()]
			if have == nil {
				have = &sample.Series{Labels: s.Labels}
				series[s.Key()] = have
				out = append(out, have)
			}
			have.Points = append(have.Points, s.Points...)
		}
	}
	all := make([]sample.Series, len(out))
	for i, s := range out {
		all[i] = *s
	}
	return all
}

// TestScanSeesWhatLookSees: judging what was kept of samples, with late ones
// between the scans, gives the verdicts that all samples give, and leaves no
// samples in the summary.
func TestScanSeesWhatLookSees(t *testing.T) {
	h := history.New(storetest.Open(t, "sqlite:"+t.TempDir()), history.Options{})
	now := time.Now()
	var workers []detector.Worker
	for i, family := range []string{"l1", "l11", "h2", "h7", "h14"} {
		c := made(t, family, 3, 2)
		c.Worker.Name = family
		if i == 2 {
			c.Worker.Lives = c.Worker.Lives[:1]
		}
		workers = append(workers, moved(c.Worker, now.Sub(c.At).Truncate(4*time.Minute)))
	}
	bed := newBed(t)
	w := watch.New(watch.Options{Series: h, Findings: bed.store, Fleet: func(context.Context) (watch.Fleet, error) {
		return watch.Fleet{Droplets: []watch.Droplet{web}, Listed: now}, nil
	}})
	r := rand.New(rand.NewPCG(3, 3))
	var late [][2]time.Time
	for at := now.Add(-50 * time.Hour); at.Before(now.Add(time.Hour)); at = at.Add(time.Hour) {
		span := [2]time.Time{at.Add(-time.Hour), at}
		if r.IntN(5) == 0 {
			late = append(late, span)
			continue
		}
		for _, span := range append(late, span) {
			if err := h.Write(t.Context(), sent(workers, span[0], span[1])); err != nil {
				t.Fatal(err)
			}
		}
		late = nil
		s, err := w.Scan(t.Context(), at)
		if err != nil || len(s.Views) != 1 {
			t.Fatalf("%d views, %v", len(s.Views), err)
		}
		if r.IntN(6) == 0 || at.After(now) {
			sameView(t, w, s.Views[0])
		}
	}
	if s, err := w.Survey(t.Context(), now); err != nil || s.Workers() != len(workers) {
		t.Errorf("%d workers, %v", s.Workers(), err)
	}
}

func sameView(t *testing.T, w *watch.Watch, got watch.View) {
	t.Helper()
	want, err := w.Look(t.Context(), web, got.At)
	if err != nil {
		t.Fatal(err)
	}
	if d := cmp.Diff(want.Verdicts, got.Verdicts, cmpopts.EquateNaNs()); d != "" {
		t.Fatalf("at %s, workers (-look +scan):\n%s", got.At, d)
	}
	if d := cmp.Diff(want.Verdict, got.Verdict, cmpopts.EquateNaNs()); d != "" {
		t.Fatalf("at %s, droplet (-look +scan):\n%s", got.At, d)
	}
	for i, x := range got.Workers {
		if x.Name != want.Workers[i].Name || x.Limit != want.Workers[i].Limit || len(x.Lives) != 0 || len(x.Pressure) != 0 {
			t.Errorf("worker %s, limit %v, %d lives; want %s, %v, 0", x.Name, x.Limit, len(x.Lives), want.Workers[i].Name, want.Workers[i].Limit)
		}
	}
}
