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
	Low         float64 // the level that four fifths of the samples reach
	Swap        float64 // median swap, where it is not already part of the values
	CPU         float64 // last reading of CPU seconds
	First, Last int64   // Unix nanoseconds of the first and last sample
}

// cellAt returns the grid cell that contains a moment in Unix nanoseconds: it
// begins at cell × 5 min after the epoch.
func cellAt(ns int64) int64 {
	c := ns / int64(blockWidth)
	if ns%int64(blockWidth) < 0 {
		c--
	}
	return c
}

// reading is one value of one series, with what travels beside it.
type reading struct {
	at        int64 // Unix nanoseconds
	v         float64
	swap, cpu float64
}

// folder makes blocks of readings. It keeps its buffers for the next.
type folder struct{ vs, swaps []float64 }

// fold makes blocks of ascending readings and hands each to use with the
// median and the number of its values.
func (f *folder) fold(rs []reading, use func(b Block, mid float64, n int)) {
	for i := 0; i < len(rs); {
		j, edge := i+1, (cellAt(rs[i].at)+1)*int64(blockWidth)
		for j < len(rs) && rs[j].at < edge {
			j++
		}
		b, mid := f.block(rs[i:j])
		use(b, mid, j-i)
		i = j
	}
}

// block makes one block of the readings of one cell, and their median.
func (f *folder) block(rs []reading) (b Block, mid float64) {
	b = Block{Swap: math.NaN(), CPU: math.NaN(), First: rs[0].at, Last: rs[len(rs)-1].at}
	f.vs, f.swaps = f.vs[:0], f.swaps[:0]
	for _, r := range rs {
		f.vs = append(f.vs, r.v)
		if !math.IsNaN(r.swap) {
			f.swaps = append(f.swaps, r.swap)
		}
		if !math.IsNaN(r.cpu) {
			b.CPU = r.cpu
		}
	}
	slices.Sort(f.vs)
	b.Low = quantile(f.vs, lowQuantile)
	if len(f.swaps) > 0 {
		slices.Sort(f.swaps)
		b.Swap = quantile(f.swaps, 0.5)
	}
	return b, quantile(f.vs, 0.5)
}

// summarise folds ascending readings into blocks.
func summarise(rs []reading) []Block {
	var f folder
	var out []Block
	f.fold(rs, func(b Block, _ float64, _ int) { out = append(out, b) })
	return out
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
	t, lo, cpu []float64
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
	return curve{c.t[i:j], c.lo[i:j], c.cpu[i:j]}
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

// newCurve is a curve of n blocks to be filled in.
func newCurve(n int, in *arena) curve {
	all := in.numbers(3 * n)
	return curve{all[:n:n], all[n : 2*n : 2*n], all[2*n:]}
}

// curveOf lays blocks out over hours since origin, adding the swap that was
// last known.
func curveOf(bs []Block, origin int64, in *arena) curve {
	n := len(bs)
	c := newCurve(n, in)
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
		c.lo[i], c.cpu[i] = b.Low+swap, b.CPU
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
	out, k := newCurve(n+2, nil), 0
	for i := 0; i < c.len(); k++ {
		j := i
		edge := c.t[0] + width*(math.Floor((c.t[i]-c.t[0])/width)+1)
		t := 0.0
		for j < c.len() && (c.t[j] < edge || j == i) {
			t += c.t[j]
			j++
		}
		if k == len(out.t) {
			out.t, out.lo, out.cpu = append(out.t, 0), append(out.lo, 0), append(out.cpu, 0)
		}
		out.t[k], out.lo[k], out.cpu[k] = t/float64(j-i), lowOf(c.lo[i:j]), c.cpu[j-1]
		i = j
	}
	return out.slice(0, k)
}

// lowOf is the low quantile of values in any order, which stay as they are.
func lowOf(vs []float64) float64 {
	var least [8]float64
	k := int(lowQuantile * float64(len(vs)-1))
	if k >= len(least) {
		return nth(slices.Clone(vs), k)
	}
	// The k+1 least so far, ascending: for the few blocks of a part quicker
	// than sorting them.
	n := 0
	for _, v := range vs {
		if n == k+1 {
			if v >= least[k] {
				continue
			}
			n--
		}
		i := n
		for ; i > 0 && least[i-1] > v; i-- {
			least[i] = least[i-1]
		}
		least[i] = v
		n++
	}
	return least[k]
}

// filled returns the curve without its dips that last less than twice so many
// hours: the highest within them about each block, and of these the lowest
// again.
//
// Source: J. Serra, Image Analysis and Mathematical Morphology (1982), the
// closing by an interval.
func (c curve) filled(dip float64) curve {
	about := func(y []float64, most func([]float64) float64) []float64 {
		out := make([]float64, len(y))
		from, to := 0, 0
		for i := range y {
			for c.t[i]-c.t[from] > dip {
				from++
			}
			for to < len(y) && c.t[to]-c.t[i] <= dip {
				to++
			}
			out[i] = most(y[from:to])
		}
		return out
	}
	return curve{c.t, about(about(c.lo, slices.Max[[]float64]), slices.Min[[]float64]), c.cpu}
}
