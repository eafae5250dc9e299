package demo

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"time"
)

// The parts that the program itself plays when the demo starts it again. The
// name in argv[0] is for the agent, which knows processes by their command
// lines; the variable is for us.
const (
	envPart     = "DROPLEAK_DEMO_PART"
	envSettings = "DROPLEAK_DEMO_SETTINGS"

	partSupervisord = "supervisord"
	partWorker      = "worker"
)

// Part plays the part this process was started for, and returns its exit
// code; false when it is no part of a demo.
func Part(ctx context.Context) (code int, played bool) {
	var err error
	switch os.Getenv(envPart) {
	case partSupervisord:
		err = playSupervisord(ctx, os.Getenv(envSettings))
	case partWorker:
		err = playWorker(ctx, os.Getenv(envSettings))
	default:
		return 0, false
	}
	if err != nil {
		fmt.Fprintf(os.Stderr, "%s: %v\n", os.Args[0], err)
		return 1, true
	}
	return 0, true
}

// child is a process of ours.
type child struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when it has ended
	log  *os.File
}

// again starts this program anew as argv, with more environment and its
// output in a file. It has a process group of its own, so that Ctrl-C reaches
// the demo alone, and dies with its parent.
func again(argv []string, env []string, log string) (*child, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	out, err := os.OpenFile(log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open log of %s: %w", argv[0], err)
	}
	c := &child{done: make(chan struct{}), log: out}
	c.cmd = &exec.Cmd{Path: self, Args: argv, Env: append(os.Environ(), env...), Dir: filepath.Dir(log), Stdout: out, Stderr: out,
		SysProcAttr: orphanless()}
	if err := c.cmd.Start(); err != nil {
		out.Close()
		return nil, fmt.Errorf("start %s: %w", argv[0], err)
	}
	go func() {
		defer close(c.done)
		_ = c.cmd.Wait() // how it ended is in ProcessState
		out.Close()
	}()
	return c, nil
}

func (c *child) pid() int { return c.cmd.Process.Pid }

// stop asks the process to end, and makes it after a grace.
func (c *child) stop(grace time.Duration) {
	_ = c.cmd.Process.Signal(syscall.SIGTERM) // one that has ended needs none
	select {
	case <-c.done:
	case <-time.After(grace):
		c.kill()
	}
}

// kill ends the process as a crash would.
func (c *child) kill() {
	_ = c.cmd.Process.Kill() // one that has ended needs none
	<-c.done
}
