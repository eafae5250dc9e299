package restart

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
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
	link  *shell.Droplet
	lose  func(words []string) (before, after bool) // whose words, or whose answer, do not arrive
}

func newBed(t *testing.T) *bed {
	t.Helper()
	app := testbed.Celery(t, testbed.Redis(t))
	b := &bed{T: t, super: testbed.Supervisor(t, app.Program("mail", testbed.Worker{Name: "mail@web-1", Pool: "solo"}))}
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
	kind, name, _ := strings.Cut(unit, ":")
	t := Target{Run: run, DropletID: 42, Worker: "mail", Unit: order.Unit{Kind: order.UnitKind(kind), Name: name}, Way: SSH}
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
	t.Run("the words are lost", func(t *testing.T) {
		now := b.target("r4", "supervisor:mail")
		b.lose = func(w []string) (bool, bool) { return w[0] == "restart", false }
		defer func() { b.lose = nil }()
		if _, err := b.way().Order(ctx, now); err == nil {
			t.Fatal("lost words are called taken")
		}
		if seen, err := b.way().Observe(ctx, now, time.Now()); err != nil || len(seen) != 0 {
			t.Errorf("traces %+v of what never arrived, %v", seen, err)
		}
	})
	t.Run("the connection ends in the act", func(t *testing.T) {
		now := b.target("r5", "command:slow")
		receipt, err := b.way().Order(ctx, now)
		if err != nil {
			t.Fatal(err)
		}
		b.link.Close()
		b.link = shell.NewDroplet(shell.Options{Address: b.sshd.Addr, User: b.sshd.User, KeyFile: b.sshd.KeyFile, KnownHosts: b.sshd.KnownHosts})
		if r := b.ends(now, receipt); r.State != order.Done || r.New.PID == now.Expect.PID {
			t.Errorf("result %+v", r)
		}
	})
	t.Run("stopped and not started", func(t *testing.T) { b.stopped(t, "r6") })
	t.Run("too often", func(t *testing.T) {
		for _, run := range []string{"r7", "r8"} {
			now := b.target(run, "supervisor:mail")
			receipt, err := b.way().Order(ctx, now)
			r := b.ends(now, receipt)
			if want := map[string]order.State{"r7": order.Done, "r8": order.Refused}[run]; err != nil || r.State != want {
				t.Errorf("%s: %+v, %v, want %s", run, r, err, want)
			}
			if run == "r8" && r.Reason != order.TooOften {
				t.Errorf("%+v", r)
			}
		}
	})
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
