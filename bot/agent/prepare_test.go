package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/order"
	"github.com/dropleak/dropleak/bot/testbed"
)

// TestFirstLook: when a restart is asked about, the worker's heap is looked at
// once, after the answer has gone, so that the look before the restart tells
// growth; and not again within the hour.
func TestFirstLook(t *testing.T) {
	w := newWorld()
	w.pid = os.Getpid() // who may answer in the probe's place
	b := newBench(t, w)
	h := &heap{one: make(chan struct{}, 1), dir: testbed.Folder(t), tasks: &taskCounts{}, proc: w}
	h.tasks.take(w.pid, []byte("1 1 0 1 2 app.a"))
	b.x.heap = h
	inspect := func(run string) chan struct{} {
		done := make(chan struct{})
		go func() {
			defer close(done)
			b.x.handle(t.Context(), order.Order{Run: run, Kind: order.Inspect, Droplet: "42", Worker: "mail", NotAfter: time.Now().Add(time.Minute)})
		}()
		return done
	}

	done := inspect("r1")
	answerOnce(t, h.dir)
	if r := b.result(); r.Facts == nil {
		t.Errorf("the look keeps back the facts: %+v", r)
	}
	<-done
	first := h.looked[w.pid]
	if time.Since(first) > time.Minute {
		t.Fatalf("looked at %s", first)
	}
	untouched := filepath.Join(h.dir, "answer.sock") // whoever looks takes its place
	must(t, os.WriteFile(untouched, nil, 0o600))
	<-inspect("r2")
	if _, err := os.Stat(untouched); err != nil {
		t.Errorf("looked at twice within the hour: %v", err)
	}
	h.looked[w.pid] = first.Add(-heapAgain)
	done = inspect("r3")
	answerOnce(t, h.dir)
	<-done
	if h.looked[w.pid].Before(first) {
		t.Error("not looked at after an hour")
	}
}

// answerOnce is the probe: it answers the question when there is one.
func answerOnce(t *testing.T, dir string) {
	t.Helper()
	testbed.Eventually(t, testbed.Patience, func() error {
		raw, err := os.ReadFile(filepath.Join(dir, "ask"))
		if err != nil {
			return err
		}
		var q asking
		if err := json.Unmarshal(raw, &q); err != nil || q.PID != 1 {
			return fmt.Errorf("asked %s (%w), want pid 1, its own view", raw, err)
		}
		conn, err := net.Dial("unix", filepath.Join(dir, "answer.sock"))
		if err != nil {
			return err
		}
		_, err = conn.Write([]byte(`{"k":"look","since":0}` + "\n" + `{"k":"end"}` + "\n"))
		return errors.Join(err, conn.Close())
	})
}
