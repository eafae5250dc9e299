package watch_test

import (
	"strings"
	"testing"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/detector"
)

// TestThreshold: who holds too much is told of at once, trend or not, until
// it holds clearly less.
func TestThreshold(t *testing.T) {
	level := func(h float64) float64 {
		switch {
		case h < 2:
			return 300 * mib
		case h < 4:
			return 410 * mib
		case h < 6:
			return 390 * mib // below it, but not by much
		}
		return 300 * mib
	}
	b := newBed(t, line("mailer", monday, monday.Add(hours(8)), level))
	b.limit, b.most = 500*mib, func(limit float64) float64 { return 0.8 * limit }
	for _, c := range []struct {
		hour float64
		told string
	}{{1.9, ""}, {2.1, "opened threshold mailer"}, {3, "seen threshold mailer"}, {5, ""}, {6.5, "resolved threshold mailer"}, {7, ""}} {
		if told := b.scan(monday.Add(hours(c.hour))); told != c.told {
			t.Errorf("at %g h told %q, want %q", c.hour, told, c.told)
		}
		if c.hour == 2.1 {
			f := b.the()
			if f.Severity != finding.High || f.Verdict.Kind == detector.Leak || f.Worst < 400*mib || f.Threshold != 400*mib ||
				!strings.Contains(f.Summary, "it holds 410 MiB") || !strings.Contains(f.Summary, "threshold of 400 MiB") ||
				!strings.Contains(f.Summary, "This is a threshold and not a leak; the trend says: ") {
				t.Errorf("%+v", f)
			}
		}
	}
}

// A threshold that is taken out ends its finding, one that a person dismissed
// comes back when clearly more is held, and old readings prompt nobody.
func TestThresholdEnds(t *testing.T) {
	climb := func(h float64) float64 { return 410*mib + 100*mib*min(max(h-4, 0), 1) }
	b := newBed(t, line("mailer", monday, monday.Add(hours(8)), climb))
	on := func(float64) float64 { return 400 * mib }
	b.most = on
	if told := b.scan(monday.Add(hours(1))); told != "opened threshold mailer" {
		t.Fatalf("told %q", told)
	}
	b.most = nil
	if told := b.scan(monday.Add(hours(2))); told != "resolved threshold mailer" {
		t.Fatalf("told %q without a threshold", told)
	}
	b.most = on
	if told := b.scan(monday.Add(hours(3))); told != "opened threshold mailer" {
		t.Fatalf("told %q with it again", told)
	}
	b.change(b.the().ID, func(f *finding.Finding) {
		if err := f.Dismiss("U1", "it is always so", monday.Add(hours(3))); err != nil {
			t.Fatal(err)
		}
	})
	if told := b.scan(monday.Add(hours(3.5))); told != "" {
		t.Errorf("what was dismissed is told: %q", told)
	}
	if told := b.scan(monday.Add(hours(6))); !strings.Contains(told, "opened threshold mailer") {
		t.Errorf("a fifth more is told as %q", told)
	}
	silent := newBed(t, line("mailer", monday, monday.Add(hours(1)), climb))
	silent.most = on
	if told := silent.scan(monday.Add(hours(1.5))); strings.Contains(told, "threshold") {
		t.Errorf("half an hour after the last reading: %q", told)
	}
}

// A worker in hand is the run's: that it holds less again is what the run says.
func TestThresholdInHand(t *testing.T) {
	b := newBed(t, line("mailer", monday, monday.Add(hours(4)), func(h float64) float64 { return 410*mib - 200*mib*min(max(h-2, 0), 1) }))
	b.most = func(float64) float64 { return 400 * mib }
	b.scan(monday.Add(hours(1)))
	b.change(b.the().ID, func(f *finding.Finding) { f.State = finding.InHand })
	if told := b.scan(monday.Add(hours(3.5))); told != "" || b.the().State != finding.InHand {
		t.Errorf("told %q", told)
	}
}
