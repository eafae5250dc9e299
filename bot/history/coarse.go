package history

import (
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/dropleak/dropleak/detector/sample"
)

const (
	minute     = int64(60_000)
	bucket     = 5 * minute    // what a coarse point stands for
	rawSpan    = 120 * minute  // of a raw chunk
	coarseSpan = 1440 * minute // of a coarse chunk
)

// three is a coarse stretch of a series: for each five minutes, at their
// start, the lowest, the middle and the highest value. The middle one is a
// value that was really measured, never a mean of two, so that a pid stays a
// pid. Where something ended, the last marker of the bucket stands alone.
type three struct{ low, median, high []sample.Point }

// coarsen reduces sorted points.
func coarsen(pts []sample.Point) three {
	var t three
	var vs []float64
	for len(pts) > 0 {
		at := pts[0].At - pts[0].At%bucket
		vs = vs[:0]
		n := 0
		for ; n < len(pts) && pts[n].At < at+bucket; n++ {
			if !sample.IsStale(pts[n].V) && sample.Measured(pts[n].V) {
				vs = append(vs, pts[n].V)
			}
		}
		if len(vs) == 0 {
			vs = append(vs, pts[n-1].V)
		}
		slices.Sort(vs)
		t.low = append(t.low, sample.Point{At: at, V: vs[0]})
		t.median = append(t.median, sample.Point{At: at, V: vs[(len(vs)-1)/2]})
		t.high = append(t.high, sample.Point{At: at, V: vs[len(vs)-1]})
		pts = pts[n:]
	}
	return t
}

// join lays late coarse points over earlier ones: extremes stay extremes,
// and the median of what came first stands.
func (t three) join(late three) three {
	return three{
		low:    joinBy(t.low, late.low, func(a, b float64) float64 { return min(a, b) }),
		median: overlay(late.median, t.median),
		high:   joinBy(t.high, late.high, func(a, b float64) float64 { return max(a, b) }),
	}
}

func joinBy(a, b []sample.Point, pick func(a, b float64) float64) []sample.Point {
	out := overlay(slices.Clone(a), b)
	for i := range out {
		j, ok := slices.BinarySearchFunc(a, out[i].At, func(p sample.Point, at int64) int { return cmp.Compare(p.At, at) })
		if ok && sample.Measured(a[j].V) && sample.Measured(out[i].V) {
			out[i].V = pick(a[j].V, out[i].V)
		}
	}
	return out
}

// encode writes the three chunks, the first two with their length.
func (t three) encode() []byte {
	var b []byte
	for _, pts := range [][]sample.Point{t.low, t.median} {
		c := encodeChunk(nil, pts)
		b = append(binary.AppendUvarint(b, uint64(len(c))), c...)
	}
	return encodeChunk(b, t.high)
}

func decodeThree(b []byte) (three, error) {
	r := &reader{b: b}
	low := r.take(r.uvarint())
	median := r.take(r.uvarint())
	var t three
	if r.bad {
		return t, ErrBroken
	}
	var err error
	for _, c := range []struct {
		into *[]sample.Point
		b    []byte
	}{{&t.low, low}, {&t.median, median}, {&t.high, r.b}} {
		if *c.into, err = decodeChunk(nil, c.b); err != nil {
			return three{}, err
		}
	}
	return t, nil
}
