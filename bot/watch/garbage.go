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

// kept is what a scan keeps of a droplet of sixteen workers, in bytes: verdicts
// and what they say. By the runtime's rule the heap of a large fleet is, when
// its scan ends, as large again as all of that; it may be nearly so from the
// beginning, while there is little to keep, at no more memory in all. Else the
// verdicts of the first droplets are looked through hundreds of times.
const kept = 22 << 10

// paceEvery is after how many droplets the pace is set anew: what the scan
// keeps grows by half a MB meanwhile.
const paceEvery = 25

// pace is how often garbage is collected, which is a setting of the whole
// process: scans that run beside each other share it.
var pace struct {
	sync.Mutex
	scans      int
	usual, now int    // percent of what lives; usual is what to return to
	end        uint64 // bytes that the heap may have when the scan ends
}

// atEase lets garbage gather in a scan of so many droplets until done is
// called, and again by what then lives wherever the scan calls again.
func atEase(droplets int) (again, done func()) {
	pace.Lock()
	defer pace.Unlock()
	if pace.scans++; pace.scans == 1 {
		pace.usual = int(read("/gc/gogc:percent")) // -1: the operator wants none collected
		pace.now, pace.end = pace.usual, 0
	}
	if pace.usual >= 0 {
		pace.end = max(pace.end, (read("/gc/heap/live:bytes")+uint64(droplets)*kept)*uint64(100+min(pace.usual, 100))/125)
	}
	setPace()
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

// rooms is what the rooms of a droplet under way take, in bytes: the least that
// lives while a scan runs, though a heap just collected be smaller.
const rooms = 24 << 20

// setPace lets the heap grow to what leaves headroom, to what it will have in
// the end anyway, and to no less than usual.
func setPace() {
	live := read("/gc/heap/live:bytes")
	room := max(headroom, pace.end-min(live, pace.end))
	roots := read("/gc/scan/globals:bytes") + read("/gc/scan/stack:bytes") // the percentage is of these too
	percent := max(pace.usual, int(room*100/max(live+roots, rooms)))
	if pace.usual >= 0 && percent != pace.now {
		pace.now = percent
		debug.SetGCPercent(percent)
	}
}

func read(metric string) uint64 {
	one := []metrics.Sample{{Name: metric}}
	metrics.Read(one)
	return one[0].Value.Uint64()
}
