package store_test

import (
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/history"
	"github.com/dropleak/dropleak/bot/store"
	"github.com/dropleak/dropleak/bot/testbed"
	"github.com/dropleak/dropleak/detector/sample"
)

// fleet makes passes like those of droplets with a pool each: memory in
// pages, a third of the processes idle, a quarter leaking, all on one grid.
type fleet struct {
	droplets, processes int
	pages               []float64
	r                   *rand.Rand
}

func newFleet(droplets, processes int) *fleet {
	f := &fleet{droplets: droplets, processes: processes, r: rand.New(rand.NewPCG(1, 1))}
	for range droplets * processes {
		f.pages = append(f.pages, float64(20_000+f.r.IntN(20_000)))
	}
	return f
}

// pass reads one droplet at a time.
func (f *fleet) pass(d int, at time.Time) []sample.Series {
	var p sample.Pass
	droplet := fmt.Sprint(1000 + d)
	for i := range f.processes {
		n := d*f.processes + i
		switch {
		case n%3 == 0: // idle
		case n%4 == 0:
			f.pages[n] += float64(f.r.IntN(20))
		default:
			f.pages[n] += float64(f.r.IntN(129) - 64)
		}
		rss := f.pages[n] * 4096
		p.Processes = append(p.Processes, sample.Process{At: at, Droplet: droplet, Worker: "celery", Slot: fmt.Sprint(i), Role: "child",
			PID: 1000 + i, Start: at.Truncate(time.Hour), RSS: rss, PSS: rss - 1024*float64(f.r.IntN(64)), USS: rss / 2, Swap: 0, CPU: float64(n)})
	}
	return sample.Encode(p)
}

func openBench(b *testing.B, dsn string) (*store.Store, *history.History) {
	b.Helper()
	s, err := store.Open(b.Context(), dsn, store.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { s.Close() })
	return s, history.New(s, history.Options{Hold: time.Nanosecond})
}

func engines(b *testing.B, run func(b *testing.B, dsn string)) {
	b.Run("SQLite", func(b *testing.B) { run(b, "sqlite:"+b.TempDir()) })
	b.Run("PostgreSQL", func(b *testing.B) { run(b, testbed.Database(b)) })
}

// BenchmarkWrite commits one pass of 50 processes a time.
func BenchmarkWrite(b *testing.B) {
	engines(b, func(b *testing.B, dsn string) {
		_, h := openBench(b, dsn)
		f := newFleet(20, 50)
		var samples int
		at := time.Now().Add(-24 * time.Hour).Truncate(time.Minute)
		for i := 0; b.Loop(); i++ {
			series := f.pass(i%20, at.Add(time.Duration(i/20)*time.Minute))
			samples += len(series)
			if err := h.Write(b.Context(), series); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(samples)/b.Elapsed().Seconds(), "samples/s")
	})
}

// BenchmarkFold keeps ten hours of 4,000 process series, folds them while
// others write, and reports the bytes a sample takes and the longest an
// intake waited. Under 4 bytes and 100 ms are promised.
func BenchmarkFold(b *testing.B) {
	engines(b, func(b *testing.B, dsn string) {
		for b.Loop() {
			benchFold(b, dsn)
		}
	})
}

func benchFold(b *testing.B, dsn string) {
	s, h := openBench(b, dsn)
	f := newFleet(20, 50)
	var samples int
	at := time.Now().Add(-24 * time.Hour).Truncate(2 * time.Hour)
	for hour := range 5 {
		for m := range 120 {
			for d := range f.droplets {
				series := f.pass(d, at.Add(time.Duration(120*hour+m)*time.Minute))
				samples += len(series)
				if err := h.Write(b.Context(), series); err != nil {
					b.Fatal(err)
				}
			}
		}
		if hour < 4 {
			if err := h.Fold(b.Context()); err != nil {
				b.Fatal(err)
			}
		}
	}
	worst := intakeWhile(b, h, func() error { return h.Fold(b.Context()) })
	b.ReportMetric(float64(worst.Microseconds())/1e3, "worst-intake-ms")
	b.ReportMetric(float64(size(b, s, dsn))/float64(samples), "bytes/sample")
	begun := time.Now()
	got, err := h.Select(b.Context(), nil, at, time.Now())
	if err != nil {
		b.Fatal(err)
	}
	read := 0
	for _, s := range got {
		read += len(s.Points)
	}
	if read < samples {
		b.Fatalf("%d samples read of %d", read, samples)
	}
	b.ReportMetric(float64(read)/time.Since(begun).Seconds(), "read-samples/s")
}

// BenchmarkWorkers assembles a week of one droplet with 50 processes.
func BenchmarkWorkers(b *testing.B) {
	_, h := openBench(b, "sqlite:"+b.TempDir())
	f := newFleet(1, 50)
	at := time.Now().Add(-8 * 24 * time.Hour).Truncate(2 * time.Hour)
	for m := range 7 * 1440 {
		if err := h.Write(b.Context(), f.pass(0, at.Add(time.Duration(m)*time.Minute))); err != nil {
			b.Fatal(err)
		}
	}
	if err := h.Fold(b.Context()); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		ws, err := h.Workers(b.Context(), history.Query{DropletIDs: []string{"1000"}, From: at, To: time.Now()})
		if err != nil || len(ws) != 1 {
			b.Fatalf("%d workers, %v", len(ws), err)
		}
	}
}

// intakeWhile writes small passes while fold runs and returns the longest
// any of them took.
func intakeWhile(b *testing.B, h *history.History, fold func() error) (worst time.Duration) {
	done := make(chan struct{})
	var wg sync.WaitGroup
	wg.Go(func() {
		small := newFleet(1, 4)
		for i := 0; ; i++ {
			select {
			case <-done:
				return
			default:
			}
			begun := time.Now()
			if err := h.Write(b.Context(), small.pass(0, begun)); err != nil {
				b.Error(err)
			}
			worst = max(worst, time.Since(begun))
			time.Sleep(time.Millisecond)
		}
	})
	if err := fold(); err != nil {
		b.Fatal(err)
	}
	close(done)
	wg.Wait()
	return worst
}

// size is what chunks and their series take on disk: all files of SQLite
// once vacuumed, the relations of PostgreSQL.
func size(b *testing.B, s *store.Store, dsn string) (n int64) {
	b.Helper()
	n, err := s.HistorySize(b.Context())
	if err != nil {
		b.Fatal(err)
	}
	if dir, ok := strings.CutPrefix(dsn, "sqlite:"); ok && testing.Verbose() {
		info, err := os.Stat(filepath.Join(dir, "history.db"))
		if err != nil {
			b.Fatal(err)
		}
		b.Logf("history.db is %d MB with the room of folded pushes", info.Size()>>20)
	}
	return n
}
