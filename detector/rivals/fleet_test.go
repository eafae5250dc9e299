package rivals

import (
	"flag"
	"math"
	"math/rand/v2"
	"runtime"
	"strconv"
	"syscall"
	"testing"
	"time"

	"github.com/dropleak/dropleak/detector"
)

var (
	fleetFlag = flag.Int("fleet", 20, "series in the fleet")
	wholeFlag = flag.Int("whole", 5, "of these, judged from their samples too")
	promFlag  = flag.Int("prometheus", 0, "evaluate two rules over that many series with the prometheus on the PATH")
)

// fleetSize is 10,000 droplets with 16 workers each, and the droplets.
const fleetSize = 170_000

// member makes one series of the fleet: a week of one process at a sample a
// minute, a leak in one of twenty. It is far cheaper than a synth case, for
// its cost is not what is measured.
func member(i int, end time.Time) detector.Worker {
	r := rand.New(rand.NewPCG(uint64(i), 17))
	nan := math.NaN()
	base, slope := 60+100*r.Float64(), 0.0
	if i%20 == 0 {
		slope = 0.5 + 2*r.Float64()
	}
	life := detector.Life{PID: 100 + i, Start: end.Add(-8 * 24 * time.Hour), Role: detector.RoleParent, Samples: make([]detector.Sample, 0, 7*24*60)}
	held := base
	for m := range 7 * 24 * 60 {
		if r.IntN(8) == 0 {
			held = max(held, base+4*r.Float64()) - 0.2*r.Float64()
		}
		v := math.Round((held+slope*float64(m)/60)*256) * 4096
		life.Samples = append(life.Samples, detector.Sample{At: end.Add(time.Duration(m-7*24*60+1) * time.Minute), RSS: v, PSS: nan, USS: nan, Swap: nan, CPU: float64(m)})
	}
	return detector.Worker{Name: strconv.Itoa(i), Pool: detector.PoolSolo, Lives: []detector.Life{life}, Limit: detector.Limit{Bytes: 1 << 30, Source: "memory.max"}}
}

// cpu is the user and system time of this process so far.
func cpu(t *testing.T) time.Duration {
	t.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		t.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// spent is the CPU time of f.
func spent(t *testing.T, f func()) time.Duration {
	t.Helper()
	runtime.GC()
	before := cpu(t)
	f()
	return cpu(t) - before
}

func heap() float64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return float64(m.HeapAlloc)
}

// TestBenchFleet measures one hourly cycle over a fleet: every series has an
// hour of new samples and gets a verdict over seven days. "make bench-fleet"
// runs it whole; by itself it is a small smoke run.
func TestBenchFleet(t *testing.T) {
	end := time.Date(2026, 3, 9, 5, 59, 0, 0, time.UTC)
	o := detector.Options{}
	made := spent(t, func() {
		for i := range *fleetFlag {
			member(i, end)
		}
	})
	leaks, kept := 0, time.Duration(0)
	all := spent(t, func() {
		for i := range *fleetFlag {
			w := member(i, end)
			index := detector.Chunks(w)
			var chunks []detector.Chunk
			for _, k := range index[:len(index)-1] {
				chunks = append(chunks, detector.SummarizeChunk(w, k, o))
			}
			before := cpu(t)
			last := detector.SummarizeChunk(w, index[len(index)-1], o)
			v := detector.JudgeSummary(detector.Join(w, append(chunks, last), o), end, o)
			kept += cpu(t) - before
			if v.Kind.Leaks() {
				leaks++
			}
		}
	})
	whole := spent(t, func() {
		for i := range *wholeFlag {
			detector.Judge(member(i, end), end, o)
		}
	}) - made*time.Duration(*wholeFlag)/time.Duration(*fleetFlag)
	t.Logf("%d series, 7 days, a sample a minute; generator %.1f CPU-s, excluded; whole pass %.1f CPU-s; %d called leaking", *fleetFlag, made.Seconds(), all.Seconds(), leaks)
	report := func(name string, d time.Duration, n int) {
		each := d / time.Duration(n)
		t.Logf("%s: %.1f CPU-s for %d series, %v each, %.0f CPU-s for %d", name, d.Seconds(), n, each.Round(time.Microsecond), each.Seconds()*fleetSize, fleetSize)
	}
	report("hourly cycle, chunks kept", kept, *fleetFlag)
	report("hourly cycle, from samples", whole, *wholeFlag)
	perSeries := keptBytes(end, min(*fleetFlag, 200))
	t.Logf("kept chunks: %.0f KiB a series, %.1f GiB for %d; a service that reads them series by series holds one at a time", perSeries/1024, perSeries*fleetSize/(1<<30), fleetSize)
	if want := *fleetFlag / 20; leaks < want/2 || leaks > 2*want+1 {
		t.Errorf("%d of %d series called leaking, %d were made so: the benchmark does not judge what it should", leaks, *fleetFlag, want)
	}
	if *promFlag > 0 {
		prometheus(t, *promFlag)
	}
}

// keptBytes is the heap that one series' chunks take.
func keptBytes(end time.Time, n int) float64 {
	before := heap()
	all := make([][]detector.Chunk, n)
	for i := range all {
		w := member(i, end)
		for _, k := range detector.Chunks(w) {
			all[i] = append(all[i], detector.SummarizeChunk(w, k, detector.Options{}))
		}
	}
	after := heap()
	runtime.KeepAlive(all)
	return (after - before) / float64(n)
}
