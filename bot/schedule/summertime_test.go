package schedule

import (
	"context"
	"slices"
	"testing"
	"testing/synctest"
	"time"
)

// TestRunnerOverDaylightSaving runs both nights in which Berlin's clocks
// change: a report of the morning is due once, one in the hour that is left
// out is not due that day, one in the repeated hour is due once, and an
// hourly one is due each hour that passes.
func TestRunnerOverDaylightSaving(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name, spec, from, to string
		want                 []string
	}{
		{"spring, morning", "0 9 * * *", "2026-03-28T12:00:00Z", "2026-03-30T12:00:00Z",
			[]string{"2026-03-29T07:00:00Z", "2026-03-30T07:00:00Z"}},
		{"spring, the hour left out", "30 2 * * *", "2026-03-28T12:00:00Z", "2026-03-30T12:00:00Z",
			[]string{"2026-03-30T00:30:00Z"}},
		{"spring, hourly", "0 * * * *", "2026-03-28T23:30:00Z", "2026-03-29T02:30:00Z",
			[]string{"2026-03-29T00:00:00Z", "2026-03-29T01:00:00Z", "2026-03-29T02:00:00Z"}},
		{"autumn, morning", "0 9 * * *", "2026-10-24T12:00:00Z", "2026-10-26T12:00:00Z",
			[]string{"2026-10-25T08:00:00Z", "2026-10-26T08:00:00Z"}},
		{"autumn, the repeated hour", "30 2 * * *", "2026-10-24T12:00:00Z", "2026-10-26T12:00:00Z",
			[]string{"2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"}},
		{"autumn, hourly", "0 * * * *", "2026-10-24T23:30:00Z", "2026-10-25T02:30:00Z",
			[]string{"2026-10-25T00:00:00Z", "2026-10-25T01:00:00Z", "2026-10-25T02:00:00Z"}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				spec, err := Parse(c.spec, berlin)
				if err != nil {
					t.Fatal(err)
				}
				from, _ := time.Parse(time.RFC3339, c.from)
				to, _ := time.Parse(time.RFC3339, c.to)
				time.Sleep(time.Until(from)) // the bubble begins in 2000
				var got []string
				run(t, newRows(), to.Sub(from), 2, Job{Name: "report", Spec: spec, Do: func(_ context.Context, due time.Time) error {
					if late := time.Since(due); late > time.Second {
						t.Errorf("%s came %s late", due, late)
					}
					got = append(got, due.UTC().Format(time.RFC3339))
					return nil
				}})
				if !slices.Equal(got, c.want) {
					t.Errorf("due at %v, want %v", got, c.want)
				}
			})
		})
	}
}

// TestQuietOverDaylightSaving: quiet hours are of the wall clock; the night
// in which it changes is an hour shorter or longer.
func TestQuietOverDaylightSaving(t *testing.T) {
	for _, c := range []struct{ quiet, at, start, end string }{
		{"22:00-07:00 Europe/Berlin", "2026-03-28T22:00:00Z", "2026-03-28T22:00:00Z", "2026-03-29T05:00:00Z"}, // 6 h are left
		{"22:00-07:00 Europe/Berlin", "2026-10-24T21:00:00Z", "2026-10-24T21:00:00Z", "2026-10-25T06:00:00Z"}, // 9 h are left
		{"22:00-07:00 Europe/Berlin", "2026-03-28T12:00:00Z", "2026-03-28T21:00:00Z", "2026-03-28T12:00:00Z"}, // not quiet
		{"22:00-07:00 Europe/Berlin", "2026-10-25T12:00:00Z", "2026-10-25T21:00:00Z", "2026-10-25T12:00:00Z"},
		{"01:00-02:30 Europe/Berlin", "2026-03-29T00:30:00Z", "2026-03-29T00:30:00Z", "2026-03-29T01:30:00Z"}, // 02:30 is left out
	} {
		q, err := ParseQuiet(c.quiet)
		if err != nil {
			t.Fatal(err)
		}
		at, _ := time.Parse(time.RFC3339, c.at)
		start, end := q.Start(at).UTC().Format(time.RFC3339), q.End(at).UTC().Format(time.RFC3339)
		if start != c.start || end != c.end {
			t.Errorf("%s at %s: from %s to %s, want from %s to %s", c.quiet, c.at, start, end, c.start, c.end)
		}
	}
}

// TestQuietInTheRepeatedHour: what ends in the hour that comes twice is over
// for good once End says so, and never ends before it began.
func TestQuietInTheRepeatedHour(t *testing.T) {
	q, err := ParseQuiet("01:00-02:30 Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	for at := time.Date(2026, 10, 24, 22, 0, 0, 0, time.UTC); at.Day() == 24 || at.Hour() < 4; at = at.Add(5 * time.Minute) {
		end := q.End(at)
		if end.Before(at) || q.Contains(at) && !end.After(at) || end.Sub(at) > 4*time.Hour {
			t.Errorf("at %s it ends at %s", at, end.UTC())
		}
	}
}
