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
				e, ok, err := s.TakeEnvelope(ctx, fmt.Sprint("hand", hand), noon, time.Minute)
				if err != nil {
					t.Error(err)
				}
				if err != nil || !ok {
					return
				}
				mu.Lock()
				taken[e.ID]++
				mu.Unlock()
				if err := s.FinishEnvelope(ctx, e.ID, noon); err != nil {
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
	first, ok, err := s.TakeEnvelope(ctx, "a", noon, time.Minute)
	if err != nil || !ok || first.Tries != 0 {
		t.Fatalf("%+v, %v, %v", first, ok, err)
	}
	if _, ok, err := s.TakeEnvelope(ctx, "b", noon.Add(59*time.Second), time.Minute); err != nil || ok {
		t.Errorf("taken within the lease: %v, %v", ok, err)
	}
	again, ok, err := s.TakeEnvelope(ctx, "b", noon.Add(time.Minute), time.Minute)
	if err != nil || !ok || again.Tries != 1 || string(again.Body) != "{}" {
		t.Errorf("after the lease: %+v, %v, %v", again, ok, err)
	}
}
