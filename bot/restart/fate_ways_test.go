package restart

import (
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

// overSSH has the script on the droplet call supervisorctl.
func overSSH(t *testing.T, f *fates) func() error {
	// A name of its own: SSH sees the workers of the other trials, too.
	super := testbed.Supervisor(t, f.program("far", map[string]string{"stopwaitsecs": "300"}))
	b := &bed{T: t, super: super, sshd: testbed.SSHD(t, "restrict")}
	b.write(filepath.Join(b.sshd.Supervisor, "supervisord.conf"), "[supervisorctl]\nserverurl=unix://"+super.Socket+"\n")
	b.allow("supervisor:far")
	return b.far("far", "supervisor:far")
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
func systemdTrials(t *testing.T) []trial {
	m := testbed.Systemd(t, testbed.MachineOptions{HostNetwork: true})
	t.Setenv("DBUS_SYSTEM_BUS_ADDRESS", "unix:path="+m.Path("/run/dbus/system_bus_socket"))
	return []trial{
		{"systemd", "`KillMode=mixed`, `TimeoutStopSec` is enough", true, unit(m, "long", "KillMode=mixed\nTimeoutStopSec=300")},
		{"systemd", "`KillMode=mixed`, `TimeoutStopSec` runs out", false, unit(m, "short", "KillMode=mixed\nTimeoutStopSec=3")},
		{"systemd", "`KillMode=control-group` (the default)", true, unit(m, "group", "TimeoutStopSec=300")},
	}
}

// unit runs the worker as a unit of systemd.
func unit(m *testbed.Machine, name, lines string) func(*testing.T, *fates) func() error {
	return func(t *testing.T, f *fates) func() error {
		t.Helper()
		in := "/mnt/" + name // the machine's word for the shared folder
		text := f.read("fate.py")
		f.dir = filepath.Join(m.Shared, name)
		if err := os.Mkdir(f.dir, 0o755); err != nil {
			t.Fatal(err)
		}
		f.write("fate.py", text)
		var b strings.Builder
		fmt.Fprintf(&b, "[Service]\nRestart=always\nWorkingDirectory=%s\n%s\n", in, lines)
		for k, v := range f.env(in) {
			fmt.Fprintf(&b, "Environment=%q\n", k+"="+v)
		}
		fmt.Fprintf(&b, "ExecStart=%s\n", strings.Join(f.command(in, name), " "))
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
}

// dockerTrials restart a container of a real engine over SSH.
func dockerTrials(t *testing.T) []trial {
	d := testbed.Docker(t)
	return []trial{
		{"docker", "`--stop-timeout` is enough", true, contained(d, "box-long", "300")},
		{"docker", "`--stop-timeout` runs out", false, contained(d, "box-short", "3")},
	}
}

// contained runs the worker as the main process of a container.
func contained(d *testbed.DockerEngine, name, seconds string) func(*testing.T, *fates) func() error {
	return func(t *testing.T, f *fates) func() error {
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
