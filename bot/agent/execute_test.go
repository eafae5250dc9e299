package agent

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/order"
)

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
	go func() { got <- b.x.evidence(ctx, nodes[0], time.Minute) }()
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
