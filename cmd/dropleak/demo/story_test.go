package demo_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/testbed"
	played "github.com/dropleak/dropleak/cmd/dropleak/demo"
)

// build makes the program once for all tests.
var build = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "dropleak-build-")
	if err != nil {
		return "", err
	}
	played.Cleanup = func() { _ = os.RemoveAll(dir) } // a leftover in /tmp is all that can come of it
	path := filepath.Join(dir, "dropleak")
	if said, err := exec.Command("go", "build", "-o", path, "..").CombinedOutput(); err != nil {
		return "", fmt.Errorf("build: %w\n%s", err, said)
	}
	return path, nil
})

// demo is the program, about to play the demo with its temporary files in
// temp.
func demo(t *testing.T, ctx context.Context, args ...string) (cmd *exec.Cmd, temp string) {
	t.Helper()
	program, err := build()
	if err != nil {
		t.Fatal(err)
	}
	temp = t.TempDir()
	cmd = exec.CommandContext(ctx, program, append([]string{"demo"}, args...)...)
	cmd.Env = append(os.Environ(), "TMPDIR="+temp)
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 30 * time.Second
	return cmd, temp
}

// story plays the story and returns its exit code, its transcript and what
// it said on standard error.
func story(t *testing.T, args ...string) (code int, told, said string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Minute)
	defer cancel()
	cmd, temp := demo(t, ctx, append([]string{"--story"}, args...)...)
	var out, talk bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &talk
	err := cmd.Run()
	if exit := (*exec.ExitError)(nil); err != nil && !errors.As(err, &exit) {
		t.Fatal(err)
	}
	t.Logf("exit %d\n%s%s", cmd.ProcessState.ExitCode(), out.String(), talk.String())
	if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
		t.Errorf("the demo left %v behind (%v)", left, err)
	}
	return cmd.ProcessState.ExitCode(), out.String(), talk.String()
}

func TestStory(t *testing.T) {
	truths := []string{
		"ok  a click of somebody who may not was carried by Slack and refused",
		"ok  the approver's click was carried by Slack's own wire and acked",
		"ok  exactly one snapshot was ordered and made (1 ordered, 1 made)",
		"ok  exactly one restart order was given to the agent (1) and carried out (1)",
		"ok  the snapshot was complete before the restart order was claimed",
		"ok  the main process is another",
		"ok  memory was freed: the detector says recovered",
		"Memory freed, worker working",
		"*Memory*",
		"About 18 GB, $1.08 a month", // asked about the same disk that is copied
		", 18.0 GB: $1.08 a month",
	}
	for _, c := range []struct {
		name   string
		args   []string
		code   int
		tells  []string
		denies []string
		says   string
	}{
		{"all well", nil, 0, truths, []string{"NO  "}, "watching"},
		{"crash", []string{"--fault", "crash"}, 0, append(truths, "ok  the service was killed between snapshot and restart"), []string{"NO  "}, "was killed (SIGKILL)"},
		{"no recovery", []string{"--fault", "no-recovery"}, 1,
			[]string{"Restarted, memory not freed", "NO  memory was freed: the detector says not_recovered", "ok  the main process is another"},
			[]string{"the story is told"}, `the run ended with "restarted, memory not freed"`},
		{"errored snapshot", []string{"--fault", "errored-snapshot"}, 1,
			[]string{"Failed, nothing was restarted", "DigitalOcean ended the snapshot with an error", "The worker was not touched",
				"NO  exactly one snapshot was ordered and made (1 ordered, 0 made)", "NO  exactly one restart order was given to the agent (0) and carried out (0)"},
			[]string{"the story is told"}, `the run ended with "failed, nothing was restarted"`},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			code, told, said := story(t, c.args...)
			if code != c.code {
				t.Errorf("exit %d, want %d", code, c.code)
			}
			for _, want := range c.tells {
				if !strings.Contains(told, want) {
					t.Errorf("the transcript does not say %q", want)
				}
			}
			for _, not := range c.denies {
				if strings.Contains(told, not) {
					t.Errorf("the transcript says %q", not)
				}
			}
			if !strings.Contains(said, c.says) {
				t.Errorf("it does not say %q", c.says)
			}
		})
	}
}

func TestUsage(t *testing.T) {
	for _, args := range [][]string{{"--fault", "flood"}, {"more"}, {"--story=perhaps"}} {
		cmd, _ := demo(t, t.Context(), args...)
		if said, _ := cmd.CombinedOutput(); cmd.ProcessState.ExitCode() != 2 {
			t.Errorf("demo %v: exit %d, want 2\n%s", args, cmd.ProcessState.ExitCode(), said)
		}
	}
}

var spawned = regexp.MustCompile(`spawned: \S+ with pid (\d+)`)

// A demo that is killed takes its workers with it.
func TestNobodyOutlivesTheDemo(t *testing.T) {
	keep := filepath.Join(t.TempDir(), "keep")
	cmd, _ := demo(t, t.Context(), "--listen", "127.0.0.1:0", "--keep", keep)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	var pids []string
	testbed.Eventually(t, testbed.Patience, func() error {
		log, err := os.ReadFile(filepath.Join(keep, "supervisord.log"))
		if err != nil {
			return err
		}
		pids = nil
		for _, m := range spawned.FindAllStringSubmatch(string(log), -1) {
			pids = append(pids, m[1])
		}
		if len(pids) < 3 {
			return fmt.Errorf("%d workers run", len(pids))
		}
		return nil
	})
	for _, pid := range pids {
		if !alive(pid) {
			t.Fatalf("worker %s does not run", pid)
		}
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	_ = cmd.Wait() // killed
	testbed.Eventually(t, testbed.Patience, func() error {
		for _, pid := range pids {
			if alive(pid) {
				return fmt.Errorf("worker %s outlives the demo", pid)
			}
		}
		return nil
	})
}

// alive says whether a pid is a process of the demo's.
func alive(pid string) bool {
	line, err := os.ReadFile("/proc/" + pid + "/cmdline")
	return err == nil && bytes.HasPrefix(line, []byte("celery\x00"))
}

// interactive starts the demo for a person and returns the address of its
// page and how to end it as Ctrl-C does.
func interactive(t *testing.T) (url string, end func()) {
	t.Helper()
	cmd, temp := demo(t, context.WithoutCancel(t.Context()), "--listen", "127.0.0.1:0")
	var talk bytes.Buffer
	cmd.Stderr = &talk
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if cmd.ProcessState == nil {
			_ = cmd.Process.Kill() // the test failed before it ended the demo
			_ = cmd.Wait()
		}
		if t.Failed() {
			t.Log(talk.String())
		}
	})
	if _, err := fmt.Fscanln(out, &url); err != nil {
		t.Fatalf("read the page's address: %v\n%s", err, talk.String())
	}
	return url, func() {
		t.Helper()
		if err := cmd.Process.Signal(os.Interrupt); err != nil {
			t.Fatal(err)
		}
		if err := cmd.Wait(); err != nil {
			t.Errorf("the demo ends with %v after Ctrl-C\n%s", err, talk.String())
		}
		if left, err := os.ReadDir(temp); err != nil || len(left) > 0 {
			t.Errorf("the demo left %s files behind (%v)", strconv.Itoa(len(left)), err)
		}
	}
}
