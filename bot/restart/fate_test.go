package restart

import (
	"bufio"
	"errors"
	"flag"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dropleak/dropleak/bot/testbed"
)

var update = flag.Bool("update", false, "write the table of docs/restart.md anew; read it")

// updating carries the flag into the namespace that the test is played in.
const updating = "BED_UPDATE"

// fates is a real worker with a task of each kind in it: three that run (one
// acknowledged early, one late, one late and rejected when its process is
// lost), one that is reserved and one that waits for its ETA.
type fates struct {
	*testing.T
	redis *testbed.RedisServer
	dir   string
	send  func(broker, what string)
	asks  string         // seconds that the worker asks Redis for tasks at a time, Celery's 1 unless set
	at    map[string]int // how often each kind had ended before the hour passed
	due   []string       // kinds that come back after it
}

// kinds are the columns of the table.
var kinds = []string{"early", "late", "rejected", "reserved", "eta"}

func newFates(t *testing.T, send func(broker, what string)) *fates {
	t.Helper()
	f := &fates{T: t, redis: testbed.Redis(t), dir: testbed.Folder(t), send: send, asks: "1"}
	text, err := os.ReadFile("testdata/fate.py")
	if err != nil {
		t.Fatal(err)
	}
	f.write("fate.py", string(text))
	return f
}

func (f *fates) write(name, text string) {
	f.Helper()
	if err := os.WriteFile(filepath.Join(f.dir, name), []byte(text), 0o644); err != nil {
		f.Fatal(err)
	}
}

func (f *fates) read(name string) string {
	text, err := os.ReadFile(filepath.Join(f.dir, name))
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		f.Error(err)
	}
	return string(text)
}

// env is what the worker needs; in is how the folder is called where it runs.
func (f *fates) env(in string) map[string]string {
	return map[string]string{"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "BED_BROKER": f.redis.URL(), "C_FORCE_ROOT": "1", "PYTHONDONTWRITEBYTECODE": "1",
		"FATE_ASKS": f.asks, "FATE_RECORD": in + "/record", "FATE_RELEASE": in + "/release"}
}

func (f *fates) command(in, name string) []string {
	return []string{"/usr/bin/celery", "-A", "fate", "worker", "-c", "3", "-n", name + "@web-1", "-l", "INFO", "-f", in + "/log"}
}

// program is the worker under supervisor.
func (f *fates) program(name string, options map[string]string) testbed.Program {
	return testbed.Program{Name: name, Command: f.command(f.dir, name), Directory: f.dir, Env: f.env(f.dir), Options: options}
}

func (f *fates) cli(words ...string) string {
	f.Helper()
	host, port, _ := strings.Cut(f.redis.Addr, ":")
	said, err := exec.Command("redis-cli", append([]string{"-h", host, "-p", port}, words...)...).CombinedOutput()
	if err != nil {
		f.Fatalf("redis-cli %v: %v\n%s", words, err, said)
	}
	return string(said)
}

func (f *fates) until(what string, is func() bool) {
	f.Helper()
	testbed.Eventually(f.T, testbed.Patience, func() error {
		if !is() {
			return fmt.Errorf("%s; record:\n%s\nlog:\n%s", what, f.read("record"), f.read("log"))
		}
		return nil
	})
}

func (f *fates) times(what, kind string) int {
	return strings.Count(f.read("record"), what+" "+kind+"\n")
}

// loaded waits until each of the tasks is where its kind belongs.
func (f *fates) loaded() {
	f.Helper()
	f.until("the worker is not ready", func() bool { return strings.Contains(f.read("log"), " ready.") })
	f.send(f.redis.URL(), "running")
	f.until("three tasks do not run", func() bool { return strings.Count(f.read("record"), "begin ") == 3 })
	f.send(f.redis.URL(), "waiting")
	f.until("two tasks are not reserved", func() bool { return f.received("reserved") && f.received("eta") })
}

// ordered has the restart begin, and returns where its end is told. Where
// inTime is true, the running tasks end as soon as the stop has begun; else
// not before the next life.
func (f *fates) ordered(inTime bool, restart func() error) <-chan error {
	f.Helper()
	done := make(chan error, 1)
	go func() { done <- restart() }()
	if inTime {
		f.until("no stop has begun", func() bool { return strings.Contains(f.read("record"), "stop ") })
		f.write("release", "")
	}
	return done
}

// received reports whether the present life was given a task.
func (f *fates) received(kind string) bool {
	log := f.read("log")
	return strings.Contains(log[max(0, strings.LastIndex(log, " ready.")):], "["+kind+"] received")
}

// released lets the new life work.
func (f *fates) released() {
	f.Helper()
	f.until("no new life is ready", func() bool { return strings.Count(f.read("log"), " ready.") == 2 })
	f.write("release", "")
	f.send(f.redis.URL(), "last") // what went back to the broker stands before this one
}

// hourPasses waits until the new life has worked off what it was given, and
// has what was never acknowledged come back as it does when visibility_timeout
// is over.
func (f *fates) hourPasses() {
	f.Helper()
	f.until("the last task does not end", func() bool { return f.times("end", "last") == 1 })
	f.at = map[string]int{}
	for _, kind := range kinds {
		if f.received(kind) {
			f.until(kind+" does not end", func() bool { return f.times("end", kind) > 0 })
		}
		f.at[kind] = f.times("end", kind)
	}
	held := f.cli("HVALS", "unacked")
	for _, kind := range kinds {
		if strings.Contains(held, `"id": "`+kind+`"`) || strings.Contains(held, `\"id\": \"`+kind+`\"`) {
			f.due = append(f.due, kind)
		}
	}
	for _, tag := range strings.Fields(f.cli("ZRANGE", "unacked_index", "0", "-1")) {
		f.cli("ZADD", "unacked_index", "1", tag)
	}
}

// settled returns what became of each task.
func (f *fates) settled() (out []string) {
	f.Helper()
	for _, kind := range f.due {
		f.until(kind+" does not come back", func() bool { return f.times("end", kind) > f.at[kind] })
	}
	for _, kind := range kinds {
		out = append(out, f.fate(kind, f.at[kind]))
	}
	return out
}

// fate is what became of a task, in words.
func (f *fates) fate(kind string, before int) string {
	begins, ends := f.times("begin", kind), f.times("end", kind)
	late := ""
	if before == 0 {
		late = " after `visibility_timeout`"
	}
	switch waiting := kind == "reserved" || kind == "eta"; {
	case ends > 1:
		return "runs twice"
	case ends == 0:
		return lost
	case waiting:
		return "runs" + late
	case begins == 1:
		return "finishes"
	}
	return again + late
}

// trial is one row to be measured.
type trial struct {
	way, settings string
	inTime        bool
	bed           *fates
	restart       func() error
}

// Where pool processes are told to end with the main one, that one puts back
// what is rejected while its last request for tasks may still wait at Redis,
// which then gives it to the one that no longer reads. Two rows have either
// for sure: a request that waits long, and one that hardly waits.
const (
	asksLong, asksBriefly = "300", "0.05"
	stillWaits, hasEnded  = "the worker's last `BRPOP` still waits", "the worker's last `BRPOP` has ended"
)

// The ends of a task that was cut off.
const (
	lost  = "**lost**"
	again = "cut off, runs again"
)

// TestFateOfTasks restarts real workers in each way through dropleak's own
// restarters, with a task of each kind in them. All rows are at the same step
// at the same time, so that their waits are one. docs/restart.md has the table.
func TestFateOfTasks(t *testing.T) {
	if testbed.Apart(t, fmt.Sprintf("%s=%t", updating, *update)) {
		return
	}
	send := sender(t)
	bed := func() *fates { return newFates(t, send) }
	trials := slices.Concat(supervisorTrials(t, bed), systemdTrials(t, bed), dockerTrials(t, bed), powerTrials(t, bed))
	for _, c := range trials {
		c.bed.loaded()
	}
	ends := make([]<-chan error, len(trials))
	for n, c := range trials {
		ends[n] = c.bed.ordered(c.inTime, c.restart)
	}
	for n, c := range trials {
		if err := <-ends[n]; err != nil {
			t.Fatalf("%s, %s: %v", c.way, c.settings, err)
		}
		c.bed.released()
	}
	for _, c := range trials {
		c.bed.hourPasses()
	}
	var measured strings.Builder
	measured.WriteString("| way | settings | running, acknowledged early | running, `acks_late` | running, `acks_late` and `reject_on_worker_lost` | reserved | waiting for its ETA |\n| --- | --- | --- | --- | --- | --- | --- |\n")
	for _, c := range trials {
		fmt.Fprintf(&measured, "| %s | %s | %s |\n", c.way, c.settings, strings.Join(c.bed.settled(), " | "))
	}
	onPage(t, measured.String())
}

// sender starts the one process that sends the tasks of all rows.
func sender(t *testing.T) func(broker, what string) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), "/usr/bin/python3", "testdata/fate.py")
	cmd.Env, cmd.Stderr = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1"), t.Output()
	in, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = cmd.Wait() }) // killed with the test's context
	said := bufio.NewScanner(out)
	return func(broker, what string) {
		t.Helper()
		if _, err := fmt.Fprintln(in, broker, what); err != nil || !said.Scan() || said.Text() != "sent" {
			t.Fatalf("send %s to %s: %v, %q", what, broker, err, said.Text())
		}
	}
}

// onPage holds docs/restart.md to what was measured.
func onPage(t *testing.T, measured string) {
	t.Helper()
	const begin, end = "<!-- measured by TestFateOfTasks -->\n\n", "\n<!-- end -->"
	path := filepath.Join("..", "..", "docs", "restart.md")
	page, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, rest, ok := strings.Cut(string(page), begin)
	was, after, closed := strings.Cut(rest, end)
	if !ok || !closed {
		t.Fatal("docs/restart.md has no place for the table")
	}
	if os.Getenv(updating) == "true" {
		if err := os.WriteFile(path, []byte(before+begin+measured+end+after), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if was != measured {
		t.Errorf("docs/restart.md says\n%s\nmeasured was\n%s", was, measured)
	}
}
