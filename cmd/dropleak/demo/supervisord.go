package demo

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"
)

// supervisordSettings are what the demo tells its supervisord.
type supervisordSettings struct {
	Dir   string
	Fault Fault
}

func (s supervisordSettings) socket() string { return filepath.Join(s.Dir, "supervisor.sock") }
func (s supervisordSettings) config() string { return filepath.Join(s.Dir, "supervisord.conf") }

// The settings that supervisord's own file has and ours holds to.
const (
	startSeconds = 1
	stopSeconds  = 10
)

// file is the configuration, in supervisord's form: the agent reads in it
// what a restart would do.
func (s supervisordSettings) file() string {
	var b strings.Builder
	fmt.Fprintf(&b, "; Read by the demo's stand-in for supervisord.\n[unix_http_server]\nfile=%s\n", s.socket())
	for _, p := range programs() {
		fmt.Fprintf(&b, "\n[program:%s]\ncommand=%s\nautorestart=true\nstartsecs=%d\nstopwaitsecs=%d\n",
			p.Name, strings.Join(p.argv(), " "), startSeconds, stopSeconds)
	}
	return b.String()
}

// supervisord stands in for the real one: it runs the programs, starts those
// again that end by themselves, and stops and starts them as it is told over
// XML-RPC on a unix socket. It knows the calls that an agent makes, and
// answers others with supervisord's own fault.
type supervisord struct {
	s   supervisordSettings
	log *log.Logger

	mu       sync.Mutex
	programs []*supervised
}

type supervised struct {
	program
	state string // supervisord's words
	child *child // nil when none runs
}

// playSupervisord runs until ctx ends, then stops what it started.
func playSupervisord(ctx context.Context, settings string) error {
	d := &supervisord{log: log.New(os.Stderr, "", log.LstdFlags|log.Lmicroseconds)}
	if err := json.Unmarshal([]byte(settings), &d.s); err != nil {
		return fmt.Errorf("read settings: %w", err)
	}
	for _, p := range programs() {
		d.programs = append(d.programs, &supervised{program: p, state: "STOPPED"})
	}
	l, err := net.Listen("unix", d.s.socket())
	if err != nil {
		return fmt.Errorf("listen for calls: %w", err)
	}
	srv := &http.Server{Handler: d, ReadHeaderTimeout: 10 * time.Second}
	failed := make(chan error, 1)
	go func() { failed <- srv.Serve(l) }()
	var starts sync.WaitGroup
	for _, p := range d.programs {
		starts.Go(func() {
			if err := d.start(p); err != nil {
				d.log.Printf("start %s: %v", p.Name, err)
			}
		})
	}
	select {
	case <-ctx.Done():
	case err = <-failed:
	}
	starts.Wait()
	for _, p := range d.programs {
		_ = d.stop(p) // one that does not run needs no stop
	}
	return errors.Join(err, srv.Close())
}

// ServeHTTP answers one call.
func (d *supervisord) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	c, err := readCall(r.Body)
	if err != nil || r.URL.Path != "/RPC2" {
		http.Error(w, "no call", http.StatusBadRequest)
		return
	}
	v, err := d.do(c)
	if err != nil {
		d.log.Printf("%s(%s): %v", c.Method, c.arg(0), err)
	}
	w.Header().Set("Content-Type", "text/xml")
	_, _ = io.WriteString(w, answer(v, err)) // who called has gone: nobody to tell
}

func (d *supervisord) do(c call) (any, error) {
	switch c.Method {
	case "supervisor.getAllProcessInfo":
		return d.each((*supervised).info), nil
	case "supervisor.getAllConfigInfo":
		return d.each((*supervised).config), nil
	}
	p := d.find(c.arg(0))
	if p == nil {
		return nil, &fault{faultBadName, "BAD_NAME: " + c.arg(0)}
	}
	switch c.Method {
	case "supervisor.getProcessInfo":
		d.mu.Lock()
		defer d.mu.Unlock()
		return p.info(), nil
	case "supervisor.stopProcess":
		return true, d.stop(p)
	case "supervisor.startProcess":
		return true, d.start(p)
	case "supervisor.signalProcess":
		return true, d.terminate(p)
	}
	return nil, &fault{faultUnknownMethod, "UNKNOWN_METHOD"}
}

func (d *supervisord) each(tell func(*supervised) members) []members {
	d.mu.Lock()
	defer d.mu.Unlock()
	out := []members{}
	for _, p := range d.programs {
		out = append(out, tell(p))
	}
	return out
}

func (d *supervisord) find(name string) *supervised {
	for _, p := range d.programs {
		if p.Name == name {
			return p
		}
	}
	return nil
}

func (p *supervised) pid() int {
	if p.child == nil {
		return 0
	}
	return p.child.pid()
}

// info is what supervisord tells of a process. The lock is held.
func (p *supervised) info() members {
	return members{{"name", p.Name}, {"group", p.Name}, {"statename", p.state}, {"pid", p.pid()}, {"spawnerr", ""}}
}

func (p *supervised) config() members {
	return members{{"name", p.Name}, {"group", p.Name}, {"startsecs", startSeconds}, {"stopwaitsecs", stopSeconds},
		{"stopsignal", int(syscall.SIGTERM)}, {"killasgroup", false}}
}

// start starts a program and returns when it has run for startSeconds.
func (d *supervisord) start(p *supervised) error {
	d.mu.Lock()
	if p.child != nil {
		d.mu.Unlock()
		return &fault{faultAlreadyStarted, "ALREADY_STARTED: " + p.Name}
	}
	c, err := d.spawn(p)
	if err != nil {
		d.mu.Unlock()
		return &fault{faultSpawn, "SPAWN_ERROR: " + err.Error()}
	}
	p.child, p.state = c, "STARTING"
	d.mu.Unlock()
	d.log.Printf("spawned: %s with pid %d", p.Name, c.pid())
	go d.mind(p, c)
	c.fills(p.Held)
	select {
	case <-time.After(startSeconds * time.Second):
		d.mu.Lock()
		defer d.mu.Unlock()
		if p.child == c && p.state == "STARTING" {
			p.state = "RUNNING"
		}
		return nil
	case <-c.done:
		return &fault{faultSpawn, "SPAWN_ERROR: " + p.Name + " ended at once"}
	}
}

// fills returns when a process holds what it takes when it starts, has ended,
// or a busy machine has kept it from that for half a minute: the story of a
// worker that takes its memory again is of one that has.
func (c *child) fills(bytes int64) {
	for end := time.Now().Add(30 * time.Second); resident(c.pid()) < bytes && time.Now().Before(end); {
		select {
		case <-c.done:
			return
		case <-time.After(5 * time.Millisecond):
		}
	}
}

func (d *supervisord) spawn(p *supervised) (*child, error) {
	settings, err := json.Marshal(p.program)
	if err != nil {
		return nil, err
	}
	return again(p.argv(), []string{envPart + "=" + partWorker, envSettings + "=" + string(settings), "SUPERVISOR_ENABLED=1",
		"SUPERVISOR_PROCESS_NAME=" + p.Name, "SUPERVISOR_GROUP_NAME=" + p.Name, "SUPERVISOR_SERVER_URL=unix://" + d.s.socket()},
		filepath.Join(d.s.Dir, p.Name+".log"))
}

// mind waits for the end of a process, and starts the program again unless
// somebody wanted it to end.
func (d *supervisord) mind(p *supervised, c *child) {
	<-c.done
	d.mu.Lock()
	wanted := p.state == "STOPPING"
	p.child, p.state = nil, "EXITED"
	if wanted {
		p.state = "STOPPED"
	}
	d.mu.Unlock()
	d.log.Printf("exited: %s, pid %d (%v)", p.Name, c.pid(), c.cmd.ProcessState)
	if !wanted {
		if err := d.start(p); err != nil {
			d.log.Printf("start %s again: %v", p.Name, err)
		}
	}
}

// stop stops a program and returns when it is gone.
func (d *supervisord) stop(p *supervised) error {
	d.mu.Lock()
	c := p.child
	if c == nil {
		d.mu.Unlock()
		return &fault{faultNotRunning, "NOT_RUNNING: " + p.Name}
	}
	p.state = "STOPPING"
	if d.s.Fault == NoRecovery && p.Leak > 0 {
		p.Held = resident(c.pid()) // what the next life will take at once
	}
	d.mu.Unlock()
	c.stop(stopSeconds * time.Second)
	for !d.gone(p, c) {
		time.Sleep(5 * time.Millisecond) // mind is a step behind the kernel
	}
	return nil
}

func (d *supervisord) gone(p *supervised, c *child) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return p.child != c
}

// terminate sends TERM without wanting the program to stay down.
func (d *supervisord) terminate(p *supervised) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	if p.child == nil {
		return &fault{faultNotRunning, "NOT_RUNNING: " + p.Name}
	}
	return p.child.cmd.Process.Signal(syscall.SIGTERM)
}
