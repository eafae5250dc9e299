package testbed

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"testing"
	"time"
)

// Patience is how long a test waits for what comes soon on an idle machine. It only says when to give up: no test may
// fail because the machine is slow or busy.
const Patience = 5 * time.Minute

// Eventually asks ready again and again until it returns nil, and fails the test with its last error when that has not
// happened within the given time.
func Eventually(t testing.TB, within time.Duration, ready func() error) {
	t.Helper()
	if err := eventually(t.Context(), within, ready); err != nil {
		t.Fatalf("not within %v: %v", within, err)
	}
}

func eventually(ctx context.Context, within time.Duration, ready func() error) error {
	deadline := time.NewTimer(within)
	defer deadline.Stop()
	again := time.NewTicker(20 * time.Millisecond)
	defer again.Stop()
	for {
		err := ready()
		if err == nil {
			return nil
		}
		select {
		case <-again.C:
		case <-deadline.C:
			return err
		case <-ctx.Done():
			return err
		}
	}
}

// await waits until the program answers, and fails at once when it ends instead.
func (p *Process) await(ctx context.Context, ready func() error) error {
	var ended error
	err := eventually(ctx, Patience, func() error {
		select {
		case <-p.done:
			ended = fmt.Errorf("%s ended: %v", p.name, p.cmd.ProcessState)
			return nil
		default:
			return ready()
		}
	})
	if ended != nil {
		err = ended
	}
	if err != nil {
		return fmt.Errorf("wait for %s: %w\n%s", p.name, err, tail(p.Log(), 40))
	}
	return nil
}

// answers returns a readiness check that asks for url and wants status 200.
func answers(ctx context.Context, url string) func() error {
	return func() error {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
		if err != nil {
			return err
		}
		response, err := http.DefaultClient.Do(request)
		if err != nil {
			return err
		}
		response.Body.Close()
		if response.StatusCode/100 != 2 {
			return fmt.Errorf("GET %s: %s", url, response.Status)
		}
		return nil
	}
}

// Folder makes a folder that everybody may enter and that goes when the test ends. Its path is short, unlike that of
// t.TempDir, because a unix socket's may have no more than 107 bytes.
func Folder(t testing.TB) string {
	t.Helper()
	dir, err := os.MkdirTemp("", "bed-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		// A container's engine may still write into it for a moment.
		if err := eventually(context.WithoutCancel(t.Context()), 10*time.Second, func() error { return os.RemoveAll(dir) }); err != nil {
			t.Errorf("remove the test's folder: %v", err)
		}
	})
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	return dir
}

// freePort returns a port on which nobody listened a moment ago. Somebody may take it before our program does, so
// whoever starts a program on it tries again with another.
func freePort() (int, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return 0, fmt.Errorf("find a free port: %w", err)
	}
	defer l.Close()
	return l.Addr().(*net.TCPAddr).Port, nil
}

// onFreePort starts a program on a free port and waits until it answers, three times at most.
func onFreePort(t testing.TB, start func(port int) (*Process, func() error, error)) *Process {
	t.Helper()
	var err error
	for range 3 {
		var port int
		if port, err = freePort(); err != nil {
			break
		}
		var p *Process
		var ready func() error
		if p, ready, err = start(port); err != nil {
			break
		}
		if err = p.await(t.Context(), ready); err == nil {
			t.Cleanup(func() { p.end(t) })
			return p
		}
		p.Stop()
	}
	t.Fatal(err)
	return nil
}

// program returns the path of a program that a Debian package installed, the newest if there are several, looked for in
// the given folders beside the usual ones. The path of the caller comes last: another Python's celery may stand there.
func program(t testing.TB, name string, folders ...string) string {
	t.Helper()
	for _, folder := range append([]string{"/usr/bin", "/usr/sbin"}, folders...) {
		found, err := filepath.Glob(filepath.Join(folder, name))
		if err != nil {
			t.Fatal(err)
		}
		if len(found) > 0 {
			return slices.Max(found)
		}
	}
	found, err := exec.LookPath(name)
	if err != nil {
		t.Fatalf("%v: run .ci/setup", err)
	}
	return found
}

// write makes a file that everybody may read, or ends the test.
func write(t testing.TB, path, text string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(text), 0o644); err != nil {
		t.Fatal(err)
	}
}
