package agent

import (
	"runtime"
	"testing"
	"time"
)

// works keeps its thread busy for so much of the thread's own time.
func works(t *testing.T, d time.Duration) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	for began, wall := threadTime(), time.Now(); threadTime()-began < d; {
		if time.Since(wall) > time.Minute {
			t.Errorf("it worked for a minute and counts %v", threadTime()-began)
			return
		}
	}
}

// The thread's time passes while it works, and stands while another one does.
func TestThreadTime(t *testing.T) {
	works(t, 5*time.Millisecond)
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	began, done := threadTime(), make(chan struct{})
	go func() { defer close(done); works(t, 50*time.Millisecond) }()
	<-done
	if counted := threadTime() - began; counted > 25*time.Millisecond {
		t.Errorf("another thread worked for 50 ms and this one counts %v", counted)
	}
}
