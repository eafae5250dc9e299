package agent

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/order"
	"github.com/dropleak/dropleak/bot/testbed"
)

// awaitRuns waits until a worker has run a task so often.
func awaitRuns(t *testing.T, s *service, worker, task string, least float64) {
	t.Helper()
	testbed.Eventually(t, testbed.Patience, func() error {
		if runs, _ := tasksShipped(s, worker); runs[task] < least {
			return fmt.Errorf("%v ran, want %g of %s", runs, least, task)
		}
		return nil
	})
}

// TestForkThatHangs: in a real worker, a fork that never comes to its own time
// limit is ended by the process that made it, and the next look answers.
func TestForkThatHangs(t *testing.T) {
	t.Parallel()
	app, s := probedBed(t, "silent.py")
	name := unique("hangs")
	app.Start(t, testbed.Worker{Name: name + "@bed", Queue: name, Concurrency: 1, User: "nobody"})
	app.Feed(t, testbed.Load{Task: "silent.hang", Count: 1, Queue: name})
	awaitRuns(t, s, name, "silent.hang", 1)
	app.Feed(t, testbed.Load{Task: "silent.nothing", Every: 100 * time.Millisecond, Queue: name})
	if h := looked(t, s, name+"@bed", 1); len(h.Parts) > 0 || len(h.Notes) != 1 || !strings.Contains(h.Notes[0], "cut short") {
		t.Errorf("the look whose fork hangs: %+v", h)
	}
	var h *order.Heap
	tries := 1
	testbed.Eventually(t, testbed.Patience, func() error {
		tries++
		if h = looked(t, s, name+"@bed", tries); len(h.Parts) == 0 {
			return fmt.Errorf("look %d: %+v", tries, h)
		}
		return nil
	})
}

// TestAnotherIsAsked: where the process of a real worker that holds most ends
// no task, another one answers, and it is said which did not and why; where
// none does, that is said of all.
func TestAnotherIsAsked(t *testing.T) {
	t.Parallel()
	app, s := probedBed(t, "silent.py")
	name := unique("idles")
	app.Start(t, testbed.Worker{Name: name + "@bed", Queue: name, Concurrency: 2, User: "nobody"})
	// The same process gets nearly all of a quiet worker's tasks: only a busy worker uses both.
	app.Feed(t, testbed.Load{Task: "silent.nothing", Every: time.Millisecond, Count: 300, Queue: name})
	// A report that the machine was too busy to take is made up for by the next task's, and the last has no next.
	last, since := 0.0, time.Now()
	testbed.Eventually(t, testbed.Patience, func() error {
		runs, slots := tasksShipped(s, name)
		if n := runs["silent.nothing"]; n != last {
			last, since = n, time.Now()
		}
		if last < 200 || len(slots) < 2 || time.Since(since) < 5*time.Second {
			return fmt.Errorf("%v ran in %v", runs, slots)
		}
		return nil
	})
	app.Feed(t, testbed.Load{Task: "silent.sleep", Amount: 32 << 20, Count: 1, Queue: name})
	h := looked(t, s, name+"@bed", 1)
	if len(h.Parts) > 0 || len(h.Notes) != 1 || strings.Count(h.Notes[0], "did not answer: no task of it ended in time") != 2 {
		t.Errorf("asked where no task ends: %+v", h)
	}
	app.Feed(t, testbed.Load{Task: "silent.nothing", Every: 100 * time.Millisecond, Queue: name})
	tries := 1
	testbed.Eventually(t, testbed.Patience, func() error {
		tries++
		if h = looked(t, s, name+"@bed", tries); len(h.Parts) == 0 || len(h.Notes) == 0 {
			return fmt.Errorf("look %d: %+v", tries, h)
		}
		return nil
	})
	if strings.Contains(h.Notes[0], fmt.Sprintf("pid %d ", h.PID)) || !strings.Contains(h.Notes[0], "no task of it ended in time") {
		t.Errorf("answered by another: %+v", h)
	}
}
