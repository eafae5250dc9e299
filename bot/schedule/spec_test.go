package schedule

import (
	"strings"
	"testing"
	"time"
)

func TestParseRefuses(t *testing.T) {
	for spec, want := range map[string]string{
		"TZ=0":                       "time_zone", // panics in the library
		"CRON_TZ=UTC":                "time_zone", // panics in the library
		"TZ=Europe/Berlin 0 9 * * *": "time_zone",
		"":                           "not a cron spec",
		"0 9 * *":                    "not a cron spec",
		"0 0 9 * * *":                "not a cron spec",
		"61 * * * *":                 "not a cron spec",
		"0 0 30 2 *":                 "never fires",
		"@every 0s":                  "shorter than one second",
		"@every 10ms":                "shorter than one second",
		"@every soon":                "not a duration",
		"@fortnightly":               "not a cron spec",
	} {
		_, err := Parse(spec, nil)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("Parse(%q) = %v, want an error about %q", spec, err, want)
		}
	}
}

func TestNext(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		spec     string
		zone     *time.Location
		at, want string
	}{
		{"0 9 * * 1-5", nil, "2026-11-20T09:00:00Z", "2026-11-23T09:00:00Z"},
		{"@daily", nil, "2026-11-20T09:00:00Z", "2026-11-21T00:00:00Z"},
		{"@every 5m", nil, "2026-11-20T09:01:00Z", "2026-11-20T09:05:00Z"},
		{"@every 1d", nil, "2026-11-20T09:01:00Z", "2026-11-21T00:00:00Z"},
		{"0 9 * * *", berlin, "2026-03-28T09:00:00Z", "2026-03-29T07:00:00Z"},  // summer time begins that night
		{"0 9 * * *", berlin, "2026-10-24T09:00:00Z", "2026-10-25T08:00:00Z"},  // and ends
		{"30 2 * * *", berlin, "2026-03-28T12:00:00Z", "2026-03-30T00:30:00Z"}, // 02:30 does not exist on the 29th
	} {
		s, err := Parse(c.spec, c.zone)
		if err != nil {
			t.Fatal(err)
		}
		at, _ := time.Parse(time.RFC3339, c.at)
		if got := s.Next(at).UTC().Format(time.RFC3339); got != c.want {
			t.Errorf("%s after %s = %s, want %s", c.spec, c.at, got, c.want)
		}
	}
}

func TestParseDuration(t *testing.T) {
	for text, want := range map[string]time.Duration{
		"90m": 90 * time.Minute, "14d": 14 * 24 * time.Hour, "1w2d": 9 * 24 * time.Hour,
		"1d12h": 36 * time.Hour, "0.5d": 12 * time.Hour, "250ms": 250 * time.Millisecond,
	} {
		if got, err := ParseDuration(text); err != nil || got != want {
			t.Errorf("ParseDuration(%q) = %v, %v, want %v", text, got, err, want)
		}
	}
	for _, text := range []string{"", "d", "14", "2 weeks", "1y"} {
		if got, err := ParseDuration(text); err == nil {
			t.Errorf("ParseDuration(%q) = %v, want an error", text, got)
		}
	}
}

func FuzzParse(f *testing.F) {
	for _, s := range []string{"0 9 * * *", "TZ=0", "CRON_TZ=UTC", "@every 1h", "*/0 * * * *", "0 0 31 2 *", "@every -5m"} {
		f.Add(s)
	}
	at := time.Date(2026, 11, 22, 0, 0, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, spec string) {
		s, err := Parse(spec, nil)
		if err != nil {
			return
		}
		if next := s.Next(at); !next.After(at) {
			t.Errorf("Parse(%q).Next(%v) = %v, not after", spec, at, next)
		}
	})
}

func TestQuiet(t *testing.T) {
	q, err := ParseQuiet("22:00-07:00 Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	for at, want := range map[string]string{
		"2026-11-22T22:30:00Z": "2026-11-23T06:00:00Z", // 23:30 in Berlin
		"2026-11-22T03:00:00Z": "2026-11-22T06:00:00Z",
		"2026-11-22T12:00:00Z": "2026-11-22T12:00:00Z", // not quiet
	} {
		a, _ := time.Parse(time.RFC3339, at)
		if got := q.End(a).UTC().Format(time.RFC3339); got != want {
			t.Errorf("End(%s) = %s, want %s", at, got, want)
		}
	}
	a, _ := time.Parse(time.RFC3339, "2026-11-22T12:00:00Z")
	if got := q.Start(a).UTC().Format(time.RFC3339); got != "2026-11-22T21:00:00Z" {
		t.Errorf("Start = %s", got)
	}
	for _, bad := range []string{"22-7", "25:00-07:00", "22:00-22:00", "22:00-07:00 Mars/Olympus"} {
		if _, err := ParseQuiet(bad); err == nil {
			t.Errorf("ParseQuiet(%q) accepted", bad)
		}
	}
}

func TestScale(t *testing.T) {
	s := Scale(60)
	if got := s.Real(time.Hour); got != time.Minute {
		t.Errorf("Real(1h) = %v", got)
	}
	now := time.Unix(1_000_000, 0)
	past := now.Add(-time.Minute)
	if got := s.Stretch(past, now); got != now.Add(-time.Hour) {
		t.Errorf("Stretch = %v", got)
	}
	if got := s.Shrink(s.Stretch(past, now), now); got != past {
		t.Errorf("Shrink(Stretch) = %v, want %v", got, past)
	}
	if Scale(0).Real(time.Hour) != time.Hour {
		t.Error("no scale must mean real time")
	}
}
