package agent

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/dropleak/dropleak/bot/testbed"
	"github.com/dropleak/dropleak/detector/sample"
)

// onHandShipped is the newest count of a worker.
func onHandShipped(s *service, worker string) sample.OnHand {
	s.mu.Lock()
	defer s.mu.Unlock()
	var mine []sample.Series
	for _, x := range s.series {
		if x.Get("worker") == worker+"@bed" {
			mine = append(mine, x)
		}
	}
	all := sample.DecodeOnHand(mine)
	if len(all) == 0 {
		return sample.OnHand{Running: -1}
	}
	return all[len(all)-1]
}

// handsApp is a Celery application with the probe in it and the tasks of
// testdata/hands.py, which run until gate is there, and one worker of it.
type handsApp struct {
	*testbed.CeleryApp
	broker     *testbed.RedisServer
	name, gate string
}

func newHandsApp(t *testing.T, socket, pool string, concurrency int) *handsApp {
	t.Helper()
	h := &handsApp{broker: testbed.Redis(t), name: unique(pool), gate: filepath.Join(testbed.Folder(t), "go")}
	h.CeleryApp = testbed.Celery(t, h.broker)
	withProbe(t, h.CeleryApp, socket)
	raw, err := os.ReadFile("testdata/hands.py")
	must(t, err)
	must(t, os.WriteFile(filepath.Join(h.Dir, "hands.py"), raw, 0o644))
	h.Start(t, testbed.Worker{Pool: pool, Concurrency: concurrency, Name: h.name + "@bed", Queue: h.name, User: "nobody", Args: []string{"-I", "dropleak_probe,hands"}})
	return h
}

// send sends tasks: name, countdown in seconds, how many, and so on.
func (h *handsApp) send(t *testing.T, what ...string) {
	t.Helper()
	cmd := exec.Command("/usr/bin/python3", append([]string{"hands.py", h.name, h.gate}, what...)...)
	cmd.Dir = h.Dir
	for k, v := range h.Env() {
		cmd.Env = append(cmd.Env, k+"="+v)
	}
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
}

// release lets the tasks end.
func (h *handsApp) release(t *testing.T) {
	t.Helper()
	must(t, os.WriteFile(h.gate, nil, 0o644))
}

// TestOnHandOfRealWorkers: in each pool the agent ships how many tasks run,
// how many of these acknowledge late, and how many are reserved and held for
// their ETA; also after the broker hung up, which gives out anew what was not
// acknowledged. A solo worker, whose only thread runs the task, has told
// before.
func TestOnHandOfRealWorkers(t *testing.T) {
	t.Parallel()
	s := newService(t)
	o := s.options(t)
	o.Probe = filepath.Join(testbed.Folder(t), "probe.sock")
	must(t, os.Chmod(filepath.Dir(o.Probe), 0o755))
	startAgent(t, o) // stops when the parallel tests below are over
	expect := func(t *testing.T, h *handsApp, running, late, reserved, eta float64) {
		t.Helper()
		testbed.Eventually(t, testbed.Patience, func() error {
			got := onHandShipped(s, h.name)
			if got.Running != running || got.Late != late || got.Reserved != reserved || got.ETA != eta {
				return fmt.Errorf("%+v shipped, want %g running, %g late, %g reserved, %g for their ETA", got, running, late, reserved, eta)
			}
			return nil
		})
	}
	for _, pool := range []string{"prefork", "threads", "eventlet", "gevent"} {
		t.Run(pool, func(t *testing.T) {
			t.Parallel()
			h := newHandsApp(t, o.Probe, pool, 3)
			expect(t, h, 0, 0, 0, 0)
			h.send(t, "hands.late", "3600", "40")
			expect(t, h, 0, 0, 0, 40)
			h.send(t, "hands.late", "0", "2", "hands.early", "0", "9")
			reserved := 8.0
			if pool == "eventlet" || pool == "gevent" {
				reserved = 1 // a green worker that is full takes no more than the one it waits with
			}
			expect(t, h, 3, 2, reserved, 40)
			h.release(t)
			expect(t, h, 0, 0, 0, 40)
			if pool == "prefork" {
				h.broker.HangUp(t)
				h.send(t, "hands.early", "3600", "7")
				expect(t, h, 0, 0, 0, 47)
			}
		})
	}
	t.Run("solo", func(t *testing.T) {
		t.Parallel()
		h := newHandsApp(t, o.Probe, "solo", 1)
		expect(t, h, 0, 0, 0, 0)
		h.send(t, "hands.early", "3600", "5") // while its task runs it takes no other
		expect(t, h, 0, 0, 0, 5)
		h.send(t, "hands.late", "0", "1")
		expect(t, h, 1, 1, 0, 5)
		h.release(t)
		expect(t, h, 0, 0, 0, 5)
	})
}
