package restart

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/order"
	"github.com/dropleak/dropleak/bot/shell"
	"github.com/dropleak/dropleak/bot/testbed"
)

// bed is a droplet with a real sshd, a real supervisord and real workers in
// it.
type bed struct {
	*testing.T
	sshd  *testbed.SSHServer
	super *testbed.SupervisorServer
	app   *testbed.CeleryApp
	link  *shell.Droplet
	lose  func(words []string) (before, after bool) // whose words, or whose answer, do not arrive
}

func newBed(t *testing.T) *bed {
	t.Helper()
	app := testbed.Celery(t, testbed.Redis(t))
	b := &bed{T: t, app: app, super: testbed.Supervisor(t, app.Program("mail", testbed.Worker{Name: "mail@web-1", Pool: "solo"}))}
	b.sshd = testbed.SSHD(t, "restrict")
	b.write(filepath.Join(b.sshd.Supervisor, "supervisord.conf"), "[supervisorctl]\nserverurl=unix://"+b.super.Socket+"\n")
	b.link = shell.NewDroplet(shell.Options{Address: b.sshd.Addr, User: b.sshd.User, KeyFile: b.sshd.KeyFile, KnownHosts: b.sshd.KnownHosts})
	t.Cleanup(func() { b.link.Close() })
	return b
}

func (b *bed) write(path, text string) {
	b.Helper()
	if err := os.WriteFile(path, []byte(text), 0o755); err != nil {
		b.Fatal(err)
	}
}

// allow writes root's list.
func (b *bed) allow(lines ...string) {
	b.Helper()
	b.write(filepath.Join(b.sshd.Etc, "ssh.allow"), strings.Join(lines, "\n")+"\n")
}

// way is how the tests restart: what is lost, is lost here.
func (b *bed) way() Shell {
	return Shell{Far: func(context.Context, int64) (Far, error) { return lossy{b.link, b.lose}, nil }}
}

// lossy loses words on their way, or their answers.
type lossy struct {
	*shell.Droplet
	lose func([]string) (before, after bool)
}

func (l lossy) Ask(ctx context.Context, words ...string) (shell.Answer, error) {
	var before, after bool
	if l.lose != nil {
		before, after = l.lose(words)
	}
	if before {
		return shell.Answer{}, errors.New("connection reset by peer")
	}
	a, err := l.Droplet.Ask(ctx, words...)
	if after {
		return shell.Answer{}, errors.New("connection reset by peer")
	}
	return a, err
}

// target is a restart of the worker as it runs now.
func (b *bed) target(run, unit string) Target {
	b.Helper()
	return b.targetOf("mail", run, unit)
}

func (b *bed) targetOf(worker, run, unit string) Target {
	b.Helper()
	kind, name, _ := strings.Cut(unit, ":")
	t := Target{Run: run, DropletID: 42, Worker: worker, Unit: order.Unit{Kind: order.UnitKind(kind), Name: name}, Way: SSH}
	testbed.Eventually(b, testbed.Patience, func() error {
		f, err := b.way().Inspect(b.Context(), t, "")
		t.Expect = f.Fingerprint
		return err
	})
	return t
}

// ends waits for the result of an order.
func (b *bed) ends(t Target, receipt json.RawMessage) (r Result) {
	b.Helper()
	testbed.Eventually(b, testbed.Patience, func() error {
		var done bool
		var err error
		if r, done, err = b.way().Result(b.Context(), t, receipt); err == nil && !done {
			err = fmt.Errorf("the restart is under way:\n%s", b.super.Log())
		}
		return err
	})
	return r
}

func (b *bed) pid() int { return b.super.ProgramPID(b, "mail") }

// TestRestartOverSSH orders real restarts over a real sshd.
func TestRestartOverSSH(t *testing.T) {
	if testbed.Apart(t) {
		return
	}
	b := newBed(t)
	ctx := t.Context()

	first := b.target("r1", "supervisor:mail")
	f, err := b.way().Inspect(ctx, first, "")
	if err != nil || !strings.Contains(f.Refused[order.Way(SSH)], "root can add a line with supervisor:mail to /etc/dropleak/ssh.allow") {
		t.Fatalf("a unit that is not allowed: %+v, %v", f, err)
	}
	receipt, err := b.way().Order(ctx, first)
	if r := b.ends(first, receipt); err != nil || r.State != order.Refused || r.Reason != order.NotAllowed {
		t.Errorf("the order of a unit that is not allowed: %+v, %v", r, err)
	}

	b.allow("# root's list", "supervisor:mail", "command:slow "+b.slow(), "command:broken "+b.broken())
	if f, err = b.way().Inspect(ctx, first, ""); err != nil || len(f.Ways) != 1 || f.StopTimeout != -1 || f.Unit != first.Unit || f.DiskUsed <= 0 || f.Pool != "solo" {
		t.Errorf("facts %+v, %v", f, err)
	}
	old := b.pid()
	if receipt, err = b.way().Order(ctx, first); err != nil {
		t.Fatal(err)
	}
	r := b.ends(first, receipt)
	if r.State != order.Done || r.Old.PID != old || r.New.PID != b.pid() || r.New.PID == old {
		t.Fatalf("result %+v; supervisord runs pid %d, ran %d", r, b.pid(), old)
	}
	if _, err := os.Stat(filepath.Join(b.sshd.Memory, "r1", "ended")); err != nil {
		t.Errorf("root's restarts are not remembered where root's are: %v", err)
	}

	t.Run("the same run again", func(t *testing.T) {
		now := b.pid()
		again := b.target("r1", "supervisor:mail")
		receipt, err := b.way().Order(ctx, again)
		if err != nil || string(receipt) != "{}" {
			t.Errorf("receipt %s, %v", receipt, err)
		}
		if b.pid() != now {
			t.Error("the run restarted the worker twice")
		}
	})
	t.Run("overtaken", func(t *testing.T) {
		late := first
		late.Run = "r2"
		receipt, err := b.way().Order(ctx, late)
		if r := b.ends(late, receipt); err != nil || r.State != order.Refused || r.Reason != order.Overtaken {
			t.Errorf("result %+v, %v", r, err)
		}
	})
	t.Run("overtaken behind our back", func(t *testing.T) {
		now := b.target("r2", "supervisor:mail")
		a, err := b.link.Ask(ctx, "restart", "r2", "supervisor:mail", fmt.Sprint(now.Expect.PID), "1", now.Expect.BootID)
		if err != nil || a.Get("refused") != "overtaken" {
			t.Errorf("another start of the process: %+v, %v", a, err)
		}
		a, err = b.link.Ask(ctx, "restart", "r2", "supervisor:mail", fmt.Sprint(now.Expect.PID), "1", "another-boot")
		if err != nil || a.Get("refused") != "overtaken" {
			t.Errorf("another boot: %+v, %v", a, err)
		}
	})
	t.Run("the answer is lost", func(t *testing.T) { b.lost(t, "r3") })
	t.Run("the words are lost", func(t *testing.T) { b.unheard(t, "r4") })
	t.Run("the connection ends in the act", func(t *testing.T) { b.cutOff(t, "r5") })
	t.Run("stopped and not started", func(t *testing.T) { b.stopped(t, "r6") })
	t.Run("too often", func(t *testing.T) { b.tooOften(t, "r7", "r8") })
}

// unheard loses the words of an order: nothing of it may be done.
func (b *bed) unheard(t *testing.T, run string) {
	now := b.target(run, "supervisor:mail")
	b.lose = func(w []string) (bool, bool) { return w[0] == "restart", false }
	defer func() { b.lose = nil }()
	if _, err := b.way().Order(b.Context(), now); err == nil {
		t.Fatal("lost words are called taken")
	}
	if seen, err := b.way().Observe(b.Context(), now, time.Now()); err != nil || len(seen) != 0 {
		t.Errorf("traces %+v of what never arrived, %v", seen, err)
	}
}

// cutOff ends the connection in the midst of a restart, and asks over another.
func (b *bed) cutOff(t *testing.T, run string) {
	now := b.target(run, "command:slow")
	receipt, err := b.way().Order(b.Context(), now)
	if err != nil {
		t.Fatal(err)
	}
	b.link.Close()
	b.link = shell.NewDroplet(shell.Options{Address: b.sshd.Addr, User: b.sshd.User, KeyFile: b.sshd.KeyFile, KnownHosts: b.sshd.KnownHosts})
	if r := b.ends(now, receipt); r.State != order.Done || r.New.PID == now.Expect.PID {
		t.Errorf("result %+v", r)
	}
}

// tooOften orders the last restart that is allowed, and one beyond it.
func (b *bed) tooOften(t *testing.T, last, beyond string) {
	for _, run := range []string{last, beyond} {
		now := b.target(run, "supervisor:mail")
		receipt, err := b.way().Order(b.Context(), now)
		r := b.ends(now, receipt)
		if want := map[string]order.State{last: order.Done, beyond: order.Refused}[run]; err != nil || r.State != want {
			t.Errorf("%s: %+v, %v, want %s", run, r, err, want)
		}
		if run == beyond && r.Reason != order.TooOften {
			t.Errorf("%+v", r)
		}
	}
}

// engine is a container engine of the test's own: Debian's podman, which
// answers docker's words. It runs containers over this machine's own root, and
// always in the test's namespaces, as a daemon would in its own.
const engine = `#!/bin/sh
exec nsenter -t PID -m podman --storage-driver vfs --root DIR/root --runroot DIR/run --cgroup-manager cgroupfs --events-backend file --runtime /usr/bin/crun "$@"
`

// TestRestartContainer restarts a real container that a real worker runs in,
// for that worker and for no other.
func TestRestartContainer(t *testing.T) {
	if testbed.Apart(t) {
		return
	}
	b := newBed(t)
	if err := syscall.Unmount("/sys/fs/cgroup/unified", 0); err != nil && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.ENOENT) {
		t.Fatal(err) // crun wants one kind of cgroups or the other; here, there may be both
	}
	docker := filepath.Join(b.sshd.Sbin, "docker")
	b.write(docker, strings.NewReplacer("DIR", testbed.Folder(t), "PID", fmt.Sprint(os.Getpid())).Replace(engine))
	run := func(words ...string) string {
		t.Helper()
		said, err := exec.Command(docker, words...).CombinedOutput()
		if err != nil {
			t.Fatalf("docker %v: %v\n%s", words, err, said)
		}
		return strings.TrimSpace(string(said))
	}
	words := []string{"run", "-d", "--name", "shop-worker-1", "--network", "host", "--cgroups=disabled", "--stop-timeout", "21", "-v", b.app.Dir + ":" + b.app.Dir, "-w", b.app.Dir}
	for k, v := range b.app.Env() {
		words = append(words, "-e", k+"="+v)
	}
	run(append(append(words, "--rootfs", "/:O"), b.app.Command(testbed.Worker{Name: "shop@web-1", Pool: "solo"})...)...)
	defer run("rm", "-f", "-t", "1", "shop-worker-1")
	b.allow("docker:shop-worker-1")

	target := b.targetOf("shop@web-1", "c1", "docker:shop-worker-1")
	f, err := b.way().Inspect(t.Context(), target, "")
	if err != nil || len(f.Ways) != 1 || f.StopTimeout != 21 {
		t.Fatalf("facts %+v, %v", f, err)
	}
	wrong := b.targetOf("mail", "c2", "docker:shop-worker-1")
	if f, err := b.way().Inspect(t.Context(), wrong, ""); err != nil || !strings.Contains(f.Refused[order.Way(SSH)], "the container shop-worker-1 runs pid") && !strings.Contains(f.Refused[order.Way(SSH)], "runs in unit") {
		t.Errorf("a container of another worker: %+v, %v", f, err)
	}
	receipt, err := b.way().Order(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	r := b.ends(target, receipt)
	if pid := run("inspect", "-f", "{{.State.Pid}}", "shop-worker-1"); r.State != order.Done || fmt.Sprint(r.New.PID) != pid || r.New.PID == r.Old.PID {
		t.Errorf("result %+v; the engine says pid %s", r, pid)
	}
}

// slow is a restart that outlives the connection it came over.
func (b *bed) slow() string {
	path := filepath.Join(testbed.Folder(b), "slow")
	b.write(path, "#!/bin/sh\nsleep 2\nexec supervisorctl restart mail\n")
	return path
}

// broken is a restart that only stops.
func (b *bed) broken() string {
	path := filepath.Join(testbed.Folder(b), "broken")
	b.write(path, "#!/bin/sh\nsupervisorctl stop mail\necho 'out of luck'\nexit 3\n")
	return path
}

// lost: the order arrived and its answer did not. It is found by looking.
func (b *bed) lost(t *testing.T, run string) {
	now := b.target(run, "supervisor:mail")
	b.lose = func(w []string) (bool, bool) { return false, w[0] == "restart" }
	_, err := b.way().Order(t.Context(), now)
	var no *Refusal
	if err == nil || errors.As(err, &no) {
		t.Fatalf("a lost answer is %v", err)
	}
	b.lose = nil
	seen, err := b.way().Observe(t.Context(), now, time.Now())
	if err != nil || len(seen) != 1 || !seen[0].Certain {
		t.Fatalf("traces %+v, %v", seen, err)
	}
	if r := b.ends(now, seen[0].Receipt); r.State != order.Done || r.New.PID == now.Expect.PID {
		t.Errorf("result %+v", r)
	}
}

// stopped: what a restart stopped and did not start is said, and the start
// alone is made up for.
func (b *bed) stopped(t *testing.T, run string) {
	now := b.target(run, "command:broken")
	receipt, err := b.way().Order(t.Context(), now)
	r := b.ends(now, receipt)
	if err != nil || r.State != order.Failed || r.Reason != order.NotRunning || !strings.Contains(r.Why, "out of luck") {
		t.Errorf("result %+v, %v", r, err)
	}
	// A command of root's own has no start; the program's has.
	if err := b.way().Start(t.Context(), now); err != nil {
		t.Error(err)
	}
	if r := b.ends(now, nil); r.Reason != order.NotRunning {
		t.Errorf("a command's start: %+v", r)
	}
	program := now
	program.Run, program.Unit = "r3", order.Unit{Kind: order.SupervisorProgram, Name: "mail"}
	if err := b.way().Start(t.Context(), program); err != nil {
		t.Fatal(err)
	}
	if r := b.ends(program, nil); r.State != order.Done || r.New.PID != b.pid() {
		t.Errorf("after the start: %+v", r)
	}
	program.Run = "never"
	var no *Refusal
	if err := b.way().Start(t.Context(), program); !errors.As(err, &no) {
		t.Errorf("a start of what no run stopped: %v", err)
	}
}
