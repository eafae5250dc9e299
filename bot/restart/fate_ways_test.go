package restart

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/agent/manager"
	"github.com/dropleak/dropleak/bot/order"
	"github.com/dropleak/dropleak/bot/shell"
	"github.com/dropleak/dropleak/bot/testbed"
)

func contextFor(d time.Duration) (context.Context, context.CancelFunc) {
	return context.WithTimeout(context.Background(), d)
}

// supervisorTrials run their workers under one supervisord. The agent's way is
// its two halves, a stop and a start.
func supervisorTrials(t *testing.T, newBed func() *fates) []trial {
	t.Helper()
	group := map[string]string{"stopwaitsecs": "300", "stopasgroup": "true", "killasgroup": "true"}
	asks := map[string]string{"group": asksLong, "groupended": asksBriefly}
	rows := []struct {
		way, name, settings string
		inTime              bool
		options             map[string]string
	}{
		{"supervisor", "long", "`stopwaitsecs` is enough", true, map[string]string{"stopwaitsecs": "300", "killasgroup": "true"}},
		{"supervisor", "short", "`stopwaitsecs` runs out, `killasgroup=true`", false, map[string]string{"stopwaitsecs": "3", "killasgroup": "true"}},
		{"supervisor", "alone", "`stopwaitsecs` runs out, `killasgroup=false` (the default)", false, map[string]string{"stopwaitsecs": "3"}},
		{"supervisor", "group", "`stopasgroup=true`, " + stillWaits, false, group},
		{"supervisor", "groupended", "`stopasgroup=true`, " + hasEnded, false, group},
		{"celery", "warm", "warm shutdown under supervisor, `autorestart=true`", true, map[string]string{"stopwaitsecs": "3", "autorestart": "true"}},
		{"ssh", "far", "`supervisorctl restart`, `stopwaitsecs` is enough", true, map[string]string{"stopwaitsecs": "300"}},
	}
	var programs []testbed.Program
	var trials []trial
	for _, r := range rows {
		f := newBed()
		f.asks = cmp.Or(asks[r.name], f.asks)
		programs = append(programs, f.program(r.name, r.options))
		trials = append(trials, trial{way: r.way, settings: r.settings, inTime: r.inTime, bed: f})
	}
	super := testbed.Supervisor(t, programs...)
	for n, r := range rows {
		trials[n].restart = func() error {
			ctx, cancel := contextFor(10 * time.Minute)
			defer cancel()
			s, err := manager.DialSupervisor("unix://"+super.Socket, super.Config)
			switch {
			case err != nil:
				return err
			case r.way == "celery":
				return s.Terminate(ctx, r.name)
			}
			return errors.Join(s.Stop(ctx, r.name), s.Start(ctx, r.name))
		}
		if r.way == "ssh" {
			trials[n].restart = overSSH(t, super, r.name)
		}
	}
	return trials
}

// overSSH has the script on the droplet call supervisorctl.
func overSSH(t *testing.T, super *testbed.SupervisorServer, name string) func() error {
	t.Helper()
	b := &bed{T: t, super: super, sshd: testbed.SSHD(t, "restrict")}
	b.write(filepath.Join(b.sshd.Supervisor, "supervisord.conf"), "[supervisorctl]\nserverurl=unix://"+super.Socket+"\n")
	b.allow("supervisor:" + name)
	return b.far(name, "supervisor:"+name)
}

// far orders a restart over SSH and waits for its result.
func (b *bed) far(worker, unit string) func() error {
	b.link = shell.NewDroplet(shell.Options{Address: b.sshd.Addr, User: b.sshd.User, KeyFile: b.sshd.KeyFile, KnownHosts: b.sshd.KnownHosts})
	b.Cleanup(func() { b.link.Close() })
	return func() error {
		target := b.targetOf(worker, "fate", unit)
		receipt, err := b.way().Order(b.Context(), target)
		if err != nil {
			return err
		}
		return b.waits(target, receipt)
	}
}

// waits is ends for a stop that may take long, away from the test's goroutine.
func (b *bed) waits(t Target, receipt json.RawMessage) error {
	for tick := time.NewTicker(time.Second); ; <-tick.C {
		r, done, err := b.way().Result(b.Context(), t, receipt)
		if b.Context().Err() != nil {
			return b.Context().Err()
		}
		if err == nil && done {
			tick.Stop()
			if r.State != order.Done {
				return fmt.Errorf("the restart came to %+v", r)
			}
			return nil
		}
	}
}

// systemdTrials share a booted systemd; the agent's half speaks to its bus.
func systemdTrials(t *testing.T, newBed func() *fates) []trial {
	t.Helper()
	m := testbed.Systemd(t, testbed.MachineOptions{HostNetwork: true})
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path="+m.Path("/run/dbus/system_bus_socket"))
	asks := map[string]string{"control": asksLong, "briefly": asksBriefly}
	row := func(settings string, inTime bool, name, lines string) trial {
		f := newBed()
		f.asks = cmp.Or(asks[name], f.asks)
		return trial{"systemd", settings, inTime, f, unit(t, m, f, name, lines)}
	}
	return []trial{
		row("`KillMode=mixed`, `TimeoutStopSec` is enough", true, "mixed", "KillMode=mixed\nTimeoutStopSec=300\n"+plain),
		row("`KillMode=mixed`, `TimeoutStopSec` runs out", false, "brief", "KillMode=mixed\nTimeoutStopSec=3\n"+plain),
		row("`KillMode=control-group` (the default), "+stillWaits, false, "control", "TimeoutStopSec=300\n"+plain),
		row("`KillMode=control-group` (the default), "+hasEnded, false, "briefly", "TimeoutStopSec=300\n"+plain),
		row("`celery multi` under `Type=forking`, `ExecStop=celery multi stopwait`", true, "multi", "TimeoutStopSec=300\n"+multi),
	}
}

// plain and multi are the lines of a unit that runs the worker {name} in the
// folder {dir}.
const (
	plain = "ExecStart={command}\nRestart=always\n"
	multi = "Type=forking\nRuntimeDirectory={name}\n" +
		"ExecStart=/usr/bin/celery multi start {name}@web-1 -A fate -c 3 -l INFO --pidfile=/run/{name}/%%n.pid --logfile={dir}/log\n" +
		"ExecStop=/usr/bin/celery multi stopwait {name}@web-1 -A fate --pidfile=/run/{name}/%%n.pid\n"
)

// unit runs the worker as a unit of systemd.
func unit(t *testing.T, m *testbed.Machine, f *fates, name, lines string) func() error {
	t.Helper()
	in := "/mnt/" + name // the machine's word for the shared folder
	text := f.read("fate.py")
	f.dir = filepath.Join(m.Shared, name)
	if err := os.Mkdir(f.dir, 0o755); err != nil {
		t.Fatal(err)
	}
	f.write("fate.py", text)
	var b strings.Builder
	fmt.Fprintf(&b, "[Service]\nWorkingDirectory=%s\n", in)
	for k, v := range f.env(in) {
		fmt.Fprintf(&b, "Environment=%q\n", k+"="+v)
	}
	b.WriteString(strings.NewReplacer("{command}", strings.Join(f.command(in, name), " "), "{name}", name, "{dir}", in).Replace(lines))
	m.Unit(t, name+".service", b.String())
	m.Exec(t, "systemctl", "start", name)
	return func() error {
		ctx, cancel := contextFor(10 * time.Minute)
		defer cancel()
		s, err := manager.DialSystemd(ctx)
		if err != nil {
			return err
		}
		defer s.Close()
		return s.Restart(ctx, name+".service")
	}
}

// dockerTrials restart a container of a real engine over SSH.
func dockerTrials(t *testing.T, newBed func() *fates) []trial {
	t.Helper()
	d := testbed.Docker(t)
	row := func(settings string, inTime bool, name, seconds string) trial {
		f := newBed()
		return trial{"docker", settings, inTime, f, contained(t, d, f, name, seconds)}
	}
	return []trial{
		row("`--stop-timeout` is enough", true, "box-long", "300"),
		row("`--stop-timeout` runs out", false, "box-short", "3"),
	}
}

// contained runs the worker as the main process of a container.
func contained(t *testing.T, d *testbed.DockerEngine, f *fates, name, seconds string) func() error {
	t.Helper()
	words := []string{"run", "-d", "--name", name, "--network", "host", "--stop-timeout", seconds, "-v", f.dir + ":" + f.dir, "-w", f.dir}
	for k, v := range f.env(f.dir) {
		words = append(words, "-e", k+"="+v)
	}
	d.Run(t, append(append(words, d.System()...), f.command(f.dir, name)...)...)
	t.Cleanup(func() { d.Run(t, "rm", "-f", name) })
	b := &bed{T: t, sshd: testbed.SSHD(t, "restrict")}
	b.write(filepath.Join(b.sshd.Sbin, "docker"), d.Client())
	b.allow("docker:" + name)
	return b.far(name+"@web-1", "docker:"+name)
}

// powerTrials pull the power.
func powerTrials(t *testing.T, newBed func() *fates) []trial {
	t.Helper()
	f := newBed()
	return []trial{{"power cycle", "SIGKILL of every process stands in", false, f, pulled(t, f)}}
}

// pulled is the power, pulled: everything ends at once, and is started again
// as by a boot.
func pulled(t *testing.T, f *fates) func() error {
	t.Helper()
	start := func() *exec.Cmd {
		words := f.command(f.dir, "mail")
		cmd := exec.Command(words[0], words[1:]...)
		cmd.Dir = f.dir
		cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
		for k, v := range f.env(f.dir) {
			cmd.Env = append(cmd.Env, k+"="+v)
		}
		if err := cmd.Start(); err != nil {
			t.Error(err)
		}
		return cmd
	}
	end := func(cmd *exec.Cmd) error {
		err := syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
		_ = cmd.Wait() // killed, as it was asked to be
		return err
	}
	now := start()
	t.Cleanup(func() {
		if err := end(now); err != nil && !errors.Is(err, syscall.ESRCH) {
			t.Error(err)
		}
	})
	return func() error {
		err := end(now)
		now = start()
		return err
	}
}
