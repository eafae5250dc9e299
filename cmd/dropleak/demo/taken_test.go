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

// TestLastLine is why a service did not start.
func TestLastLine(t *testing.T) {
	path := filepath.Join(t.TempDir(), "serve.log")
	if err := os.WriteFile(path, []byte("starting\nlisten on 10.0.0.1:1: refused\n\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := lastLine(path); got != "listen on 10.0.0.1:1: refused" {
		t.Errorf("the last line is %q", got)
	}
	if got := lastLine(path + "x"); !strings.Contains(got, "no such file") {
		t.Errorf("without a log: %q", got)
	}
}
