package detector

import (
	"errors"
	"math"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// chunksOf are the chunks of a worker.
func chunksOf(w Worker, o Options) (out []Chunk) {
	for _, i := range Chunks(w) {
		out = append(out, SummarizeChunk(w, i, o))
	}
	return out
}

// reread writes chunks down and reads them back, into the room.
func reread(t interface{ Fatal(...any) }, room *Room, chunks []Chunk) (out []Chunk, size int) {
	var b []byte
	for _, c := range chunks {
		b = c.Append(b)
	}
	size = len(b)
	for len(b) > 0 {
		c, rest, err := room.ParseChunk(b)
		if err != nil {
			t.Fatal(err)
		}
		out, b = append(out, c), rest
	}
	return out, size
}

// TestChunksComeBack: what was written down is read back bit for bit,
// whatever was measured.
func TestChunksComeBack(t *testing.T) {
	odd := change(node(13, level(80)), func(l int, s Sample) Sample {
		s.At = s.At.Add(time.Duration(s.At.Unix()%7) * 13 * time.Millisecond)
		s.RSS += 0.3
		if s.At.Minute()%3 == 0 {
			s.RSS, s.CPU = math.NaN(), math.NaN()
		}
		if l == 1 {
			s.Swap = math.NaN()
		}
		return s
	})
	ws := nodes()
	ws["odd"] = odd
	ws["nobody told"] = Worker{Lives: []Life{{Slot: "0", Samples: odd.Lives[0].Samples}, {Slot: "1", Samples: odd.Lives[1].Samples}}}
	// A process that could not be read for a whole chunk: exporters write 0.
	ws["unread"] = change(node(13, level(80)), func(l int, s Sample) Sample {
		if l == 1 && s.At.Hour() >= 6 {
			s.RSS, s.PSS, s.USS = 0, math.NaN(), math.NaN()
		}
		return s
	})
	for name, w := range ws {
		for _, o := range []Options{{}, {Metric: "rss"}, {Metric: "pss"}, {Metric: "uss"}} {
			want := chunksOf(w, o)
			got, _ := reread(t, nil, want)
			if d := cmp.Diff(want, got, cmpopts.EquateNaNs(), cmpopts.EquateEmpty()); d != "" {
				t.Errorf("%s, %+v: %s", name, o, d)
			}
		}
	}
}

// TestAnyNumbersComeBack: so does any column of numbers.
func TestAnyNumbersComeBack(t *testing.T) {
	value := rapid.OneOf(rapid.Float64(), rapid.SampledFrom([]float64{math.NaN(), math.Inf(1), 0, math.Copysign(0, -1), 4096, 8192, 1e18, 0.29, 1 << 53}),
		rapid.Map(rapid.IntRange(-5, 5), func(i int) float64 { return 4096 * float64(i) }))
	rapid.Check(t, func(rt *rapid.T) {
		want := rapid.SliceOfN(value, 1, 80).Draw(rt, "column")
		b := appendColumn(nil, len(want), func(i int) float64 { return want[i] })
		got, p := make([]float64, len(want)), &parser{b: b}
		p.column(got)
		if p.bad || len(p.b) > 0 {
			rt.Fatalf("%v: not read to the end: %v", want, p)
		}
		for i := range want {
			if math.Float64bits(want[i]) != math.Float64bits(got[i]) && !(math.IsNaN(want[i]) && math.IsNaN(got[i])) {
				rt.Fatalf("%v came back as %v", want, got)
			}
		}
	})
}

// TestChunksAreSmall holds the size of a week of one process: 2,016 blocks.
func TestChunksAreSmall(t *testing.T) {
	solo := func(f shape) Worker {
		w := change(Worker{Lives: []Life{life(10, RoleParent, 0, 7*24, f)}}, func(_ int, s Sample) Sample {
			s.RSS, s.PSS, s.USS = math.Round(s.RSS/4096)*4096, math.NaN(), math.NaN()
			s.At, s.CPU = s.At.Round(time.Minute), math.Round(s.CPU*100)/100
			return s
		})
		return w
	}
	for name, c := range map[string]struct {
		w    Worker
		most int
	}{"still": {solo(func(float64, *rand.Rand) float64 { return 80 }), 6 << 10}, "noisy": {solo(level(80)), 16 << 10}} {
		_, size := reread(t, nil, chunksOf(c.w, Options{}))
		t.Logf("%s: %d bytes a week", name, size)
		if size > c.most {
			t.Errorf("%s: %d bytes a week, at most %d wanted", name, size, c.most)
		}
	}
}

// FuzzParseChunk: no bytes make it panic or take much room.
func FuzzParseChunk(f *testing.F) {
	for _, w := range nodes() {
		f.Add(chunksOf(w, Options{})[0].Append(nil))
	}
	f.Add([]byte{chunkVersion, 0, 1, 0, 0, 0, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		c, rest, err := ParseChunk(b)
		if err != nil {
			if !errors.Is(err, ErrChunk) {
				t.Error(err)
			}
			return
		}
		again, _, err := ParseChunk(c.Append(nil))
		if err != nil || len(rest) > len(b) {
			t.Fatalf("%+v: %v", c, err)
		}
		if d := cmp.Diff(c, again, cmpopts.EquateNaNs(), cmpopts.EquateEmpty()); d != "" {
			t.Error(d)
		}
		JudgeSummary(Join(Worker{}, []Chunk{c}), time.Time{}, Options{})
	})
}

// BenchmarkParseChunk reads a quarter of a day of one process, all of it told.
func BenchmarkParseChunk(b *testing.B) {
	w := change(Worker{Lives: []Life{life(10, RoleParent, 0, 24, level(80))}}, func(_ int, s Sample) Sample {
		s.RSS, s.PSS, s.USS = math.Round(s.RSS/4096)*4096, math.Round(s.PSS/4096)*4096, math.NaN()
		s.At, s.CPU = s.At.Round(time.Minute), math.Round(s.CPU*100)/100
		return s
	})
	body := chunksOf(w, Options{})[1].Append(nil)
	b.SetBytes(int64(len(body)))
	b.ReportAllocs()
	for b.Loop() {
		if _, _, err := ParseChunk(body); err != nil {
			b.Fatal(err)
		}
	}
}
