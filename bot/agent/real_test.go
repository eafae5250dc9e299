package agent

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/order"
	"github.com/dropleak/dropleak/detector/sample"
)

// shop is a Redis, a supervisord and Celery workers under it, all real, in
// one directory.
type shop struct {
	dir  string
	port int
}

const shopApp = `
from celery import Celery
app = Celery('shop', broker='redis://127.0.0.1:%[1]d/0')
hoard = []
@app.task
def leak(mib):
    hoard.append(b'x' * (mib << 20))
`

// onlySystemPython keeps a Python of somebody's own out of the way: Debian's
// celery runs with Debian's.
func onlySystemPython() []string {
	return []string{"PATH=/usr/sbin:/usr/bin:/sbin:/bin", "HOME=/tmp", "C_FORCE_ROOT=1", "LANG=C.UTF-8"}
}

func startShop(t *testing.T, programs string) *shop {
	t.Helper()
	s := &shop{dir: shortDir(t), port: freePort(t)}
	s.file(t, "shop.py", fmt.Sprintf(shopApp, s.port))
	s.file(t, "supervisord.conf", fmt.Sprintf(`[unix_http_server]
file=%[1]s/sock
username=ops
password=s3cret
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[supervisord]
nodaemon=true
logfile=%[1]s/supervisord.log
pidfile=%[1]s/supervisord.pid
childlogdir=%[1]s
[program:redis]
command=/usr/bin/redis-server --port %[2]d --save "" --appendonly no --bind 127.0.0.1
priority=1
%[3]s`, s.dir, s.port, strings.ReplaceAll(programs, "DIR", s.dir)))
	s.run(t)
	return s
}

// shortDir is a temporary directory short enough for a unix socket's path.
func shortDir(t *testing.T) string {
	dir, err := os.MkdirTemp("", "dl")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

func freePort(t *testing.T) int {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port
}

func (s *shop) file(t *testing.T, name, text string) {
	if err := os.WriteFile(filepath.Join(s.dir, name), []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}

func (s *shop) run(t *testing.T) {
	cmd := exec.Command("/usr/bin/supervisord", "-n", "-c", filepath.Join(s.dir, "supervisord.conf"))
	cmd.Dir, cmd.Env = s.dir, onlySystemPython()
	cmd.Stdout, cmd.Stderr = nil, nil
	if err := cmd.Start(); err != nil {
		t.Fatalf("start supervisord (Debian package supervisor): %v", err)
	}
	t.Cleanup(func() {
		cmd.Process.Signal(os.Interrupt)
		done := make(chan struct{})
		go func() { cmd.Wait(); close(done) }()
		select {
		case <-done:
		case <-time.After(20 * time.Second):
			cmd.Process.Kill()
			<-done
		}
	})
}

// celery is the part of a supervisord configuration that runs one worker.
func celery(program, args, more string) string {
	return fmt.Sprintf(`[program:%s]
command=/usr/bin/celery -A shop worker %s
directory=DIR
stopwaitsecs=15
%s
`, program, args, more)
}

// awaitWorker waits until the worker stands with so many processes.
func awaitWorker(t *testing.T, worker string, processes int) (sample.Worker, []sample.Process) {
	t.Helper()
	deadline := time.Now().Add(60 * time.Second)
	for {
		p, _, err := Once(Options{}, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		for _, w := range p.Workers {
			var own []sample.Process
			for _, r := range p.Processes {
				if r.Worker == w.Worker {
					own = append(own, r)
				}
			}
			if w.Worker == worker && len(own) == processes {
				return w, own
			}
		}
		if time.Now().After(deadline) {
			t.Fatalf("worker %s with %d processes did not show; seen: %+v", worker, processes, p.Workers)
		}
		time.Sleep(100 * time.Millisecond)
	}
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

func restartOf(run string, s *service, t *testing.T, worker string, u order.Unit, w order.Way) order.Order {
	s.give(order.Order{Run: run, Kind: order.Inspect, Droplet: "42", Worker: worker, NotAfter: time.Now().Add(time.Minute)})
	r := s.awaitResult(order.Key(run, order.Inspect), 30*time.Second)
	if r.State != order.Done {
		t.Fatalf("inspect: %+v", r)
	}
	return order.Order{Run: run, Kind: order.Restart, Droplet: "42", Worker: worker, Unit: u, Way: w, Expect: r.Facts.Fingerprint,
		NotAfter: time.Now().Add(time.Minute)}
}

// TestSupervisorRestart is the agent's whole work on a real worker: found,
// measured, shipped, inspected, evidence taken, restarted, reported.
func TestSupervisorRestart(t *testing.T) {
	startShop(t, celery("leaky", "-c 2 -n leaky@%%h", "autorestart=true")+celery("calm", "-P eventlet -c 10 -n calm@%%h", ""))
	w, before := awaitWorker(t, "leaky", 3)
	if w.Pool != "prefork" || w.App != "shop" || w.Unit != "leaky" || w.Manager != "supervisor" {
		t.Errorf("worker = %+v", w)
	}
	calm, _ := awaitWorker(t, "calm", 1)
	if calm.Pool != "eventlet" {
		t.Errorf("pool = %q, want eventlet", calm.Pool)
	}
	s := newService(t)
	o := s.options(t)
	unit := order.Unit{Kind: order.SupervisorProgram, Name: "leaky"}
	o.Allow = []order.Unit{unit}
	stop := startAgent(t, o)

	s.await(20*time.Second, "two passes", func() bool { p, _ := sample.Decode(s.series); return len(p) >= 2 })
	pass := s.passes()[0]
	at, _ := pass.At()
	if at.UnixMilli()%1000 != 0 {
		t.Errorf("pass at %s, want it on the grid of a second", at)
	}
	n := 0
	for _, p := range pass.Processes {
		if p.Worker == "leaky" {
			n++
			if p.Droplet != "42" || p.RSS < 10<<20 || p.PSS < 1<<20 || p.USS <= 0 || p.PSS > p.RSS || p.Start.IsZero() {
				t.Errorf("process %+v", p)
			}
		}
	}
	if n != 3 {
		t.Errorf("%d processes of leaky shipped, want 3", n)
	}
	s.mu.Lock()
	h := s.requests[0]
	s.mu.Unlock()
	if h.Get(order.HeaderDroplet) != "42" || len(h.Get(order.HeaderMachine)) != 32 || h.Get(order.HeaderBoot) == "" ||
		h.Get(order.HeaderMachine) == "0123456789abcdef0123456789abcdef" {
		t.Errorf("identity sent: %v", h)
	}

	restart := restartOf("run-1", s, t, "leaky", unit, order.Supervisor)
	facts := s.awaitResult("run-1.inspect", 0).Facts
	if facts.StopTimeout != 15 || facts.StopSignal != "SIGTERM" || facts.AutoRestart != "true" || !facts.Allowed ||
		fmt.Sprint(facts.Ways) != "[supervisor celery]" || fmt.Sprint(facts.Workers) != "[leaky]" {
		t.Errorf("facts %+v", facts)
	}
	s.give(order.Order{Run: "run-1", Kind: order.Evidence, Droplet: "42", Worker: "leaky", NotAfter: time.Now().Add(time.Minute)})
	ev := s.awaitResult("run-1.evidence", 20*time.Second).Evidence
	if ev == nil || !ev.Complete || len(ev.Processes) != 3 || ev.Processes[0].Role != "parent" ||
		ev.Processes[0].Memory["heap"]+ev.Processes[0].Memory["anonymous"] < 1<<20 || ev.Processes[0].Sockets["tcp established"] == 0 {
		t.Errorf("evidence %+v", ev)
	}

	s.give(restart)
	r := s.awaitResult("run-1", 60*time.Second)
	if r.State != order.Done || r.Old.PID != before[0].PID || r.New.PID == 0 || r.New.PID == r.Old.PID || r.Stopped.IsZero() {
		t.Fatalf("result %+v", r)
	}
	_, after := awaitWorker(t, "leaky", 3)
	if after[0].PID != r.New.PID {
		t.Errorf("runs as pid %d, reported %d", after[0].PID, r.New.PID)
	}
	// The same order again is not carried out again.
	s.mu.Lock()
	s.claims["run-1"] = 0
	s.mu.Unlock()
	s.await(10*time.Second, "the result a second time", func() bool { return len(s.results) >= 4 })
	if _, again := awaitWorker(t, "leaky", 3); again[0].PID != r.New.PID {
		t.Error("the order was carried out twice")
	}
	stop()
}
