package agent

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/order"
)

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
