package history

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
	"math/bits"

	"github.com/dropleak/dropleak/detector/sample"
)

// A chunk's body:
//
//	head   one byte: unit of the values, shape of the times, constant or not
//	count  uvarint
//	start  varint, ms
//	times  by shape: a step; a step and its exceptions; or every change
//	values by unit: differences of whole numbers of the unit; or, where no
//	       unit fits exactly, the bits that changed
//
// Memory is counted in pages of 4 KiB, so a typical difference is one byte;
// the agent samples on a grid, so the times of a chunk are a few bytes.

// unit is a step in which values may be whole numbers: num/den.
type unit struct{ num, den float64 }

// The order is part of the format; the coarsest fitting unit is used.
var units = [...]unit{{4096, 1}, {1024, 1}, {1, 1}, {1, 100}, {1, 1000}}

const (
	unitBits  = 0x07
	unitXOR   = 7 // no unit fits
	constant  = 0x08
	timeShift = 4

	timesRegular = 0
	timesSparse  = 1
	timesDense   = 2

	maxPoints = 1 << 20 // more in one chunk is a broken chunk
)

// ErrBroken is wrapped by what is said of bytes that are no chunk.
var ErrBroken = errors.New("broken chunk")

// encodeChunk appends points, ascending strictly in time, to b.
func encodeChunk(b []byte, pts []sample.Point) []byte {
	u := fittingUnit(pts)
	shape, exceptions := timeShape(pts)
	head := byte(u) | byte(shape)<<timeShift
	same := sameValue(pts)
	if same {
		head |= constant
	}
	b = append(b, head)
	b = binary.AppendUvarint(b, uint64(len(pts)))
	if len(pts) == 0 {
		return b
	}
	b = binary.AppendVarint(b, pts[0].At)
	b = appendTimes(b, pts, shape, exceptions)
	if same {
		pts = pts[:1]
	}
	if u == unitXOR {
		return appendXOR(b, pts)
	}
	return appendUnits(b, pts, units[u])
}

func sameValue(pts []sample.Point) bool {
	for _, p := range pts {
		if math.Float64bits(p.V) != math.Float64bits(pts[0].V) {
			return false
		}
	}
	return true
}

// fittingUnit returns the coarsest unit in which every value is a whole
// number and comes back bit for bit, or unitXOR.
func fittingUnit(pts []sample.Point) int {
	for i, u := range units {
		fits := true
		for _, p := range pts {
			if _, ok := u.count(p.V); !ok && !sample.IsStale(p.V) {
				fits = false
				break
			}
		}
		if fits {
			return i
		}
	}
	return unitXOR
}

// count returns v in units, and whether it comes back exactly.
func (u unit) count(v float64) (int64, bool) {
	k := math.Round(v * u.den / u.num)
	if !(math.Abs(k) < 1<<53) || math.Float64bits(u.value(int64(k))) != math.Float64bits(v) {
		return 0, false
	}
	return int64(k), true
}

func (u unit) value(k int64) float64 { return float64(k) * u.num / u.den }

// timeShape chooses how the times are written, and counts the exceptions.
func timeShape(pts []sample.Point) (shape, exceptions int) {
	for i := 2; i < len(pts); i++ {
		if change(pts, i) != 0 {
			exceptions++
		}
	}
	switch {
	case exceptions == 0:
		return timesRegular, 0
	case exceptions*2 < len(pts):
		return timesSparse, exceptions
	}
	return timesDense, exceptions
}

// change is by how much step i differs from the one before.
func change(pts []sample.Point, i int) int64 {
	return pts[i].At - 2*pts[i-1].At + pts[i-2].At
}

func appendTimes(b []byte, pts []sample.Point, shape, exceptions int) []byte {
	if len(pts) < 2 {
		return b
	}
	b = binary.AppendVarint(b, pts[1].At-pts[0].At)
	switch shape {
	case timesSparse:
		b = binary.AppendUvarint(b, uint64(exceptions))
		last := 1
		for i := 2; i < len(pts); i++ {
			if c := change(pts, i); c != 0 {
				b = binary.AppendUvarint(b, uint64(i-last-1))
				b = binary.AppendVarint(b, c)
				last = i
			}
		}
	case timesDense:
		for i := 2; i < len(pts); i++ {
			b = binary.AppendVarint(b, change(pts, i))
		}
	}
	return b
}

// appendUnits writes each value as its difference in units, one more than
// its zigzag, so that nought is free for the stale marker.
func appendUnits(b []byte, pts []sample.Point, u unit) []byte {
	var last int64
	for _, p := range pts {
		if sample.IsStale(p.V) {
			b = append(b, 0)
			continue
		}
		k, _ := u.count(p.V)
		b = binary.AppendUvarint(b, zigzag(k-last)+1)
		last = k
	}
	return b
}

// appendXOR writes the bits that changed, reversed, since it is the low bits
// of a float that are noughts.
func appendXOR(b []byte, pts []sample.Point) []byte {
	var last uint64
	for _, p := range pts {
		v := math.Float64bits(p.V)
		b = binary.AppendUvarint(b, bits.Reverse64(v^last))
		last = v
	}
	return b
}

func zigzag(v int64) uint64   { return uint64(v<<1) ^ uint64(v>>63) }
func unzigzag(v uint64) int64 { return int64(v>>1) ^ -int64(v&1) }

// decodeChunk reads what encodeChunk wrote and appends the points.
func decodeChunk(pts []sample.Point, b []byte) ([]sample.Point, error) {
	r := &reader{b: b}
	head := r.byte()
	n := r.uvarint()
	switch {
	case r.bad || n > maxPoints:
		return pts, fmt.Errorf("head: %w", ErrBroken)
	case n == 0:
		return pts, nil
	}
	first := len(pts)
	pts = append(pts, make([]sample.Point, n)...)
	out := pts[first:]
	out[0].At = r.varint()
	r.times(out, int(head>>timeShift))
	values := out
	if head&constant != 0 {
		values = out[:1]
	}
	switch u := int(head & unitBits); {
	case u == unitXOR:
		r.xor(values)
	case u < len(units):
		r.units(values, units[u])
	default:
		r.bad = true
	}
	if r.bad || len(r.b) > 0 {
		return pts[:first], fmt.Errorf("%d points: %w", n, ErrBroken)
	}
	for i := len(values); i < len(out); i++ {
		out[i].V = out[0].V
	}
	return pts, nil
}

// pointsIn is how many points a body says it holds; 0 where it is broken.
func pointsIn(b []byte) int {
	r := &reader{b: b}
	r.byte()
	if n := r.uvarint(); !r.bad && n <= maxPoints {
		return int(n)
	}
	return 0
}

// reader reads a body; bad is set once and for all at the first misfit.
type reader struct {
	b   []byte
	bad bool
}

func (r *reader) byte() byte {
	if len(r.b) == 0 {
		r.bad = true
		return 0
	}
	c := r.b[0]
	r.b = r.b[1:]
	return c
}

func (r *reader) uvarint() uint64 {
	v, n := binary.Uvarint(r.b)
	if n <= 0 {
		r.bad = true
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) varint() int64 {
	v, n := binary.Varint(r.b)
	if n <= 0 {
		r.bad = true
		return 0
	}
	r.b = r.b[n:]
	return v
}

// take cuts the next n bytes off.
func (r *reader) take(n uint64) []byte {
	if n > uint64(len(r.b)) {
		r.bad = true
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) times(out []sample.Point, shape int) {
	if len(out) < 2 {
		return
	}
	step := r.varint()
	var left uint64
	next := len(out) // where the next exception stands
	if shape == timesSparse {
		if left = r.uvarint(); left > 0 {
			next = r.skip(1)
		}
	}
	for i := 1; i < len(out) && !r.bad; i++ {
		switch {
		case shape == timesDense && i > 1:
			step += r.varint()
		case shape == timesSparse && i == next:
			step += r.varint()
			if left--; left > 0 {
				next = r.skip(i)
			}
		}
		out[i].At = out[i-1].At + step
	}
	if shape > timesDense || left > 0 {
		r.bad = true
	}
}

// skip reads how far after i the next exception stands.
func (r *reader) skip(i int) int {
	n := r.uvarint()
	if n > maxPoints {
		r.bad = true
		return -1
	}
	return i + 1 + int(n)
}

func (r *reader) units(out []sample.Point, u unit) {
	var last int64
	for i := range out {
		v := r.uvarint()
		if r.bad {
			return
		}
		if v == 0 {
			out[i].V = sample.StaleMarker()
			continue
		}
		last += unzigzag(v - 1)
		out[i].V = u.value(last)
	}
}

func (r *reader) xor(out []sample.Point) {
	var last uint64
	for i := range out {
		last ^= bits.Reverse64(r.uvarint())
		if r.bad {
			return
		}
		out[i].V = math.Float64frombits(last)
	}
}
