package detector

import (
	"math"
	"slices"
	"time"
)

// blockWidth is the grid every series is summarised on, anchored at the Unix
// epoch so that any two readings of the same samples make the same blocks.
const blockWidth = 5 * time.Minute

// lowQuantile is the share of a block's samples below its floor. The floor
// forgets spikes; a low quantile, unlike the minimum, does not sink as
// samples become more frequent.
const lowQuantile = 0.2

// Block summarises the samples of one series within one cell of the grid.
// Bytes; Swap and CPU are NaN where not measured.
type Block struct {
	Cell           int64 // index on the grid: the cell begins at Cell × 5 min after the epoch
	N              int
	Low, Mid, High float64
	Swap           float64 // median swap, where it is not already part of the values
	CPU            float64 // last reading of CPU seconds
	First, Last    int64   // Unix nanoseconds of the first and last sample
}

// cellOf returns the grid cell that contains t.
func cellOf(t time.Time) int64 {
	w := int64(blockWidth / time.Second)
	s := t.Unix()
	c := s / w
	if s%w < 0 {
		c--
	}
	return c
}

// reading is one value of one series, with what travels beside it.
type reading struct {
	at        time.Time
	v         float64
	swap, cpu float64
}

// summarise folds ascending readings into blocks.
func summarise(rs []reading) []Block {
	var out []Block
	for i := 0; i < len(rs); {
		j, cell := i, cellOf(rs[i].at)
		for j < len(rs) && cellOf(rs[j].at) == cell {
			j++
		}
		out = append(out, fold(cell, rs[i:j]))
		i = j
	}
	return out
}

// fold makes one block of the readings of one cell.
func fold(cell int64, rs []reading) Block {
	b := Block{Cell: cell, N: len(rs), Swap: math.NaN(), CPU: math.NaN(),
		First: rs[0].at.UnixNano(), Last: rs[len(rs)-1].at.UnixNano()}
	vs := make([]float64, 0, len(rs))
	var swaps []float64
	for _, r := range rs {
		vs = append(vs, r.v)
		if !math.IsNaN(r.swap) {
			swaps = append(swaps, r.swap)
		}
		if !math.IsNaN(r.cpu) {
			b.CPU = r.cpu
		}
	}
	slices.Sort(vs)
	b.Low, b.Mid, b.High = quantile(vs, lowQuantile), quantile(vs, 0.5), vs[len(vs)-1]
	if len(swaps) > 0 {
		slices.Sort(swaps)
		b.Swap = quantile(swaps, 0.5)
	}
	return b
}

// quantile returns the lower empirical quantile of sorted values.
func quantile(sorted []float64, q float64) float64 {
	return sorted[int(q*float64(len(sorted)-1))]
}

// usable reports whether v is a reading of memory: positive and less than an
// exabyte. Exporters write 0 for a process they could not read.
func usable(v float64) bool { return v > 0 && v < 1e18 }

// curve is a series ready to be judged: block floors over hours since the
// worker's first sample.
type curve struct {
	t, lo, hi, cpu []float64
}

func (c curve) len() int { return len(c.t) }

// span returns the hours between the first and the last block.
func (c curve) span() float64 {
	if len(c.t) < 2 {
		return 0
	}
	return c.t[len(c.t)-1] - c.t[0]
}

// slice returns the blocks i..j-1.
func (c curve) slice(i, j int) curve {
	return curve{c.t[i:j], c.lo[i:j], c.hi[i:j], c.cpu[i:j]}
}

// since returns the part of c at or after hour t.
func (c curve) since(t float64) curve {
	i, _ := slices.BinarySearch(c.t, t)
	return c.slice(i, len(c.t))
}

// until returns the part of c at or before hour t.
func (c curve) until(t float64) curve {
	i, found := slices.BinarySearch(c.t, t)
	if found {
		i++
	}
	return c.slice(0, i)
}

// curveOf lays blocks out over hours since origin, adding the swap that was
// last known.
func curveOf(bs []Block, origin int64) curve {
	n := len(bs)
	c := curve{make([]float64, n), make([]float64, n), make([]float64, n), make([]float64, n)}
	swap := 0.0
	for _, b := range bs {
		if !math.IsNaN(b.Swap) {
			swap = b.Swap
			break
		}
	}
	for i, b := range bs {
		if !math.IsNaN(b.Swap) {
			swap = b.Swap
		}
		c.t[i] = float64((b.First+b.Last)/2-origin) / float64(time.Hour)
		c.lo[i], c.hi[i], c.cpu[i] = b.Low+swap, b.High+swap, b.CPU
	}
	return c
}

// coarse merges neighbouring blocks until at most n are left, each with the
// low quantile of its parts.
func (c curve) coarse(n int) curve {
	if c.len() <= n {
		return c
	}
	width := c.span() / float64(n)
	var out curve
	var part []float64
	for i := 0; i < c.len(); {
		j := i
		edge := c.t[0] + width*(math.Floor((c.t[i]-c.t[0])/width)+1)
		part = part[:0]
		t, hi := 0.0, 0.0
		for j < c.len() && (c.t[j] < edge || j == i) {
			part = append(part, c.lo[j])
			t += c.t[j]
			hi = math.Max(hi, c.hi[j])
			j++
		}
		slices.Sort(part)
		out.t = append(out.t, t/float64(j-i))
		out.lo = append(out.lo, quantile(part, lowQuantile))
		out.hi = append(out.hi, hi)
		out.cpu = append(out.cpu, c.cpu[j-1])
		i = j
	}
	return out
}
