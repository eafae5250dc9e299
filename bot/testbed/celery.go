package testbed

import (
	"cmp"
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

// The tasks of the Python application.
const (
	Leak        = "app.leak"        // keeps size bytes for good
	Steady      = "app.steady"      // takes size bytes and gives them back
	Descriptors = "app.descriptors" // opens count files and keeps them open
)

//go:embed celery_app.py
var celeryApp string

// CeleryApp is a Python application with the tasks above, in a folder of its own, on a broker.
type CeleryApp struct {
	Dir    string
	broker string
	celery string
}

// Worker says how to start a Celery worker.
type Worker struct {
	Name        string   // node name; empty: celery's own
	Pool        string   // prefork (also when empty), threads, solo, eventlet, gevent
	Concurrency int      // 0: 2
	Queue       string   // empty: the one named celery
	Args        []string // further arguments
	User        string   // empty: whoever runs the test
	Env         []string // further words NAME=VALUE, of [CeleryApp.Start] alone
}

// Celery writes the application, for workers that take their tasks from broker.
func Celery(t testing.TB, broker *RedisServer) *CeleryApp {
	t.Helper()
	app := &CeleryApp{Dir: Folder(t), broker: broker.URL(), celery: program(t, "celery")}
	write(t, filepath.Join(app.Dir, "app.py"), celeryApp)
	return app
}

// Env is what a worker or a sender needs in its environment.
func (a *CeleryApp) Env() map[string]string {
	// Debian's celery runs on Debian's python3, whichever other stands first on the path.
	return map[string]string{"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "BED_BROKER": a.broker, "C_FORCE_ROOT": "1", "PYTHONDONTWRITEBYTECODE": "1", "PYTHONUNBUFFERED": "1"}
}

// Command is the worker's command line, as people write it: celery -A app worker -P eventlet -c 10.
func (a *CeleryApp) Command(w Worker) []string {
	words := []string{a.celery, "-A", "app", "worker", "-l", "INFO", "-c", strconv.Itoa(cmp.Or(w.Concurrency, 2))}
	for _, option := range [][2]string{{"-P", w.Pool}, {"-n", w.Name}, {"-Q", w.Queue}} {
		if option[1] != "" {
			words = append(words, option[0], option[1])
		}
	}
	return append(words, w.Args...)
}

// Program is the worker as a program of supervisord, which stops it as Celery's own documentation advises: by TERM,
// waiting for running tasks.
func (a *CeleryApp) Program(name string, w Worker) Program {
	return Program{Name: name, Command: a.Command(w), Directory: a.Dir, User: w.User, Env: a.Env(),
		Options: map[string]string{"stopwaitsecs": "30", "stopsignal": "TERM"}}
}

// Start runs a worker until the test ends, and waits until it takes tasks.
func (a *CeleryApp) Start(t testing.TB, w Worker) *Process {
	t.Helper()
	words := a.Command(w)
	dir := Folder(t)
	cmd := a.command(t, w.User, words)
	cmd.Env = append(cmd.Env, w.Env...)
	p := Start(t, "celery", dir, cmd)
	if err := p.await(t.Context(), func() error { return takesTasks(p.Log()) }); err != nil {
		t.Fatal(err)
	}
	return p
}

// takesTasks tells from a worker's log whether it is connected and waiting for tasks.
func takesTasks(log string) error {
	if !strings.Contains(log, " ready.\n") {
		return fmt.Errorf("the worker has not said that it is ready")
	}
	return nil
}

// command prepares a program in the application's folder and environment.
func (a *CeleryApp) command(t testing.TB, user string, words []string) *exec.Cmd {
	t.Helper()
	cmd := exec.Command(words[0], words[1:]...)
	cmd.Dir = a.Dir
	cmd.Env = os.Environ()
	for key, value := range a.Env() {
		cmd.Env = append(cmd.Env, key+"="+value)
	}
	if user != "" {
		owner, err := credential(user)
		if err != nil {
			t.Fatal(err)
		}
		cmd.SysProcAttr = &syscall.SysProcAttr{Credential: owner}
	}
	return cmd
}

// Load is a stream of tasks: one every Every, each with Amount as its only argument.
type Load struct {
	Task   string
	Amount int // bytes, or files
	Every  time.Duration
	Count  int    // 0: until stopped
	Queue  string // empty: the one named celery
}

// Feed sends tasks until the load's count is reached, it is stopped, or the test ends.
func (a *CeleryApp) Feed(t testing.TB, l Load) *Process {
	t.Helper()
	words := []string{program(t, "python3"), "app.py", l.Task, strconv.Itoa(l.Amount),
		strconv.FormatFloat(l.Every.Seconds(), 'f', -1, 64), strconv.Itoa(l.Count), cmp.Or(l.Queue, "celery")}
	return Start(t, "feeder", Folder(t), a.command(t, "", words))
}
