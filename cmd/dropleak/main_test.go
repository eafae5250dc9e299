package main

import (
	"bytes"
	"context"
	"io"
	"strings"
	"testing"
)

// A scan that waits for its input ends at the first signal, and not with an
// exit code that speaks of leaks.
func TestInterruptedScan(t *testing.T) {
	in, out := io.Pipe()
	defer out.Close()
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		_, _ = io.WriteString(out, "time,value\n") // it reads now
		cancel()
	}()
	var said bytes.Buffer
	if code := run(ctx, []string{"scan", "-"}, in, io.Discard, &said); code != interrupted || !strings.Contains(said.String(), "interrupted") {
		t.Errorf("exit code %d, said %q", code, said.String())
	}
}
