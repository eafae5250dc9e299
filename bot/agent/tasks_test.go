package agent

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dropleak/dropleak/bot/testbed"
	"github.com/dropleak/dropleak/detector/sample"
)

// pool is a pass of one worker whose children have these pids.
func pool(pids ...int) (p sample.Pass) {
	for i, pid := range pids {
		p.Processes = append(p.Processes, sample.Process{At: time.Unix(60, 0), Droplet: "42", Worker: "w", Slot: fmt.Sprint(i), PID: pid, Start: time.Unix(1, 0)})
	}
	return p
}

// told is counts in short: slot, task, runs.
func told(counts []sample.TaskCount) string {
	var b strings.Builder
	for _, c := range counts {
		fmt.Fprintf(&b, "%s %s %g; ", c.Slot, c.Task, c.Runs)
	}
	return b.String()
}

func TestTaskCounts(t *testing.T) {
	var c taskCounts
	report := func(pid int, s string) { c.take(pid, []byte(s)) }
	check := func(p sample.Pass, want string) {
		t.Helper()
		if got, notes := c.counts(p); told(got) != want || len(notes) > 0 {
			t.Errorf("counts %q, notes %q; want %q", told(got), notes, want)
		}
	}
	report(11, "1 1 0 5.0 5.5 app.a")
	report(11, "1 4 0 5.0 5.5 app.a") // three were lost on the way
	report(11, "1 2 1 5.0 5.5 app b")
	report(12, "1 7 0 5.0 5.5 app.a")
	report(99, "1 9 0 5.0 5.5 app.evil") // no process of a worker
	check(pool(11, 12), "0 app b 2; 0 app.a 4; 0  1; 1 app.a 7; 1  0; ")
	check(pool(11, 99), "0 app b 2; 0 app.a 4; 0  1; ")
	report(11, "1 1 0 5.0 5.5 app.a") // fewer than before: another process
	check(pool(11), "0 app.a 1; 0  0; ")
	again := pool(11)
	again.Processes[0].Start = time.Unix(30, 0)
	check(again, "")
	for _, bad := range []string{"", "1", "2 1 0 5.0 5.5 app.a", "1 -1 0 5 5 a", "1 0 0 5 5 a", "1 1e9 0 5 5 a", "1 9999999999999999999 0 5 5 a", "1 1 0 5 5 ", "1 1 0 5 5", "1 1 x 5 5 a"} {
		report(11, bad)
	}
	check(pool(11), "")
}

// TestTaskBounds: whatever is sent, names, entries and series stay within
// their bounds, and what is folded is said and counted.
func TestTaskBounds(t *testing.T) {
	var c taskCounts
	for i := range 50 {
		c.take(11, fmt.Appendf(nil, "1 %d 0 1 2 task%02d", 100-i, i))
	}
	got, notes := c.counts(pool(11))
	if len(got) != taskNames+2 || len(notes) != 1 || !strings.Contains(notes[0], "(other)") {
		t.Errorf("%d counts, notes %q", len(got), notes)
	}
	other := 0.0
	for _, n := range got {
		if n.Task == otherTasks {
			other = n.Runs
		}
	}
	if want := 30.0 * (51 + 80) / 2; other != want || got[1].Task != "task00" {
		t.Errorf("other counts %g, want %g; then %+v", other, want, got[1])
	}
	c.take(11, []byte("1 1000 0 1 2 task49")) // run most by now, and still folded
	if again, _ := c.counts(pool(11)); told(again[:1]) != "0 (other) "+fmt.Sprint(other+1000-51)+"; " {
		t.Errorf("folded anew: %s", told(again[:1]))
	}

	var flood taskCounts
	for pid := range 300 {
		for i := range 50 {
			flood.take(1000+pid, fmt.Appendf(nil, "1 1 0 1 2 %d%s", i, strings.Repeat("x", 300)))
		}
	}
	entries := 0
	for _, p := range flood.by {
		entries += len(p.runs)
	}
	if entries != taskEntries || flood.entries != entries {
		t.Errorf("%d entries held, %d counted", entries, flood.entries)
	}
	var many []int
	for i := range 60 {
		many = append(many, 1000+i)
	}
	got, notes = flood.counts(pool(many...))
	if len(got) > taskSeries || len(notes) != 2 {
		t.Errorf("%d series, notes %q", len(got), notes)
	}
	flood.counts(sample.Pass{})
	if len(flood.by) != 0 || flood.entries != 0 || len(flood.named) != 0 {
		t.Error("what no worker's process sent is not forgotten")
	}
}

func TestTaskName(t *testing.T) {
	for in, want := range map[string]string{"app.a": "app.a", " a b ": "a b", "a\nb\x00c\x1b[31m": "a?b?c?[31m", "\xff\xfe": "??", "naïve": "naïve",
		strings.Repeat("é", 100): strings.Repeat("é", 60), strings.Repeat("x", 500): strings.Repeat("x", 120), "\u202eevil": "?evil"} {
		if got := taskName([]byte(in)); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func FuzzParseReport(f *testing.F) {
	f.Add([]byte("1 17 2 1763850000.123 1763850000.456 app.leak"))
	f.Add([]byte("1 1 0 a b \xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, ok := parseReport(b)
		if ok && (r.runs < 1 || r.beside < 0 || r.name == "" || len(r.name) > taskNameMax || strings.ContainsAny(r.name, "\n\x00")) {
			t.Errorf("%q: %+v", b, r)
		}
	})
}

// listening is a probe socket with its counts.
func listening(t *testing.T) (string, *taskCounts) {
	t.Helper()
	c := &taskCounts{}
	path := filepath.Join(t.TempDir(), "probe.sock")
	p, err := openProbe(path, c, slog.New(slog.NewTextHandler(t.Output(), nil)))
	must(t, err)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); p.run(ctx) }()
	t.Cleanup(func() { cancel(); <-done })
	return path, c
}

// TestProbeSocket: a report counts for the process that sent it by the
// kernel's word, from anybody, and files passed along do not stay open.
func TestProbeSocket(t *testing.T) {
	path, c := listening(t)
	if info, err := os.Stat(path); err != nil || info.Mode().Perm() != 0o666 {
		t.Errorf("socket %v, %v", info.Mode(), err)
	}
	cmd := exec.Command("python3", "-c", `
import os, socket, sys, array
s = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
s.connect(sys.argv[1])
fd = os.open("/dev/null", os.O_RDONLY)
for i in range(100):
    s.sendmsg([b"1 %d 0 1.5 2.5 app.one" % (i + 1)], [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [fd]))])
s.send(b"1 1 0 1 2 " + b"x" * 5000)
print(os.getpid())
`, path)
	fds := func() int {
		all, err := os.ReadDir("/proc/self/fd")
		must(t, err)
		return len(all)
	}
	before := fds()
	out, err := cmd.Output()
	must(t, err)
	var pid int
	fmt.Sscan(string(out), &pid)
	testbed.Eventually(t, testbed.Patience, func() error {
		c.mu.Lock()
		defer c.mu.Unlock()
		if p := c.by[pid]; p == nil || p.runs["app.one"] != 100 {
			return fmt.Errorf("pid %d is not counted: %v", pid, c.by)
		}
		return nil
	})
	if after := fds(); after > before+3 {
		t.Errorf("%d files open, %d before", after, before)
	}
	got, _ := c.counts(pool(pid))
	if d := cmp.Diff("0 app.one 100; 0  0; ", told(got)); d != "" {
		t.Error(d)
	}
}

// TestProbeSocketAgain: a path left behind is taken over, another file is
// not, and a probe that lost its agent finds the next.
func TestProbeSocketAgain(t *testing.T) {
	dir := t.TempDir()
	path := filepath.Join(dir, "probe.sock")
	first, err := openProbe(path, &taskCounts{}, slog.New(slog.DiscardHandler))
	must(t, err)
	second, err := openProbe(path, &taskCounts{}, slog.New(slog.DiscardHandler))
	if err != nil {
		t.Fatalf("after a crash: %v", err)
	}
	first.conn.Close()
	second.conn.Close()
	file := filepath.Join(dir, "precious")
	must(t, os.WriteFile(file, []byte("x"), 0o600))
	if _, err := openProbe(file, &taskCounts{}, slog.New(slog.DiscardHandler)); err == nil {
		t.Error("a file was taken for a socket")
	}
	if b, err := os.ReadFile(file); err != nil || string(b) != "x" {
		t.Errorf("the file holds %q, %v", b, err)
	}
}
