package agent

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/dropleak/dropleak/bot/order"
	"github.com/dropleak/dropleak/bot/testbed"
)

// TestUnitForms restarts workers under a real systemd in the forms people
// write: an instance of a template unit, and `celery multi` as Type=forking,
// one unit with two workers.
func TestUnitForms(t *testing.T) {
	t.Parallel()
	m := testbed.Systemd(t, testbed.MachineOptions{HostNetwork: true})
	s := newService(t)
	o := s.options(t)
	app := testbed.Celery(t, testbed.Redis(t))
	for from, to := range map[string]string{filepath.Join(app.Dir, "app.py"): "app.py", build(t): "dropleak-agent", o.TokenFile: "token"} {
		raw, err := os.ReadFile(from)
		must(t, err)
		must(t, os.WriteFile(filepath.Join(m.Shared, to), raw, 0o755))
	}
	head := "[Service]\nWorkingDirectory=/mnt\nTimeoutStopSec=25\n"
	for k, v := range app.Env() {
		head += fmt.Sprintf("Environment=%q\n", k+"="+v)
	}
	m.Unit(t, "celery@.service", head+"ExecStart="+strings.Join(app.Command(testbed.Worker{Name: "%i@h", Pool: "solo", Queue: "%i"}), " ")+"\n")
	m.Unit(t, "multi.service", head+"Type=forking\nRuntimeDirectory=multi\n"+
		"ExecStart=/usr/bin/celery multi start a@h b@h -A app -P solo --pidfile=/run/multi/%%n.pid --logfile=/run/multi/%%n.log\n"+
		"ExecStop=/usr/bin/celery multi stopwait a@h b@h -A app --pidfile=/run/multi/%%n.pid\n")
	m.Exec(t, "systemctl", "start", "celery@mail", "celery@video", "multi")
	testbed.Start(t, "dropleak-agent", t.TempDir(), m.Command("/mnt/dropleak-agent", "--server", o.Server, "--token-file", "/mnt/token",
		"--spool", "/mnt/spool", "--metadata-url", o.MetadataURL, "--every", "1s", "--allow", "systemd:celery@mail.service", "--allow", "systemd:multi.service"))
	s.await(testbed.Patience, "all four workers", func() bool {
		seen := map[string]bool{}
		for _, x := range s.series {
			seen[x.Get("worker")] = true
		}
		return seen["celery@mail"] && seen["celery@video"] && seen["multi/a@h"] && seen["multi/b@h"]
	})

	t.Run("template", func(t *testing.T) {
		f := inspect(t, s, "t1", "celery@mail")
		other := m.MainPID(t, "celery@video.service")
		if f.Unit.Name != "celery@mail.service" || f.StopTimeout != 25 || len(f.Workers) != 1 {
			t.Errorf("facts %+v", f)
		}
		s.give(restart("t1", "celery@mail", f, order.Systemd))
		r := s.awaitResult("t1", testbed.Patience)
		if r.State != order.Done || r.New.PID != m.MainPID(t, "celery@mail.service") || r.New.PID == r.Old.PID || m.MainPID(t, "celery@video.service") != other {
			t.Errorf("result %+v; systemd's main pid is %d", r, m.MainPID(t, "celery@mail.service"))
		}
	})
	t.Run("multi", func(t *testing.T) {
		f, b := inspect(t, s, "m1", "multi/a@h"), inspect(t, s, "m2", "multi/b@h")
		if f.Unit.Name != "multi.service" || len(f.Workers) != 2 || f.Fingerprint.PID == b.Fingerprint.PID {
			t.Errorf("facts %+v", f)
		}
		s.give(restart("m1", "multi/a@h", f, order.Systemd))
		if r := s.awaitResult("m1", testbed.Patience); r.State != order.Done || r.New.PID == r.Old.PID {
			t.Errorf("result %+v", r)
		}
		if after := inspect(t, s, "m3", "multi/b@h"); after.Fingerprint.PID == b.Fingerprint.PID {
			t.Error("the other worker of the unit was not restarted with it, though the card says so")
		}
	})
}

// TestProgramForms restarts one process of a real supervisord's program with
// numprocs, which makes a group of it, and leaves the other alone.
func TestProgramForms(t *testing.T) {
	t.Parallel()
	app := testbed.Celery(t, testbed.Redis(t))
	name := unique("many")
	many := app.Program(name, testbed.Worker{Pool: "solo", Queue: name})
	many.Options["autostart"], many.Options["numprocs"] = "false", "2"
	many.Options["process_name"] = "%(program_name)s_%(process_num)02d"
	many.Options["command"] = strings.Join(app.Command(testbed.Worker{Name: name + "%(process_num)d@h", Pool: "solo", Queue: name}), " ")
	many.Options["stdout_logfile"] = "/dev/null"
	sup := testbed.Supervisor(t, many)
	if said, err := sup.Control("start", name+":*"); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	first, second := name+":"+name+"_00", name+":"+name+"_01"
	_, before := awaitWorker(t, first, 1)
	_, other := awaitWorker(t, second, 1)
	s := newService(t)
	o := s.options(t)
	o.Allow = []order.Unit{{Kind: order.SupervisorProgram, Name: first}}
	startAgent(t, o)
	f := inspect(t, s, "r1", first)
	if f.Unit.Name != first || f.StopTimeout != 30 || len(f.Workers) != 1 {
		t.Errorf("facts %+v", f)
	}
	s.give(restart("r1", first, f, order.Supervisor))
	r := s.awaitResult("r1", testbed.Patience)
	if r.State != order.Done || r.Old.PID != before[0].PID || r.New.PID != sup.ProgramPID(t, first) || r.New.PID == r.Old.PID {
		t.Errorf("result %+v; supervisord runs pid %d", r, sup.ProgramPID(t, first))
	}
	if now := sup.ProgramPID(t, second); now != other[0].PID {
		t.Errorf("the program's other process was restarted too: pid %d, was %d", now, other[0].PID)
	}
	refused := inspect(t, s, "r2", second)
	if !strings.Contains(refused.Refused[order.Supervisor], "--allow supervisor:"+second) {
		t.Errorf("the other process, which is not allowed: %+v", refused)
	}
}
