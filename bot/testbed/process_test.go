package testbed

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"
)

// countLines counts the lines of text that hold both words, in this order.
func countLines(text, first, second string) int {
	n := 0
	for line := range strings.SplitSeq(text, "\n") {
		if _, rest, ok := strings.Cut(line, first); ok && strings.Contains(rest, second) {
			n++
		}
	}
	return n
}

// gone says whether the processes have ended.
func gone(lives []life) error {
	for _, l := range lives {
		if now, alive := lifeOf(l.pid); alive && now == l {
			return fmt.Errorf("process %d still lives", l.pid)
		}
	}
	return nil
}

func TestStopEndsTheWholeFamily(t *testing.T) {
	// One child in the group that ignores being asked, one in a session of its own.
	p := Start(t, "parent", Folder(t), exec.Command("bash", "-c", `(trap '' TERM; sleep 1000; sleep 1000) & setsid sleep 1000 & wait`))
	var family []life
	Eventually(t, Patience, func() error {
		if family = descendants(p.PID()); len(family) < 3 {
			return fmt.Errorf("%d descendants, want 3", len(family))
		}
		return nil
	})
	p.Stop()
	Eventually(t, Patience, func() error { return gone(family) })
}

func TestAwaitTellsHowAProgramEnded(t *testing.T) {
	p := Start(t, "broken", Folder(t), exec.Command("bash", "-c", "echo port is taken; exit 3"))
	err := p.await(t.Context(), func() error { return fmt.Errorf("no answer") })
	if err == nil || !strings.Contains(err.Error(), "exit status 3") || !strings.Contains(err.Error(), "port is taken") {
		t.Errorf("await says %v, want the exit status and the log", err)
	}
}

func TestEventuallyGivesUpWithTheLastError(t *testing.T) {
	tries := 0
	err := eventually(t.Context(), 100*time.Millisecond, func() error { tries++; return fmt.Errorf("try %d", tries) })
	if err == nil || tries < 2 || err.Error() != fmt.Sprintf("try %d", tries) {
		t.Errorf("after %d tries: %v", tries, err)
	}
}

// crashing makes TestStandIn start a bit of everything, report in the folder that the variable names, and wait.
const crashing = "BED_CRASHING"

// TestStandIn is what TestNothingOutlivesACrash runs in a test binary of its own. By itself it does nothing.
func TestStandIn(t *testing.T) {
	report := os.Getenv(crashing)
	if report == "" {
		return
	}
	Redis(t)
	Database(t)
	Supervisor(t, Program{Name: "worker", Command: []string{"sleep", "1000"}})
	m := Systemd(t, MachineOptions{})
	write(t, filepath.Join(report, "ready"), m.name)
	select {}
}

func TestNothingOutlivesACrash(t *testing.T) {
	report, temp := Folder(t), Folder(t)
	if err := os.Chmod(temp, 0o777); err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(os.Args[0], "-test.run=^TestStandIn$", "-test.timeout=2m")
	cmd.Env = append(os.Environ(), crashing+"="+report, "TMPDIR="+temp)
	cmd.Dir = report
	p := Start(t, "crash", report, cmd)
	var machine []byte
	if err := p.await(t.Context(), func() (err error) {
		machine, err = os.ReadFile(filepath.Join(report, "ready"))
		if err == nil && len(machine) == 0 {
			err = errors.New("the report is not written yet")
		}
		return err
	}); err != nil {
		t.Fatal(err)
	}
	if groups := cgroupsOf(t, string(machine)); len(groups) == 0 {
		t.Errorf("machine %s has no cgroup, so none could be left behind", machine)
	}
	family := descendants(p.PID())
	if len(family) < 8 {
		t.Errorf("only %d processes run, want redis, PostgreSQL, supervisor and systemd with theirs", len(family))
	}
	p.Kill()
	Eventually(t, Patience, func() error { return gone(family) })
	Eventually(t, Patience, func() error { return noTrace(t, string(machine), temp) })
}

func cgroupsOf(t *testing.T, machine string) []string {
	t.Helper()
	groups, err := filepath.Glob("/sys/fs/cgroup/" + machine)
	nested, err2 := filepath.Glob("/sys/fs/cgroup/*/" + machine)
	if err := errors.Join(err, err2); err != nil {
		t.Fatal(err)
	}
	return append(groups, nested...)
}

// noTrace looks for what a test binary may leave behind besides processes.
func noTrace(t *testing.T, machine, temp string) error {
	t.Helper()
	mounts, err := os.ReadFile("/proc/self/mountinfo")
	if err != nil {
		return err
	}
	if strings.Contains(string(mounts), temp) {
		return fmt.Errorf("mounts are left:\n%s", mounts)
	}
	if groups := cgroupsOf(t, machine); len(groups) > 0 {
		return fmt.Errorf("cgroups are left: %v", groups)
	}
	clusters, err := filepath.Glob(filepath.Join(temp, "bed-pg-*"))
	if err != nil || len(clusters) > 0 {
		return fmt.Errorf("PostgreSQL's folder is left: %v %v", clusters, err)
	}
	return nil
}

func TestKillLeavesNoTimeToTidyUp(t *testing.T) {
	p := Start(t, "tidy", Folder(t), exec.Command("bash", "-c", "trap 'echo tidied' EXIT TERM; echo up; sleep 1000 & wait"))
	Eventually(t, Patience, func() error {
		if p.Log() != "up\n" {
			return fmt.Errorf("not up")
		}
		return nil
	})
	p.Kill()
	if status := p.cmd.ProcessState.Sys().(syscall.WaitStatus); status.Signal() != syscall.SIGKILL || p.Log() != "up\n" {
		t.Errorf("ended by %v, having said %q", status.Signal(), p.Log())
	}
}
