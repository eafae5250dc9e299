package testbed

import (
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// Program is one [program:NAME] section of supervisord's configuration.
type Program struct {
	Name      string
	Command   []string // no word may hold a quote
	Directory string
	User      string            // empty: whoever runs the test
	Env       map[string]string // added to supervisord's own
	// Options are further keys of the section, such as autorestart, stopwaitsecs, stopsignal or stopasgroup.
	// Without them: started with supervisord, restarted always, running after a second.
	Options map[string]string
}

// SupervisorServer is a supervisord of the test's own, with its programs.
type SupervisorServer struct {
	*Process
	Socket string // its unix HTTP socket
	Config string // its configuration file
	dir    string
	ctl    string
}

// Supervisor starts supervisord with programs, and waits until it answers and every program that starts with it runs.
func Supervisor(t testing.TB, programs ...Program) *SupervisorServer {
	t.Helper()
	dir := Folder(t)
	s := &SupervisorServer{dir: dir, Socket: filepath.Join(dir, "s.sock"), Config: filepath.Join(dir, "supervisord.conf"),
		ctl: program(t, "supervisorctl")}
	write(t, s.Config, s.config(programs))
	s.Process = Start(t, "supervisord", dir, exec.Command(program(t, "supervisord"), "-n", "-c", s.Config))
	if err := s.await(t.Context(), s.answers); err != nil {
		t.Fatal(err)
	}
	for _, p := range programs {
		if p.Options["autostart"] != "false" {
			Eventually(t, Patience, func() error { return s.running(p.Name) })
		}
	}
	return s
}

func (s *SupervisorServer) config(programs []Program) string {
	var b strings.Builder
	fmt.Fprintf(&b, `[unix_http_server]
file=%s
chmod=0700
[supervisord]
nodaemon=true
logfile=/dev/null
logfile_maxbytes=0
pidfile=%s/supervisord.pid
childlogdir=%s
[rpcinterface:supervisor]
supervisor.rpcinterface_factory = supervisor.rpcinterface:make_main_rpcinterface
[supervisorctl]
serverurl=unix://%s
`, s.Socket, s.dir, s.dir, s.Socket)
	for _, p := range programs {
		s.section(&b, p)
	}
	return b.String()
}

func (s *SupervisorServer) section(b *strings.Builder, p Program) {
	options := map[string]string{"autorestart": "true", "startsecs": "1", "redirect_stderr": "true",
		"stdout_logfile": s.logFile(p.Name), "stdout_logfile_maxbytes": "0", "command": quote(p.Command)}
	if p.Directory != "" {
		options["directory"] = p.Directory
	}
	if p.User != "" {
		options["user"] = p.User
	}
	var env []string
	for key, value := range p.Env {
		env = append(env, fmt.Sprintf("%s=%q", key, percent(value)))
	}
	if len(env) > 0 {
		options["environment"] = strings.Join(env, ",")
	}
	for key, value := range p.Options {
		options[key] = value
	}
	fmt.Fprintf(b, "[program:%s]\n", p.Name)
	for key, value := range options {
		fmt.Fprintf(b, "%s=%s\n", key, value)
	}
}

// quote writes a command as supervisor reads it: words in quotes, and no percent sign expanded.
func quote(command []string) string {
	var words []string
	for _, word := range command {
		words = append(words, `"`+percent(word)+`"`)
	}
	return strings.Join(words, " ")
}

func percent(text string) string { return strings.ReplaceAll(text, "%", "%%") }

func (s *SupervisorServer) logFile(name string) string {
	return filepath.Join(s.dir, name+".program.log")
}

// ProgramLog returns what a program has printed so far.
func (s *SupervisorServer) ProgramLog(name string) string {
	return (&Process{log: s.logFile(name)}).Log()
}

func (s *SupervisorServer) answers() error {
	conn, err := net.DialTimeout("unix", s.Socket, time.Second)
	if err != nil {
		return err
	}
	return conn.Close()
}

// Control runs supervisorctl with the given words and returns what it printed.
func (s *SupervisorServer) Control(args ...string) (string, error) {
	out, err := exec.Command(s.ctl, append([]string{"-c", s.Config}, args...)...).CombinedOutput()
	return strings.TrimSpace(string(out)), err
}

// processInfo asks supervisord about a program. Many ask many times, and each supervisorctl is a Python that starts.
const processInfo = `<?xml version="1.0"?><methodCall><methodName>supervisor.getProcessInfo</methodName><params><param><value><string>%s</string></value></param></params></methodCall>`

func (s *SupervisorServer) running(name string) error {
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "unix", s.Socket)
	}}}
	response, err := client.Post("http://supervisor/RPC2", "text/xml", strings.NewReader(fmt.Sprintf(processInfo, name)))
	if err != nil {
		return fmt.Errorf("ask supervisord about %s: %w", name, err)
	}
	defer response.Body.Close()
	said, err := io.ReadAll(response.Body)
	if err != nil || !strings.Contains(string(said), "<string>RUNNING</string>") {
		return fmt.Errorf("supervisor's program does not run: %s, %v\n%s", said, err, tail(s.ProgramLog(name), 20))
	}
	return nil
}

// ProgramPID returns the process id of a running program.
func (s *SupervisorServer) ProgramPID(t testing.TB, name string) int {
	t.Helper()
	said, err := s.Control("pid", name)
	if err != nil {
		t.Fatalf("pid of %s: %v: %s", name, err, said)
	}
	pid, err := strconv.Atoi(said)
	if err != nil || pid == 0 {
		t.Fatalf("pid of %s: supervisor says %q", name, said)
	}
	return pid
}
