package agent

import (
	"testing"
	"time"

	"github.com/dropleak/dropleak/detector/procfs"
)

func node(pid int, children ...int) procfs.Node {
	n := procfs.Node{Members: []procfs.Member{{PID: pid}}}
	for _, c := range children {
		n.Members = append(n.Members, procfs.Member{PID: c})
	}
	return n
}

func TestBudget(t *testing.T) {
	const mib = 1 << 20
	small, at := node(1, 2), time.Unix(1_700_000_000, 0)
	pass := func(b *budget, n procfs.Node, rss []float64, cost time.Duration) bool {
		at = at.Add(time.Minute)
		b.begin(at)
		ok := b.want(n, rss)
		r := procfs.Reading{Nodes: []procfs.Node{n}, Cost: map[int]time.Duration{}}
		if ok {
			for _, m := range n.Members {
				r.Cost[m.PID] = cost
			}
		}
		b.end(r)
		return ok
	}
	count := func(b *budget, n procfs.Node, rss float64, cost time.Duration) int {
		yes := 0
		for range 60 {
			all := make([]float64, len(n.Members))
			for i := range all {
				all[i] = rss
			}
			if pass(b, n, all, cost) {
				yes++
			}
		}
		return yes
	}
	if got := count(&budget{}, small, 200*mib, 7*time.Millisecond); got != 60 {
		t.Errorf("200 MiB: %d of 60 passes with PSS, want all", got)
	}
	if got := count(&budget{}, small, 200*mib, 25*time.Millisecond); got < 6 || got > 7 {
		t.Errorf("over 20 ms a process: %d of 60, want one in ten minutes", got)
	}
	if got := count(&budget{}, small, 1500*mib, time.Millisecond); got < 6 || got > 7 {
		t.Errorf("above 1 GiB: %d of 60, want one in ten minutes", got)
	}
	if got := count(&budget{}, small, 5<<30, time.Millisecond); got != 0 {
		t.Errorf("above 4 GiB: %d of 60, want none", got)
	}
	if got := count(&budget{huge: true}, small, 5<<30, 100*time.Millisecond); got < 6 || got > 7 {
		t.Errorf("above 4 GiB, enabled: %d of 60, want one in ten minutes", got)
	}
	crowd := node(1)
	for i := range 99 {
		crowd.Members = append(crowd.Members, procfs.Member{PID: 2 + i})
	}
	// A hundred processes at 15 ms are 1.5 s; one percent of a minute is
	// 0.6 s: two passes in five.
	if got := count(&budget{}, crowd, 300*mib, 15*time.Millisecond); got < 20 || got > 26 {
		t.Errorf("1 %% of wall time: %d of 60 passes, want about 24", got)
	}
}

// TestBudgetServesAll: where credit is short, workers take turns.
func TestBudgetServesAll(t *testing.T) {
	b := &budget{}
	at := time.Unix(1_700_000_000, 0)
	served := map[int]int{}
	for range 60 {
		at = at.Add(time.Minute)
		b.begin(at)
		r := procfs.Reading{Cost: map[int]time.Duration{}}
		for pid := range 4 {
			n := node(1 + pid*100)
			for c := range 24 {
				n.Members = append(n.Members, procfs.Member{PID: 2 + pid*100 + c})
			}
			rss := make([]float64, len(n.Members))
			for i := range rss {
				rss[i] = 400 << 20
			}
			if b.want(n, rss) {
				served[pid]++
				for _, m := range n.Members {
					r.Cost[m.PID] = 15 * time.Millisecond
				}
			}
			r.Nodes = append(r.Nodes, n)
		}
		b.end(r)
	}
	for pid := range 4 {
		if served[pid] < 15 {
			t.Errorf("worker %d served %d of 60 times: %v", pid, served[pid], served)
		}
	}
}

// TestBudgetSavesForTheCostly: cheap workers that use up the credit of each
// pass must not keep a costly one waiting for ever.
// TestBudgetOfALongSleep: what a droplet that slept did not spend is not all
// spent when it wakes.
func TestBudgetOfALongSleep(t *testing.T) {
	b := &budget{}
	at := time.Unix(1_700_000_000, 0)
	for after, want := range map[time.Duration]time.Duration{5 * time.Minute: 3600 * time.Millisecond, 10 * time.Hour: 6 * time.Second} {
		*b = budget{}
		b.begin(at)
		if b.begin(at.Add(after)); b.credit != want {
			t.Errorf("after %v there is room for %v of reading, want %v", after, b.credit, want)
		}
	}
}

func TestBudgetSavesForTheCostly(t *testing.T) {
	b := &budget{}
	at := time.Unix(1_700_000_000, 0)
	crowd := func(pid, children int) (procfs.Node, []float64) {
		n := node(pid)
		for c := range children {
			n.Members = append(n.Members, procfs.Member{PID: pid + 1 + c})
		}
		rss := make([]float64, len(n.Members))
		for i := range rss {
			rss[i] = 400 << 20
		}
		return n, rss
	}
	cheap, cheapRSS := crowd(1, 38)       // 39 × 15 ms of the 600 ms a minute
	costly, costlyRSS := crowd(1000, 199) // 3 s
	served := 0
	for range 60 {
		at = at.Add(time.Minute)
		b.begin(at)
		r := procfs.Reading{Nodes: []procfs.Node{cheap, costly}, Cost: map[int]time.Duration{}}
		for i, n := range r.Nodes {
			if b.want(n, [][]float64{cheapRSS, costlyRSS}[i]) {
				if n.Main().PID == 1000 {
					served++
				}
				for _, m := range n.Members {
					r.Cost[m.PID] = 15 * time.Millisecond
				}
			}
		}
		b.end(r)
	}
	if served < 5 {
		t.Errorf("the costly worker was read %d times in an hour", served)
	}
}
