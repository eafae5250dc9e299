package testbed

import (
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
)

const sleeper = "[Service]\nExecStart=/bin/sleep 1000\nRestart=always\n"

func mountinfo(t *testing.T) string {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		t.Fatal(err)
	}
	return string(mounts)
}

func TestMachineRunsUnitsAndLeavesNothing(t *testing.T) {
	before := mountinfo(t)
	m := Systemd(t, MachineOptions{})
	m.Unit(t, "worker.service", sleeper)
	m.Exec(t, "systemctl", "start", "worker")
	old := m.MainPID(t, "worker")
	m.Exec(t, "systemctl", "restart", "worker")
	if now := m.MainPID(t, "worker"); now == old {
		t.Errorf("the unit kept pid %d through a restart", old)
	}
	outside := m.OutsidePID(t, m.MainPID(t, "worker"))
	if command, err := os.ReadFile(filepath.Join("/proc", strconv.Itoa(outside), "cmdline")); err != nil || string(command) != "/bin/sleep\x001000\x00" {
		t.Errorf("process %d is %q (%v), want the unit's", outside, command, err)
	}
	if _, err := os.Stat("/etc/systemd/system/worker.service"); err == nil {
		t.Error("the machine wrote to the root of this one")
	}
	if err := m.PowerOff(); err != nil {
		t.Fatal(err)
	}
	if after := mountinfo(t); after != before {
		t.Errorf("mounts changed:\n%s\nbefore:\n%s", after, before)
	}
	if err := noTrace(t, m.name, m.Shared); err != nil {
		t.Error(err)
	}
	if _, alive := lifeOf(outside); alive {
		t.Errorf("the unit's process %d outlived the machine", outside)
	}
}

func TestMachineSharesWhatItIsAsked(t *testing.T) {
	m := Systemd(t, MachineOptions{HostNetwork: true})
	write(t, filepath.Join(m.Shared, "note"), "hello")
	if said := m.Exec(t, "cat", "/mnt/note"); said != "hello" {
		t.Errorf("the machine reads %q in the shared folder", said)
	}
	for _, socket := range []string{"/run/systemd/private", "/run/dbus/system_bus_socket"} {
		conn, err := net.Dial("unix", m.Path(socket))
		if err != nil {
			t.Errorf("reach %s from outside: %v", socket, err)
			continue
		}
		conn.Close()
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	host, port, _ := strings.Cut(l.Addr().String(), ":")
	m.Exec(t, "bash", "-c", "exec 3<>/dev/tcp/"+host+"/"+port)
}

func TestClosedMachineReachesNothingOutside(t *testing.T) {
	m := Systemd(t, MachineOptions{})
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	host, port, _ := strings.Cut(l.Addr().String(), ":")
	if err := m.Command("bash", "-c", "exec 3<>/dev/tcp/"+host+"/"+port).Run(); err == nil {
		t.Error("a machine without the host's network reached a server of the host")
	}
}
