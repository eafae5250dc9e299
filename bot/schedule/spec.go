// Package schedule says when: cron specs, time zones, quiet hours, and the
// next fire kept in the database.
package schedule

import (
	"fmt"
	"strings"
	"time"
	_ "time/tzdata" // reports keep their zone on hosts without zoneinfo

	"github.com/robfig/cron/v3"
)

// parser reads five fields, descriptors and @every, nothing else.
var parser = cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor)

// Spec is a parsed schedule in its time zone.
type Spec struct {
	text string
	zone *time.Location
	next cron.Schedule
}

// Parse reads a cron spec: five fields, a descriptor such as @daily, or
// @every DURATION. The zone is that of the wall clock the fields speak of;
// nil means UTC. A spec that never fires is an error, and so is a zone
// inside the text, which the cron library panics on for some inputs.
func Parse(text string, zone *time.Location) (s Spec, err error) {
	defer func() {
		if r := recover(); r != nil {
			s, err = Spec{}, fmt.Errorf("schedule %q is not a cron spec: %v", text, r)
		}
	}()
	if zone == nil {
		zone = time.UTC
	}
	if strings.Contains(text, "TZ=") {
		return Spec{}, fmt.Errorf("schedule %q: give the time zone in the key time_zone, not in the spec", text)
	}
	if d, ok := strings.CutPrefix(strings.TrimSpace(text), "@every "); ok {
		return every(text, strings.TrimSpace(d), zone)
	}
	sched, err := parser.Parse(text)
	if err != nil {
		return Spec{}, fmt.Errorf("schedule %q is not a cron spec: %w", text, err)
	}
	s = Spec{text: text, zone: zone, next: sched}
	if s.Next(time.Date(2026, 1, 1, 0, 0, 0, 0, zone)).IsZero() {
		return Spec{}, fmt.Errorf("schedule %q never fires: no such date", text)
	}
	return s, nil
}

// every reads the duration itself: the cron library silently turns anything
// below a second into one second.
func every(text, dur string, zone *time.Location) (Spec, error) {
	d, err := ParseDuration(dur)
	if err != nil {
		return Spec{}, fmt.Errorf("schedule %q: %w", text, err)
	}
	if d < time.Second {
		return Spec{}, fmt.Errorf("schedule %q: shorter than one second", text)
	}
	return Spec{text: text, zone: zone, next: interval(d)}, nil
}

// interval fires each d, on a grid that does not depend on when the service
// started, so that replicas agree.
type interval time.Duration

// Next returns the first grid point after t.
func (i interval) Next(t time.Time) time.Time {
	return t.Truncate(time.Duration(i)).Add(time.Duration(i))
}

// Next returns the first fire strictly after t, or the zero time when there
// is none within five years. Of a stretch of the wall clock that comes twice
// in autumn, a spec that names its hours fires in the first alone, as Vixie's
// cron does; one of every hour fires in both.
func (s Spec) Next(t time.Time) time.Time {
	if s.next == nil {
		return time.Time{}
	}
	next := s.next.Next(t.In(s.zone))
	for s.namesHours() && repeated(next) {
		next = s.next.Next(next)
	}
	return next
}

// namesHours reports whether the spec leaves out an hour of the day.
func (s Spec) namesHours() bool {
	const all = 1<<24 - 1
	c, ok := s.next.(*cron.SpecSchedule)
	return ok && c.Hour&all != all
}

// repeated reports whether the wall clock of t's zone showed the same a
// little earlier, before it was put back.
func repeated(t time.Time) bool {
	start, _ := t.ZoneBounds()
	if t.IsZero() || start.IsZero() {
		return false
	}
	_, now := t.Zone()
	_, before := start.Add(-time.Second).Zone()
	return t.Sub(start) < time.Duration(before-now)*time.Second
}

// String returns the spec as it was written.
func (s Spec) String() string { return s.text }

// Zone returns the time zone of the spec.
func (s Spec) Zone() *time.Location { return s.zone }

// IsZero reports whether s was never parsed.
func (s Spec) IsZero() bool { return s.next == nil }
