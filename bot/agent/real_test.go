package agent

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/order"
	"github.com/dropleak/dropleak/bot/testbed"
	"github.com/dropleak/dropleak/detector/sample"
)

// unique names a worker apart from those of other tests on the machine, all
// of which the agent sees.
func unique(name string) string {
	return fmt.Sprintf("%s-%d-%d", name, os.Getpid(), named.Add(1))
}

var named atomic.Int64

// awaitWorker waits until the worker stands with so many processes.
func awaitWorker(t *testing.T, worker string, processes int) (sample.Worker, []sample.Process) {
	t.Helper()
	var w sample.Worker
	var own []sample.Process
	testbed.Eventually(t, testbed.Patience, func() error {
		p, _, err := Once(Options{}, time.Now())
		if err != nil {
			return err
		}
		own = nil
		for _, r := range p.Processes {
			if r.Worker == worker {
				own = append(own, r)
			}
		}
		for _, seen := range p.Workers {
			if seen.Worker == worker && len(own) == processes {
				w = seen
				return nil
			}
		}
		return fmt.Errorf("worker %s with %d processes did not show; seen: %+v", worker, processes, p.Workers)
	})
	return w, own
}

// startAgent runs a whole agent until the test ends or stop is called.
func startAgent(t *testing.T, o Options) (stop func()) {
	t.Helper()
	o.Log = slog.New(slog.NewTextHandler(t.Output(), nil))
	a, err := New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := a.Run(ctx); err != nil {
			t.Errorf("agent: %v", err)
		}
	}()
	stop = func() { cancel(); <-done }
	t.Cleanup(stop)
	return stop
}

// inspect asks what a restart would mean.
func inspect(t *testing.T, s *service, run, worker string) *order.Facts {
	t.Helper()
	s.give(order.Order{Run: run, Kind: order.Inspect, Droplet: "42", Worker: worker, NotAfter: time.Now().Add(testbed.Patience)})
	r := s.awaitResult(order.Key(run, order.Inspect), testbed.Patience)
	if r.State != order.Done {
		t.Fatalf("inspect: %+v", r)
	}
	return r.Facts
}

func restart(run, worker string, f *order.Facts, w order.Way) order.Order {
	return order.Order{Run: run, Kind: order.Restart, Droplet: "42", Worker: worker, Unit: f.Unit, Way: w, Expect: f.Fingerprint,
		NotAfter: time.Now().Add(testbed.Patience)}
}

// TestSupervisorRestart is the agent's whole work on a real worker: found,
// measured, shipped, inspected, evidence taken, restarted, reported.
func TestSupervisorRestart(t *testing.T) {
	t.Parallel()
	app := testbed.Celery(t, testbed.Redis(t))
	leaky, calm := unique("leaky"), unique("calm")
	testbed.Supervisor(t, app.Program(leaky, testbed.Worker{Name: "leaky@%h", Queue: leaky}),
		app.Program(calm, testbed.Worker{Name: "calm@%h", Pool: "eventlet", Concurrency: 10, Queue: calm}))
	w, before := awaitWorker(t, leaky, 3)
	if w.Pool != "prefork" || w.App != "app" || w.Unit != leaky || w.Manager != "supervisor" {
		t.Errorf("worker = %+v", w)
	}
	if w, _ := awaitWorker(t, calm, 1); w.Pool != "eventlet" {
		t.Errorf("pool = %q, want eventlet", w.Pool)
	}
	s := newService(t)
	o := s.options(t)
	o.Allow = []order.Unit{{Kind: order.SupervisorProgram, Name: leaky}}
	startAgent(t, o)

	s.await(testbed.Patience, "two passes", func() bool { p, _ := sample.Decode(s.series); return len(p) >= 2 })
	checkPass(t, s.passes()[0], leaky)
	s.mu.Lock()
	h := s.requests[0]
	s.mu.Unlock()
	if h.Get(order.HeaderDroplet) != "42" || len(h.Get(order.HeaderMachine)) != 32 || h.Get(order.HeaderBoot) == "" ||
		h.Get(order.HeaderMachine) == "0123456789abcdef0123456789abcdef" {
		t.Errorf("identity sent: %v", h)
	}
	facts := inspect(t, s, "run-1", leaky)
	if facts.StopTimeout != 30 || facts.StopSignal != "SIGTERM" || facts.AutoRestart != "true" || !facts.Allowed || facts.KillMode != "process" ||
		fmt.Sprint(facts.Ways) != "[supervisor celery]" || len(facts.Workers) != 1 {
		t.Errorf("facts %+v", facts)
	}
	s.give(order.Order{Run: "run-1", Kind: order.Evidence, Droplet: "42", Worker: leaky, NotAfter: time.Now().Add(testbed.Patience)})
	ev := s.awaitResult("run-1.evidence", testbed.Patience).Evidence
	if ev == nil || !ev.Complete || len(ev.Processes) != 3 || ev.Processes[0].Role != "parent" ||
		ev.Processes[0].Memory["heap"]+ev.Processes[0].Memory["anonymous"] < 1<<20 || ev.Processes[0].Sockets["tcp established"] == 0 {
		t.Errorf("evidence %+v", ev)
	}
	s.give(restart("run-1", leaky, facts, order.Supervisor))
	r := s.awaitResult("run-1", testbed.Patience)
	if r.State != order.Done || r.Old.PID != before[0].PID || r.New.PID == 0 || r.New.PID == r.Old.PID || r.Stopped.IsZero() {
		t.Fatalf("result %+v", r)
	}
	if _, after := awaitWorker(t, leaky, 3); after[0].PID != r.New.PID {
		t.Errorf("runs as pid %d, reported %d", after[0].PID, r.New.PID)
	}
	warmShutdown(t, s, leaky)
}

func checkPass(t *testing.T, pass sample.Pass, worker string) {
	t.Helper()
	at, _ := pass.At()
	if at.UnixMilli()%1000 != 0 {
		t.Errorf("pass at %s, want it on the grid of a second", at)
	}
	slots := ""
	for _, p := range pass.Processes {
		if p.Worker != worker {
			continue
		}
		slots += p.Slot + " "
		if p.Droplet != "42" || p.RSS < 10<<20 || p.PSS < 1<<20 || p.USS <= 0 || p.PSS > p.RSS || p.Start.IsZero() {
			t.Errorf("process %+v", p)
		}
	}
	if slots != "main 0 1 " {
		t.Errorf("slots %q shipped, want main 0 1", slots)
	}
}

// warmShutdown restarts by Celery's own means: supervisord starts the worker
// again because its autorestart says so.
func warmShutdown(t *testing.T, s *service, worker string) {
	t.Helper()
	s.give(restart("run-2", worker, inspect(t, s, "run-2", worker), order.Celery))
	r := s.awaitResult("run-2", testbed.Patience)
	if r.State != order.Done || r.New.PID == r.Old.PID {
		t.Fatalf("warm shutdown: %+v", r)
	}
	awaitWorker(t, worker, 3)
}

// build makes the agent's binary.
func build(t *testing.T) string {
	t.Helper()
	name := filepath.Join(t.TempDir(), "dropleak-agent")
	cmd := exec.Command("go", "build", "-o", name, "github.com/dropleak/dropleak/cmd/dropleak-agent")
	cmd.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("build the agent: %v\n%s", err, out)
	}
	return name
}

// TestKilledInTheAct kills the real agent with -9 while a real supervisord
// stops or starts the worker, and before the service has the result. The
// next life completes the restart: one stop, one start, one report.
func TestKilledInTheAct(t *testing.T) {
	t.Parallel()
	bin := build(t)
	app := testbed.Celery(t, testbed.Redis(t))
	for _, when := range []step{stopping, stopped, ended} {
		t.Run(string(when), func(t *testing.T) {
			t.Parallel()
			worker := unique("w")
			program := app.Program(worker, testbed.Worker{Pool: "solo", Queue: worker})
			program.Options["startsecs"] = "3" // a start that can be interrupted
			sup := testbed.Supervisor(t, program)
			_, before := awaitWorker(t, worker, 1)
			s := newService(t)
			o := s.options(t)
			run := func() *testbed.Process {
				return testbed.Start(t, "dropleak-agent", t.TempDir(), exec.Command(bin, "--server", o.Server, "--token-file", o.TokenFile,
					"--spool", o.Spool, "--metadata-url", o.MetadataURL, "--every", "1s", "--allow", "supervisor:"+worker))
			}
			first := run()
			facts := inspect(t, s, "r1", worker)
			pid := before[0].PID
			if when == stopping { // it will not hear the TERM until it is let
				must(t, syscall.Kill(pid, syscall.SIGSTOP))
			}
			if when == ended {
				s.deaf(true)
			}
			s.give(restart("r1", worker, facts, order.Supervisor))
			awaitStep(t, o.Spool, "r1", when)
			if when == stopping {
				testbed.Eventually(t, testbed.Patience, func() error { return says(sup, worker, "STOPPING") })
			}
			first.Kill()
			if when == stopping {
				must(t, syscall.Kill(pid, syscall.SIGCONT))
			}
			s.deaf(false)
			run()
			r := s.awaitResult("r1", testbed.Patience)
			if r.State != order.Done || r.Old.PID != pid || r.New.PID == pid || r.New.PID == 0 {
				t.Errorf("result %+v", r)
			}
			if _, after := awaitWorker(t, worker, 1); after[0].PID != r.New.PID {
				t.Errorf("runs as %d, reported %d", after[0].PID, r.New.PID)
			}
			said := sup.Log()
			if n := strings.Count(said, "spawned: '"+worker+"'"); n != 2 {
				t.Errorf("supervisord spawned the worker %d times, want at first and once again:\n%s", n, said)
			}
			if n := strings.Count(said, "stopped: "+worker); n != 1 {
				t.Errorf("supervisord stopped the worker %d times, want 1:\n%s", n, said)
			}
		})
	}
}

func says(sup *testbed.SupervisorServer, program, word string) error {
	status, _ := sup.Control("status", program) // exits 3 unless it runs
	if !strings.Contains(status, word) {
		return fmt.Errorf("supervisord says %q, not yet %s", status, word)
	}
	return nil
}

// awaitStep waits until the journal on disk has an order at a step.
func awaitStep(t *testing.T, spool, key string, want step) {
	t.Helper()
	testbed.Eventually(t, testbed.Patience, func() error {
		raw, err := os.ReadFile(filepath.Join(spool, "orders.journal"))
		if err != nil {
			return err
		}
		if !strings.Contains(string(raw), fmt.Sprintf(`"step":%q`, want)) {
			return fmt.Errorf("order %s has not reached %s: %s", key, want, raw)
		}
		return nil
	})
}

// deaf makes the service refuse results for now.
func (s *service) deaf(on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.onResult = nil
	if on {
		s.onResult = refuseResults
	}
}
