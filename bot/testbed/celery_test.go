package testbed

import (
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/procfs"
)

const mebibyte = 1 << 20

func TestEveryPoolLeaksOnlyWhenAsked(t *testing.T) {
	broker := Redis(t)
	app := Celery(t, broker)
	for _, pool := range []string{"prefork", "threads", "solo", "eventlet", "gevent"} {
		t.Run(pool, func(t *testing.T) {
			worker := app.Start(t, Worker{Pool: pool, Name: pool + "@bed", Queue: pool})
			done := map[string]int{}
			kept := func(task string, count int) int { // MiB that tasks of 4 MiB each leave behind
				before := resident(worker.PID())
				<-app.Feed(t, Load{Task: task, Amount: 4 * mebibyte, Every: time.Millisecond, Count: count, Queue: pool}).Exited()
				done[task] += count
				Eventually(t, Patience, func() error { return succeeded(worker, task, done[task]) })
				return (resident(worker.PID()) - before) / mebibyte
			}
			kept(Steady, 10) // fills what the allocator holds back from then on
			if steady := kept(Steady, 20); steady > 20 {
				t.Errorf("20 steady tasks of 4 MiB kept %d MiB", steady)
			}
			if leaked := kept(Leak, 25); leaked < 60 {
				t.Errorf("25 leaking tasks of 4 MiB kept %d MiB", leaked)
			}
		})
	}
}

// succeeded tells from the worker's log whether n tasks of a kind are done.
func succeeded(worker *Process, task string, n int) error {
	done := countLines(worker.Log(), "Task "+task+"[", "] succeeded")
	if done < n {
		return fmt.Errorf("%d of %d %s are done", done, n, task)
	}
	return nil
}

// resident is the memory of a process and all it started.
func resident(pid int) int {
	sum := 0
	for _, l := range append(descendants(pid), life{pid: pid}) {
		if proc, err := procfs.NewProc(l.pid); err == nil {
			if stat, err := proc.Stat(); err == nil {
				sum += stat.ResidentMemory()
			}
		}
	}
	return sum
}

func TestWorkerUnderSupervisorAsSomebodyElse(t *testing.T) {
	app := Celery(t, Redis(t))
	s := Supervisor(t, app.Program("worker", Worker{Pool: "solo", User: "nobody"}))
	Eventually(t, Patience, func() error { return takesTasks(s.ProgramLog("worker")) })
	pid := s.ProgramPID(t, "worker")
	app.Feed(t, Load{Task: Descriptors, Amount: 50, Every: 10 * time.Millisecond})
	Eventually(t, Patience, func() error {
		proc, err := procfs.NewProc(pid)
		if err != nil {
			return err
		}
		if open, err := proc.FileDescriptorsLen(); err != nil || open < 200 {
			return fmt.Errorf("%d descriptors are open, want 200: %v", open, err)
		}
		return nil
	})
	proc, err := procfs.NewProc(pid)
	if err != nil {
		t.Fatal(err)
	}
	if status, err := proc.NewStatus(); err != nil || status.UIDs[0] == 0 {
		t.Errorf("the worker runs as uid %d (%v), want another than root", status.UIDs[0], err)
	}
}
