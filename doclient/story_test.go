package doclient_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/dropleak/dropleak/doclient"
	"github.com/dropleak/dropleak/doclient/dosim"
)

// The road of a run through this package, against an API with its ordinary
// unkindnesses: find the droplet, read its memory, snapshot, wait, find the
// snapshot, reboot, wait, delete.
func TestStory(t *testing.T) {
	for seed := range uint64(8) {
		bubble(t, func(t *testing.T, ctx context.Context) {
			w := newWorld(t, dosim.Options{Seed: seed})
			fleet, err := w.reader.Droplets(ctx, "celery")
			check(t, err)
			if len(fleet) != 1 || fleet[0].Name != "web-1" || fleet[0].MemoryPlan != 1<<30 {
				t.Fatalf("fleet %+v", fleet)
			}
			m, err := w.reader.Memory(ctx, web1, time.Now().Add(-time.Hour), time.Now())
			check(t, err)
			if n := len(m.Available); n < 29 || n > 31 || len(m.Total) == 0 {
				t.Fatalf("%d samples available, %d total, want about 30", n, len(m.Total))
			}

			a, err := w.executor.Snapshot(ctx, web1, "run-1")
			check(t, err)
			looks := 0
			a, err = w.executor.Await(ctx, a.ID, doclient.AwaitOptions{Progress: func(doclient.Action) { looks++ }})
			check(t, err)
			if a.Status != doclient.Completed || looks < 2 || !a.CompletedAt.After(a.StartedAt) {
				t.Errorf("after %d looks: %+v", looks, a)
			}
			s, err := w.executor.AwaitSnapshot(ctx, web1, "run-1", doclient.AwaitOptions{})
			check(t, err)
			if s.DropletID != web1 || !s.CreatedAt.Equal(a.StartedAt) || s.ID == "" {
				t.Errorf("snapshot %+v of action %+v", s, a)
			}

			b, err := w.executor.Reboot(ctx, web1)
			check(t, err)
			_, err = w.executor.Await(ctx, b.ID, doclient.AwaitOptions{Every: 5 * time.Second})
			check(t, err)
			check(t, w.executor.DeleteSnapshot(ctx, s))
			if err := w.executor.DeleteSnapshot(ctx, s); !errors.Is(err, doclient.ErrNotFound) {
				t.Errorf("deleting it again: %v", err)
			}
			if posts(w) != 2 || len(w.Requests("DELETE", "/")) != 1 {
				t.Errorf("%d POSTs and %d DELETEs, want 2 and 1", posts(w), len(w.Requests("DELETE", "/")))
			}
			for _, e := range w.Requests("POST", "/") {
				if e.Token != writeToken {
					t.Error("an order went out with the reader's token")
				}
			}
		})
	}
}
