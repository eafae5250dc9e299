package storetest

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/schedule"
)

// fireClaimed lets several replicas claim the same fire: one gets it, and
// what it claimed is there until it is settled.
func fireClaimed(t *testing.T, dsn string) {
	s, ctx := Open(t, dsn), t.Context()
	if f, err := s.Fire(ctx, "report"); err != nil || f != (schedule.Fire{}) {
		t.Fatalf("a new job: %+v, %v", f, err)
	}
	first := schedule.Fire{Next: noon, Spec: "@daily"}
	if won, err := s.MoveFire(ctx, "report", schedule.Fire{}, first); err != nil || !won {
		t.Fatalf("the first fire of a new job: %v, %v", won, err)
	}
	claimed := schedule.Fire{Next: noon.Add(24 * time.Hour), Spec: "@daily", Due: noon, Until: noon.Add(time.Minute)}
	var won atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			ok, err := s.MoveFire(ctx, "report", first, claimed)
			if err != nil {
				t.Error(err)
			}
			if ok {
				won.Add(1)
			}
		})
	}
	wg.Wait()
	if won.Load() != 1 {
		t.Errorf("%d replicas claimed one fire", won.Load())
	}
	if f, err := s.Fire(ctx, "report"); err != nil || f != claimed {
		t.Errorf("after the claim %+v, %v", f, err)
	}
	longer, settled := claimed, claimed
	longer.Until, settled.Due, settled.Until = noon.Add(2*time.Minute), time.Time{}, time.Time{}
	for _, c := range []struct {
		says     string
		from, to schedule.Fire
		want     bool
	}{
		{"to hold it longer", claimed, longer, true},
		{"to settle it with a lease that was renewed since", claimed, settled, false},
		{"to settle it", longer, settled, true},
		{"to settle it twice", longer, settled, false},
	} {
		if ok, err := s.MoveFire(ctx, "report", c.from, c.to); err != nil || ok != c.want {
			t.Errorf("%s: %v, %v", c.says, ok, err)
		}
	}
}
