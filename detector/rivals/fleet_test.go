package rivals

import (
	"flag"
	"math"
	"math/rand/v2"
	"runtime"
	"sort"
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

// fleetBatch is how many series are made ready at a time, so that collecting
// what the making left behind is not laid at the judging's door.
const fleetBatch = 200

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
	leaks, kept, bytes := 0, time.Duration(0), 0
	all := spent(t, func() {
		for first := 0; first < *fleetFlag; first += fleetBatch {
			n := min(fleetBatch, *fleetFlag-first)
			over, open := make([][]byte, n), make([]detector.Worker, n)
			for i := range n {
				over[i], open[i] = week(member(first+i, end), o)
				bytes += len(over[i])
			}
			kept += spent(t, func() {
				for i := range n {
					if hour(t, over[i], open[i], end, o).Kind.Leaks() {
						leaks++
					}
				}
			})
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
	perSeries := float64(bytes) / float64(*fleetFlag)
	t.Logf("kept chunks: %.1f kB a series, %.1f GB for %d, on disk; a scan holds one droplet's at a time", perSeries/1e3, perSeries*fleetSize/1e9, fleetSize)
	if want := *fleetFlag / 20; leaks < want/2 || leaks > 2*want+1 {
		t.Errorf("%d of %d series called leaking, %d were made so: the benchmark does not judge what it should", leaks, *fleetFlag, want)
	}
	if *promFlag > 0 {
		prometheus(t, *promFlag)
	}
}

// week splits a worker into what is kept of the chunks that are over, as
// they are written down, and its samples since.
func week(w detector.Worker, o detector.Options) (over []byte, open detector.Worker) {
	index := detector.Chunks(w)
	last := index[len(index)-1]
	for _, k := range index[:len(index)-1] {
		over = detector.SummarizeChunk(w, k, o).Append(over)
	}
	begin := time.Unix(0, 0).Add(time.Duration(last) * detector.ChunkWidth)
	l := w.Lives[0]
	i := sort.Search(len(l.Samples), func(i int) bool { return !l.Samples[i].At.Before(begin) })
	l.Samples = l.Samples[i:]
	open = w
	open.Lives = []detector.Life{l}
	return over, open
}

// hour is what one series costs in an hourly cycle: its kept chunks are
// read, the open one is summarised, and all are judged.
func hour(t testing.TB, over []byte, open detector.Worker, end time.Time, o detector.Options) detector.Verdict {
	var chunks []detector.Chunk
	for len(over) > 0 {
		c, rest, err := detector.ParseChunk(over)
		if err != nil {
			t.Fatal(err)
		}
		chunks, over = append(chunks, c), rest
	}
	for _, k := range detector.Chunks(open) {
		chunks = append(chunks, detector.SummarizeChunk(open, k, o))
	}
	return detector.JudgeSummary(detector.Join(open, chunks), end, o)
}
