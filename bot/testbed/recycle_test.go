package testbed

import (
	"strconv"
	"testing"
	"time"

	"github.com/prometheus/procfs"
)

// TestCeleryRecyclesAtTheSizeAdvised: worker_max_memory_per_child is in KiB,
// of the resident size of a prefork child, and looked at after each task: the
// child goes after the first task that takes it above, not before. What the
// advice computes rests on that.
func TestCeleryRecyclesAtTheSizeAdvised(t *testing.T) {
	const limit, each = 256 * mebibyte, 16 * mebibyte // of a child; left behind by a task
	worker := started(t, limit/1024)
	worker.leak(t, 4, each)
	size := worker.child(t)
	more := (limit-size)/each + 1 // the first task that takes it above
	if more < 3 {
		t.Fatalf("the child holds %d MiB already, too much to tell anything", size/mebibyte)
	}
	worker.leak(t, more+4, each)
	done := countLines(worker.Log(), "/ForkPoolWorker-1] Task "+Leak, "] succeeded") - 4
	if done < more-1 || done > more+1 { // what a task takes besides its own may be as much
		t.Errorf("a child of %d MiB did %d more tasks of 16 MiB, want %d to pass its limit", size/mebibyte, done, more)
	}
	if next := countLines(worker.Log(), "/ForkPoolWorker-2] Task "+Leak, "] succeeded"); next != more+4-done {
		t.Errorf("the child after it did %d tasks, want the other %d", next, more+4-done)
	}
}

// single is a worker of one child.
type single struct {
	*Process
	app  *CeleryApp
	done int
}

func started(t *testing.T, kib int) *single {
	t.Helper()
	app := Celery(t, Redis(t))
	return &single{Process: app.Start(t, Worker{Concurrency: 1, Args: []string{"--max-memory-per-child", strconv.Itoa(kib)}}), app: app}
}

// leak has tasks done that leave so many bytes behind each.
func (w *single) leak(t *testing.T, count, bytes int) {
	t.Helper()
	<-w.app.Feed(t, Load{Task: Leak, Amount: bytes, Every: time.Millisecond, Count: count}).Exited()
	w.done += count
	Eventually(t, Patience, func() error { return succeeded(w.Process, Leak, w.done) })
}

// child is the largest resident size that the worker's one child has had.
func (w *single) child(t *testing.T) int {
	t.Helper()
	most := 0
	for _, l := range descendants(w.PID()) {
		proc, err := procfs.NewProc(l.pid)
		if err != nil {
			t.Fatal(err)
		}
		status, err := proc.NewStatus()
		if err != nil {
			t.Fatal(err)
		}
		most = max(most, int(status.VmHWM))
	}
	return most
}
