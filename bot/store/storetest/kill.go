package storetest

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/history"
	"github.com/dropleak/dropleak/bot/store"
	"github.com/dropleak/dropleak/detector/sample"
)

// childDSN tells a test binary that it is the process to be killed.
const childDSN = "DROPLEAK_STORETEST_CHILD"

// Main runs the tests of a binary that uses [Run], or plays the process
// that a test kills.
func Main(m *testing.M) int {
	if dsn := os.Getenv(childDSN); dsn != "" {
		fmt.Fprintln(os.Stderr, writeUntilKilled(dsn))
		return 1
	}
	return m.Run()
}

// writeUntilKilled writes samples and state, and folds, as fast as it can.
// It prints a number once everything of that number is acknowledged.
func writeUntilKilled(dsn string) error {
	ctx := context.Background()
	s, err := store.Open(ctx, dsn, store.Options{})
	if err != nil {
		return err
	}
	h := soon(s)
	folds := make(chan error, 1)
	go func() {
		for {
			if err := h.Fold(ctx); err != nil {
				folds <- err
				return
			}
		}
	}()
	first, err := written(ctx, h)
	if err != nil {
		return err
	}
	for n := first; ; n++ {
		at := noon.Add(time.Duration(n) * time.Second)
		series := []sample.Series{rss("42", "mailer", "0", grid(at, 0, 1, n)...), rss("42", "mailer", "1", grid(at, 0, 1, n)...)}
		if err := h.Write(ctx, series); err != nil {
			return err
		}
		if err := s.OpenFinding(ctx, leak(fmt.Sprint("f", n), "42", fmt.Sprint("w", n))); err != nil {
			return err
		}
		fmt.Println(n)
		select {
		case err := <-folds:
			return err
		default:
		}
	}
}

// written is how many numbers an earlier process wrote, whether or not it
// said so.
func written(ctx context.Context, h *history.History) (int, error) {
	series, err := h.Select(ctx, []history.Matcher{history.Is("slot", "0")}, noon, noon.AddDate(1, 0, 0))
	if err != nil || len(series) == 0 {
		return 0, err
	}
	return len(series[0].Points), nil
}

// killed kills a writing process a few times over and wants everything it
// acknowledged.
func killed(t *testing.T, dsn string) {
	last := -1
	for round := range 3 {
		last = killOnce(t, dsn, last+50)
		s, err := store.Open(t.Context(), dsn, store.Options{})
		if err != nil {
			t.Fatalf("round %d: the store does not open again: %v", round, err)
		}
		series := selectAll(t, history.New(s, history.Options{}))
		if len(series) != 2 || len(series[0].Points) <= last || len(series[0].Points) != len(series[1].Points) {
			t.Fatalf("round %d: %d was acknowledged, and not all of it is there: %.300v", round, last, series)
		}
		for i, p := range series[0].Points {
			if p != grid(noon.Add(time.Duration(i)*time.Second), 0, 1, i)[0] {
				t.Fatalf("round %d: sample %d is %v", round, i, p)
			}
		}
		if _, err := s.Finding(t.Context(), fmt.Sprint("f", last)); err != nil {
			t.Errorf("round %d: the last finding: %v", round, err)
		}
		if err := s.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// killOnce starts a writer, kills it after some acknowledgements and returns
// the last one it got out.
func killOnce(t *testing.T, dsn string, after int) int {
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), self)
	cmd.Env = append(os.Environ(), childDSN+"="+dsn)
	var errs strings.Builder
	cmd.Stderr = &errs
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	last := -1
	for lines := bufio.NewScanner(out); lines.Scan(); {
		if last, err = strconv.Atoi(lines.Text()); err != nil {
			t.Fatal(err)
		}
		if last == after {
			if err := cmd.Process.Kill(); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := cmd.Wait(); err == nil || last < after {
		t.Fatalf("the writer ended by itself after %d: %v: %s", last, err, errs.String())
	}
	return last
}
