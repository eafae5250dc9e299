package main

import (
	"bytes"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"testing"

	"github.com/dropleak/dropleak/detector"
)

// TestLockedFolder: a folder that may not be read is told of, and what stands
// beside it is judged all the same.
func TestLockedFolder(t *testing.T) {
	dir := t.TempDir()
	locked := filepath.Join(dir, "locked")
	var rows strings.Builder
	rows.WriteString("time,value\n0,100\n60,110\n")
	for path, mode := range map[string]os.FileMode{locked: 0o700, filepath.Join(dir, "sub"): 0o755} {
		if err := os.Mkdir(path, mode); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(path, filepath.Base(path)+".csv"), []byte(rows.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Chmod(locked, 0); err != nil {
		t.Fatal(err)
	}
	for path := dir; path != os.TempDir() && path != "/"; path = filepath.Dir(path) {
		_ = os.Chmod(path, 0o755)
	}
	defer func() { _ = os.Chmod(locked, 0o700) }()
	// Root may read all: as nobody, this thread only, and it ends with the test.
	runtime.LockOSThread()
	if err := syscall.Setfsuid(65534); err != nil {
		t.Fatal(err)
	}
	defer func() { _ = syscall.Setfsuid(os.Geteuid()) }()

	found, err := expand([]string{dir}, nil, "")
	if err != nil {
		t.Fatal(err)
	}
	var files []judged
	for _, s := range found {
		files = append(files, judgeSource(s, scanFlags{}))
	}
	var out, talk bytes.Buffer
	if err := printScan(streams{out: &out, talk: &talk}, scanFlags{}, files); err != nil {
		t.Fatal(err)
	}
	if want := "dropleak: " + locked + ": permission denied\n"; talk.String() != want {
		t.Errorf("said %q, want %q", talk.String(), want)
	}
	if !strings.Contains(out.String(), "sub.csv") || strings.Contains(out.String(), "locked.csv") {
		t.Errorf("printed %s", out.String())
	}
	if err := scanExit(files); err == nil || err.(exitError).code != 2 {
		t.Errorf("ends with %v, want 2", err)
	}
}

// TestNothingSteersTheTerminal: control characters of a file's names stay out
// of what is printed.
func TestNothingSteersTheTerminal(t *testing.T) {
	dir := t.TempDir()
	file, tasks := filepath.Join(dir, "w.csv"), filepath.Join(dir, "tasks.jsonl")
	var rows strings.Builder
	rows.WriteString("time,rss,pid,worker\n")
	for i := range 200 {
		rows.WriteString(strings.ReplaceAll("N,90000000,7,\"a\x1b[31mb\"\n", "N", strconv.Itoa(60*i)))
	}
	if err := os.WriteFile(file, []byte(rows.String()), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(tasks, []byte(`{"pid":7,"task":"x\u001b[2Jy","begin":600,"end":601}`), 0o600); err != nil {
		t.Fatal(err)
	}
	var out, talk bytes.Buffer
	said := judged{workers: []judgedWorker{{verdict: detector.Verdict{Evidence: []string{"one of z\x1b[2J leaves 1 KiB"}}}}}
	if err := printTable(streams{out: &out}, []judged{said}); err != nil {
		t.Fatal(err)
	}
	run(t.Context(), []string{"scan", "--tasks", tasks, file, filepath.Join(dir, "no\x1bthing")}, nil, &out, &talk)
	if all := out.String() + talk.String(); strings.Contains(all, "\x1b") || !strings.Contains(all, "a?[31mb") || !strings.Contains(all, "x?[2Jy") || !strings.Contains(all, "no?thing") {
		t.Errorf("%q", all)
	}
}
