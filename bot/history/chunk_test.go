package history

import (
	"bytes"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/dropleak/dropleak/detector/sample"
)

// same compares points bit for bit: NaN and stale markers differ by bits.
func same(a, b []sample.Point) bool {
	if len(a) != len(b) {
		return false
	}
	for i := range a {
		if a[i].At != b[i].At || math.Float64bits(a[i].V) != math.Float64bits(b[i].V) {
			return false
		}
	}
	return true
}

// line makes n points from start, step apart, valued by f.
func line(start, step int64, n int, f func(i int) float64) []sample.Point {
	pts := make([]sample.Point, n)
	for i := range pts {
		pts[i] = sample.Point{At: start + int64(i)*step, V: f(i)}
	}
	return pts
}

func jitter(pts []sample.Point, every int) []sample.Point {
	for i := range pts {
		if i%every == every-1 {
			pts[i].At += int64(i%7) + 1
		}
	}
	return pts
}

const t0 = 1_700_000_040_000

func TestChunkRoundTripAndSize(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	rss := 50_000.0
	walk := func(int) float64 { rss += float64(r.IntN(129) - 64); return rss * 4096 }
	for _, c := range []struct {
		name string
		pts  []sample.Point
		max  int // bytes
	}{
		{"nothing", nil, 2},
		{"one", line(t0, 0, 1, walk), 14},
		{"constant pid", line(t0, 60_000, 120, func(int) float64 { return 4711 }), 16},
		{"constant start", line(t0, 60_000, 120, func(int) float64 { return 1_700_000_000.123 }), 20},
		{"pages", line(t0, 60_000, 120, walk), 250},
		{"pages, a gap", append(line(t0, 60_000, 60, walk), line(t0+7_200_000, 60_000, 60, walk)...), 270},
		{"pages, jitter", jitter(line(t0, 60_000, 120, walk), 1), 500},
		{"pages, some jitter", jitter(line(t0, 60_000, 120, walk), 9), 320},
		{"kibibytes", line(t0, 60_000, 120, func(i int) float64 { return float64(1_000_000+i) * 1024 }), 140},
		{"hundredths", line(t0, 60_000, 120, func(i int) float64 { return float64(100*i+7) / 100 }), 260},
		{"no unit", line(t0, 60_000, 50, func(i int) float64 { return math.Pi * float64(i) }), 520},
		{"not numbers", line(t0, 60_000, 4, func(i int) float64 {
			return []float64{math.Inf(1), math.NaN(), math.Copysign(0, -1), 1e300}[i]
		}), 60},
		{"stale in between", line(t0, 60_000, 9, func(i int) float64 {
			if i%3 == 2 {
				return sample.StaleMarker()
			}
			return 4096 * float64(i)
		}), 25},
		{"only stale", line(t0, 1, 3, func(int) float64 { return sample.StaleMarker() }), 12},
		{"huge and tiny", line(t0, 60_000, 4, func(i int) float64 { return []float64{1 << 52, -(1 << 52), 0, 1<<53 - 1}[i] }), 50},
	} {
		b := encodeChunk([]byte("before"), c.pts)[6:]
		got, err := decodeChunk(nil, b)
		if err != nil || !same(got, c.pts) {
			t.Errorf("%s: comes back as %v, %v\nwant %v", c.name, got, err, c.pts)
		}
		if len(b) > c.max {
			t.Errorf("%s: %d bytes, at most %d expected", c.name, len(b), c.max)
		}
		for n := range b {
			if got, err := decodeChunk(nil, b[:n]); err == nil && len(got) >= len(c.pts) && len(c.pts) > 0 {
				t.Errorf("%s: cut to %d of %d bytes is read as whole", c.name, n, len(b))
			}
		}
	}
}

// FuzzDecodeChunk reads any bytes; what can be read is written and read
// again the same.
func FuzzDecodeChunk(f *testing.F) {
	f.Add(encodeChunk(nil, line(t0, 60_000, 20, func(i int) float64 { return 4096 * float64(i) })))
	f.Add(encodeChunk(nil, jitter(line(t0, 60_000, 20, func(i int) float64 { return math.Sqrt(float64(i)) }), 3)))
	f.Add([]byte{})
	f.Fuzz(func(t *testing.T, b []byte) {
		pts, err := decodeChunk(nil, b)
		if err != nil {
			return
		}
		again, err := decodeChunk(nil, encodeChunk(nil, pts))
		if err != nil || !same(again, pts) {
			t.Fatalf("%v comes back as %v, %v", pts, again, err)
		}
	})
}

func FuzzEachSeries(f *testing.F) {
	f.Add([]byte{1, 2, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		var n int
		_ = eachSeries(b, func(id int64, chunk []byte) error { n += len(chunk); return nil })
		if n > len(b) {
			t.Fatal("more than there is")
		}
	})
}

func TestCoarsen(t *testing.T) {
	const at = 1_700_000_100_000 // the start of five minutes
	pts := line(at, 60_000, 12, func(i int) float64 { return []float64{5, 1, 4, 2, 3, 10, 10, 30, 20, 20, 7, 7}[i] })
	pts[11].V = sample.StaleMarker()
	got := coarsen(pts)
	check := func(name string, pts []sample.Point, want ...float64) {
		t.Helper()
		if !same(pts, line(at, bucket, len(want), func(i int) float64 { return want[i] })) {
			t.Errorf("%s: %v, want %v", name, pts, want)
		}
	}
	check("low", got.low, 1, 10, 7)
	check("median", got.median, 3, 20, 7)
	check("high", got.high, 5, 30, 7)

	b := got.encode()
	back, err := decodeThree(b)
	if err != nil || !bytes.Equal(back.encode(), b) {
		t.Errorf("comes back as %v, %v", back, err)
	}
	late := coarsen([]sample.Point{{At: at + 1, V: 0}, {At: at + bucket, V: 99}, {At: at + 5*bucket, V: 8}})
	joined := back.join(late)
	check("late low", joined.low[:3], 0, 10, 7)
	check("late median", joined.median[:3], 3, 20, 7)
	check("late high", joined.high[:3], 5, 99, 7)
	if n := len(joined.low); n != 4 || joined.high[3] != (sample.Point{At: at + 5*bucket, V: 8}) {
		t.Errorf("a late bucket of its own is lost: %v", joined)
	}
}

func TestSortedAndOverlay(t *testing.T) {
	p := func(vs ...float64) (out []sample.Point) {
		for i := 0; i < len(vs); i += 2 {
			out = append(out, sample.Point{At: int64(vs[i]), V: vs[i+1]})
		}
		return out
	}
	if got := sorted(p(3, 1, 1, 1, 3, 2, 2, 5)); !same(got, p(1, 1, 2, 5, 3, 2)) {
		t.Errorf("sorted: %v", got)
	}
	for _, c := range []struct{ a, b, want []sample.Point }{
		{p(1, 1, 3, 3), p(2, 2, 3, 9, 4, 4), p(1, 1, 2, 2, 3, 9, 4, 4)},
		{p(1, 1), p(2, 2), p(1, 1, 2, 2)},
		{p(5, 1), p(2, 2), p(2, 2, 5, 1)},
		{nil, p(2, 2), p(2, 2)},
		{p(2, 2), nil, p(2, 2)},
	} {
		if got := overlay(c.a, c.b); !same(got, c.want) {
			t.Errorf("overlay %v on %v: %v, want %v", c.b, c.a, got, c.want)
		}
	}
	if got := within(p(1, 1, 2, 2, 3, 3), 2, 2); !same(got, p(2, 2)) {
		t.Errorf("within: %v", got)
	}
	if got := within(p(1, 1), 5, 2); len(got) != 0 {
		t.Errorf("within nothing: %v", got)
	}
}
