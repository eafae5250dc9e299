package agent

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dropleak/dropleak/bot/order"
	"github.com/dropleak/dropleak/bot/testbed"
)

// mourned is a worker's unit that writes down its starts and stops, both of
// which take long enough to be interrupted.
const mourned = `[Service]
User=nobody
WorkingDirectory=/mnt
%sExecStartPre=+/bin/sh -c 'echo start >>/mnt/book'
ExecStartPre=/bin/sleep 2
ExecStart=%s
ExecStop=/bin/sleep 2
ExecStopPost=+/bin/sh -c 'echo stop >>/mnt/book'
TimeoutStopSec=60
KillMode=mixed
Restart=always
`

// TestKilledInTheActUnderSystemd kills the agent with -9, as shipped under a
// real systemd, while the worker stops, between its stop and its start, and
// before the service has the result. One stop, one start, one true report.
func TestKilledInTheActUnderSystemd(t *testing.T) {
	t.Parallel()
	m := testbed.Systemd(t, testbed.MachineOptions{HostNetwork: true})
	s := newService(t)
	install(t, m, s, s.options(t))
	must(t, os.MkdirAll(m.Path("/etc/systemd/system/dropleak-agent.service.d"), 0o755))
	must(t, os.WriteFile(m.Path("/etc/systemd/system/dropleak-agent.service.d/soon.conf"), []byte("[Service]\nRestartSec=200ms\n"), 0o644))
	app := testbed.Celery(t, testbed.Redis(t))
	source, err := os.ReadFile(filepath.Join(app.Dir, "app.py"))
	must(t, err)
	must(t, os.WriteFile(filepath.Join(m.Shared, "app.py"), source, 0o644))
	var env strings.Builder
	for k, v := range app.Env() {
		fmt.Fprintf(&env, "Environment=%q\n", k+"="+v)
	}
	command := strings.ReplaceAll(strings.Join(app.Command(testbed.Worker{Name: "mail@h", Pool: "solo", Queue: "mail"}), " "), "%", "%%")
	m.Unit(t, "celery.service", fmt.Sprintf(mourned, env.String(), command))
	m.Exec(t, "systemctl", "start", "celery", "dropleak-agent")

	s.await(testbed.Patience, "a pass with the worker", func() bool {
		for _, x := range s.series {
			if x.Get("worker") == "celery" {
				return true
			}
		}
		return false
	})

	book := func() string {
		raw, err := os.ReadFile(filepath.Join(m.Shared, "book"))
		must(t, err)
		return strings.Join(strings.Fields(string(raw)), " ")
	}
	state := func(want string) {
		t.Helper()
		testbed.Eventually(t, testbed.Patience, func() error {
			if is := m.Exec(t, "systemctl", "show", "--property=ActiveState", "--value", "celery"); is != want {
				s.mu.Lock()
				defer s.mu.Unlock()
				return fmt.Errorf("the worker's unit is %s, not yet %s; results so far: %+v", is, want, s.results)
			}
			return nil
		})
	}
	wanted := book()
	for i, when := range []struct {
		name  string
		wait  func() // until it is time to kill
		later func() // once the agent is dead
	}{
		{"while it stops", func() { state("deactivating") }, func() {}},
		{"between stop and start", func() { state("activating") }, func() {}},
		{"between act and report", func() { awaitEntry(t, m, "r2", ended) }, func() { s.deaf(false) }},
	} {
		run := fmt.Sprint("r", i)
		facts := inspect(t, s, run, "celery")
		before := m.MainPID(t, "dropleak-agent.service")
		s.deaf(i == 2)
		s.give(restart(run, "celery", facts, order.Systemd))
		when.wait()
		m.Exec(t, "systemctl", "kill", "-s", "KILL", "dropleak-agent")
		when.later()
		r := s.awaitResult(run, testbed.Patience)
		if r.State != order.Done || r.Old.PID != facts.Fingerprint.PID || r.New.PID == r.Old.PID || r.New.PID != m.MainPID(t, "celery.service") {
			t.Errorf("%s: %+v; systemd's main pid is %d", when.name, r, m.MainPID(t, "celery.service"))
		}
		if now := m.MainPID(t, "dropleak-agent.service"); now == before {
			t.Errorf("%s: the agent was not killed", when.name)
		}
		if wanted += " stop start"; book() != wanted {
			t.Errorf("%s: the worker's book says %q, want %q", when.name, book(), wanted)
		}
	}
}

// awaitEntry waits until the agent's journal in a machine has an order at a
// step.
func awaitEntry(t *testing.T, m *testbed.Machine, key string, want step) {
	t.Helper()
	testbed.Eventually(t, testbed.Patience, func() error {
		raw, err := os.ReadFile(m.Path("/var/lib/dropleak-agent/orders.journal"))
		if err != nil {
			return err
		}
		for line := range strings.Lines(string(raw)) {
			var e entry
			if json.Unmarshal([]byte(line), &e) == nil && e.Key == key && e.Step == want {
				return nil
			}
		}
		return fmt.Errorf("order %s has not reached %s: %s", key, want, raw)
	})
}
