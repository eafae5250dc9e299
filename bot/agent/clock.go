package agent

import (
	"time"

	"golang.org/x/sys/unix"
)

// threadTime is the time this thread has run. On a busy droplet a reading
// takes far longer than it works; to count the waiting would end PSS just
// where memory is short.
func threadTime() time.Duration {
	var t unix.Timespec
	if err := unix.ClockGettime(unix.CLOCK_THREAD_CPUTIME_ID, &t); err != nil {
		return 0 // every Linux has this clock
	}
	return time.Duration(t.Nano())
}
