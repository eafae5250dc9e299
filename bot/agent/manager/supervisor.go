package manager

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"syscall"
	"time"

	"github.com/kolo/xmlrpc"
)

// Supervisor is one supervisord, spoken to over its unix socket.
//
// The socket's protocol is XML-RPC over HTTP. Calls go through net/http
// directly and borrow only the encoding, since the library's client knows no
// context and a stop may take minutes.
type Supervisor struct {
	socket, user, password string
	config                 string // its configuration file, for what the API does not tell
	http                   *http.Client
}

// The places Debian and upstream put things.
const (
	defaultSocket = "/var/run/supervisor.sock"
	defaultConfig = "/etc/supervisor/supervisord.conf"
)

// DialSupervisor returns a client of the supervisord that answers at url
// (unix:///path) and is configured by the file config; either may be empty:
// then the configuration names the socket, or Debian's defaults hold.
func DialSupervisor(url, config string) (*Supervisor, error) {
	if config == "" {
		config = defaultConfig
	}
	s := &Supervisor{config: config}
	s.socket, s.user, s.password = socketSettings(config)
	if url != "" {
		path, ok := strings.CutPrefix(url, "unix://")
		if !ok {
			return nil, fmt.Errorf("connect to supervisord at %s: only unix sockets are spoken to", url)
		}
		s.socket = path
	}
	if s.socket == "" {
		s.socket = defaultSocket
	}
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		return (&net.Dialer{Timeout: 5 * time.Second}).DialContext(ctx, "unix", s.socket)
	}
	// No keep-alive: a restarted supervisord would reset it under a stop.
	s.http = &http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}
	return s, nil
}

// Faults of supervisord, from its xmlrpc module.
const (
	faultBadName    = 10
	faultNotRunning = 70
	faultStarted    = 60
	faultAbnormal   = 40
	faultSpawn      = 50
	faultNoFile     = 20
	faultNotExec    = 21
)

// maxAnswer bounds what is read of one answer.
const maxAnswer = 8 << 20

func (s *Supervisor) call(ctx context.Context, into any, method string, args ...any) error {
	body, err := xmlrpc.EncodeMethodCall("supervisor."+method, args...)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://supervisor/RPC2", bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header.Set("Content-Type", "text/xml")
	if s.user != "" {
		req.SetBasicAuth(s.user, s.password)
	}
	resp, err := s.http.Do(req)
	if err != nil {
		if errors.Is(err, syscall.EACCES) {
			return fmt.Errorf("supervisord's socket %s is not ours to open; set chown and chmod in [unix_http_server]: %w", s.socket, err)
		}
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("supervisord answered %s", resp.Status)
	}
	raw, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer))
	if err != nil {
		return err
	}
	answer := xmlrpc.Response(raw)
	if err := answer.Err(); err != nil {
		return err
	}
	if err := answer.Unmarshal(into); err != nil {
		return fmt.Errorf("read supervisord's answer: %w", err)
	}
	return nil
}

func isFault(err error, codes ...int) bool {
	var f xmlrpc.FaultError
	if !errors.As(err, &f) {
		return false
	}
	for _, c := range codes {
		if f.Code == c {
			return true
		}
	}
	return false
}

type processInfo struct {
	Name      string `xmlrpc:"name"`
	Group     string `xmlrpc:"group"`
	StateName string `xmlrpc:"statename"`
	PID       int    `xmlrpc:"pid"`
	SpawnErr  string `xmlrpc:"spawnerr"`
}

type configInfo struct {
	Name         string `xmlrpc:"name"`
	Group        string `xmlrpc:"group"`
	StopWaitSecs int    `xmlrpc:"stopwaitsecs"`
	StopSignal   int    `xmlrpc:"stopsignal"`
	KillAsGroup  bool   `xmlrpc:"killasgroup"`
}

func (s *Supervisor) info(ctx context.Context, program string) (processInfo, error) {
	var p processInfo
	err := s.call(ctx, &p, "getProcessInfo", program)
	if isFault(err, faultBadName) {
		err = fmt.Errorf("%w: %w", ErrNoUnit, err)
	}
	if err != nil {
		return p, fmt.Errorf("ask supervisord about %s: %w", program, err)
	}
	return p, nil
}

// Program returns which program supervisord started as a pid, "group:name"
// where the two differ; "" none of its own.
func (s *Supervisor) Program(ctx context.Context, pid int) (string, error) {
	var all []processInfo
	if err := s.call(ctx, &all, "getAllProcessInfo"); err != nil {
		return "", fmt.Errorf("ask supervisord for its processes: %w", err)
	}
	for _, p := range all {
		switch {
		case p.PID != pid:
		case p.Group == p.Name:
			return p.Name, nil
		default:
			return p.Group + ":" + p.Name, nil
		}
	}
	return "", nil
}

// State reads a program's state and settings. Whether supervisord starts it
// again is only in its configuration file; unreadable, it stays unknown.
func (s *Supervisor) State(ctx context.Context, program string) (State, error) {
	p, err := s.info(ctx, program)
	if err != nil {
		return State{}, err
	}
	st := State{Running: p.StateName == "RUNNING", Word: p.StateName, PID: p.PID, StopTimeout: Unknown,
		Transient: p.StateName == "STARTING" || p.StateName == "STOPPING" || p.StateName == "BACKOFF"}
	var all []configInfo
	if err := s.call(ctx, &all, "getAllConfigInfo"); err != nil {
		return State{}, fmt.Errorf("ask supervisord for its settings: %w", err)
	}
	for _, c := range all {
		if c.Name == p.Name && c.Group == p.Group {
			st.StopTimeout = time.Duration(c.StopWaitSecs) * time.Second
			st.StopSignal = signalName(c.StopSignal)
			st.KillMode = "process"
			if c.KillAsGroup {
				st.KillMode = "group"
			}
		}
	}
	st.AutoRestart, st.StartsAgain, st.Change = autoRestart(s.config, p.Group, p.Name)
	return st, nil
}

// Stop stops a program and waits until it is gone, however long its
// stopwaitsecs lets it take. One that does not run is left alone.
func (s *Supervisor) Stop(ctx context.Context, program string) error {
	var ok bool
	err := s.call(ctx, &ok, "stopProcess", program, true)
	if err != nil && !isFault(err, faultNotRunning) {
		return fmt.Errorf("stop %s: %w", program, err)
	}
	return nil
}

// Terminate sends TERM to a program without telling supervisord to stop it:
// it sees the program end by itself and goes by autorestart=.
func (s *Supervisor) Terminate(ctx context.Context, program string) error {
	var ok bool
	if err := s.call(ctx, &ok, "signalProcess", program, "TERM"); err != nil {
		return fmt.Errorf("terminate %s: %w", program, err)
	}
	return nil
}

// Start starts a program and waits until supervisord calls it running. One
// that runs already is left alone.
func (s *Supervisor) Start(ctx context.Context, program string) error {
	var ok bool
	err := s.call(ctx, &ok, "startProcess", program, true)
	switch {
	case err == nil || isFault(err, faultStarted):
		return nil
	case isFault(err, faultAbnormal, faultSpawn, faultNoFile, faultNotExec):
		return fmt.Errorf("start %s: %w: %w", program, ErrNotStarted, err)
	case isFault(err, faultBadName):
		return fmt.Errorf("start %s: %w: %w", program, ErrNoUnit, err)
	}
	return fmt.Errorf("start %s: %w", program, err)
}
