// Package testbed starts the real programs that tests talk to, on loopback, and stops them by the pid it started.
//
// Every program gets a private folder and an ephemeral port, is waited for until it answers, and ends with its test:
// asked first, then killed, together with whatever it started. When the test fails, the end of the program's log is
// printed with it. Programs also end when the test binary dies without cleaning up.
//
// A program that is not installed fails the test: see .ci/setup.
package testbed

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/prometheus/procfs"
)

// grace is how long a program may take to end after it was asked.
const grace = 20 * time.Second

// Process is a running program that belongs to a test.
type Process struct {
	name    string
	cmd     *exec.Cmd
	log     string        // file with its standard output and error
	done    chan struct{} // closed when it has ended and been waited for
	stopped sync.Once
}

// Start runs cmd in a process group of its own until the test ends, its output in a log file under dir. The environment
// of cmd, its directory and its credentials are the caller's business.
func Start(t testing.TB, name, dir string, cmd *exec.Cmd) *Process {
	t.Helper()
	p, err := launch(name, dir, cmd)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.end(t) })
	return p
}

func launch(name, dir string, cmd *exec.Cmd) (*Process, error) {
	log, err := os.OpenFile(filepath.Join(dir, name+".log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
	if err != nil {
		return nil, fmt.Errorf("open the log of %s: %w", name, err)
	}
	defer log.Close()
	if cmd.SysProcAttr == nil {
		cmd.SysProcAttr = &syscall.SysProcAttr{}
	}
	cmd.SysProcAttr.Setpgid = true
	cmd.SysProcAttr.Pdeathsig = syscall.SIGTERM
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start %s: %w", name, err)
	}
	p := &Process{name: name, cmd: cmd, log: log.Name(), done: make(chan struct{})}
	go func() {
		defer close(p.done)
		_ = cmd.Wait() // how it ended stands in ProcessState, its last words in the log
	}()
	return p, nil
}

// PID is the process id of the program itself.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Exited is closed once the program has ended.
func (p *Process) Exited() <-chan struct{} { return p.done }

// ExitCode is the program's, once it has exited; -1 before, or when a signal ended it.
func (p *Process) ExitCode() int {
	select {
	case <-p.done:
		return p.cmd.ProcessState.ExitCode()
	default:
		return -1
	}
}

// Log returns what the program has printed so far.
func (p *Process) Log() string {
	text, err := os.ReadFile(p.log)
	if err != nil {
		return fmt.Sprintf("(no log: %v)", err)
	}
	return string(text)
}

// Kill ends the program at once, as a crash or kill -9 would, and returns when it is gone. What it started lives on
// until the test ends.
func (p *Process) Kill() {
	_ = p.cmd.Process.Kill() // it may have ended by itself
	<-p.done
}

// Stop asks the program to end, then ends it and everything it started. Further calls do nothing.
func (p *Process) Stop() {
	p.stopped.Do(p.stop)
}

func (p *Process) stop() {
	family := descendants(p.PID())
	p.signal(syscall.SIGTERM)
	timeout := time.NewTimer(grace)
	defer timeout.Stop()
	select {
	case <-p.done:
	case <-timeout.C:
	}
	// The group's other members may be alive although the leader has ended.
	p.signal(syscall.SIGKILL)
	<-p.done
	for _, relative := range family {
		relative.kill()
	}
}

// signal reaches the whole process group; a group that is gone already is what was wanted.
func (p *Process) signal(s syscall.Signal) {
	if err := syscall.Kill(-p.PID(), s); err != nil && !errors.Is(err, syscall.ESRCH) {
		_ = p.cmd.Process.Signal(s)
	}
}

func (p *Process) end(t testing.TB) {
	p.Stop()
	if t.Failed() {
		t.Logf("the end of %s's log:\n%s", p.name, tail(p.Log(), 40))
	}
}

// life is one process for as long as it lives: a pid alone is used again.
type life struct {
	pid   int
	start uint64 // clock ticks since boot
}

func (l life) kill() {
	if now, ok := lifeOf(l.pid); ok && now == l {
		_ = syscall.Kill(l.pid, syscall.SIGKILL) // it may end in this instant
	}
}

func lifeOf(pid int) (life, bool) {
	proc, err := procfs.NewProc(pid)
	if err != nil {
		return life{}, false
	}
	stat, err := proc.Stat()
	// A zombie has ended, though nobody may ever ask how: the first process of a namespace often does not.
	return life{pid, stat.Starttime}, err == nil && stat.State != "Z"
}

// descendants returns what pid started, and what that started, as far as the chain of living parents reaches.
func descendants(pid int) []life {
	children := map[int][]life{}
	procs, err := procfs.AllProcs()
	if err != nil {
		return nil // no /proc: the process group is all we have
	}
	for _, proc := range procs {
		if stat, err := proc.Stat(); err == nil {
			children[stat.PPID] = append(children[stat.PPID], life{stat.PID, stat.Starttime})
		}
	}
	family := children[pid]
	for i := 0; i < len(family); i++ {
		family = append(family, children[family[i].pid]...)
	}
	return family
}

// tail returns the last n lines of text.
func tail(text string, n int) string {
	lines := bytes.SplitAfter([]byte(text), []byte("\n"))
	return string(bytes.Join(lines[max(0, len(lines)-n):], nil))
}
