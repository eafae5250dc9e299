package shell

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/testbed"
	"github.com/dropleak/dropleak/detector/procfs"
	"github.com/dropleak/dropleak/detector/sample"
)

func to(s *testbed.SSHServer) Options {
	return Options{Address: s.Addr, User: s.User, KeyFile: s.KeyFile, KnownHosts: s.KnownHosts, Timeout: 15 * time.Second}
}

// droplet is a droplet behind a real sshd.
func droplet(t *testing.T, o Options) *Droplet {
	t.Helper()
	d := NewDroplet(o)
	t.Cleanup(d.Close)
	return d
}

// script installs the script as root would, and returns its path.
func script(t *testing.T) string {
	t.Helper()
	path := filepath.Join(testbed.Folder(t), "dropleak-ssh")
	if err := os.WriteFile(path, []byte(Script), 0o755); err != nil {
		t.Fatal(err)
	}
	return path
}

// TestSameAsTheAgent looks at real Celery workers through a real sshd, in all
// three ways the script is used, and through /proc: the same workers, the same
// processes, the same lives.
func TestSameAsTheAgent(t *testing.T) {
	if testbed.Apart(t) {
		return
	}
	app := testbed.Celery(t, testbed.Redis(t))
	app.Start(t, testbed.Worker{Name: "mail@web-1", Concurrency: 3, Args: []string{"-B", "-s", filepath.Join(testbed.Folder(t), "beat")}})
	testbed.Supervisor(t, app.Program("video", testbed.Worker{Name: "video@web-1", Pool: "solo"}))
	installed := script(t)
	for name, options := range map[string]string{
		"sent":   "",
		"forced": `restrict,command="` + installed + `"`,
		"sudo":   `restrict,command="` + installed + ` \"$SSH_ORIGINAL_COMMAND\""`,
	} {
		t.Run(name, func(t *testing.T) {
			s := testbed.SSHD(t, options)
			d := droplet(t, to(s))
			var far, near procfs.Reading
			testbed.Eventually(t, testbed.Patience, func() error {
				var err error
				if far, _, err = d.Look(t.Context()); err != nil {
					return err
				}
				near, err = procfs.New(os.DirFS("/proc"), os.DirFS("/sys/fs/cgroup")).Read(time.Now(), func(procfs.Node, []float64) bool { return true })
				if err == nil && len(near.Pass.Processes) < 6 {
					err = errors.New("the workers are still starting")
				}
				return err
			})
			compare(t, far, near)
		})
	}
}

func compare(t *testing.T, far, near procfs.Reading) {
	t.Helper()
	far.Pass.Sort()
	near.Pass.Sort()
	if len(far.Pass.Processes) != len(near.Pass.Processes) || len(far.Notes) > 0 {
		t.Fatalf("%d processes over SSH, %d here; notes %q", len(far.Pass.Processes), len(near.Pass.Processes), far.Notes)
	}
	for i, f := range far.Pass.Processes {
		n := near.Pass.Processes[i]
		if f.Worker != n.Worker || f.Role != n.Role || f.PID != n.PID || f.PPID != n.PPID || !f.Start.Equal(n.Start) {
			t.Errorf("over SSH %+v, here %+v", f, n)
		}
		if f.RSS < 0.9*n.RSS || f.RSS > 1.1*n.RSS || !sample.Measured(f.PSS) || !sample.Measured(f.USS) || !sample.Measured(f.Swap) || !sample.Measured(f.CPU) {
			t.Errorf("over SSH %+v, here %+v", f, n)
		}
	}
	for i, f := range far.Pass.Workers {
		n := near.Pass.Workers[i]
		if f.Worker != n.Worker || f.Node != n.Node || f.Pool != n.Pool || f.App != n.App || f.Manager != n.Manager || f.Unit != n.Unit ||
			sample.Measured(f.Limit) != sample.Measured(n.Limit) || sample.Measured(f.OOMKills) != sample.Measured(n.OOMKills) {
			t.Errorf("over SSH %+v, here %+v", f, n)
		}
	}
	if f, n := far.Pass.Droplet, near.Pass.Droplet; f.Total != n.Total || f.Boot != n.Boot || f.Available < 0.8*n.Available || f.OOMKills != n.OOMKills {
		t.Errorf("over SSH %+v, here %+v", f, n)
	}
	if !slices.ContainsFunc(far.Pass.Others, func(o sample.Other) bool { return o.Name == "redis-server" }) {
		t.Errorf("others %+v", far.Pass.Others)
	}
}

// TestSecretsStay: what a command line carries beside the worker's name does
// not leave the droplet.
func TestSecretsStay(t *testing.T) {
	if testbed.Apart(t) {
		return
	}
	path := filepath.Join(testbed.Folder(t), "celery")
	if err := os.WriteFile(path, []byte("import time\ntime.sleep(600)\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	testbed.Start(t, "secretive", testbed.Folder(t), exec.Command("python3", path, "-A", "shop", "-b", "redis://:geheim1@h/0", "worker", "-n", "mail@%h",
		"--result-backend=redis://:geheim2@h", "-Qgeheim3", "-O", "fair", "-bamqp://geheim4@h", "--broker", "amqp://u:geheim5@h/", "-c", "geheim6", "--app=amqp://geheim7"))
	d := droplet(t, to(testbed.SSHD(t, "")))
	testbed.Eventually(t, testbed.Patience, func() error {
		r, _, err := d.Look(t.Context())
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(r.Nodes, func(n procfs.Node) bool { return n.App == "shop" && strings.HasPrefix(n.Worker, "mail@") }) {
			return fmt.Errorf("nodes %+v", r.Nodes)
		}
		return nil
	})
	raw, err := d.Run(t.Context(), "sample")
	if err != nil {
		t.Fatal(err)
	}
	if i := strings.Index(string(raw), "geheim"); i >= 0 {
		t.Errorf("the answer holds …%s…", raw[max(0, i-100):i+20])
	}
}

// TestWithoutRights looks at root's worker as somebody else: what is lost is
// said.
func TestWithoutRights(t *testing.T) {
	if testbed.Apart(t) {
		return
	}
	growing := filepath.Join(testbed.Folder(t), "celery")
	if err := os.WriteFile(growing, []byte("import time\ntime.sleep(600)\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	testbed.Start(t, "worker", testbed.Folder(t), exec.Command("python3", growing, "-A", "shop", "worker", "-n", "mail@web-1"))
	s := testbed.SSHD(t, `restrict,command="setpriv --reuid=65534 --regid=65534 --clear-groups `+script(t)+`"`)
	d := droplet(t, to(s))
	testbed.Eventually(t, testbed.Patience, func() error {
		r, _, err := d.Look(t.Context())
		if err != nil {
			return err
		}
		i := slices.IndexFunc(r.Pass.Processes, func(p sample.Process) bool { return p.Worker == "mail@web-1" })
		if i < 0 || sample.Measured(r.Pass.Processes[i].PSS) || !(r.Pass.Processes[i].RSS > 1<<20) {
			return fmt.Errorf("processes %+v", r.Pass.Processes)
		}
		if !slices.ContainsFunc(r.Notes, func(n string) bool { return strings.Contains(n, "no PSS and USS: reading smaps_rollup of mail@web-1") }) {
			return fmt.Errorf("notes %q", r.Notes)
		}
		return nil
	})
}

// faulty returns a far end that answers everything with the given shell text.
func faulty(t *testing.T, text string) Options {
	t.Helper()
	path := filepath.Join(testbed.Folder(t), "far")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return to(testbed.SSHD(t, `restrict,command="`+path+`"`))
}

func TestFarEndFaults(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ far, want string }{
		"hangs":            {"echo dropleak-ssh 1; sleep 600", "no answer within"},
		"floods":           {"yes", "too large"},
		"breaks off":       {"echo dropleak-ssh 1; echo P 1 0 S 100; kill -9 $PPID", "sample on"},
		"ends early":       {"echo dropleak-ssh 1; echo P 1 0 S 100", "has no end"},
		"another program":  {"echo Welcome to web-1", "it is not dropleak-ssh that answers"},
		"another version":  {"echo dropleak-ssh 7; echo E", "print-command"},
		"no such program":  {"no-such-program", "not found"},
		"says nothing":     {"true", "has no end"},
		"says that it may": {"echo dropleak-ssh 1; echo O refused refused; echo O why because; echo E", "refused: because"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			o := faulty(t, c.far)
			o.Timeout, o.MaxAnswer = testbed.Patience, 1<<20
			if name == "hangs" {
				o.Timeout = 4 * time.Second
			}
			began := time.Now()
			_, _, err := droplet(t, o).Look(t.Context())
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want one with %q", err, c.want)
			}
			var unsent *Unsent
			if errors.As(err, &unsent) {
				t.Error("words that were run are called unsent")
			}
			if took := time.Since(began); took >= testbed.Patience {
				t.Errorf("it took %v", took)
			}
		})
	}
}

func TestRefusals(t *testing.T) {
	t.Parallel()
	s := testbed.SSHD(t, "")
	other := filepath.Join(testbed.Folder(t), "known_hosts")
	if err := os.WriteFile(other, []byte("elsewhere ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIJ8g2MgHvEUJkwVVQHmCrtIyDM5CGL4jDxnDbG4yG3eN\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	stranger := testbed.SSHD(t, "")
	for name, c := range map[string]struct {
		change func(*Options)
		want   []string
	}{
		"unknown host": {func(o *Options) { o.KnownHosts = other }, []string{"is not known, and nothing was sent", "SHA256:", "ssh-keygen -lf", other, "ssh-ed25519 AAAA"}},
		"key refused":  {func(o *Options) { o.KeyFile = stranger.KeyFile }, []string{"refused the key SHA256:", "authorized_keys"}},
		"no key":       {func(o *Options) { o.KeyFile = "/nowhere" }, []string{"no such file"}},
		"no agent":     {func(o *Options) { o.AgentSocket = "/nowhere" }, []string{"reach ssh-agent"}},
		"nobody there": {func(o *Options) { o.Address = "127.0.0.1:1" }, []string{"connection refused"}},
	} {
		o := to(s)
		c.change(&o)
		_, err := droplet(t, o).Ask(t.Context(), "sample")
		var unsent *Unsent
		if !errors.As(err, &unsent) {
			t.Errorf("%s: %v is not called unsent", name, err)
			continue
		}
		for _, want := range c.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v\nwant %q in it", name, err, want)
			}
		}
	}
}

// TestHostKeyChanged puts another host where the known one was: nothing is
// sent to it, over and over; and when the file is mended, it goes on without
// a restart.
func TestHostKeyChanged(t *testing.T) {
	t.Parallel()
	s, imposter := testbed.SSHD(t, ""), testbed.SSHD(t, "")
	known, err := os.ReadFile(imposter.KnownHosts)
	if err != nil {
		t.Fatal(err)
	}
	right, err := os.ReadFile(s.KnownHosts)
	if err != nil {
		t.Fatal(err)
	}
	_, key, _ := strings.Cut(string(known), " ")
	host, _, _ := strings.Cut(string(right), " ")
	if err := os.WriteFile(s.KnownHosts, []byte(host+" "+key), 0o600); err != nil {
		t.Fatal(err)
	}
	d := droplet(t, to(s))
	_, err = d.Ask(t.Context(), "sample")
	var changed *HostError
	if !errors.As(err, &changed) || !changed.Changed || !strings.Contains(err.Error(), "HAS CHANGED") || !strings.Contains(err.Error(), s.KnownHosts+" line 1") {
		t.Fatalf("error %v", err)
	}
	if err := os.WriteFile(s.KnownHosts, right, 0o600); err != nil {
		t.Fatal(err)
	}
	testbed.Eventually(t, testbed.Patience, func() error {
		_, err := d.Ask(t.Context(), "sample")
		return err
	})
}

// TestKindsOfHostKeys: of a host that has several keys the one that is known
// is asked for; one that has only others has changed.
func TestKindsOfHostKeys(t *testing.T) {
	t.Parallel()
	s := testbed.SSHD(t, "")
	rsa := filepath.Join(testbed.Folder(t), "rsa")
	if said, err := exec.Command("ssh-keygen", "-q", "-t", "rsa", "-N", "", "-f", rsa).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, said)
	}
	key, err := os.ReadFile(rsa + ".pub")
	if err != nil {
		t.Fatal(err)
	}
	right, err := os.ReadFile(s.KnownHosts)
	if err != nil {
		t.Fatal(err)
	}
	host, _, _ := strings.Cut(string(right), " ")
	if err := os.WriteFile(s.KnownHosts, []byte(host+" "+string(key)), 0o600); err != nil {
		t.Fatal(err)
	}
	_, err = droplet(t, to(s)).Ask(t.Context(), "sample")
	if err == nil || !strings.Contains(err.Error(), "HAS CHANGED") || !strings.Contains(err.Error(), "none of the kinds") {
		t.Errorf("error %v", err)
	}
}

// TestOneConnection: words go over one connection; it is made anew after it
// broke; a host that refuses is not asked again at once.
func TestOneConnection(t *testing.T) {
	t.Parallel()
	s := testbed.SSHD(t, "")
	d := droplet(t, to(s))
	logins := func() int { return strings.Count(s.Log(), "Accepted publickey") }
	for range 3 {
		if _, err := d.Ask(t.Context(), "sample"); err != nil {
			t.Fatal(err)
		}
	}
	if n := logins(); n != 1 {
		t.Errorf("%d logins for three passes", n)
	}
	d.mu.Lock()
	client := d.client
	d.mu.Unlock()
	client.Conn.Close()
	if _, err := d.Ask(t.Context(), "sample"); err != nil {
		t.Errorf("after the connection broke: %v", err)
	}
	if n := logins(); n != 2 {
		t.Errorf("%d logins after a break, want 2", n)
	}
	stranger := testbed.SSHD(t, "")
	o := to(s)
	o.KeyFile = stranger.KeyFile
	refused := droplet(t, o)
	for range 5 {
		if _, err := refused.Ask(t.Context(), "sample"); err == nil {
			t.Fatal("a stranger got in")
		}
	}
	if n := strings.Count(s.Log(), "Connection closed by authenticating user"); n > 2 {
		t.Errorf("a refused key was tried %d times at once:\n%s", n, s.Log())
	}
}

// TestHostFallsSilent: a host that takes no more bytes is found out by the
// keepalive, and words asked of it end in time.
func TestHostFallsSilent(t *testing.T) {
	if testbed.Apart(t) {
		return
	}
	s := testbed.SSHD(t, "")
	o := to(s)
	o.KeepAlive, o.Timeout = 2*time.Second, time.Minute
	d := droplet(t, o)
	if _, err := d.Ask(t.Context(), "sample"); err != nil {
		t.Fatal(err)
	}
	pids, err := exec.Command("pgrep", "-f", "sshd: root@notty").Output()
	if err != nil {
		t.Fatal(err)
	}
	for pid := range strings.FieldsSeq(string(pids)) {
		if said, err := exec.Command("kill", "-STOP", pid).CombinedOutput(); err != nil {
			t.Fatalf("%v: %s", err, said)
		}
		t.Cleanup(func() { _ = exec.Command("kill", "-KILL", pid).Run() }) // it may be gone
	}
	testbed.Eventually(t, testbed.Patience, func() error {
		d.Link.mu.Lock()
		defer d.Link.mu.Unlock()
		if d.client != nil {
			return errors.New("the silent connection is kept")
		}
		return nil
	})
	if _, err := d.Ask(t.Context(), "sample"); err != nil {
		t.Errorf("a new connection: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.Ask(ctx, "sample"); err == nil {
		t.Error("an ended context was ignored")
	}
}

// TestAgentKey logs in with a key that an ssh-agent holds.
func TestAgentKey(t *testing.T) {
	t.Parallel()
	s := testbed.SSHD(t, "")
	o := to(s)
	o.AgentSocket = filepath.Join(testbed.Folder(t), "agent")
	testbed.Start(t, "ssh-agent", testbed.Folder(t), exec.Command("ssh-agent", "-D", "-a", o.AgentSocket))
	testbed.Eventually(t, testbed.Patience, func() error {
		add := exec.Command("ssh-add", "-q", s.KeyFile)
		add.Env = append(os.Environ(), "SSH_AUTH_SOCK="+o.AgentSocket)
		return add.Run()
	})
	o.KeyFile = ""
	if _, err := droplet(t, o).Ask(t.Context(), "sample"); err != nil {
		t.Error(err)
	}
}
