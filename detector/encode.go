package detector

import (
	"encoding/binary"
	"errors"
	"math"
	"math/bits"
	"slices"
	"time"
)

// A chunk written down is columns, each as its changes: memory moves in
// pages, passes come in step, and most blocks of most processes are like the
// one before. Nothing is rounded, so that a verdict from chunks that were
// kept is the verdict from samples, bit for bit.
//
//	version, index, unit of times, lives, totals
//	life    pid, start, role, slot, readings, metric, three extents, blocks
//	total   metric, members, the life whose blocks are the same or blocks, N, Mid
//	blocks  count, and where there are any: First by second difference, Last-First, Low, Swap, CPU
//
// Whole numbers are varints; a nought stands for itself and is followed by
// how many more there are. Times count from the chunk's beginning.

const (
	chunkVersion = 1
	maxBlocks    = 1 << 12 // of one run: a chunk has 72 cells
)

// ErrChunk is wrapped by what [ParseChunk] says of bytes that are no chunk.
var ErrChunk = errors.New("not a chunk")

// chunkUnits are the steps in which a column may be whole numbers, the
// coarsest that fits being used: pages, KiB, bytes, hundredths of a second.
var chunkUnits = [...]struct{ num, den float64 }{{4096, 1}, {1024, 1}, {1, 1}, {1, 100}}

// timeUnits are the steps in which a chunk's times may be whole numbers, in
// nanoseconds.
var timeUnits = [...]int64{int64(time.Second), int64(time.Millisecond), 1}

const (
	columnNaN = 0
	columnRaw = 1 + len(chunkUnits)
)

// Append writes the chunk down behind b.
func (c Chunk) Append(b []byte) []byte {
	b = append(b, chunkVersion)
	b = binary.AppendVarint(b, c.Index)
	at := clock{from: c.Index * int64(ChunkWidth)}
	for at.unit = 0; !c.inStep(at); at.unit++ {
	}
	b = append(b, byte(at.unit))
	b = binary.AppendUvarint(b, uint64(len(c.Lives)))
	for i := range c.Lives {
		b = c.Lives[i].append(b, at)
	}
	b = binary.AppendUvarint(b, uint64(len(c.Total)))
	for i := range c.Total {
		b = c.appendTotal(b, &c.Total[i], at)
	}
	return b
}

// clock tells times by whole units since the chunk began.
type clock struct {
	from int64 // Unix nanoseconds
	unit int   // of timeUnits
}

func (k clock) since(ns int64) int64 { return (ns - k.from) / timeUnits[k.unit] }
func (k clock) time(n int64) int64   { return k.from + n*timeUnits[k.unit] }

// exact reports whether a time comes back from its units.
func (k clock) exact(ns int64) bool { return k.time(k.since(ns)) == ns }

// inStep reports whether all times come back from their units.
func (c *Chunk) inStep(k clock) bool {
	for _, l := range c.Lives {
		for _, e := range l.Seen {
			if !e.none() && !(k.exact(e.First) && k.exact(e.Last)) {
				return false
			}
		}
		if slices.ContainsFunc(l.Blocks, func(b Block) bool { return !k.exact(b.First) || !k.exact(b.Last) }) {
			return false
		}
	}
	return !slices.ContainsFunc(c.Total, func(t ChunkTotal) bool {
		return slices.ContainsFunc(t.Blocks, func(b SumBlock) bool { return !k.exact(b.First) || !k.exact(b.Last) })
	})
}

func (l *ChunkLife) append(b []byte, at clock) []byte {
	b = binary.AppendVarint(b, int64(l.PID))
	if l.Start.IsZero() {
		b = append(b, 0)
	} else {
		b = binary.AppendVarint(append(b, 1), l.Start.UnixNano())
	}
	b = appendText(b, string(l.Role))
	b = appendText(b, l.Slot)
	b = binary.AppendUvarint(b, uint64(l.Readings))
	b = append(b, byte(1+slices.Index(metrics[:], l.Metric)))
	for _, e := range l.Seen {
		if e.none() {
			b = append(b, 0)
			continue
		}
		b = binary.AppendVarint(append(b, 1), at.since(e.First))
		b = binary.AppendVarint(b, at.since(e.Last)-at.since(e.First))
	}
	return appendBlocks(b, at, len(l.Blocks), func(i int) *Block { return &l.Blocks[i] })
}

func (c *Chunk) appendTotal(b []byte, t *ChunkTotal, k clock) []byte {
	b = append(b, byte(1+slices.Index(metrics[:], t.Metric)))
	b = binary.AppendUvarint(b, uint64(len(t.Members)))
	for _, m := range t.Members {
		b = binary.AppendUvarint(b, uint64(m))
	}
	like := slices.IndexFunc(c.Lives, func(l ChunkLife) bool {
		return slices.EqualFunc(t.Blocks, l.Blocks, func(x SumBlock, y Block) bool { return x.same(y) })
	})
	b = binary.AppendUvarint(b, uint64(like+1))
	if like < 0 {
		b = appendBlocks(b, k, len(t.Blocks), func(i int) *Block { return &t.Blocks[i].Block })
	}
	b = appendWhole(b, len(t.Blocks), func(i int) int64 { return int64(t.Blocks[i].N) })
	return appendColumn(b, len(t.Blocks), func(i int) float64 { return t.Blocks[i].Mid })
}

// same reports whether two blocks are, bit for bit.
func (b Block) same(c Block) bool {
	eq := func(x, y float64) bool { return math.Float64bits(x) == math.Float64bits(y) }
	return b.First == c.First && b.Last == c.Last && eq(b.Low, c.Low) && eq(b.Swap, c.Swap) && eq(b.CPU, c.CPU)
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendBlocks(b []byte, k clock, n int, at func(int) *Block) []byte {
	b = binary.AppendUvarint(b, uint64(n))
	if n == 0 { // of a process that nothing usable was read of
		return b
	}
	b = appendWhole(b, n, func(i int) int64 {
		if i == 0 {
			return k.since(at(0).First)
		}
		return k.since(at(i).First) - k.since(at(i-1).First)
	})
	b = appendWhole(b, n, func(i int) int64 { return k.since(at(i).Last) - k.since(at(i).First) })
	b = appendColumn(b, n, func(i int) float64 { return at(i).Low })
	b = appendColumn(b, n, func(i int) float64 { return at(i).Swap })
	return appendColumn(b, n, func(i int) float64 { return at(i).CPU })
}

// appendWhole writes whole numbers by their differences.
func appendWhole(b []byte, n int, at func(int) int64) []byte {
	var last int64
	for i := 0; i < n; i++ {
		v := at(i)
		if v != last {
			b = binary.AppendVarint(b, v-last)
			last = v
			continue
		}
		more := 0
		for i+1 < n && at(i+1) == last {
			i, more = i+1, more+1
		}
		b = binary.AppendUvarint(append(b, 0), uint64(more))
	}
	return b
}

// appendColumn writes numbers in the coarsest unit that fits all of them, or
// else the bits that change.
func appendColumn(b []byte, n int, at func(int) float64) []byte {
	all := true
	for i := range n {
		all = all && math.IsNaN(at(i))
	}
	if all {
		return append(b, columnNaN)
	}
	for k := range chunkUnits {
		if fits(k, n, at) {
			return appendWhole(append(b, byte(k+1)), n, func(i int) int64 { return int64(inUnits(k, at(i))) })
		}
	}
	b = append(b, byte(columnRaw))
	var last uint64
	for i := range n {
		v := math.Float64bits(at(i))
		b = binary.AppendUvarint(b, bits.Reverse64(v^last))
		last = v
	}
	return b
}

func inUnits(k int, v float64) float64 {
	return math.Round(v * chunkUnits[k].den / chunkUnits[k].num)
}

// fits reports whether all numbers come back from a unit bit for bit.
func fits(k, n int, at func(int) float64) bool {
	u := chunkUnits[k]
	for i := range n {
		v := at(i)
		w := inUnits(k, v)
		if !(math.Abs(w) < 1<<53) || math.Float64bits(float64(int64(w))*u.num/u.den) != math.Float64bits(v) {
			return false
		}
	}
	return true
}
