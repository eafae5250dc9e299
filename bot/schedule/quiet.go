package schedule

import (
	"fmt"
	"strings"
	"time"
)

// Quiet is a daily stretch of wall-clock time in a zone, such as
// 22:00-07:00. The zero value is never quiet.
type Quiet struct {
	from, to int // minutes since midnight
	zone     *time.Location
	set      bool
}

// ParseQuiet reads "HH:MM-HH:MM", optionally followed by a time zone name.
// A stretch that ends before it starts goes over midnight.
func ParseQuiet(text string) (Quiet, error) {
	if text == "" {
		return Quiet{}, nil
	}
	span, name, _ := strings.Cut(text, " ")
	zone, err := time.LoadLocation(strings.TrimSpace(name))
	if err != nil {
		return Quiet{}, fmt.Errorf("quiet hours %q: unknown time zone %q", text, name)
	}
	a, b, ok := strings.Cut(span, "-")
	if !ok {
		return Quiet{}, fmt.Errorf("quiet hours %q are not HH:MM-HH:MM", text)
	}
	from, err1 := time.Parse("15:04", a)
	to, err2 := time.Parse("15:04", b)
	if err1 != nil || err2 != nil || from.Equal(to) {
		return Quiet{}, fmt.Errorf("quiet hours %q are not HH:MM-HH:MM", text)
	}
	minutes := func(t time.Time) int { return t.Hour()*60 + t.Minute() }
	return Quiet{from: minutes(from), to: minutes(to), zone: zone, set: true}, nil
}

// Contains reports whether t lies in the quiet hours.
func (q Quiet) Contains(t time.Time) bool {
	if !q.set {
		return false
	}
	l := t.In(q.zone)
	m := l.Hour()*60 + l.Minute()
	if q.from < q.to {
		return m >= q.from && m < q.to
	}
	return m >= q.from || m < q.to
}

// End returns when the quiet hours that contain t are over; t itself when it
// is not quiet.
func (q Quiet) End(t time.Time) time.Time {
	if !q.Contains(t) {
		return t
	}
	l := t.In(q.zone)
	end := time.Date(l.Year(), l.Month(), l.Day(), q.to/60, q.to%60, 0, 0, q.zone)
	if !end.After(t) {
		end = time.Date(l.Year(), l.Month(), l.Day()+1, q.to/60, q.to%60, 0, 0, q.zone)
	}
	return end
}

// Start returns the next moment at or after t at which the quiet hours
// begin; t itself while they last, the zero time when there are none.
func (q Quiet) Start(t time.Time) time.Time {
	if !q.set {
		return time.Time{}
	}
	if q.Contains(t) {
		return t
	}
	l := t.In(q.zone)
	start := time.Date(l.Year(), l.Month(), l.Day(), q.from/60, q.from%60, 0, 0, q.zone)
	if start.Before(t) {
		start = time.Date(l.Year(), l.Month(), l.Day()+1, q.from/60, q.from%60, 0, 0, q.zone)
	}
	return start
}
