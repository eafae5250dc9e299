package chaos

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/dropleak/dropleak/bot/store"
	"github.com/dropleak/dropleak/bot/testbed"
	"github.com/dropleak/dropleak/doclient/dosim"
)

// TestFullDisk: the disk of the service's store runs full while the snapshot
// is made. Nothing happens twice, nothing happens unwritten, and when there is
// room again the run goes on to its end.
func TestFullDisk(t *testing.T) {
	w := newTown(t, 3, store.SQLite, 1, func(dir string) { smallDisk(t, filepath.Join(dir, "data")) })
	a := w.agents[0]
	if a.reboots || a.stumbles {
		t.Fatal("choose a seed whose worker is restarted without ado")
	}
	ctx, stop := context.WithCancel(t.Context())
	var loops sync.WaitGroup
	defer func() { stop(); loops.Wait() }()
	loops.Go(func() { a.ship(ctx) })
	loops.Go(func() { a.serve(ctx) })
	loops.Go(func() { w.want(ctx, a) })
	testbed.Eventually(t, testbed.Patience, func() error {
		if len(w.cloud.Entries(dosim.KindActionStarted)) == 0 {
			return errors.New("no snapshot is ordered")
		}
		return nil
	})
	filler := filepath.Join(w.dir, "data", "filler")
	fill(t, filler)
	testbed.Eventually(t, testbed.Patience, func() error {
		log := w.replicas[0].alive().Log()
		if !strings.Contains(log, "disk is full") && !strings.Contains(log, "disk I/O error") {
			return errors.New("the service does not notice that the disk is full")
		}
		return nil
	})
	w.readyz(http.StatusServiceUnavailable)
	if err := os.Remove(filler); err != nil {
		t.Fatal(err)
	}
	w.readyz(http.StatusOK)
	w.await(ctx, func() {})
	sum := w.audit(ctx)
	t.Logf("%v\n%s", &sum, w.ledger)
	if !sum.good(1) || sum.outcomes["freed_working"] != 1 {
		t.Errorf("%v, ended %v\n%s", &sum, sum.outcomes, strings.Join(sum.wrongs, "\n"))
	}
}

// readyz waits until the first replica answers with that status.
func (w *town) readyz(status int) {
	w.t.Helper()
	testbed.Eventually(w.t, testbed.Patience, func() error {
		resp, err := http.Get("http://" + w.replicas[0].listen + "/readyz")
		if err != nil {
			return err
		}
		defer resp.Body.Close()
		said, err := io.ReadAll(resp.Body)
		if err == nil && resp.StatusCode != status {
			err = fmt.Errorf("/readyz answers %s, not %d: %s", resp.Status, status, said)
		}
		return err
	})
}

// smallDisk mounts a small disk at a folder until the test ends.
func smallDisk(t *testing.T, dir string) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o700); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Mount("tmpfs", dir, "tmpfs", 0, "size=32m"); err != nil {
		t.Fatalf("mount a small disk (needs root): %v", err)
	}
	t.Cleanup(func() {
		if err := syscall.Unmount(dir, syscall.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
}

// fill writes a file until there is no room left.
func fill(t *testing.T, path string) {
	t.Helper()
	f, err := os.Create(path)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for block := make([]byte, 1<<12); ; {
		_, err := f.Write(block)
		switch {
		case errors.Is(err, syscall.ENOSPC):
			return
		case err != nil:
			t.Fatal(fmt.Errorf("fill the disk: %w", err))
		}
	}
}
