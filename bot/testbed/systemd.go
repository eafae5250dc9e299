package testbed

import (
	"context"
	_ "embed"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

//go:embed systemd_boot.sh
var systemdBoot string

// Machine is a running systemd that is PID 1 of its own namespaces, over a throw-away copy of this machine's root.
type Machine struct {
	// Shared is a folder of the test that the machine sees as /mnt.
	Shared string
	name   string // of its cgroup too: unique on the computer, whatever namespace the test runs in
	init   int    // systemd's pid, seen from outside
	keeper *Process
	hold   *os.File
}

// MachineOptions says how a Machine differs from a closed box.
type MachineOptions struct {
	// HostNetwork lets the machine reach servers on this machine's loopback.
	HostNetwork bool
}

// Systemd boots a machine and waits until it runs. It is gone without a trace, mounts and cgroups included, when the
// test ends or its binary dies. It needs root. The memory controller may be missing in it, so limits that systemd sets
// cannot be relied on.
func Systemd(t testing.TB, o MachineOptions) *Machine {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Fatal("booting a systemd needs root: run the tests with sudo")
	}
	dir := Folder(t)
	m := &Machine{Shared: filepath.Join(dir, "shared"), name: filepath.Base(dir)}
	state := filepath.Join(dir, "state")
	for _, folder := range []string{m.Shared, state} {
		if err := os.Mkdir(folder, 0o755); err != nil {
			t.Fatal(err)
		}
	}
	network := "private"
	if o.HostNetwork {
		network = "host"
	}
	m.boot(t, dir, state, network)
	if err := m.keeper.await(t.Context(), m.booted); err != nil {
		t.Fatal(err)
	}
	return m
}

// boot starts the keeper of the namespaces, and has it end them with the test.
func (m *Machine) boot(t testing.TB, dir, state, network string) {
	t.Helper()
	stdin, hold, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	m.hold = hold
	cmd := exec.Command("bash", "-c", systemdBoot, "systemd_boot.sh", state, m.Shared, m.name, network)
	cmd.Stdin = stdin
	cmd.SysProcAttr = &syscall.SysProcAttr{}
	if m.keeper, err = launch("systemd", dir, cmd); err != nil {
		hold.Close()
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if t.Failed() && m.init != 0 {
			t.Log(m.said("journalctl", "-n", "80", "--no-pager"))
			t.Log(m.said("ps", "-eo", "pid,ppid,user,stat,wchan:20,etimes,rss,args", "--forest", "ww"))
		}
		if err := m.PowerOff(); err != nil {
			t.Error(err)
		}
		if t.Failed() {
			t.Logf("the end of the machine's log:\n%s", tail(m.keeper.Log(), 60))
		}
	})
}

// PowerOff ends the machine at once, as pulling the plug would, and returns when nothing of it is left.
func (m *Machine) PowerOff() error {
	m.hold.Close()
	select {
	case <-m.keeper.Exited():
		return nil
	case <-time.After(Patience):
		m.keeper.Stop()
		return fmt.Errorf("the machine had to be killed: %s", tail(m.keeper.Log(), 20))
	}
}

// booted looks for systemd and asks it whether it has started what it should.
func (m *Machine) booted() error {
	if m.init == 0 {
		for _, l := range descendants(m.keeper.PID()) {
			if name, err := os.ReadFile(fmt.Sprintf("/proc/%d/comm", l.pid)); err == nil && strings.TrimSpace(string(name)) == "systemd" && insidePID(l.pid) == 1 {
				m.init = l.pid
			}
		}
	}
	if m.init == 0 {
		return fmt.Errorf("systemd has not started")
	}
	said, err := m.Command("systemctl", "is-system-running").CombinedOutput()
	if state := strings.TrimSpace(string(said)); state != "running" && state != "degraded" {
		return fmt.Errorf("the machine is %q: %v", state, err)
	}
	return nil
}

// insidePID is the process's pid in its innermost namespace.
func insidePID(pid int) int {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return 0
	}
	for line := range strings.SplitSeq(string(status), "\n") {
		if pids, ok := strings.CutPrefix(line, "NSpid:"); ok {
			fields := strings.Fields(pids)
			inside, err := strconv.Atoi(fields[len(fields)-1])
			if err != nil {
				return 0
			}
			return inside
		}
	}
	return 0
}

// Init is systemd's pid, seen from outside.
func (m *Machine) Init() int { return m.init }

// Command prepares a program that will run inside the machine, as root.
func (m *Machine) Command(args ...string) *exec.Cmd {
	enter := []string{"-t", strconv.Itoa(m.init), "-m", "-p", "-u", "-i", "-C", "-n", "--"}
	return exec.Command("nsenter", append(enter, args...)...)
}

// Exec runs a program inside the machine and returns what it printed, or ends the test.
func (m *Machine) Exec(t testing.TB, args ...string) string {
	t.Helper()
	said, err := m.Command(args...).CombinedOutput()
	if err != nil {
		t.Fatalf("in the machine: %s: %v\n%s", strings.Join(args, " "), err, said)
	}
	return strings.TrimSpace(string(said))
}

// said is what a program inside the machine prints, for the log of a test that failed.
func (m *Machine) said(args ...string) string {
	ctx, cancel := context.WithTimeout(context.Background(), grace)
	defer cancel()
	enter := m.Command(args...)
	said, err := exec.CommandContext(ctx, enter.Path, enter.Args[1:]...).CombinedOutput()
	return fmt.Sprintf("in the machine: %s: %v\n%s", strings.Join(args, " "), err, said)
}

// Path is where this machine's programs find a file of the machine, given by its absolute path in there. It leads to
// sockets too, such as /run/systemd/private and /run/dbus/system_bus_socket.
func (m *Machine) Path(inside string) string {
	return filepath.Join("/proc", strconv.Itoa(m.init), "root", inside)
}

// Unit writes a unit file (such as worker.service), replacing an older one, and has systemd read it.
func (m *Machine) Unit(t testing.TB, name, text string) {
	t.Helper()
	write(t, m.Path("/etc/systemd/system/"+name), text)
	m.Exec(t, "systemctl", "daemon-reload")
}

// MainPID is a unit's main process as the machine numbers it; OutsidePID turns it into this machine's number.
func (m *Machine) MainPID(t testing.TB, unit string) int {
	t.Helper()
	said := m.Exec(t, "systemctl", "show", "--property=MainPID", "--value", unit)
	pid, err := strconv.Atoi(said)
	if err != nil || pid == 0 {
		t.Fatalf("%s has no main process: systemd says %q", unit, said)
	}
	return pid
}

// OutsidePID finds the process that the machine knows by the given pid.
func (m *Machine) OutsidePID(t testing.TB, inside int) int {
	t.Helper()
	for _, l := range descendants(m.init) {
		if insidePID(l.pid) == inside {
			return l.pid
		}
	}
	t.Fatalf("the machine's process %d is not to be found", inside)
	return 0
}
