package agent

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/order"
	"github.com/dropleak/dropleak/bot/testbed"
	"github.com/dropleak/dropleak/detector/sample"
)

// shipped reads a file that operators install.
func shipped(t *testing.T, name string) string {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("..", "..", "configs", name))
	must(t, err)
	return string(raw)
}

// install puts agent, unit, user and polkit rule into a machine, as
// docs/agent.md says.
func install(t *testing.T, m *testbed.Machine, s *service, o Options) {
	t.Helper()
	put := func(name, text string, mode os.FileMode) {
		must(t, os.MkdirAll(filepath.Dir(m.Path(name)), 0o755))
		must(t, os.WriteFile(m.Path(name), []byte(text), mode))
		must(t, os.Chmod(m.Path(name), mode))
	}
	bin, err := os.ReadFile(build(t))
	must(t, err)
	put("/usr/local/bin/dropleak-agent", string(bin), 0o755)
	put("/etc/sysusers.d/dropleak-agent.conf", shipped(t, "sysusers.d/dropleak-agent.conf"), 0o644)
	m.Exec(t, "systemd-sysusers")
	put("/etc/polkit-1/rules.d/50-dropleak-agent.rules", shipped(t, "polkit/50-dropleak-agent.rules"), 0o644)
	env := shipped(t, "agent.env")
	env = strings.Replace(env, "https://dropleak.example.com", s.URL, 1)
	env = strings.Replace(env, "#DROPLEAK_ALLOW=systemd:celery.service,supervisor:mail", "DROPLEAK_ALLOW=systemd:celery.service,systemd:other.service", 1)
	env = strings.Replace(env, "#DROPLEAK_EVERY=1m", "DROPLEAK_EVERY=1s", 1)
	put("/etc/dropleak/agent.env", env+"DROPLEAK_METADATA_URL="+o.MetadataURL+"\n", 0o644)
	put("/etc/dropleak/agent.token", "secret\n", 0o640)
	m.Exec(t, "chgrp", "dropleak-agent", "/etc/dropleak/agent.token")
	m.Unit(t, "dropleak-agent.service", shipped(t, "systemd/dropleak-agent.service"))
}

// TestShippedUnit runs the agent in a real systemd exactly as shipped: its
// own user, one capability, the sandbox, polkit deciding. It must still see
// another user's worker whole, and restart the unit it is allowed to.
func TestShippedUnit(t *testing.T) {
	t.Parallel()
	m := testbed.Systemd(t, testbed.MachineOptions{HostNetwork: true})
	s := newService(t)
	o := s.options(t)
	install(t, m, s, o)
	app := testbed.Celery(t, testbed.Redis(t))
	source, err := os.ReadFile(filepath.Join(app.Dir, "app.py"))
	must(t, err)
	must(t, os.WriteFile(filepath.Join(m.Shared, "app.py"), source, 0o644))
	must(t, os.WriteFile(filepath.Join(m.Shared, "dropleak_probe.py"), []byte(shipped(t, "celery/dropleak_probe.py")), 0o644))
	var env strings.Builder
	for k, v := range app.Env() {
		fmt.Fprintf(&env, "Environment=%q\n", k+"="+v)
	}
	// Each has a queue of its own: of two on one queue, one may get nearly all tasks.
	worker := func(queue, restarts string) string {
		return "[Service]\nUser=nobody\nWorkingDirectory=/mnt\n" + env.String() + "ExecStart=" +
			strings.ReplaceAll(strings.Join(app.Command(testbed.Worker{Name: queue + "@h", Concurrency: 2, Queue: queue, Args: []string{"-I", "dropleak_probe"}}), " "), "%", "%%") +
			"\nTimeoutStopSec=33\nKillMode=mixed\nRestart=" + restarts + "\n"
	}
	m.Unit(t, "celery.service", worker("mail", "always"))
	m.Unit(t, "other.service", worker("other", "on-failure"))
	m.Exec(t, "systemctl", "start", "celery", "other", "dropleak-agent")

	s.await(testbed.Patience, "a pass with the worker's PSS", func() bool {
		n := 0
		for _, x := range s.series {
			if x.Get("worker") == "celery" && x.Get("kind") == "pss" {
				n++
			}
		}
		return n >= 3
	})
	checkUnit(t, m)
	app.Feed(t, testbed.Load{Task: testbed.Steady, Amount: 4096, Every: 100 * time.Millisecond, Queue: "mail"})
	s.await(testbed.Patience, "the probe's counts through the sandbox", func() bool {
		for _, x := range s.series {
			if x.Name() == sample.NameTaskRuns && x.Get("worker") == "celery" && x.Get("task") == testbed.Steady {
				return true
			}
		}
		return false
	})
	grown(t, s, "celery", "malloc", "arenas", 0) // the sandbox lets it ask, and another user's process answer

	facts := inspect(t, s, "r1", "celery")
	if facts.StopTimeout != 33 || facts.KillMode != "mixed" || facts.AutoRestart != "always" || facts.StopSignal != "SIGTERM" ||
		fmt.Sprint(facts.Ways) != "[systemd celery]" || facts.Unit.String() != "systemd:celery.service" {
		t.Errorf("facts %+v", facts)
	}
	s.give(restart("r1", "celery", facts, order.Systemd))
	r := s.awaitResult("r1", testbed.Patience)
	if r.State != order.Done || r.New.PID == r.Old.PID || r.New.PID != m.MainPID(t, "celery.service") {
		t.Fatalf("restart: %+v; systemd's main pid is %d", r, m.MainPID(t, "celery.service"))
	}
	s.give(restart("r2", "celery", inspect(t, s, "r2", "celery"), order.Celery))
	if r := s.awaitResult("r2", testbed.Patience); r.State != order.Done || r.New.PID == r.Old.PID {
		t.Errorf("warm shutdown: %+v", r)
	}

	// In the agent's list, not in the polkit rule; and started again only
	// after a failure.
	other := inspect(t, s, "r3", "other")
	if !strings.Contains(other.Refused[order.Celery], "Restart=always") {
		t.Errorf("warm shutdown of a unit with Restart=on-failure: %+v", other)
	}
	before := m.MainPID(t, "other.service")
	s.give(restart("r3", "other", other, order.Systemd))
	if r := s.awaitResult("r3", testbed.Patience); r.State != order.Failed || !strings.Contains(r.Error, "polkit") {
		t.Errorf("a unit the polkit rule does not name: %+v", r)
	}
	s.give(restart("r4", "other", inspect(t, s, "r4", "other"), order.Celery))
	if r := s.awaitResult("r4", testbed.Patience); r.State != order.Refused || r.Reason != order.NoAutoRestart {
		t.Errorf("warm shutdown nobody would undo: %+v", r)
	}
	if now := m.MainPID(t, "other.service"); now != before {
		t.Error("a refused restart changed the unit")
	}
}

// checkUnit looks at the running agent: who it is and what it may.
func checkUnit(t *testing.T, m *testbed.Machine) {
	t.Helper()
	pid := m.MainPID(t, "dropleak-agent.service")
	status := m.Exec(t, "cat", fmt.Sprintf("/proc/%d/status", pid))
	for _, want := range []string{"CapEff:\t0000000000080000", "CapBnd:\t0000000000080000", "NoNewPrivs:\t1", "Seccomp:\t2"} {
		if !strings.Contains(status, want) {
			t.Errorf("the running agent lacks %q:\n%s", want, status)
		}
	}
	// Asked of systemd, for inside a container it may not lower the score.
	if adj := m.Exec(t, "systemctl", "show", "--property=OOMScoreAdjust", "--value", "dropleak-agent"); adj != "-900" {
		t.Errorf("OOMScoreAdjust=%s", adj)
	}
	if user := m.Exec(t, "stat", "-c", "%U", fmt.Sprintf("/proc/%d", pid)); user != "dropleak-agent" {
		t.Errorf("runs as %s", user)
	}
}

// TestUnitIsSound asks systemd's own critics.
func TestUnitIsSound(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "dropleak-agent.service")
	text := strings.Replace(shipped(t, "systemd/dropleak-agent.service"), "/usr/local/bin/dropleak-agent", "/bin/true", 1)
	must(t, os.WriteFile(file, []byte(text), 0o644))
	if out, err := exec.Command("systemd-analyze", "verify", "--man=no", file).CombinedOutput(); err != nil || strings.Contains(string(out), "dropleak-agent.service:") {
		t.Errorf("systemd-analyze verify: %v\n%s", err, out)
	}
	// Exposure counts from 0 to 10; 2.5 is "OK", and what is left is what
	// the agent is for: the network and everybody's /proc.
	out, err := exec.Command("systemd-analyze", "security", "--offline=yes", "--threshold=25", "--no-pager", file).CombinedOutput()
	if err != nil {
		t.Errorf("systemd-analyze security: %v\n%s", err, out)
	}
}
