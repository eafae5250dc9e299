package main

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/report"
	"github.com/dropleak/dropleak/bot/slacksim"
	"github.com/dropleak/dropleak/bot/testbed"
	"github.com/dropleak/dropleak/doclient/dosim"
)

// leaky starts a worker that leaks beside one that does not, both under a real
// supervisord, and tasks for both.
func (w *town) leaky(pool string) *testbed.SupervisorServer {
	w.t.Helper()
	redis := testbed.Redis(w.t)
	app := testbed.Celery(w.t, redis)
	mailer := testbed.Worker{Name: w.mailer + "@" + dropletName, Queue: "mail", Pool: pool}
	if pool == "eventlet" {
		mailer.Concurrency = 10
	}
	leaks := app.Program(w.mailer, mailer)
	if pool == "eventlet" {
		leaks = w.probed(app, leaks)
	}
	super := testbed.Supervisor(w.t, leaks,
		app.Program(w.video, testbed.Worker{Name: w.video + "@" + dropletName, Queue: "video"}))
	app.Feed(w.t, testbed.Load{Task: testbed.Leak, Amount: 600 << 10, Every: 100 * time.Millisecond, Queue: "mail"})
	app.Feed(w.t, testbed.Load{Task: testbed.Steady, Amount: 200 << 10, Every: 250 * time.Millisecond, Queue: "video"})
	w.dropletFollows(func() []int { return []int{super.PID()} })
	return super
}

// probed has the probe, as it is printed, in a worker of an application that
// knows nothing of it.
func (w *town) probed(app *testbed.CeleryApp, p testbed.Program) testbed.Program {
	w.t.Helper()
	w.write(filepath.Join(app.Dir, "dropleak_probe.py"), w.run("probe", "print"))
	w.probe = filepath.Join(testbed.Folder(w.t), "probe.sock")
	p.Command = append(p.Command, "-I", "dropleak_probe")
	p.Env["DROPLEAK_PROBE_SOCKET"] = w.probe
	return p
}

// found waits until the leak is reported with its chart and a restart is
// offered.
func (w *town) found(manager string) slacksim.Message {
	w.t.Helper()
	w.await(2*testbed.Patience, "the leak is found", w.mailer, dropletName, "Grows")
	offered := []string{w.mailer, "Snapshot & restart", "through " + manager}
	for range 5 { // where a busy droplet did not answer in time, a person asks again
		m, ok := w.saysSoon(testbed.Patience, offered, []string{w.mailer, "cannot be restarted by"})
		if !ok || says(m, offered...) {
			break
		}
		w.click(anna, m, report.ActionOffer)
		w.saysSoon(time.Minute, offered)
	}
	m := w.await(2*testbed.Patience, "a restart is offered", offered...)
	if !strings.Contains(fmt.Sprint(m.Blocks), "slack_file") {
		w.t.Errorf("the report has no chart:\n%s", m.PlainText())
	}
	for _, other := range w.slack.Messages(channel) {
		if says(other, w.video, "leaks") {
			w.t.Errorf("the healthy worker is accused:\n%s", other.PlainText())
		}
	}
	return m
}

func TestStory(t *testing.T) {
	if apart(t) {
		return
	}
	w := newTown(t, 1)
	super := w.leaky("prefork")
	w.serve()
	w.startAgent("supervisor:" + w.mailer)
	m := w.found("supervisor")
	pid := super.ProgramPID(t, w.mailer)

	w.click(carla, m, report.ActionRestart)
	w.refused(carla, "approve")
	w.click(anna, m, report.ActionRestart)
	w.cured(m, 1)
	pid = w.restarted(super, pid)

	t.Run("killed between snapshot and restart", func(t *testing.T) {
		w.grown(super, 120*mib)
		w.asked(m)
		w.when("completed", w.service.Kill)
		w.click(ben, m, report.ActionRestart)
		<-w.service.Exited()
		w.secretsKept()
		if now := super.ProgramPID(t, w.mailer); now != pid {
			t.Fatalf("the worker was restarted before the service was killed: pid %d, was %d", now, pid)
		}
		w.serve()
		w.cured(m, 2)
		pid = w.restarted(super, pid)
	})

	t.Run("restarted by somebody else during the snapshot", func(t *testing.T) {
		w.asked(m)
		var somebody sync.WaitGroup
		defer somebody.Wait()
		w.when("in-progress", func() {
			// The service does not hear of the snapshot's end before they are done.
			hear := w.cloud.Inject(dosim.Fault{Method: http.MethodGet, Path: "/v2/actions", Status: http.StatusServiceUnavailable})
			somebody.Go(func() {
				defer hear()
				if said, err := super.Control("restart", w.mailer); err != nil {
					t.Errorf("restart by somebody else: %v\n%s", err, said)
				}
			})
		})
		w.click(anna, m, report.ActionRestart)
		w.await(2*testbed.Patience, "the run is overtaken", "Overtaken, nothing was restarted", "is kept")
		theirs := super.ProgramPID(t, w.mailer)
		w.orders(3, 2)
		if theirs == pid {
			t.Error("nobody restarted the worker")
		}
	})
	w.audited("proposal", "refusal", "approve", "snapshot", "restart", "outcome", "freed_working", "outcome", "freed_working", "outcome", "overtaken")
	w.secretsKept()
}

// TestStoryEventlet is the classic command line, with the probe in it: the
// thread names the global that leaks, from the worker's own process through
// agent and service to Slack.
func TestStoryEventlet(t *testing.T) {
	if apart(t) {
		return
	}
	w := newTown(t, 2)
	super := w.leaky("eventlet")
	w.serve()
	w.startAgent("supervisor:"+w.mailer, "--probe", w.probe)
	m := w.found("supervisor")
	pid := super.ProgramPID(t, w.mailer)
	w.await(2*testbed.Patience, "the task is named", w.mailer, "the task that leaks is `app.leak`")
	w.click(anna, m, report.ActionRestart)
	w.await(2*testbed.Patience, "a look at the heap lands in the thread", "Inside pid")
	whole := w.told("Inside pid", leakyGlobal)
	w.cured(m, 1)
	w.restarted(super, pid)
	if !whole { // a busy machine cuts a look short; the new life leaks, too
		w.ask(w.mailer, regexp.MustCompile(regexp.QuoteMeta(leakyGlobal)))
	}
}

const leakyGlobal = "list, global app.kept (app.py:"

// saysSoon awaits a message that says all of one of the sets of words.
func (w *town) saysSoon(within time.Duration, sets ...[]string) (slacksim.Message, bool) {
	ctx, cancel := context.WithTimeout(w.t.Context(), within)
	defer cancel()
	m, err := w.slack.WaitFor(ctx, func(m slacksim.Message) bool {
		return slices.ContainsFunc(sets, func(words []string) bool { return says(m, words...) })
	})
	return m, err == nil
}

// told reports whether a message says all of the words.
func (w *town) told(words ...string) bool {
	return slices.ContainsFunc(w.slack.Messages(channel), func(m slacksim.Message) bool { return says(m, words...) })
}

// grown waits until the worker holds so much more than when it began that a
// restart has something to free.
func (w *town) grown(super *testbed.SupervisorServer, bytes int64) {
	w.t.Helper()
	began := held([]int{super.ProgramPID(w.t, w.mailer)})
	testbed.Eventually(w.t, testbed.Patience, func() error {
		if now := held([]int{super.ProgramPID(w.t, w.mailer)}); now < began+bytes {
			return fmt.Errorf("the worker holds %d MiB, had %d", now/mib, began/mib)
		}
		return nil
	})
}

// TestStorySystemd has the workers under a real systemd, and the agent in the
// same machine.
func TestStorySystemd(t *testing.T) {
	if apart(t) {
		return
	}
	w := newTown(t, 3)
	m := testbed.Systemd(t, testbed.MachineOptions{HostNetwork: true})
	app := testbed.Celery(t, testbed.Redis(t))
	copyFile(t, filepath.Join(app.Dir, "app.py"), filepath.Join(m.Shared, "app.py"))
	copyFile(t, w.agentProgram, filepath.Join(m.Shared, "dropleak-agent"))
	for unit, queue := range map[string]string{w.mailer + ".service": "mail", w.video + ".service": "video"} {
		m.Unit(t, unit, workerUnit(app, testbed.Worker{Name: queue + "@" + dropletName, Queue: queue}))
	}
	m.Exec(t, "systemctl", "start", w.mailer, w.video)
	app.Feed(t, testbed.Load{Task: testbed.Leak, Amount: 600 << 10, Every: 100 * time.Millisecond, Queue: "mail"})
	app.Feed(t, testbed.Load{Task: testbed.Steady, Amount: 200 << 10, Every: 250 * time.Millisecond, Queue: "video"})
	w.dropletFollows(func() []int { return []int{m.Init()} })
	w.serve()
	w.agent = testbed.Start(t, "agent", w.dir, m.Command(append([]string{"/mnt/dropleak-agent", "--spool", "/mnt/spool"},
		w.agentFlags(m.Shared, "/mnt", "systemd:"+w.mailer+".service")...)...))

	found := w.found("systemd")
	old := m.MainPID(t, w.mailer+".service")
	w.click(anna, found, report.ActionRestart)
	w.cured(found, 1)
	if pid := m.MainPID(t, w.mailer+".service"); pid == old {
		t.Errorf("systemd still runs pid %d", pid)
	}
}

// workerUnit is a systemd unit as people write it for a Celery worker.
func workerUnit(app *testbed.CeleryApp, worker testbed.Worker) string {
	var b strings.Builder
	b.WriteString("[Service]\nUser=nobody\nWorkingDirectory=/mnt\nTimeoutStopSec=20\nRestart=always\n")
	for k, v := range app.Env() {
		fmt.Fprintf(&b, "Environment=%q\n", k+"="+v)
	}
	return b.String() + "ExecStart=" + strings.ReplaceAll(strings.Join(app.Command(worker), " "), "%", "%%") + "\n"
}

func copyFile(t *testing.T, from, to string) {
	t.Helper()
	text, err := os.ReadFile(from)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(to, text, 0o755); err != nil {
		t.Fatal(err)
	}
}

// asked offers another restart of the worker by a slash command.
func (w *town) asked(m slacksim.Message) {
	w.t.Helper()
	if err := w.slack.Command(anna, channel, "/leaks restart "+w.mailer); err != nil {
		w.t.Fatal(err)
	}
	testbed.Eventually(w.t, testbed.Patience, func() error {
		now, _ := w.slack.Message(m.Channel, m.TS)
		if !says(now, "Snapshot & restart") {
			return fmt.Errorf("no restart is offered:\n%s", w.state())
		}
		return nil
	})
}

// cured waits until the message says that memory came back, and checks that
// the n-th run ordered what it should, once.
func (w *town) cured(m slacksim.Message, n int) {
	w.t.Helper()
	done := w.await(2*testbed.Patience, "the run ends", w.mailer, "Memory freed, worker working", "→", "Snapshot `dropleak-")
	w.gone(done, report.ActionRestart)
	w.orders(n, n)
}

// restarted checks that the supervisor runs another process, and returns it.
func (w *town) restarted(super *testbed.SupervisorServer, old int) int {
	w.t.Helper()
	pid := super.ProgramPID(w.t, w.mailer)
	if pid == old {
		w.t.Errorf("supervisord still runs pid %d", pid)
	}
	return pid
}

// refused waits until somebody alone is told why not.
func (w *town) refused(user, word string) {
	w.t.Helper()
	testbed.Eventually(w.t, testbed.Patience, func() error {
		for _, m := range w.slack.Ephemerals(user) {
			if says(m, word) {
				w.t.Logf("%s is refused:\n%s", user, indent(m.PlainText()))
				return nil
			}
		}
		return fmt.Errorf("%s is not told %q", user, word)
	})
}

// gone checks that a button no longer stands in a message.
func (w *town) gone(m slacksim.Message, action string) {
	w.t.Helper()
	for _, b := range m.Buttons() {
		if b.ActionID == action {
			w.t.Errorf("the button %s still stands in the message", action)
		}
	}
}

// orders checks, by the journals of DigitalOcean and of the agent, how many
// snapshots and restarts were ordered, and that each snapshot was finished.
func (w *town) orders(snapshots, restarts int) {
	w.t.Helper()
	posts := 0
	for _, e := range w.cloud.Requests("POST", "/v2/droplets/") {
		if strings.HasSuffix(e.Path, "/actions") {
			posts++
		}
	}
	if n := len(w.cloud.Snapshots()); posts != snapshots || n != snapshots {
		w.t.Errorf("%d orders to DigitalOcean and %d snapshots, want %d of each", posts, n, snapshots)
	}
	if n := strings.Count(w.agent.Log(), "msg=\"order claimed\"") - strings.Count(w.agent.Log(), "kind=inspect") - strings.Count(w.agent.Log(), "kind=evidence"); n > restarts {
		w.t.Errorf("the agent claimed %d restart orders, want %d", n, restarts)
	}
	if bad := w.cloud.Unmodelled(); len(bad) > 0 {
		w.t.Errorf("requests that DigitalOcean does not know: %+v", bad)
	}
}

// audited checks that the audit log is whole and holds these acts in order.
func (w *town) audited(want ...string) {
	w.t.Helper()
	w.run("audit", "verify", "--config", w.config)
	var seen []string
	for line := range strings.SplitSeq(w.run("audit", "export", "--config", w.config, "--format", "jsonl"), "\n") {
		var e struct{ What, Who, Why, After, Subject string }
		if err := json.Unmarshal([]byte(line), &e); err != nil {
			w.t.Fatalf("audit line %q: %v", line, err)
		}
		seen = append(seen, e.What+" "+e.Subject+" "+e.After)
	}
	rest := strings.Join(seen, "\n")
	w.t.Logf("the audit log:\n%s", indent(rest))
	for _, word := range want {
		_, after, ok := strings.Cut(rest, word)
		if !ok {
			w.t.Fatalf("the audit log lacks %q where it should be:\n%s", word, strings.Join(seen, "\n"))
		}
		rest = after
	}
}
