package report

import (
	"testing"
	"time"
)

// TestMomentsInSentences: what a run stored is read in the reader's zone.
func TestMomentsInSentences(t *testing.T) {
	cet := time.FixedZone("CET", 3600)
	for _, c := range []struct{ stored, said, told, utc string }{
		{"nobody decided in time", "nobody decided in time", "nobody decided in time", "nobody decided in time"},
		{"waiting for 2026-11-22T22:00:00Z",
			"waiting for <!date^1795384800^{date_short_pretty} {time}|22 Nov 22:00 UTC>",
			"waiting for 22 Nov 23:00 CET", "waiting for 22 Nov 22:00 UTC"},
		{"pid 1 since 2026-11-22T12:05:03Z, was <pid> since 2026-11-22T23:59:59Z.",
			"pid 1 since <!date^1795349103^{date_short_pretty} {time_secs}|22 Nov 12:05:03 UTC>, was &lt;pid&gt; since <!date^1795391999^{date_short_pretty} {time_secs}|22 Nov 23:59:59 UTC>.",
			"pid 1 since 22 Nov 13:05:03 CET, was <pid> since 23 Nov 00:59:59 CET.",
			"pid 1 since 22 Nov 12:05:03 UTC, was <pid> since 22 Nov 23:59:59 UTC."},
		{"stored before: 22 Nov 12:05 UTC", "stored before: 22 Nov 12:05 UTC", "stored before: 22 Nov 12:05 UTC", "stored before: 22 Nov 12:05 UTC"},
		{"no moment: 2026-13-22T12:05:03Z, 2026-11-22T12:05Z", "no moment: 2026-13-22T12:05:03Z, 2026-11-22T12:05Z",
			"no moment: 2026-13-22T12:05:03Z, 2026-11-22T12:05Z", "no moment: 2026-13-22T12:05:03Z, 2026-11-22T12:05Z"},
	} {
		if got := Said(c.stored); got != c.said {
			t.Errorf("in Slack %q, want %q", got, c.said)
		}
		if got := Told(c.stored, cet); got != c.told {
			t.Errorf("in CET %q, want %q", got, c.told)
		}
		if got := Told("2026-11-22T12:05:03Z", time.FixedZone("IST", 5*3600+1800)); got != "22 Nov 17:35:03 IST" {
			t.Errorf("half an hour off: %q", got)
		}
		if got := Told(c.stored, nil); got != c.utc {
			t.Errorf("without a zone %q, want %q", got, c.utc)
		}
	}
}
