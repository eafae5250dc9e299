package watch_test

import (
	"strings"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/finding"
)

// Only calm cures: as long without growth as it took to see the leak.
func TestCured(t *testing.T) {
	stops := func(h float64) float64 { return leak(min(h, 40)) }
	b := leaking(t, 200, stops)
	resolved, tells := 0.0, time.Time{}
	for h := 41.0; h < 200 && resolved == 0; h++ {
		if all, _ := b.store.Findings(t.Context(), finding.Filter{}); len(all) == 1 {
			tells = b.watch().Tells(all[0], monday.Add(40*time.Hour))
		}
		if told := b.scan(monday.Add(hours(h))); strings.Contains(told, "resolved leak mailer") {
			resolved = h
		}
	}
	if resolved == 0 {
		t.Fatal("never resolved")
	}
	all, _ := b.store.Findings(t.Context(), finding.Filter{})
	f := all[0]
	if len(all) != 1 || f.State != finding.Resolved || f.Why == "" || f.Closed.IsZero() {
		t.Errorf("findings are %+v", all)
	}
	if calm := f.Closed.Sub(f.LastSeen); calm < 6*time.Hour {
		t.Errorf("resolved %v after the leak was last seen", calm)
	}
	if f.Closed.Before(tells) || tells.Before(f.LastSeen.Add(6*time.Hour)) {
		t.Errorf("resolved at %v, said to be told at %v at the earliest", f.Closed, tells)
	}
	if told := b.scan(monday.Add(hours(resolved + 1))); told != "" {
		t.Errorf("after it was resolved: %q", told)
	}
}

// A process that vanished or began again proves nothing.
func TestNotCuredByAbsence(t *testing.T) {
	restarted := func(b *bed) {
		w := line("mailer", monday.Add(hours(40.2)), monday.Add(hours(44)), func(h float64) float64 { return 200 * mib })
		w.Lives[0].PID = 8
		b.workers[web.ID][0].Lives = append(b.workers[web.ID][0].Lives, w.Lives...)
	}
	tests := []struct {
		name   string
		happen func(*bed)
		until  float64
	}{
		{"the worker vanished", func(b *bed) { b.workers[web.ID] = nil }, 120},
		{"no sample came any more", func(*bed) {}, 120},
		{"it was restarted four hours ago", restarted, 44},
		{"it was restarted and then not seen", restarted, 100},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			b := leaking(t, 40, leak)
			tt.happen(b)
			for h := 41.0; h <= tt.until; h++ {
				if told := b.scan(monday.Add(hours(h))); strings.Contains(told, "resolved") {
					t.Fatalf("hour %v: told %q", h, told)
				}
			}
			b.the()
		})
	}
}

// While a run works on it, the run tells what becomes of it.
func TestInHandIsNotResolved(t *testing.T) {
	b := leaking(t, 200, func(h float64) float64 { return leak(min(h, 40)) })
	b.change(b.the().ID, func(f *finding.Finding) {
		if err := f.TakeInHand("run", "U1", monday.Add(hours(40))); err != nil {
			t.Fatal(err)
		}
	})
	for h := 50.0; h < 200; h += 10 {
		b.scan(monday.Add(hours(h)))
	}
	if f := b.the(); f.State != finding.InHand {
		t.Errorf("state %s", f.State)
	}
}

// Somebody said: false alarm. The same growth is not told again; a leak that
// begins later, or a much faster one, is.
func TestDismissedStaysSo(t *testing.T) {
	dismissed := func(t *testing.T, curve func(float64) float64) *bed {
		b := leaking(t, 140, curve)
		b.change(b.the().ID, func(f *finding.Finding) {
			if err := f.Dismiss("U1", "known", monday.Add(hours(41))); err != nil {
				t.Fatal(err)
			}
		})
		return b
	}
	t.Run("the same leak", func(t *testing.T) {
		b := dismissed(t, leak)
		for h := 41.1; h < 80; h += 3 {
			if told := b.scan(monday.Add(hours(h))); told != "" {
				t.Fatalf("hour %v: told %q", h, told)
			}
		}
	})
	t.Run("much faster", func(t *testing.T) {
		b := dismissed(t, func(h float64) float64 { return leak(h) + 100*mib*max(h-45, 0) })
		all := ""
		for h := 42.0; h < 90; h += 3 {
			all += b.scan(monday.Add(hours(h)))
		}
		if strings.Count(all, "opened leak mailer") != 1 {
			t.Errorf("told %q", all)
		}
	})
}
