package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/order"
	"github.com/dropleak/dropleak/bot/testbed"
)

// probedBed is an agent beside an application of testdata with the probe in it.
func probedBed(t *testing.T, application string) (*testbed.CeleryApp, *service) {
	t.Helper()
	app := testbed.Celery(t, testbed.Redis(t))
	s := newService(t)
	o := s.options(t)
	o.Probe = filepath.Join(testbed.Folder(t), "probe.sock")
	withProbe(t, app, o.Probe)
	text, err := os.ReadFile(filepath.Join("testdata", application))
	must(t, err)
	must(t, os.WriteFile(filepath.Join(app.Dir, "app.py"), append(text, []byte(feeder)...), 0o644))
	startAgent(t, o)
	return app, s
}

// TestHeapOfTheFourLeaks: in real workers, one for each of the four classic
// leaks and all pools but prefork once, the second look names what leaked, the
// agent ships which task ran, and no value is told.
func TestHeapOfTheFourLeaks(t *testing.T) {
	t.Parallel()
	app, s := probedBed(t, "leaks.py")
	for _, tt := range []struct {
		task, pool string
		amount     int
		part, what string
		least      float64 // of what grew between the looks
	}{
		{"leaks.cache", "prefork", 20, "types", "app.Invoice", 20},
		{"leaks.cycles", "solo", 20, "cycles", "app.Node", 40},
		{"leaks.files", "threads", 2, "files", "file", 2},
		{"leaks.native", "gevent", 2, "malloc", "bytes taken from the system", 2e5},
		{"leaks.cache", "eventlet", 20, "held", "dict, global app.cache (app.py:13)", 20},
	} {
		t.Run(tt.task+"/"+tt.pool, func(t *testing.T) {
			t.Parallel()
			name := unique(tt.pool)
			app.Start(t, testbed.Worker{Pool: tt.pool, Name: name + "@bed", Queue: name, Concurrency: 1, User: "nobody"})
			app.Feed(t, testbed.Load{Task: tt.task, Amount: tt.amount, Every: 100 * time.Millisecond, Queue: name})
			h := grown(t, s, name+"@bed", tt.part, tt.what, tt.least)
			if runs, _ := tasksShipped(s, name); runs[tt.task] == 0 || len(runs) != 2 {
				t.Errorf("tasks shipped: %v", runs)
			}
			if b, err := json.Marshal(h); err != nil || strings.Contains(string(b), "hunter2") {
				t.Errorf("a value left the process, or %v: %s", err, b)
			}
		})
	}
}

// feeder lets the application send its own tasks, as the testbed's own does.
const feeder = `

if __name__ == "__main__":
    import sys
    import time

    name, amount, seconds, count, queue = sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]), sys.argv[5]
    while True:
        app.send_task(name, args=[amount], queue=queue)
        count -= 1
        if count == 0:
            break
        time.sleep(seconds)
`

// grown gathers evidence until a look at the heap says that something grew by
// so much since the look before. When none does, it tells of every look.
func grown(t *testing.T, s *service, name, part, what string, least float64) (h *order.Heap) {
	t.Helper()
	var told []string
	testbed.Eventually(t, testbed.Patience, func() error { // a look on a busy machine may be cut short, the next goes on from it
		began := time.Now()
		h = looked(t, s, name, len(told)+1)
		if h.PID == 0 { // no process has reported a task
			told = append(told, fmt.Sprintf("look %d: no heap", len(told)+1))
			return errors.New(strings.Join(told, "\n"))
		}
		row := rowOf(h, part, what)
		if !h.Since.IsZero() && row.What == what && row.Grown >= least {
			return nil
		}
		names := []string{}
		for _, p := range h.Parts {
			names = append(names, p.Name)
		}
		told = append(told, fmt.Sprintf("look %d of %.1f s: pid %d since %s, refused %q, notes %q, %s %+v in %s", len(told)+1, time.Since(began).Seconds(),
			h.PID, h.Since.Format(time.TimeOnly), h.Refused, h.Notes, part, row, strings.Join(names, " ")))
		runs, _ := tasksShipped(s, strings.TrimSuffix(name, "@bed"))
		return fmt.Errorf("%s did not grow by %g; tasks shipped %v\n%s", what, least, runs, strings.Join(told, "\n"))
	})
	return h
}

// looked is the nth look at a worker's heap, with the time that a run gives it;
// one without a pid where no probe was heard in it.
func looked(t *testing.T, s *service, name string, n int) *order.Heap {
	t.Helper()
	id := fmt.Sprintf("%s-%d", strings.TrimSuffix(name, "@bed"), n)
	s.give(order.Order{Run: id, Kind: order.Evidence, Droplet: "42", Worker: name, NotAfter: time.Now().Add(heapTime + heapSpare)})
	r := s.awaitResult(id+".evidence", testbed.Patience)
	if r.Evidence == nil {
		t.Fatalf("look %d: no evidence in %+v", n, r)
	}
	if r.Evidence.Heap == nil {
		return &order.Heap{}
	}
	return r.Evidence.Heap
}

func rowOf(h *order.Heap, part, what string) (row order.HeapRow) {
	for _, p := range h.Parts {
		for _, r := range p.Rows {
			if p.Name == part && r.What == what {
				return r
			}
		}
	}
	return row
}
