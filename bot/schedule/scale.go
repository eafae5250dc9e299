package schedule

import "time"

// Scale speeds time up for tests and the demo: one real second counts as
// Scale seconds. Zero and one mean real time. Stored times stay real; only
// what is waited for shrinks and what is judged stretches.
type Scale float64

// Real returns how long a duration of scaled time takes on the wall clock.
func (s Scale) Real(d time.Duration) time.Duration {
	if s <= 1 {
		return d
	}
	return time.Duration(float64(d) / float64(s))
}

// Scaled returns how much scaled time a real duration counts as.
func (s Scale) Scaled(d time.Duration) time.Duration {
	if s <= 1 {
		return d
	}
	return time.Duration(float64(d) * float64(s))
}

// Stretch maps a real moment to scaled time, with now as the fixed point.
func (s Scale) Stretch(t, now time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return now.Add(-s.Scaled(now.Sub(t)))
}

// Shrink is the inverse of Stretch.
func (s Scale) Shrink(t, now time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return now.Add(-s.Real(now.Sub(t)))
}
