package storetest

import (
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// fireClaimed lets several replicas claim the same fire: one gets it.
func fireClaimed(t *testing.T, dsn string) {
	s, ctx := Open(t, dsn), t.Context()
	if next, spec, err := s.NextFire(ctx, "report"); err != nil || !next.IsZero() || spec != "" {
		t.Fatalf("a new job: %v, %q, %v", next, spec, err)
	}
	if won, err := s.ClaimFire(ctx, "report", "@daily", time.Time{}, noon); err != nil || !won {
		t.Fatalf("the first fire of a new job: %v, %v", won, err)
	}
	var won atomic.Int32
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			ok, err := s.ClaimFire(ctx, "report", "@daily", noon, noon.Add(24*time.Hour))
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
	if next, spec, err := s.NextFire(ctx, "report"); err != nil || !next.Equal(noon.Add(24*time.Hour)) || spec != "@daily" {
		t.Errorf("next fire %v, %q, %v", next, spec, err)
	}
}
