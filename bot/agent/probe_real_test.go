package agent

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/testbed"
	"github.com/dropleak/dropleak/detector/sample"
)

// withProbe puts the probe beside an application, reporting to socket, as the
// shipped file does but for where the socket is.
func withProbe(t *testing.T, app *testbed.CeleryApp, socket string) {
	t.Helper()
	text, err := os.ReadFile(filepath.Join("..", "..", "configs", "celery", "dropleak_probe.py"))
	must(t, err)
	mine := strings.Replace(string(text), DefaultProbe, socket, 1)
	if mine == string(text) {
		t.Fatalf("the shipped probe does not report to %s", DefaultProbe)
	}
	must(t, os.WriteFile(filepath.Join(app.Dir, "dropleak_probe.py"), []byte(mine), 0o644))
}

// TestProbeInRealWorkers: in each pool, under another user than the agent's,
// what was fed is what the agent ships, process by process; and where tasks
// run beside one another in one process, that is counted.
func TestProbeInRealWorkers(t *testing.T) {
	t.Parallel()
	app := testbed.Celery(t, testbed.Redis(t))
	s := newService(t)
	o := s.options(t)
	o.Probe = filepath.Join(testbed.Folder(t), "probe.sock")
	withProbe(t, app, o.Probe)
	must(t, os.Chmod(filepath.Dir(o.Probe), 0o755))
	startAgent(t, o) // stops when the parallel tests below are over
	for _, pool := range []string{"prefork", "solo", "threads", "eventlet", "gevent"} {
		t.Run(pool, func(t *testing.T) {
			t.Parallel()
			name := unique(pool)
			app.Start(t, testbed.Worker{Pool: pool, Name: name + "@bed", Queue: name, User: "nobody", Args: []string{"-I", "dropleak_probe"}})
			app.Feed(t, testbed.Load{Task: testbed.Steady, Amount: 4096, Every: time.Millisecond, Count: 300, Queue: name})
			app.Feed(t, testbed.Load{Task: testbed.Leak, Amount: 4096, Every: time.Millisecond, Count: 200, Queue: name})
			// Reports that found no room go with later ones.
			app.Feed(t, testbed.Load{Task: testbed.Descriptors, Every: 100 * time.Millisecond, Queue: name})
			testbed.Eventually(t, testbed.Patience, func() error { return fedIsShipped(s, pool, name) })
		})
	}
}

func fedIsShipped(s *service, pool, name string) error {
	runs, slots := tasksShipped(s, name)
	parent := slots[sample.SlotMain]
	switch {
	case runs[testbed.Steady] != 300 || runs[testbed.Leak] != 200:
		return fmt.Errorf("%v runs shipped in %v, want 300 and 200", runs, slots)
	case pool == "prefork" && (len(slots) != 2 || parent), pool != "prefork" && !parent:
		return fmt.Errorf("counted in slots %v", slots)
	case (pool == "prefork" || pool == "solo") && runs[""] != 0:
		return fmt.Errorf("%g runs beside another", runs[""])
	}
	return nil
}

// tasksShipped is how often the tasks of a worker ran, by the newest count of each
// slot, and the slots.
func tasksShipped(s *service, worker string) (runs map[string]float64, slots map[string]bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	newest := map[[2]string]float64{}
	slots = map[string]bool{}
	for _, x := range s.series {
		if name := x.Name(); x.Get("worker") == worker+"@bed" && (name == sample.NameTaskRuns || name == sample.NameTaskBeside) {
			newest[[2]string{x.Get("slot"), x.Get("task")}] = x.Points[0].V
			slots[x.Get("slot")] = true
		}
	}
	runs = map[string]float64{}
	for k, v := range newest {
		runs[k[1]] += v
	}
	return runs, slots
}
