package demo

import (
	"io"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// TestPortIsTaken: who starts a second demo reads why it does not start, and
// what to do; nothing of it stays behind.
func TestPortIsTaken(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	t.Setenv("TMPDIR", t.TempDir())
	err = Run(t.Context(), Options{Out: io.Discard, Talk: io.Discard, Listen: l.Addr().String()})
	if err == nil || !strings.Contains(err.Error(), l.Addr().String()+" is taken") || !strings.Contains(err.Error(), "--listen 127.0.0.1:0") {
		t.Errorf("a second demo says %v", err)
	}
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) > 0 {
		t.Errorf("it leaves %v, %v", left, err)
	}
}

// TestListenOnLoopback: an address that others could reach is refused with the
// reason, and nothing stays behind.
func TestListenOnLoopback(t *testing.T) {
	t.Setenv("TMPDIR", t.TempDir())
	for listen, want := range map[string]string{"0.0.0.0:1": "0.0.0.0:1 can be reached by others", ":8321": ":8321 can be reached by others",
		"192.0.2.7:80": "can be reached by others", "example.com:80": "can be reached by others", "127.0.0.1": "missing port"} {
		err := Run(t.Context(), Options{Out: io.Discard, Talk: io.Discard, Listen: listen})
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("--listen %s: %v, want %q", listen, err, want)
		}
	}
	if left, err := os.ReadDir(os.Getenv("TMPDIR")); err != nil || len(left) > 0 {
		t.Errorf("it leaves %v, %v", left, err)
	}
	for _, listen := range []string{"", "127.0.0.1:0", "[::1]:0", "localhost:0"} {
		if err := OnLoopback(listen); err != nil {
			t.Errorf("--listen %q: %v", listen, err)
		}
	}
}

// TestLastLines are why a service did not start, and where to read more as long
// as that is there.
func TestLastLines(t *testing.T) {
	path := filepath.Join(t.TempDir(), "serve.log")
	if err := os.WriteFile(path, []byte("1\n2\nstarting\nslack.api_url: plain http\n    api_url: x\nit has 1 problem\n\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := lastLines(path); got != "starting\nslack.api_url: plain http\n    api_url: x\nit has 1 problem" {
		t.Errorf("the last lines are %q", got)
	}
	if got := lastLines(path + "x"); !strings.Contains(got, "no such file") {
		t.Errorf("without a log: %q", got)
	}
	for keep, want := range map[string]string{"": "", "dir": "\nits log is x.log"} {
		if got := (&world{o: Options{Keep: keep}}).kept("x.log"); got != want {
			t.Errorf("kept in %q: %q", keep, got)
		}
	}
}
