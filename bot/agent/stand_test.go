package agent

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/fstest"
	"time"

	"github.com/dropleak/dropleak/bot/agent/manager"
	"github.com/dropleak/dropleak/bot/order"
	"github.com/dropleak/dropleak/detector/procfs"
)

const (
	bootTime = 1_700_000_000
	bootID   = "11111111-2222-3333-4444-555555555555"
)

// world is one worker under one manager, and the /proc that shows it.
// It counts what is done to it.
type world struct {
	mu                          sync.Mutex
	running, transient          bool
	pid, start                  int
	stops, starts, jobs, terms  int
	stopLost, startFails, stays bool // the stop's answer is lost; the start is refused; TERM is not obeyed
	startsAgain, beat           bool
	unreachable                 int // so many calls fail before one works
	onStop                      func()
	locked                      chan struct{} // reading smaps waits for it
}

func (w *world) Open(name string) (fs.File, error) {
	if w.locked != nil && strings.HasSuffix(name, "/smaps") {
		<-w.locked
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	m := fstest.MapFS{
		"stat":                      {Data: []byte(fmt.Sprintf("cpu 1\nbtime %d\n", bootTime))},
		"sys/kernel/hostname":       {Data: []byte("web1\n")},
		"sys/kernel/random/boot_id": {Data: []byte(bootID + "\n")},
		"5/stat":                    {Data: []byte("5 (supervisord) S 1 " + strings.Repeat("0 ", 30))},
		"5/cmdline":                 {Data: []byte("python3\x00/usr/bin/supervisord\x00-c\x00/etc/s.conf\x00")},
	}
	if w.running {
		dir := fmt.Sprint(w.pid) + "/"
		m[dir+"stat"] = &fstest.MapFile{Data: []byte(fmt.Sprintf("%d (celery) S 5 1 1 0 -1 0 0 0 0 0 1 1 0 0 20 0 1 0 %d 9 10 0", w.pid, w.start*100))}
		m[dir+"cmdline"] = &fstest.MapFile{Data: []byte("celery\x00-A\x00shop\x00worker\x00")}
		if w.beat {
			m[dir+"cmdline"] = &fstest.MapFile{Data: []byte("celery\x00-A\x00shop\x00worker\x00-B\x00")}
		}
		m[dir+"environ"] = &fstest.MapFile{Data: []byte("SUPERVISOR_PROCESS_NAME=mail\x00SUPERVISOR_SERVER_URL=unix:///s\x00")}
		m[dir+"status"] = &fstest.MapFile{Data: []byte("NSpid:\t1\n")}
	}
	return m.Open(name)
}

func (w *world) life() order.Fingerprint {
	return order.Fingerprint{PID: w.pid, Start: time.Unix(bootTime+int64(w.start), 0).UTC(), BootID: bootID}
}

func (w *world) systemd(context.Context) (jobManager, error) { return w, nil }

func (w *world) supervisor(place) (halfManager, error) { return w, nil }

func (w *world) Close() {}

func (w *world) reach() error {
	if w.unreachable > 0 {
		w.unreachable--
		return errors.New("connection refused")
	}
	return nil
}

func (w *world) State(_ context.Context, unit string) (manager.State, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	if err := w.reach(); err != nil {
		return manager.State{}, err
	}
	st := manager.State{Running: w.running, Transient: w.transient, Word: "RUNNING", PID: w.pid, StartsAgain: w.startsAgain, Change: "autorestart=true"}
	w.transient = false // by the next look it has settled
	return st, nil
}

func (w *world) Stop(ctx context.Context, _ string) error {
	if w.onStop != nil {
		w.onStop()
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.stops++
	w.running = false
	if w.stopLost {
		return errors.New("connection reset")
	}
	return ctx.Err()
}

func (w *world) Start(ctx context.Context, unit string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err := w.reach(); err != nil {
		return err
	}
	if w.startFails {
		return fmt.Errorf("start %s: %w: SPAWN_ERROR", unit, manager.ErrNotStarted)
	}
	w.starts++
	w.again()
	return nil
}

func (w *world) again() {
	if !w.running {
		w.running = true
		w.pid += 100
		w.start += 50
	}
}

func (w *world) Restart(context.Context, string) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.jobs++
	w.running = false
	w.again()
	return nil
}

func (w *world) Terminate(context.Context, string) error { return w.kill(w.pid, syscall.SIGTERM) }

func (w *world) kill(pid int, sig syscall.Signal) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	if pid != w.pid || sig != syscall.SIGTERM {
		return syscall.ESRCH
	}
	w.terms++
	if !w.stays {
		w.running = false
		w.again()
	}
	return nil
}

var mail = order.Unit{Kind: order.SupervisorProgram, Name: "mail"}

func newWorld() *world { return &world{running: true, pid: 100, start: 1000, startsAgain: true} }

// bench is an executor over a world, a service and a journal on disk.
type bench struct {
	t   *testing.T
	s   *service
	w   *world
	dir string
	x   *executor
}

func newBench(t *testing.T, w *world) *bench {
	b := &bench{t: t, s: newService(t), w: w, dir: t.TempDir()}
	b.boot()
	return b
}

// boot is a new life of the agent over the same disk.
func (b *bench) boot() {
	b.t.Helper()
	if b.x != nil {
		b.x.journal.close()
	}
	j, err := openJournal(b.dir, time.Now())
	if err != nil {
		b.t.Fatal(err)
	}
	o := withDefaults(Options{Proc: b.w})
	id := &identity{boot: bootID, droplet: "42"}
	wire := &wire{next: http.DefaultTransport, token: func() (string, error) { return "secret", nil }, identity: id, log: slog.New(slog.DiscardHandler)}
	b.x = &executor{journal: j, wire: &orders{server: b.s.URL, http: wire.client(time.Minute)}, allow: []order.Unit{mail}, id: id, now: time.Now,
		log: slog.New(slog.NewTextHandler(b.t.Output(), nil)), man: b.w, kill: b.w.kill, every: time.Millisecond, reader: reader(o),
		fresh: func() *procfs.Reader { return reader(o) },
		disk:  func() (float64, error) { return 8 << 30, nil }}
	b.t.Cleanup(j.close)
}

func (b *bench) order(run string, way order.Way) order.Order {
	return order.Order{Run: run, Kind: order.Restart, Droplet: "42", Worker: "mail", Unit: mail, Way: way, Phase: order.Whole,
		Expect: b.w.life(), NotAfter: time.Now().Add(time.Minute)}
}

// result is the last the service got.
func (b *bench) result() order.Result {
	b.t.Helper()
	b.s.mu.Lock()
	defer b.s.mu.Unlock()
	if len(b.s.results) == 0 {
		b.t.Fatal("no result was delivered")
	}
	return b.s.results[len(b.s.results)-1]
}

func (w *world) acts() string {
	return fmt.Sprintf("stops=%d starts=%d jobs=%d terms=%d running=%v", w.stops, w.starts, w.jobs, w.terms, w.running)
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// staged is a world complete enough for whole passes.
type staged struct{ *world }

func (s staged) Open(name string) (fs.File, error) {
	switch {
	case name == "meminfo":
		return fstest.MapFS{name: {Data: []byte("MemTotal: 100 kB\nMemAvailable: 50 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n")}}.Open(name)
	case strings.HasSuffix(name, "/statm"):
		if _, err := s.world.Open(strings.TrimSuffix(name, "m")); err != nil {
			return nil, err
		}
		return fstest.MapFS{name: {Data: []byte("20 10 1 1 0 1 0\n")}}.Open(name)
	}
	return s.world.Open(name)
}
