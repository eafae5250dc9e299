package report

import (
	"fmt"
	"regexp"
	"time"
)

// Moment shows a moment in plain text, with the abbreviation of its zone; nil
// is UTC.
func Moment(t time.Time, zone *time.Location) string {
	return t.In(orUTC(zone)).Format("2 Jan 15:04 MST")
}

// moment is one within a stored sentence about a run: RFC 3339, in UTC.
var moment = regexp.MustCompile(`\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ`)

// Said is [Escape] of a stored sentence; the moments in it are in the reader's
// time zone.
func Said(sentence string) string {
	return moments(Escape(sentence), func(t time.Time) string {
		if t.Second() != 0 {
			return fmt.Sprintf("<!date^%d^{date_short_pretty} {time_secs}|%s>", t.Unix(), inZone(t, nil))
		}
		return Date(t)
	})
}

// Told is a stored sentence as plain text; the moments in it are in zone, nil
// is UTC.
func Told(sentence string, zone *time.Location) string {
	return moments(sentence, func(t time.Time) string { return inZone(t, zone) })
}

// inZone is [Moment], with its seconds where there are any.
func inZone(t time.Time, zone *time.Location) string {
	if t.Second() == 0 {
		return Moment(t, zone)
	}
	return t.In(orUTC(zone)).Format("2 Jan 15:04:05 MST")
}

func orUTC(zone *time.Location) *time.Location {
	if zone == nil {
		return time.UTC
	}
	return zone
}

func moments(sentence string, show func(time.Time) string) string {
	return moment.ReplaceAllStringFunc(sentence, func(s string) string {
		t, err := time.Parse(time.RFC3339, s)
		if err != nil {
			return s
		}
		return show(t)
	})
}

// Date shows a moment in the reader's time zone; elsewhere in UTC.
func Date(t time.Time) string {
	return fmt.Sprintf("<!date^%d^{date_short_pretty} {time}|%s>", t.Unix(), t.UTC().Format("2 Jan 15:04 UTC"))
}

// Clock shows a moment of today in the reader's time zone; elsewhere in UTC.
func Clock(t time.Time) string {
	return fmt.Sprintf("<!date^%d^{time}|%s>", t.Unix(), t.UTC().Format("15:04 UTC"))
}
