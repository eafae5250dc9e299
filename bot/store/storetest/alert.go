package storetest

import (
	"errors"
	"fmt"
	"sync"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/alert"
	"github.com/google/go-cmp/cmp"
)

func due(endpoint, key string) alert.Due {
	return alert.Due{Endpoint: endpoint, Firing: true, Changed: noon, Version: 1,
		Alert: alert.Alert{Key: key, Kind: alert.RunningOut, Severity: alert.Critical, Title: "mail on web-1", Since: noon}}
}

// alertOutbox: what was put is there after the process, by compare-and-set.
func alertOutbox(t *testing.T, dsn string) {
	s, ctx := Open(t, dsn), t.Context()
	for _, d := range []alert.Due{due("webhook", "f1"), due("pagerduty", "f1"), due("webhook", "f2")} {
		if err := s.PutDue(ctx, d); err != nil {
			t.Fatal(err)
		}
		if err := s.PutDue(ctx, d); !errors.Is(err, alert.ErrConflict) {
			t.Errorf("stored as new twice: %v", err)
		}
	}
	changed := due("webhook", "f1")
	changed.Seq, changed.Sent, changed.SentAt, changed.Trouble = 1, 1, noon.Add(time.Minute), "answered 500"
	if err := s.PutDue(ctx, changed); err != nil {
		t.Fatal(err)
	}
	if err := s.PutDue(ctx, changed); !errors.Is(err, alert.ErrConflict) {
		t.Errorf("stored over a newer one: %v", err)
	}
	if err := s.DropDue(ctx, changed); !errors.Is(err, alert.ErrConflict) {
		t.Errorf("dropped a newer one: %v", err)
	}
	gone := due("webhook", "f2")
	gone.Seq = 1
	if err := s.DropDue(ctx, gone); err != nil {
		t.Error(err)
	}
	got, err := s.Dues(ctx)
	if err != nil {
		t.Fatal(err)
	}
	first := due("pagerduty", "f1")
	first.Seq, changed.Seq = 1, 2
	if d := cmp.Diff([]alert.Due{first, changed}, got); d != "" {
		t.Errorf("stored and read (-want +got):\n%s", d)
	}
}

// alertRace: of many that take one row, one does.
func alertRace(t *testing.T, dsn string) {
	s, ctx := Open(t, dsn), t.Context()
	if err := s.PutDue(ctx, due("webhook", "f1")); err != nil {
		t.Fatal(err)
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	won := 0
	for i := range 8 {
		wg.Go(func() {
			d := due("webhook", "f1")
			d.Seq, d.Trouble = 1, fmt.Sprint(i)
			err := s.PutDue(ctx, d)
			mu.Lock()
			defer mu.Unlock()
			switch {
			case err == nil:
				won++
			case !errors.Is(err, alert.ErrConflict):
				t.Error(err)
			}
		})
	}
	wg.Wait()
	if won != 1 {
		t.Errorf("%d of 8 won", won)
	}
}
