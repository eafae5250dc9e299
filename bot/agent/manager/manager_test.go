package manager

import (
	"errors"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/testbed"
)

func write(t *testing.T, name, text string) string {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
	return name
}

func TestAutoRestart(t *testing.T) {
	dir := t.TempDir()
	conf := write(t, filepath.Join(dir, "s.conf"), `; supervisord
[unix_http_server]
file=%(here)s/s.sock   ; the socket
username = ops
password=a;b
[include]
files = conf.d/*.conf
  more/x.ini
[program:always]
AutoRestart = TRUE
[program:silent]
command=x
[program:never]
autorestart: false ; on purpose
[program:pool]
numprocs=4
process_name=%(program_name)s_%(process_num)02d
autorestart=yes
[group:web]
programs=front,back
[program:back]
autorestart=true
`)
	write(t, filepath.Join(dir, "conf.d", "a.conf"), "[program:included]\nautorestart=true\n")
	write(t, filepath.Join(dir, "more", "x.ini"), "[program:second]\nautorestart=unexpected\nexitcodes=0,2\n")
	for _, tt := range []struct {
		group, name, word string
		again             bool
		change            string
	}{
		{"always", "always", "true", true, ""},
		{"silent", "silent", "unexpected", false, "autorestart=true in the [program:silent] section (now autorestart=unexpected)"},
		{"never", "never", "false", false, "autorestart=true in the [program:never] section (now autorestart=false)"},
		{"pool", "pool_03", "yes", true, ""},
		{"web", "back", "true", true, ""},
		{"included", "included", "true", true, ""},
		{"second", "second", "unexpected", false, "autorestart=true in the [program:second] section (now autorestart=unexpected)"},
		{"gone", "gone", "", false, "autorestart=true in the [program:gone] section (it was not found in " + conf + ")"},
	} {
		word, again, change := autoRestart(conf, tt.group, tt.name)
		if word != tt.word || again != tt.again || change != tt.change {
			t.Errorf("%s:%s: %q %v %q", tt.group, tt.name, word, again, change)
		}
	}
	socket, user, password := socketSettings(conf)
	if socket != filepath.Join(dir, "s.sock") || user != "ops" || password != "a;b" {
		t.Errorf("socket %q, user %q, password %q", socket, user, password)
	}
}

func FuzzParseConf(f *testing.F) {
	f.Add("[a]\nb=c\n d\n;x\n[program:x]\nautorestart=true")
	f.Add(" =\n[\n[]\n=x\n\tx")
	f.Fuzz(func(t *testing.T, text string) {
		conf := map[string]section{}
		parseConf(conf, text)
		for name, s := range conf {
			if s == nil || strings.Contains(name, "\n") {
				t.Errorf("section %q is %v", name, s)
			}
		}
		programSection(conf, "g", "n")
	})
}

func TestSystemdState(t *testing.T) {
	unit := func(active, sub string) map[string]any { return map[string]any{"ActiveState": active, "SubState": sub} }
	svc := func(restart string, stop uint64) map[string]any {
		return map[string]any{"MainPID": uint32(7), "TimeoutStopUSec": stop, "KillSignal": int32(15), "KillMode": "mixed", "Restart": restart}
	}
	st := systemdState(unit("active", "running"), svc("always", 90_000_000))
	if !st.Running || st.Transient || st.PID != 7 || st.StopTimeout != 90*time.Second || st.StopSignal != "SIGTERM" || st.KillMode != "mixed" || !st.StartsAgain || st.Change != "" {
		t.Errorf("%+v", st)
	}
	if st := systemdState(unit("active", "running"), svc("on-failure", math.MaxUint64)); st.StartsAgain || st.StopTimeout != Forever || !strings.Contains(st.Change, "Restart=always") {
		t.Errorf("%+v", st)
	}
	if st := systemdState(unit("deactivating", "stop-sigterm"), svc("no", 1)); st.Running || !st.Transient {
		t.Errorf("%+v", st)
	}
	queued := unit("active", "running")
	queued["Job"] = []any{uint32(12), "/org/x"}
	if st := systemdState(queued, svc("always", 1)); !st.Transient {
		t.Errorf("a queued job is not seen: %+v", st)
	}
	if st := systemdState(unit("active", "exited"), nil); st.Running || st.StopTimeout != Unknown {
		t.Errorf("%+v", st)
	}
}

// TestSupervisor talks to a real supervisord.
func TestSupervisor(t *testing.T) {
	sup := testbed.Supervisor(t,
		testbed.Program{Name: "sleeper", Command: []string{"/bin/sleep", "1000"}, Options: map[string]string{"stopwaitsecs": "7", "stopsignal": "QUIT", "killasgroup": "true", "stopasgroup": "true"}},
		testbed.Program{Name: "broken", Command: []string{"/bin/false"}, Options: map[string]string{"autostart": "false", "startretries": "0", "autorestart": "false"}})
	s, err := DialSupervisor("", sup.Config)
	if err != nil {
		t.Fatal(err)
	}
	ctx := t.Context()
	st, err := s.State(ctx, "sleeper")
	if err != nil || !st.Running || st.PID != sup.ProgramPID(t, "sleeper") || st.StopTimeout != 7*time.Second || st.StopSignal != "SIGQUIT" || st.KillMode != "group" || !st.StartsAgain {
		t.Errorf("%+v, %v", st, err)
	}
	if p, err := s.Program(ctx, st.PID); p != "sleeper" || err != nil {
		t.Errorf("pid %d is %q, %v", st.PID, p, err)
	}
	if p, err := s.Program(ctx, 1); p != "" || err != nil {
		t.Errorf("pid 1 is %q, %v", p, err)
	}
	for range 2 { // a second start finds it running, a second stop stopped
		if err := s.Start(ctx, "sleeper"); err != nil {
			t.Error(err)
		}
	}
	if now := sup.ProgramPID(t, "sleeper"); now != st.PID {
		t.Errorf("starting what runs made pid %d of %d", now, st.PID)
	}
	for range 2 {
		if err := s.Stop(ctx, "sleeper"); err != nil {
			t.Error(err)
		}
	}
	if st, err := s.State(ctx, "sleeper"); err != nil || st.Running || st.Transient {
		t.Errorf("after the stop: %+v, %v", st, err)
	}
	if err := s.Start(ctx, "broken"); !errors.Is(err, ErrNotStarted) {
		t.Errorf("a program that ends at once: %v", err)
	}
	if err := s.Start(ctx, "nobody"); !errors.Is(err, ErrNoUnit) {
		t.Errorf("a program that is not there: %v", err)
	}
	if _, err := s.State(ctx, "nobody"); !errors.Is(err, ErrNoUnit) {
		t.Errorf("state of a program that is not there: %v", err)
	}
}

func TestSupervisorTerminate(t *testing.T) {
	sup := testbed.Supervisor(t, testbed.Program{Name: "sleeper", Command: []string{"/bin/sleep", "1000"}})
	s, err := DialSupervisor("unix://"+sup.Socket, sup.Config)
	if err != nil {
		t.Fatal(err)
	}
	before := sup.ProgramPID(t, "sleeper")
	if err := s.Terminate(t.Context(), "sleeper"); err != nil {
		t.Fatal(err)
	}
	testbed.Eventually(t, testbed.Patience, func() error {
		st, err := s.State(t.Context(), "sleeper")
		if err != nil || !st.Running || st.PID == before {
			return errors.New("supervisord has not started it again")
		}
		return nil
	})
}

func TestSupervisorAway(t *testing.T) {
	s, err := DialSupervisor("unix://"+filepath.Join(t.TempDir(), "none"), "/nonexistent")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.State(t.Context(), "x"); err == nil {
		t.Error("no socket, no error")
	}
	if _, err := DialSupervisor("http://127.0.0.1:9001", ""); err == nil {
		t.Error("a network address was taken")
	}
}
