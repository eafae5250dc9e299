package watch_test

import (
	"context"
	"flag"
	"fmt"
	"math"
	"math/rand/v2"
	"os"
	"runtime"
	"runtime/debug"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/history"
	"github.com/dropleak/dropleak/bot/store"
	"github.com/dropleak/dropleak/bot/store/storetest"
	"github.com/dropleak/dropleak/bot/watch"
	"github.com/dropleak/dropleak/detector"
	"github.com/dropleak/dropleak/detector/sample"
)

var (
	dropletsFlag = flag.Int("droplets", 1, "droplets in the fleet that is scanned")
	wholeFlag    = flag.Int("whole", 0, "droplets in the fleet of one more scan, which are the same ones over and over")
)

const (
	benchWorkers = 16     // a droplet, one process each
	fleetSize    = 10_000 // droplets
)

// benchSlot is one process of the fleet: a leak in one of twenty.
type benchSlot struct {
	r           *rand.Rand
	base, held  float64
	slope, used float64
}

func (b *benchSlot) next(m int) (rss, cpu float64) {
	if b.r.IntN(8) == 0 {
		b.held = max(b.held, b.base+4*b.r.Float64()) - 0.2*b.r.Float64()
	}
	b.used += 0.5 + 0.1*b.r.Float64()
	return math.Round((b.held+b.slope*float64(m)/60)*256) * 4096, math.Round(b.used*100) / 100
}

// benchDroplet sends what an agent sends of one droplet.
type benchDroplet struct {
	id    string
	start time.Time
	slots [benchWorkers]benchSlot
}

func newBenchDroplet(i int, start time.Time) *benchDroplet {
	d := &benchDroplet{id: strconv.Itoa(i + 1), start: start}
	for k := range d.slots {
		r := rand.New(rand.NewPCG(uint64(i*benchWorkers+k), 17))
		d.slots[k] = benchSlot{r: r, base: 60 + 100*r.Float64()}
		if (i*benchWorkers+k)%20 == 0 {
			d.slots[k].slope = 0.5 + 2*r.Float64()
		}
		d.slots[k].held = d.slots[k].base
	}
	return d
}

func (d *benchDroplet) pass(m int) sample.Pass {
	at := d.start.Add(time.Duration(m) * time.Minute)
	p := sample.Pass{Droplet: &sample.Droplet{At: at, Droplet: d.id, Available: 8<<30 - float64(m%60)*4096, Total: 16 << 30,
		Shmem: 1 << 20, Slab: 1 << 25, SwapUsed: 0, OOMKills: 0, Boot: d.start.Add(-time.Hour)}}
	for k := range d.slots {
		rss, cpu := d.slots[k].next(m)
		name := "worker" + strconv.Itoa(k)
		p.Processes = append(p.Processes, sample.Process{At: at, Droplet: d.id, Worker: name, Slot: sample.SlotMain, Role: "parent", PID: 100 + k,
			Start: d.start.Add(-time.Hour), RSS: rss, PSS: rss - 8<<20, USS: rss - 16<<20, Swap: 0, CPU: cpu})
		p.Workers = append(p.Workers, sample.Worker{At: at, Droplet: d.id, Worker: name, Pool: "solo", App: "shop", Unit: name + ".service",
			Manager: "systemd", Limit: 1 << 30, High: sample.NaN, Current: rss, Pressure: 0, OOMKills: 0})
	}
	for k := range 5 {
		p.Others = append(p.Others, sample.Other{At: at, Droplet: d.id, Name: fmt.Sprint("other", k), Memory: float64(50-k) * (1 << 20)})
	}
	return p
}

// send writes passes from..to-1, each by itself or all at once.
func (d *benchDroplet) send(t testing.TB, h *history.History, from, to int, atOnce bool) {
	t.Helper()
	var all []sample.Series
	for m := from; m < to; m++ {
		series := sample.Encode(d.pass(m))
		if !atOnce {
			if err := h.Write(t.Context(), series); err != nil {
				t.Fatal(err)
			}
			continue
		}
		if all == nil {
			all = series
			continue
		}
		for i, s := range series { // passes of one shape, in one order
			all[i].Points = append(all[i].Points, s.Points...)
		}
	}
	if len(all) == 0 {
		return
	}
	if err := h.Write(t.Context(), all); err != nil {
		t.Fatal(err)
	}
}

// used is the CPU time of f.
func used(t testing.TB, f func()) time.Duration {
	t.Helper()
	now := func() time.Duration {
		var u syscall.Rusage
		if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
			t.Fatal(err)
		}
		return time.Duration(u.Utime.Nano() + u.Stime.Nano())
	}
	runtime.GC()
	before := now()
	f()
	return now() - before
}

// footing is what f leaves on the heap, and the most that was resident while
// it ran, in bytes.
func footing(t testing.TB, f func()) (live, peak float64) {
	t.Helper()
	debug.FreeOSMemory()
	if err := os.WriteFile("/proc/self/clear_refs", []byte("5"), 0); err != nil { // forgets the peak
		t.Fatal(err)
	}
	f()
	status, err := os.ReadFile("/proc/self/status")
	if err != nil {
		t.Fatal(err)
	}
	_, after, _ := strings.Cut(string(status), "VmHWM:")
	if _, err := fmt.Sscanf(after, "%f kB", &peak); err != nil {
		t.Fatal(err)
	}
	var m runtime.MemStats
	runtime.GC()
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc), peak * 1024
}

// whole scans the droplets of the bed over and over, as if they were a fleet of
// so many: each is read, judged and kept anew. Only the pages of their samples
// are in memory sooner than those of so many would be.
func (b *benchBed) whole(t *testing.T, droplets int) {
	t.Helper()
	all := b.fleet.Droplets
	b.fleet.Droplets = slices.Repeat(all, droplets/len(all)+1)[:droplets]
	var sum watch.Summary
	var live, peak float64
	spent := used(t, func() {
		live, peak = footing(t, func() { sum = b.scan(t, b.end) })
	})
	t.Logf("hourly scan of %d droplets of %d workers: %.0f CPU-s, %.1f ms each; %.0f MB of heap live with its result, at most %.0f MB resident",
		len(sum.Views), benchWorkers, spent.Seconds(), 1000*spent.Seconds()/float64(droplets), live/1e6, peak/1e6)
}

// benchBed is a fleet with a week of passes a minute apart in the store, on
// disk and folded, but for its last hour.
type benchBed struct {
	*watch.Watch
	h        *history.History
	store    *store.Store
	droplets []*benchDroplet
	fleet    watch.Fleet
	end      time.Time
}

const benchWeek = 7 * 24 * 60 // passes

func newBenchBed(t testing.TB, droplets int) *benchBed {
	t.Helper()
	s := storetest.Open(t, "sqlite:"+t.TempDir())
	// Half a chunk is open, as it is on average over a day.
	end := time.Now().Truncate(detector.ChunkWidth).Add(-detector.ChunkWidth / 2)
	b := &benchBed{h: history.New(s, history.Options{Hold: time.Nanosecond}), store: s, end: end, fleet: watch.Fleet{Listed: end}}
	for i := range droplets {
		d := newBenchDroplet(i, end.Add(-benchWeek*time.Minute))
		for m := 0; m < benchWeek-60; m += 360 {
			d.send(t, b.h, m, min(m+360, benchWeek-60), true)
		}
		b.droplets = append(b.droplets, d)
		b.fleet.Droplets = append(b.fleet.Droplets, watch.Droplet{ID: d.id, Name: "web-" + d.id})
	}
	time.Sleep(2 * time.Millisecond) // "arrived before now", to the millisecond
	if err := b.h.Fold(t.Context()); err != nil {
		t.Fatal(err)
	}
	b.Watch = watch.New(watch.Options{Series: b.h, Findings: &memory{by: map[string]finding.Finding{}}, Fleet: func(context.Context) (watch.Fleet, error) { return b.fleet, nil }})
	return b
}

// hour sends the last hour, pass by pass.
func (b *benchBed) hour(t testing.TB) {
	t.Helper()
	for _, d := range b.droplets {
		d.send(t, b.h, benchWeek-60, benchWeek, false)
	}
}

func (b *benchBed) scan(t testing.TB, at time.Time) watch.Summary {
	t.Helper()
	sum, err := b.Survey(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	return sum
}

// BenchmarkScan is an hourly scan of one droplet of 16 workers, measured in
// CPU time too, for a busy machine.
func BenchmarkScan(b *testing.B) {
	bed := newBenchBed(b, 1)
	bed.scan(b, bed.end.Add(-time.Hour))
	bed.hour(b)
	b.ReportAllocs()
	spent := used(b, func() {
		for b.Loop() {
			bed.scan(b, bed.end)
		}
	})
	b.ReportMetric(float64(spent.Microseconds())/float64(b.N), "cpu-µs/op")
}

// TestBenchScan measures what a scan costs in production: the store on disk,
// a week of passes a minute apart, and since the last scan an hour of them,
// pushed one by one. "make bench-fleet" runs it on more than one droplet.
func TestBenchScan(t *testing.T) {
	bed := newBenchBed(t, *dropletsFlag)
	n := len(bed.droplets)
	report := func(what string, d time.Duration) {
		each := d / time.Duration(n)
		t.Logf("%s: %.2f CPU-s for %d droplets of %d workers, %v each, %.0f CPU-s for %d", what, d.Seconds(), n, benchWorkers,
			each.Round(time.Microsecond), each.Seconds()*fleetSize, fleetSize)
	}
	report("first scan, all read", used(t, func() { bed.scan(t, bed.end.Add(-time.Hour)) }))
	bed.hour(t)
	var sum watch.Summary
	const times = 5 // as the first, but that it keeps what is over
	report("hourly scan", used(t, func() {
		for range times {
			sum = bed.scan(t, bed.end)
		}
	})/times)
	leaks := 0
	for _, v := range sum.Views {
		for _, x := range v.Verdicts {
			if x.Kind.Leaks() {
				leaks++
			}
		}
	}
	if all := n * benchWorkers; sum.Workers() != all || leaks < all/40 || leaks > all/10+1 {
		t.Errorf("%d of %d workers judged, %d called leaking; every twentieth was made so", sum.Workers(), all, leaks)
	}
	if *wholeFlag > 0 {
		bed.whole(t, *wholeFlag)
	}
	size, err := bed.store.HistorySize(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%.1f MB of samples and digests on disk", float64(size)/1e6)
}
