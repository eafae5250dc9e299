package detector

import (
	"math"
	"slices"
)

// load is how many CPU seconds a second the worker used, over hours. Empty
// where CPU time was not measured.
type load struct{ t, v []float64 }

// loadOf adds up the CPU of all lives on the grid and smooths it over an
// hour.
func loadOf(curves []curve, in *arena) load {
	first, last := math.MaxInt, math.MinInt
	for _, c := range curves {
		if n := c.len(); n > 0 {
			first, last = min(first, loadCell(c.t[0])), max(last, loadCell(c.t[n-1]))
		}
	}
	if first > last {
		return load{}
	}
	used, handle := borrow(last - first + 1) // NaN: not known
	defer giveBack(handle)
	for k := range used {
		used[k] = math.NaN()
	}
	cells := 0
	for _, c := range curves {
		for i := 1; i < c.len(); i++ {
			dt, d := c.t[i]-c.t[i-1], c.cpu[i]-c.cpu[i-1]
			if math.IsNaN(d) || d < 0 || dt <= 0 || dt > 1 {
				continue
			}
			k := loadCell(c.t[i]) - first
			if math.IsNaN(used[k]) {
				used[k], cells = 0, cells+1
			}
			used[k] += d / (dt * 3600)
		}
	}
	return smoothed(used, first, load{in.numbers(cells)[:0], in.numbers(cells)[:0]})
}

// loadCell is the cell of five minutes in which hour t lies.
func loadCell(t float64) int { return int(math.Floor(t * 12)) }

// smoothed is the running mean over the last twelve cells, as far as known, in
// the room of l.
func smoothed(used []float64, first int, l load) load {
	known := func(k int) bool { return !math.IsNaN(used[k]) }
	n, sum, tail := 0, 0.0, 0
	for k := range used {
		if !known(k) {
			continue
		}
		for n, sum = n+1, sum+used[k]; !known(tail) || tail <= k-12; tail++ {
			if known(tail) {
				n, sum = n-1, sum-used[tail]
			}
		}
		l.t = append(l.t, float64(first+k)/12)
		l.v = append(l.v, sum/float64(n))
	}
	return l
}

// at returns the load at hour t: that of the last cell not after it.
func (l load) at(t float64) float64 {
	i, _ := slices.BinarySearch(l.t, t)
	return l.v[min(i, len(l.v)-1)]
}

// varies reports whether the load changed enough within a window to move
// memory.
func (l load) varies(from, to float64, th thresholds) bool {
	i, _ := slices.BinarySearch(l.t, from)
	j, found := slices.BinarySearch(l.t, to)
	if found {
		j++
	}
	xs := l.v[min(i, j):j]
	if len(xs) < 24 {
		return false
	}
	m := mean(xs)
	return m > 0 && math.Sqrt(sumSquares(xs)/float64(len(xs))) > th.loadVaries*m
}

// unload splits a curve into a trend and what follows the load: memory in
// flight follows it at once, the allocator's high water follows its record.
// It returns the curve without its load part, and the share of the growth
// that the load explains; ok is false where the load did not vary or does
// not help to explain the curve.
func (l load) unload(c curve, th thresholds) (rest curve, share float64, ok bool) {
	if len(l.t) == 0 || c.len() < 16 || !l.varies(c.t[0], c.t[c.len()-1], th) {
		return c, 0, false
	}
	n := c.len()
	one, t, now, record := make([]float64, n), make([]float64, n), make([]float64, n), make([]float64, n)
	for i := range n {
		one[i], t[i], now[i] = 1, c.t[i]-c.t[0], l.at(c.t[i])
		record[i] = now[i]
		if i > 0 {
			record[i] = math.Max(record[i-1], now[i])
		}
	}
	plain := nnls([][]float64{one, t}, c.lo, 1)
	full := nnls([][]float64{one, t, now, record}, c.lo, 1)
	bare := residualOf([][]float64{one, t}, c.lo, plain)
	with := residualOf([][]float64{one, t, now, record}, c.lo, full)
	if dot(with, with) > th.loadFits*dot(bare, bare) {
		return c, 0, false
	}
	rest = c.slice(0, n)
	rest.lo = make([]float64, n)
	for i := range n {
		rest.lo[i] = c.lo[i] - full[2]*(now[i]-now[0]) - full[3]*(record[i]-record[0])
	}
	if plain[1] > 0 {
		share = 1 - full[1]/plain[1]
	}
	return rest, clamp(share, 0, 1), true
}

// rises reports whether the load itself grew by more than half between the
// first and the last quarter of a curve's time, and the curve with it, and
// back with it too: then nothing tells what the code keeps from what the load
// needs. Memory that is never given back does not follow load; a leak may
// rather be what makes each task work harder.
func (l load) rises(c curve, th thresholds) bool {
	if len(l.t) == 0 || c.len() < 24 {
		return false
	}
	if up, down := ups(hourly(c)); down < th.loadBack*up {
		return false
	}
	s := c.coarse(24)
	at := make([]float64, s.len())
	for i, t := range s.t {
		at[i] = mean(l.between(t-c.span()/24, t))
	}
	n := len(at)
	first, last := mean(at[:n/4]), mean(at[n-n/4:])
	return first > 0 && last > th.loadGrown*first && c.span() > th.loadAfter && correlation(at, s.lo) > th.loadTracks
}

// grown is a growth beside the load of its time, in at most as many readings
// as a window has.
type grown struct {
	bytes, now, record, done []float64 // done: the work, load's integral

	back  float64 // of what memory rose, the share it gave back
	rise  float64 // load in the last quarter over that in the first
	alike float64 // correlation of memory and load
}

// beside lays the load beside a curve from an hour on; ok is false where the
// load was not measured.
func (l load) beside(c curve, from float64, th thresholds) (g grown, ok bool) {
	c = c.since(math.Max(from, c.t[0]+th.startUp))
	if len(l.t) == 0 || c.len() < 24 {
		return g, false
	}
	s := c.coarse(th.blocks)
	n, half := s.len(), c.span()/float64(s.len())/2
	g.bytes = s.lo
	g.now, g.record, g.done = make([]float64, n), make([]float64, n), make([]float64, n)
	for i, t := range s.t {
		g.now[i] = mean(l.between(t-half-0.5, t+half))
		g.record[i] = g.now[i]
		if i > 0 {
			g.record[i] = math.Max(g.record[i-1], g.now[i])
			g.done[i] = g.done[i-1] + (t-s.t[i-1])*g.now[i]
		}
	}
	first, last := mean(g.now[:n/4]), mean(g.now[n-n/4:])
	if first <= 0 {
		return g, false
	}
	up, down := ups(hourly(c))
	g.rise, g.alike, g.back = last/first, correlation(g.now, g.bytes), down/math.Max(up, 1)
	return g, true
}

// follows reports whether memory rose with the load and fell with it too.
// What is never given back may rather be a leak that makes each call work
// harder.
func (g grown) follows(th thresholds) bool {
	return g.back >= th.givenBack && g.rise >= th.loadRise && g.alike >= th.loadAlike
}

// climbs reports whether memory and load rose so much alike that load is a
// cause at hand though nothing has been given back yet: the first slope of a
// cycle.
func (g grown) climbs(th thresholds) bool { return g.rise >= th.loadClimb && g.alike >= th.loadClose }

// byLoad reports whether the load by itself may carry the growth: the
// work done adds little to what load and its record so far say of memory. A
// leak follows the work done.
//
// Source: the likelihood ratio of nested regressions (S. S. Wilks, Annals of
// Mathematical Statistics 9, 1938), for as many readings as their lag-1
// correlation leaves independent.
func (g grown) byLoad(th thresholds) bool {
	n := len(g.now)
	one := make([]float64, n)
	for i := range one {
		one[i] = 1
	}
	alone := [][]float64{one, g.now, g.record}
	both := [][]float64{one, g.now, g.record, g.done}
	without := residualOf(alone, g.bytes, nnls(alone, g.bytes, 1))
	with := residualOf(both, g.bytes, nnls(both, g.bytes, 1))
	rest := math.Max(dot(with, with), 1e-12*dot(without, without))
	if rest <= 0 {
		return false
	}
	r1 := clamp(autocov(with, 1)/math.Max(autocov(with, 0), 1e-300), 0, 0.95)
	left := math.Max(float64(n)*(1-r1)/(1+r1), 8)
	return left*math.Log(dot(without, without)/rest) < th.loadGain*float64(n)/float64(th.blocks)
}

// between returns the load's cells after from, up to to.
func (l load) between(from, to float64) []float64 {
	i, _ := slices.BinarySearch(l.t, from)
	j, _ := slices.BinarySearch(l.t, to)
	return l.v[min(i, j):j]
}

// correlation is Pearson's.
func correlation(a, b []float64) float64 {
	ma, mb, ab := mean(a), mean(b), 0.0
	for i := range a {
		ab += (a[i] - ma) * (b[i] - mb)
	}
	if d := math.Sqrt(sumSquares(a) * sumSquares(b)); d > 0 {
		return ab / d
	}
	return 0
}
