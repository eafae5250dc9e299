package agent

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path/filepath"
	"slices"
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
func (w *world) supervisor(place) (halfManager, error)       { return w, nil }
func (w *world) Close()                                      {}

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

func TestOrders(t *testing.T) {
	tests := []struct {
		name  string
		world func(*world)
		order func(*order.Order)
		state order.State
		why   order.Reason
		acts  string
	}{
		{"stop and start", nil, nil, order.Done, "", "stops=1 starts=1 jobs=0 terms=0 running=true"},
		{"warm shutdown", nil, func(o *order.Order) { o.Way = order.Celery }, order.Done, "", "stops=0 starts=0 jobs=0 terms=1 running=true"},
		{"warm shutdown nobody would undo", func(w *world) { w.startsAgain = false }, func(o *order.Order) { o.Way = order.Celery },
			order.Refused, order.NoAutoRestart, "stops=0 starts=0 jobs=0 terms=0 running=true"},
		{"warm shutdown with endless tasks", func(w *world) { w.stays = true }, func(o *order.Order) { o.Way, o.NotAfter = order.Celery, time.Now().Add(300*time.Millisecond) },
			order.Failed, order.ManagerError, "stops=0 starts=0 jobs=0 terms=1 running=true"},
		{"the stop's answer is lost, the stop was not", func(w *world) { w.stopLost = true }, nil, order.Done, "", "stops=1 starts=1 jobs=0 terms=0 running=true"},
		{"will not start", func(w *world) { w.startFails = true }, nil, order.Failed, order.NotRunning, "stops=1 starts=0 jobs=0 terms=0 running=false"},
		{"another life", nil, func(o *order.Order) { o.Expect.PID++ }, order.Refused, order.Overtaken, "stops=0 starts=0 jobs=0 terms=0 running=true"},
		{"another boot", nil, func(o *order.Order) { o.Expect.BootID = "x" }, order.Refused, order.Overtaken, "stops=0 starts=0 jobs=0 terms=0 running=true"},
		{"another worker", nil, func(o *order.Order) { o.Worker = "pdf" }, order.Refused, order.NotFound, "stops=0 starts=0 jobs=0 terms=0 running=true"},
		{"too late", nil, func(o *order.Order) { o.NotAfter = time.Now().Add(-time.Second) }, order.Refused, order.Expired, "stops=0 starts=0 jobs=0 terms=0 running=true"},
		{"another droplet", nil, func(o *order.Order) { o.Droplet = "43" }, order.Refused, order.WrongDroplet, "stops=0 starts=0 jobs=0 terms=0 running=true"},
		{"unit not allowed", nil, func(o *order.Order) { o.Unit.Name = "postgres" }, order.Refused, order.NotAllowed, "stops=0 starts=0 jobs=0 terms=0 running=true"},
		{"only the start that is owed", func(w *world) { w.running = false }, func(o *order.Order) { o.Phase = order.Start },
			order.Done, "", "stops=0 starts=1 jobs=0 terms=0 running=true"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, newWorld())
			o := b.order("r1", order.Supervisor)
			if tt.world != nil {
				tt.world(b.w)
			}
			if tt.order != nil {
				tt.order(&o)
			}
			b.x.handle(t.Context(), o)
			r := b.result()
			if r.State != tt.state || r.Reason != tt.why || b.w.acts() != tt.acts {
				t.Errorf("%s %s: %q, %s; want %s %s, %s", r.State, r.Reason, r.Error, b.w.acts(), tt.state, tt.why, tt.acts)
			}
			if r.State == order.Done && (r.New != b.w.life() || r.BootID != bootID) {
				t.Errorf("new life %+v, is %+v", r.New, b.w.life())
			}
			acts := b.w.acts()
			// Even a service that forgot the claim gets no second act.
			b.s.mu.Lock()
			b.s.claims = map[string]int{}
			b.s.mu.Unlock()
			b.x.handle(t.Context(), o) // handed out again
			b.boot()
			b.x.handle(t.Context(), o) // and once more after a restart of the agent
			if b.w.acts() != acts {
				t.Errorf("handed out again: %s, was %s", b.w.acts(), acts)
			}
		})
	}
}

func TestForeignUnitIsNotRestarted(t *testing.T) {
	b := newBench(t, newWorld())
	o := b.order("r1", order.Supervisor)
	o.Unit.Name = "other"
	b.x.allow = append(b.x.allow, o.Unit)
	b.x.handle(t.Context(), o)
	if r := b.result(); r.State != order.Refused || r.Reason != order.Unsupported || b.w.stops != 0 {
		t.Errorf("%+v: the worker does not live in that unit", r)
	}
}

func TestThreeAnHour(t *testing.T) {
	b := newBench(t, newWorld())
	for i := range 4 {
		b.x.handle(t.Context(), b.order(fmt.Sprint("r", i), order.Supervisor))
		b.boot() // the count is on disk
	}
	if r := b.result(); r.State != order.Refused || r.Reason != order.TooOften || b.w.stops != 3 {
		t.Errorf("fourth: %s %s after %d stops", r.State, r.Reason, b.w.stops)
	}
	later := time.Now().Add(61 * time.Minute)
	b.x.now = func() time.Time { return later }
	o := b.order("r9", order.Supervisor)
	o.NotAfter = later.Add(time.Minute)
	b.x.handle(t.Context(), o)
	if r := b.result(); r.State != order.Done {
		t.Errorf("an hour later: %+v", r)
	}
}

// TestClaims is what the service can answer to a claim, and what the agent
// then does.
func TestClaims(t *testing.T) {
	b := newBench(t, newWorld())
	o := b.order("r1", order.Supervisor)
	b.s.claims["r1"] = 1
	b.x.handle(t.Context(), o)
	if len(b.s.results) != 0 || b.w.stops != 0 {
		t.Errorf("claimed by another: %s, results %+v", b.w.acts(), b.s.results)
	}
	b.s.claims["r1"] = 0
	b.s.refuse = func(*http.Request) int { return http.StatusServiceUnavailable }
	b.x.handle(t.Context(), o)
	if b.w.stops != 0 {
		t.Errorf("acted on a refused claim: %s", b.w.acts())
	}
	b.s.refuse = nil
	b.boot()
	b.x.handle(t.Context(), o) // offered again
	if r := b.result(); r.State != order.Done || b.w.stops != 1 {
		t.Errorf("offered again: %+v, %s", r, b.w.acts())
	}
}

// TestClaimAnswerLost: the service took the claim, the agent never heard. It
// must not act, and the service must learn that nothing was touched.
func TestClaimAnswerLost(t *testing.T) {
	b := newBench(t, newWorld())
	b.s.refuse = func(r *http.Request) int {
		if strings.HasSuffix(r.URL.Path, "/claim") && b.s.claims["r1"] == 0 {
			b.s.claims["r1"] = 1
			panic(http.ErrAbortHandler)
		}
		return 0
	}
	b.x.handle(t.Context(), b.order("r1", order.Supervisor))
	if r := b.result(); r.State != order.Refused || r.Reason != order.ClaimLost || b.w.stops != 0 {
		t.Errorf("%+v, %s", r, b.w.acts())
	}
}

// TestOwedStart: a restart that left the worker down is followed by an order
// for the start alone, under the same run. It is carried out, once, by
// whatever life of the agent, and even when its claim's answer is lost.
func TestOwedStart(t *testing.T) {
	for _, lost := range []bool{false, true} {
		t.Run(fmt.Sprint("claim's answer lost: ", lost), func(t *testing.T) {
			b := newBench(t, newWorld())
			b.w.startFails = true
			o := b.order("r1", order.Supervisor)
			b.x.handle(t.Context(), o)
			if r := b.result(); r.Reason != order.NotRunning {
				t.Fatalf("the restart: %+v", r)
			}
			b.w.startFails = false
			b.boot()
			b.s.mu.Lock()
			b.s.claims = map[string]int{} // the service has replaced the order
			b.s.mu.Unlock()
			if lost {
				b.s.refuse = func(r *http.Request) int {
					if strings.HasSuffix(r.URL.Path, "/claim") && b.s.claims["r1"] == 0 {
						b.s.claims["r1"] = 1
						panic(http.ErrAbortHandler)
					}
					return 0
				}
			}
			o.Phase = order.Start
			b.x.handle(t.Context(), o)
			b.x.handle(t.Context(), o)
			if r := b.result(); r.State != order.Done || b.w.acts() != "stops=1 starts=1 jobs=0 terms=0 running=true" {
				t.Errorf("%+v, %s", r, b.w.acts())
			}
		})
	}
}

func TestNothingWithoutJournal(t *testing.T) {
	b := newBench(t, newWorld())
	b.x.journal.close() // as a full or broken disk
	b.x.handle(t.Context(), b.order("r1", order.Supervisor))
	if b.w.stops != 0 || b.s.claims["r1"] != 0 {
		t.Errorf("acted without a journal: %s, claims %v", b.w.acts(), b.s.claims)
	}
}

// TestResume is the agent's death at every step, and every state it can find
// the worker in afterwards: a stop is never repeated, an owed start is done,
// and the service always hears what happened.
func TestResume(t *testing.T) {
	same := func(*world) {}
	down := func(w *world) { w.running = false }
	other := func(w *world) { w.running = false; w.again() }
	tests := []struct {
		name  string
		step  step
		way   order.Way
		world func(*world)
		state order.State
		acts  string
		// the claim never reached the service
		unheard bool
	}{
		{name: "while claiming, heard", step: claiming, way: order.Supervisor, world: same, state: order.Refused, acts: "stops=0 starts=0 jobs=0 terms=0 running=true"},
		{name: "while claiming, not heard", step: claiming, way: order.Supervisor, world: same, state: order.Done, acts: "stops=1 starts=1 jobs=0 terms=0 running=true", unheard: true},
		{name: "before the first act", step: claimed, way: order.Supervisor, world: same, state: order.Done, acts: "stops=1 starts=1 jobs=0 terms=0 running=true"},
		{name: "before the first act, overtaken", step: claimed, way: order.Supervisor, world: other, state: order.Refused, acts: "stops=0 starts=0 jobs=0 terms=0 running=true"},
		{name: "stop not carried out", step: stopping, way: order.Supervisor, world: same, state: order.Failed, acts: "stops=0 starts=0 jobs=0 terms=0 running=true"},
		{name: "stop carried out", step: stopping, way: order.Supervisor, world: down, state: order.Done, acts: "stops=0 starts=1 jobs=0 terms=0 running=true"},
		{name: "still stopping", step: stopping, way: order.Supervisor, world: func(w *world) { down(w); w.transient = true }, state: order.Done, acts: "stops=0 starts=1 jobs=0 terms=0 running=true"},
		{name: "manager away at first", step: stopping, way: order.Supervisor, world: func(w *world) { down(w); w.unreachable = 3 }, state: order.Done, acts: "stops=0 starts=1 jobs=0 terms=0 running=true"},
		{name: "stopped and started by somebody", step: stopping, way: order.Supervisor, world: other, state: order.Done, acts: "stops=0 starts=0 jobs=0 terms=0 running=true"},
		{name: "start owed", step: stopped, way: order.Supervisor, world: down, state: order.Done, acts: "stops=0 starts=1 jobs=0 terms=0 running=true"},
		{name: "start done already", step: stopped, way: order.Supervisor, world: other, state: order.Done, acts: "stops=0 starts=1 jobs=0 terms=0 running=true"},
		{name: "start owed and impossible", step: stopped, way: order.Supervisor, world: func(w *world) { down(w); w.startFails = true }, state: order.Failed, acts: "stops=0 starts=0 jobs=0 terms=0 running=false"},
		{name: "job not taken", step: acting, way: order.Systemd, world: same, state: order.Failed, acts: "stops=0 starts=0 jobs=0 terms=0 running=true"},
		{name: "job done", step: acting, way: order.Systemd, world: other, state: order.Done, acts: "stops=0 starts=0 jobs=0 terms=0 running=true"},
		{name: "job died between its halves", step: acting, way: order.Systemd, world: down, state: order.Done, acts: "stops=0 starts=1 jobs=0 terms=0 running=true"},
		{name: "warm shutdown done", step: acting, way: order.Celery, world: other, state: order.Done, acts: "stops=0 starts=0 jobs=0 terms=0 running=true"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := newBench(t, newWorld())
			o := b.order("r1", tt.way)
			if !tt.unheard {
				b.s.claims["r1"] = 1
			}
			must(t, b.x.journal.write(entry{Key: "r1", At: time.Now(), Step: claiming, Order: &o}))
			if tt.step != claiming {
				must(t, b.x.journal.write(entry{Key: "r1", At: time.Now(), Step: tt.step, Acted: time.Now()}))
			}
			tt.world(b.w)
			b.boot()
			open := b.x.journal.open()
			if len(open) != 1 {
				t.Fatalf("journal holds %d open orders, want 1", len(open))
			}
			b.x.resume(t.Context(), open[0])
			if r := b.result(); r.State != tt.state || b.w.acts() != tt.acts {
				t.Errorf("%s %s %q, %s; want %s, %s", r.State, r.Reason, r.Error, b.w.acts(), tt.state, tt.acts)
			}
			b.boot()
			if open := b.x.journal.open(); len(open) != 0 {
				t.Errorf("still open after delivery: %+v", open)
			}
		})
	}
}

// TestResultOutlivesAgent: killed between act and report, the next life
// reports without acting.
func TestResultOutlivesAgent(t *testing.T) {
	b := newBench(t, newWorld())
	ctx, die := context.WithCancel(t.Context())
	b.s.onResult = func(w http.ResponseWriter) bool {
		die()
		http.Error(w, "restarting", http.StatusServiceUnavailable)
		return true
	}
	b.x.handle(ctx, b.order("r1", order.Supervisor))
	b.s.mu.Lock()
	b.s.onResult = nil
	b.s.mu.Unlock()
	b.boot()
	for _, e := range b.x.journal.open() {
		b.x.resume(t.Context(), e)
	}
	if r := b.result(); r.State != order.Done || b.w.stops != 1 || b.w.starts != 1 {
		t.Errorf("%+v, %s", r, b.w.acts())
	}
}

// TestShutdownBetweenHalves: an agent told to stop while a worker is down
// still starts it.
func TestShutdownBetweenHalves(t *testing.T) {
	b := newBench(t, newWorld())
	ctx, cancel := context.WithCancel(t.Context())
	b.w.onStop = cancel
	b.x.handle(ctx, b.order("r1", order.Supervisor))
	if b.w.acts() != "stops=1 starts=1 jobs=0 terms=0 running=true" {
		t.Error(b.w.acts())
	}
	e, _ := b.x.journal.get("r1")
	if e.Step != ended || e.Result.State != order.Done {
		t.Errorf("journal %+v", e)
	}
}

func TestInspect(t *testing.T) {
	w := newWorld()
	w.beat = true
	b := newBench(t, w)
	b.x.handle(t.Context(), order.Order{Run: "r1", Kind: order.Inspect, Droplet: "42", Worker: "mail", NotAfter: time.Now().Add(time.Minute)})
	f := b.result().Facts
	if f == nil || !f.Fingerprint.Same(b.w.life()) || f.Unit != mail || !f.Allowed || fmt.Sprint(f.Ways) != "[supervisor celery]" || f.Refused[order.Systemd] == "" {
		t.Errorf("facts %+v", f)
	}
	if want := []order.Node{{Worker: "mail", App: "shop", Beat: true}}; !slices.Equal(f.Nodes, want) || f.DiskUsed != 8<<30 {
		t.Errorf("nodes %+v, disk %v", f.Nodes, f.DiskUsed)
	}
	b.w.startsAgain = false
	b.x.allow = nil
	b.x.handle(t.Context(), order.Order{Run: "r2", Kind: order.Inspect, Droplet: "42", Worker: "mail", NotAfter: time.Now().Add(time.Minute)})
	if f := b.result().Facts; f.Allowed || len(f.Ways) != 0 || !strings.Contains(f.Refused[order.Supervisor], "--allow supervisor:mail") {
		t.Errorf("facts %+v", f)
	}
	if b.w.acts() != newWorld().acts() {
		t.Errorf("looking did something: %s", b.w.acts())
	}
}

// TestEvidenceDoesNotBlock: a worker whose memory is locked holds up neither
// its own evidence nor anybody else's restart.
func TestEvidenceDoesNotBlock(t *testing.T) {
	w := newWorld()
	w.locked = make(chan struct{})
	defer close(w.locked)
	b := newBench(t, w)
	nodes, err := b.x.nodes()
	if err != nil || len(nodes) != 1 {
		t.Fatal(nodes, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	got := make(chan *order.Findings)
	go func() { got <- b.x.evidence(ctx, nodes[0]) }()
	if _, err := b.x.find("mail"); err != nil {
		t.Errorf("look for a worker meanwhile: %v", err)
	}
	select {
	case f := <-got:
		if f.Complete || len(f.Notes) != 1 || !strings.Contains(f.Notes[0], "locked") {
			t.Errorf("evidence %+v, want a note that memory is locked", f)
		}
	case <-time.After(5 * time.Second):
		t.Fatal("evidence waits for a locked process")
	}
}

func TestJournal(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "orders.journal")
	line := func(e entry) string {
		raw, err := json.Marshal(e)
		must(t, err)
		return string(raw) + "\n"
	}
	good := line(entry{Key: "a", Step: claimed, At: time.Now()})
	must(t, os.WriteFile(name, []byte(good+good[:len(good)/2]), 0o600))
	j, err := openJournal(dir, time.Now())
	if err != nil {
		t.Fatalf("a torn last line: %v", err)
	}
	if e, ok := j.get("a"); !ok || e.Step != claimed {
		t.Errorf("entry %+v", e)
	}
	must(t, j.write(entry{Key: "b", Step: delivered, At: time.Now()}))
	j.close()
	if j, err = openJournal(dir, time.Now().Add(keepFor+time.Hour)); err != nil {
		t.Fatal(err)
	}
	if _, ok := j.get("b"); ok {
		t.Error("a delivered order is kept beyond its time")
	}
	if _, ok := j.get("a"); !ok {
		t.Error("an open order was forgotten")
	}
	j.close()
	must(t, os.WriteFile(name, []byte("{\"key\":\n"+good), 0o600))
	if _, err := openJournal(dir, time.Now()); err == nil || !strings.Contains(err.Error(), "line 1") {
		t.Errorf("damage in the middle: %v", err)
	}
}

// TestJournalWithoutRoom: where the journal cannot be written anew it is used
// as it is, less what was torn.
func TestJournalWithoutRoom(t *testing.T) {
	dir := t.TempDir()
	name := filepath.Join(dir, "orders.journal")
	must(t, os.WriteFile(name, []byte(`{"key":"a","step":"claimed"}`+"\n"+`{"key":"a","step":"sto`), 0o600))
	must(t, os.Mkdir(name+".new", 0o700)) // in the way, as a full disk is
	for _, want := range []step{claimed, stopping, stopped} {
		j, err := openJournal(dir, time.Now())
		if err != nil {
			t.Fatal(err)
		}
		if e, ok := j.get("a"); !ok || e.Step != want {
			t.Errorf("entry %+v, want step %s", e, want)
		}
		next := map[step]step{claimed: stopping, stopping: stopped, stopped: ended}[want]
		must(t, j.write(entry{Key: "a", Step: next, At: time.Now()}))
		j.close()
	}
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
