package detector

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"time"
)

// ParseChunk reads what [Chunk.Append] wrote at the head of b, and returns
// what follows it.
func ParseChunk(b []byte) (c Chunk, rest []byte, err error) {
	return (*Room)(nil).ParseChunk(b)
}

// ParseChunk is [ParseChunk] with the chunk's blocks in the room.
func (r *Room) ParseChunk(b []byte) (c Chunk, rest []byte, err error) {
	if r == nil {
		return new(parser).parse(b, nil)
	}
	return r.parser.parse(b, r)
}

func (p *parser) parse(b []byte, r *Room) (c Chunk, rest []byte, err error) {
	p.b, p.bad, p.made = b, false, r
	defer func() { p.b = nil }()
	if p.byte() != chunkVersion {
		return c, b, fmt.Errorf("version: %w", ErrChunk)
	}
	c.Index = p.varint()
	if most := int64(math.MaxInt64)/int64(ChunkWidth) - 1; c.Index < -most || c.Index > most {
		return Chunk{}, b, fmt.Errorf("index %d: %w", c.Index, ErrChunk)
	}
	at := clock{from: c.Index * int64(ChunkWidth), unit: p.count(len(timeUnits) - 1)}
	n := p.count(len(p.b))
	for c.Lives = make([]ChunkLife, 0, min(n, mostRoom)); n > 0 && !p.bad; n-- {
		c.Lives = append(c.Lives, p.life(at))
	}
	n = p.count(len(p.b))
	for c.Total = make([]ChunkTotal, 0, min(n, mostRoom)); n > 0 && !p.bad; n-- {
		c.Total = append(c.Total, p.total(c.Lives, at))
	}
	if p.bad {
		return Chunk{}, b, fmt.Errorf("%d bytes: %w", len(b), ErrChunk)
	}
	return c, p.b, nil
}

// mostRoom bounds the things that room is made for before they are read.
const mostRoom = 64

// parser reads a chunk; bad is set once and for all at the first misfit.
type parser struct {
	b    []byte
	bad  bool
	made *Room // for the blocks

	// A column each, as long as a run of blocks of one chunk usually is.
	first, last [cellsPerChunk]int64
	numbers     [cellsPerChunk]float64
	room        [cellsPerChunk]Block
}

func (p *parser) byte() byte {
	if len(p.b) == 0 {
		p.bad = true
		return 0
	}
	c := p.b[0]
	p.b = p.b[1:]
	return c
}

func (p *parser) uvarint() uint64 {
	if len(p.b) > 0 && p.b[0] < 0x80 {
		v := p.b[0]
		p.b = p.b[1:]
		return uint64(v)
	}
	v, n := binary.Uvarint(p.b)
	if n <= 0 {
		p.bad = true
		return 0
	}
	p.b = p.b[n:]
	return v
}

func (p *parser) varint() int64 {
	v := p.uvarint()
	return int64(v>>1) ^ -int64(v&1)
}

// count reads a number of things, at most most.
func (p *parser) count(most int) int {
	n := p.uvarint()
	if n > uint64(max(most, 0)) {
		p.bad = true
		return 0
	}
	return int(n)
}

func (p *parser) text() string {
	n := p.count(len(p.b))
	if p.bad || n > len(p.b) {
		p.bad = true
		return ""
	}
	s := p.b[:n]
	p.b = p.b[n:]
	switch string(s) { // known words without a copy of each
	case string(RoleParent):
		return string(RoleParent)
	case string(RoleChild):
		return string(RoleChild)
	case "main":
		return "main"
	}
	return string(s)
}

func (p *parser) metric() string {
	k := int(p.byte())
	if k > len(metrics) {
		p.bad = true
		return ""
	}
	if k == 0 {
		return ""
	}
	return metrics[k-1]
}

func (p *parser) life(k clock) ChunkLife {
	l := ChunkLife{PID: int(p.varint())}
	if p.byte() != 0 {
		l.Start = time.Unix(0, p.varint()).UTC()
	}
	l.Role, l.Slot = Role(p.text()), p.text()
	l.Readings = int(p.uvarint())
	l.Metric = p.metric()
	for i := range l.Seen {
		if p.byte() != 0 {
			first := p.varint()
			l.Seen[i] = Extent{k.time(first), k.time(first + p.varint())}
		}
	}
	if n := p.count(maxBlocks); n > 0 {
		l.Blocks = p.made.blockRoom(n)
		p.blocks(k, l.Blocks)
	}
	return l
}

func (p *parser) total(lives []ChunkLife, k clock) ChunkTotal {
	t := ChunkTotal{Metric: p.metric()}
	n := p.count(len(lives))
	for t.Members = make([]int, 0, n); n > 0 && !p.bad; n-- {
		m := p.count(len(lives) - 1)
		t.Members = append(t.Members, m)
	}
	if like := p.count(len(lives)); like > 0 {
		t.Blocks = p.sums(lives[like-1].Blocks)
	} else if n := p.count(maxBlocks); n > 0 {
		bs := column(p.room[:], n)
		p.blocks(k, bs)
		t.Blocks = p.sums(bs)
	}
	passes := column(p.last[:], len(t.Blocks))
	p.whole(passes)
	middles := column(p.numbers[:], len(t.Blocks))
	p.column(middles)
	for i := range t.Blocks {
		t.Blocks[i].N, t.Blocks[i].Mid = int(passes[i]), middles[i]
	}
	return t
}

// sums are the blocks of a sum, but for N and Mid.
func (p *parser) sums(bs []Block) []SumBlock {
	out := p.made.sumRoom(len(bs))
	for i := range bs {
		out[i].Block = bs[i]
	}
	return out
}

// column is room for n numbers: that which is there, where it is enough.
func column[T any](room []T, n int) []T {
	if n <= len(room) {
		return room[:n]
	}
	return make([]T, n)
}

// blocks reads the columns of a run of blocks, each in one go: a scan of a
// fleet reads twenty thousand numbers of a worker's week.
func (p *parser) blocks(k clock, out []Block) {
	n := len(out)
	steps, spans := column(p.first[:], n), column(p.last[:], n)
	p.whole(steps)
	p.whole(spans)
	first, end := int64(0), k.from-1
	for i := range out {
		b := &out[i]
		first += steps[i]
		b.First, b.Last = k.time(first), k.time(first+spans[i])
		p.bad = p.bad || b.First <= end || b.Last < b.First || b.Last >= k.from+int64(ChunkWidth)
		end = b.Last
	}
	numbers := column(p.numbers[:], n)
	p.column(numbers)
	for i, v := range numbers {
		out[i].Low = v
	}
	p.column(numbers)
	for i, v := range numbers {
		out[i].Swap = v
	}
	p.column(numbers)
	for i, v := range numbers {
		out[i].CPU = v
	}
}

// whole reads whole numbers that were written by their differences.
func (p *parser) whole(out []int64) {
	b, last := p.b, int64(0) // b and not p.b, to be kept in a register
	for i := 0; i < len(out); {
		var v uint64
		if len(b) > 0 && b[0] < 0x80 {
			v, b = uint64(b[0]), b[1:]
		} else if u, n := binary.Uvarint(b); n > 0 {
			v, b = u, b[n:]
		} else {
			p.bad = true
			return
		}
		last += int64(v>>1) ^ -int64(v&1)
		out[i] = last
		if i++; v != 0 {
			continue
		}
		more, n := binary.Uvarint(b)
		if n <= 0 || more > uint64(len(out)-i) {
			p.bad = true
			return
		}
		b = b[n:]
		for end := i + int(more); i < end; i++ {
			out[i] = last
		}
	}
	p.b = b
}

// column reads numbers.
func (p *parser) column(out []float64) {
	switch mode := int(p.byte()); {
	case mode == columnNaN:
		for i := range out {
			out[i] = math.NaN()
		}
	case mode < columnRaw:
		u, counts := chunkUnits[mode-1], column(p.first[:], len(out))
		p.whole(counts)
		for i, v := range counts {
			out[i] = float64(v) * u.num / u.den
		}
	case mode == columnRaw:
		var last uint64
		for i := 0; i < len(out) && !p.bad; i++ {
			last ^= bits.Reverse64(p.uvarint())
			out[i] = math.Float64frombits(last)
		}
	default:
		p.bad = true
	}
}
