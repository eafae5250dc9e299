package agent

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/order"
	"github.com/dropleak/dropleak/bot/testbed"
)

// TestHeapOfTheFourLeaks: in real workers, one for each of the four classic
// leaks and all pools but prefork once, the second look names what leaked, the
// agent ships which task ran, and no value is told.
func TestHeapOfTheFourLeaks(t *testing.T) {
	t.Parallel()
	app := testbed.Celery(t, testbed.Redis(t))
	s := newService(t)
	o := s.options(t)
	o.Probe = filepath.Join(testbed.Folder(t), "probe.sock")
	withProbe(t, app, o.Probe)
	text, err := os.ReadFile(filepath.Join("testdata", "leaks.py"))
	must(t, err)
	must(t, os.WriteFile(filepath.Join(app.Dir, "app.py"), append(text, []byte(feeder)...), 0o644))
	startAgent(t, o)
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
        time.sleep(seconds)
`

// grown gathers evidence until a look at the heap says that something grew by
// so much since the look before.
func grown(t *testing.T, s *service, name, part, what string, least float64) (h *order.Heap) {
	t.Helper()
	tries := 0
	testbed.Eventually(t, testbed.Patience, func() error { // a look on a busy machine may be cut short, the next goes on from it
		tries++
		id := fmt.Sprintf("%s-%d", strings.TrimSuffix(name, "@bed"), tries)
		s.give(order.Order{Run: id, Kind: order.Evidence, Droplet: "42", Worker: name, NotAfter: time.Now().Add(heapTime + heapSpare)})
		r := s.awaitResult(id+".evidence", testbed.Patience)
		if r.Evidence == nil || r.Evidence.Heap == nil {
			return fmt.Errorf("no heap in %+v", r)
		}
		h = r.Evidence.Heap
		if row := rowOf(h, part, what); h.Since.IsZero() || row.Grown < least {
			return fmt.Errorf("look %d: %+v in %+v", tries, row, h)
		}
		return nil
	})
	return h
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
