package storetest

import (
	"fmt"
	"sync"
	"testing"
	"time"
)

// inboxOnce lets a delivery come twice and several hands work: each envelope
// is worked off once.
func inboxOnce(t *testing.T, dsn string) {
	s, ctx := Open(t, dsn), t.Context()
	for i := range 20 {
		for delivery := range 2 {
			fresh, err := s.SaveEnvelope(ctx, fmt.Sprint("e", i), []byte(`{"n":1}`), noon.Add(time.Duration(i)*time.Second))
			if err != nil || fresh != (delivery == 0) {
				t.Fatalf("delivery %d of e%d: fresh %v, %v", delivery+1, i, fresh, err)
			}
		}
	}
	var mu sync.Mutex
	taken := map[string]int{}
	var wg sync.WaitGroup
	for hand := range 4 {
		wg.Go(func() {
			for {
				id, _, _, err := s.TakeEnvelope(ctx, fmt.Sprint("hand", hand), noon, time.Minute)
				if err != nil {
					t.Error(err)
				}
				if err != nil || id == "" {
					return
				}
				mu.Lock()
				taken[id]++
				mu.Unlock()
				if err := s.FinishEnvelope(ctx, id, noon); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	if len(taken) != 20 {
		t.Errorf("%d of 20 envelopes were worked off", len(taken))
	}
	for id, n := range taken {
		if n != 1 {
			t.Errorf("%s was taken %d times", id, n)
		}
	}
	if fresh, err := s.SaveEnvelope(ctx, "e3", nil, noon); err != nil || fresh {
		t.Errorf("an envelope that is done came again: fresh %v, %v", fresh, err)
	}
}

// inboxLease lets a hand die: the envelope is taken again after its lease.
func inboxLease(t *testing.T, dsn string) {
	s, ctx := Open(t, dsn), t.Context()
	if _, err := s.SaveEnvelope(ctx, "e", []byte("{}"), noon); err != nil {
		t.Fatal(err)
	}
	if id, _, before, err := s.TakeEnvelope(ctx, "a", noon, time.Minute); err != nil || id != "e" || before != 0 {
		t.Fatalf("%q, %d, %v", id, before, err)
	}
	if id, _, _, err := s.TakeEnvelope(ctx, "b", noon.Add(59*time.Second), time.Minute); err != nil || id != "" {
		t.Errorf("taken within the lease: %q, %v", id, err)
	}
	id, body, before, err := s.TakeEnvelope(ctx, "b", noon.Add(time.Minute), time.Minute)
	if err != nil || id != "e" || before != 1 || string(body) != "{}" {
		t.Errorf("after the lease: %q, %q, %d, %v", id, body, before, err)
	}
}
