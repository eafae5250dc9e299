package agent

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dropleak/dropleak/detector/sample"
)

// TestOnHand: a main process's last word goes with the next passes while it
// is fresh, and nobody else's does.
func TestOnHand(t *testing.T) {
	var c taskCounts
	p := pool(11, 12)
	p.Processes[0].Slot, p.Processes[1].Slot = sample.SlotMain, "0"
	now := time.Now()
	check := func(at time.Time, want ...sample.OnHand) {
		t.Helper()
		if d := cmp.Diff(want, c.onHand(p, at)); d != "" {
			t.Error(d)
		}
	}
	check(now)
	c.take(11, []byte("2 9 9 9 9"))
	c.take(11, []byte("2 3 2 8 40"))
	c.take(12, []byte("2 1 1 1 1")) // a child that speaks for the worker
	c.take(99, []byte("2 7 7 7 7")) // nobody's
	for _, bad := range []string{"2", "2 1 2 0 0", "2 1 1 1", "2 1 1 1 1 1", "2 -1 0 0 0", "2 1 0 0 1e9", "2 1 0 0 99999999999", "3 1 0 0 0"} {
		c.take(11, []byte(bad))
	}
	told := sample.OnHand{At: time.Unix(60, 0), Droplet: "42", Worker: "w", Running: 3, Late: 2, Reserved: 8, ETA: 40}
	check(now, told)
	if len(c.hands) != 1 || len(c.by) != 0 {
		t.Errorf("kept %v and %v", c.hands, c.by)
	}
	check(now.Add(handFresh/2), told)
	check(now.Add(2 * handFresh))
	c.take(11, []byte("2 3 2 8 40"))
	p.Processes[0].Start = time.Now().Add(time.Hour) // the pid has passed to another
	check(now)
	for pid := range 2 * taskEntries {
		c.take(1000+pid, []byte("2 0 0 0 0"))
	}
	if len(c.hands) > taskEntries {
		t.Errorf("%d held", len(c.hands))
	}
}

// FuzzParseHand: what is read is what would be written.
func FuzzParseHand(f *testing.F) {
	f.Add([]byte("2 3 2 8 40"))
	f.Add([]byte("2 3 4 8 \xff"))
	f.Fuzz(func(t *testing.T, b []byte) {
		h, ok := parseHand(b)
		if !ok {
			return
		}
		again, ok := parseHand(fmt.Appendf(nil, "2 %.0f %.0f %.0f %.0f", h.Running, h.Late, h.Reserved, h.ETA))
		if !ok || again != h || h.Late > h.Running || h.Running < 0 {
			t.Errorf("%q: %+v, %+v", b, h, again)
		}
	})
}
