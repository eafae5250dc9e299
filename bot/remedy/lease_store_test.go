package remedy_test

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/remedy"
	"github.com/dropleak/dropleak/bot/store/storetest"
	"github.com/dropleak/dropleak/bot/testbed"
	"github.com/dropleak/dropleak/bot/workflow"
)

// hasty is two replicas' configuration where a test waits in real time.
func hasty(c *remedy.Config, _ *remedy.Deps) {
	ms := time.Millisecond
	c.Pace.Poll, c.Pace.Line, c.Pace.Watch, c.Pace.VerifyEvery, c.Pace.Hold = 20*ms, 20*ms, 20*ms, 50*ms, 50*ms
	c.Engine = workflow.Options{Poll: 20 * ms, Lease: 2 * time.Second}
}

// TestLeaseOnStores keeps a worker alive through two replicas on the real
// stores, in real time. The one that is about to restart it dies; the other
// goes on. One approval, one snapshot, two restarts and no third.
func TestLeaseOnStores(t *testing.T) {
	for name, dsn := range map[string]func() string{
		"sqlite":   func() string { return "sqlite:" + t.TempDir() },
		"postgres": func() string { return testbed.Database(t) },
	} {
		t.Run(name, func(t *testing.T) {
			w := newWorld()
			s := storetest.Open(t, dsn())
			w.db, w.snapshotTakes, w.minute = s, 50*time.Millisecond, 100*time.Millisecond
			a, b := w.start("a", hasty), w.start("b", hasty)
			var once sync.Once
			die := func(border string) (f fault) {
				if border == "store plan restart" {
					once.Do(func() { f = crashBefore })
				}
				return f
			}
			a.choose, b.choose = die, die
			defer keepWorking(t, a, b)()
			run := proposed(t, a)
			if g := decide(t, b, run, lease(alice, 8*time.Hour, 2)); !g.Accepted {
				t.Fatalf("grant: %v", g.Refusal)
			}
			id := "lease-" + run
			for restarts := 1; restarts <= 2; restarts++ {
				testbed.Eventually(t, testbed.Patience, func() error {
					for _, p := range []*process{a, b} {
						if p.dead.Load() {
							continue
						}
						if err := p.s.Heed(t.Context(), leaking(w, 10*time.Millisecond, 10*time.Minute)); err != nil {
							return err
						}
					}
					if n := w.count("restart"); n != restarts {
						return fmt.Errorf("%d restarts, not yet %d", n, restarts)
					}
					return nil
				})
			}
			testbed.Eventually(t, testbed.Patience, func() error {
				if r, err := s.Run(t.Context(), id); err != nil || r.Outcome != string(remedy.LeaseUsedUp) {
					return fmt.Errorf("the lease is %q: %v", r.Outcome, err)
				}
				return nil
			})
			if !a.dead.Load() && !b.dead.Load() {
				t.Error("nobody died")
			}
			if n, m := w.count("snapshot"), w.count("restart"); n != 1 || m != 2 {
				t.Errorf("%d snapshots and %d restarts under one lease of two", n, m)
			}
			if err := w.laws(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

// keepWorking has processes carry runs out until the test ends.
func keepWorking(t *testing.T, ps ...*process) (stop func()) {
	ctx, cancel := context.WithCancel(t.Context())
	var all sync.WaitGroup
	for _, p := range ps {
		all.Go(func() {
			if err := p.s.Run(ctx); err != nil && !errors.Is(err, errDead) {
				t.Error(err)
			}
		})
	}
	return func() { cancel(); all.Wait() }
}
