package watch

import (
	"runtime/debug"
	"runtime/metrics"
	"sync"
)

// headroom is how much memory a scan may fill between two collections of
// garbage, in bytes. A heap of a few MB is by default collected several times
// a droplet, and so are the rooms that one droplet leaves the next; beyond
// this much the runtime's own rule asks for no more.
const headroom = 64 << 20

// paceEvery is after how many droplets the pace is set anew: what the scan
// keeps grows by some MB meanwhile.
const paceEvery = 100

// pace is how often garbage is collected, which is a setting of the whole
// process: scans that run beside each other share it.
var pace struct {
	sync.Mutex
	scans      int
	usual, now int // percent of the heap that lives; usual is what to return to
}

// atEase lets garbage gather until done is called, and again by what then
// lives wherever the scan calls again.
func atEase() (again, done func()) {
	pace.Lock()
	defer pace.Unlock()
	if pace.scans++; pace.scans == 1 {
		pace.usual = int(read("/gc/gogc:percent")) // -1: the operator wants none collected
		pace.now = pace.usual
		setPace()
	}
	again = func() {
		pace.Lock()
		defer pace.Unlock()
		setPace()
	}
	return again, func() {
		pace.Lock()
		defer pace.Unlock()
		if pace.scans--; pace.scans == 0 && pace.now != pace.usual {
			debug.SetGCPercent(pace.usual)
		}
	}
}

// setPace lets the heap grow to what leaves headroom, and to no less than
// usual. It stops the world, and so leaves a pace that is nearly right.
func setPace() {
	percent := max(pace.usual, int(headroom*100/max(read("/gc/heap/live:bytes"), 1<<20)))
	if pace.usual >= 0 && (4*percent < 3*pace.now || 3*percent > 4*pace.now) {
		pace.now = percent
		debug.SetGCPercent(percent)
	}
}

func read(metric string) uint64 {
	one := []metrics.Sample{{Name: metric}}
	metrics.Read(one)
	return one[0].Value.Uint64()
}
