package finding

import (
	"time"

	"github.com/dropleak/dropleak/detector"
)

// Left returns how long memory lasts if it goes on as it does, and false
// where nothing runs out. It is never negative.
func Left(e *detector.Exhaustion, at time.Time) (time.Duration, bool) {
	if e == nil || e.Expected.IsZero() {
		return 0, false
	}
	return max(e.Expected.Sub(at), 0), true
}

// Grade orders trouble by the time that is left. OOM kills that happened are
// the worst there is: somebody already lost work.
func Grade(e *detector.Exhaustion, oomKills int, at time.Time) Severity {
	left, known := Left(e, at)
	switch {
	case oomKills > 0, known && left < 2*time.Hour:
		return Critical
	case known && left < 24*time.Hour:
		return High
	case known && left < 7*24*time.Hour:
		return Medium
	}
	return Low
}

// Worse reports whether s is worse than other.
func (s Severity) Worse(other Severity) bool { return rank[s] < rank[other] }

var rank = map[Severity]int{Critical: 0, High: 1, Medium: 2, Low: 3, "": 4}
