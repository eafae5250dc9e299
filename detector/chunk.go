package detector

import (
	"cmp"
	"math"
	"slices"
	"time"
)

// ChunkWidth is the span of time that is summarised in one piece. Chunks are
// anchored at the Unix epoch; a late sample touches exactly one of them.
const ChunkWidth = 6 * time.Hour

// cellsPerChunk is how many cells of the grid make a chunk.
const cellsPerChunk = int64(ChunkWidth / blockWidth)

// Chunk is all that a verdict needs of a worker's samples within one chunk.
// It depends on nothing outside it, so it can be kept and reused until a
// late sample falls into it.
type Chunk struct {
	Index int64 // the chunk begins at Index × [ChunkWidth] after the epoch
	Lives []ChunkLife
	Total []ChunkTotal
}

// ChunkLife is one process within a chunk: blocks of the metric it is judged
// on, which is the first of RSS, PSS and USS that was read, or the one that
// the options name. Swap is part of PSS and USS and carried beside RSS.
type ChunkLife struct {
	PID      int
	Start    time.Time
	Role     Role
	Slot     string
	Readings int // samples, usable or not
	Metric   string
	Blocks   []Block
	Seen     [3]Extent // of usable RSS, PSS and USS
}

// Extent is the time from a first to a last reading in Unix nanoseconds; the
// zero Extent stands for none.
type Extent struct{ First, Last int64 }

// none reports whether there was no reading.
func (e Extent) none() bool { return e == Extent{} }

// join returns the extent of both; f does not begin before e.
func (e Extent) join(f Extent) Extent {
	switch {
	case e.none():
		return f
	case f.none():
		return e
	}
	return Extent{min(e.First, f.First), max(e.Last, f.Last)}
}

// metrics are the ways to measure a process, in the order of ChunkLife.Seen.
var metrics = [...]string{"rss", "pss", "uss"}

// ChunkTotal is blocks of the worker's sum in one metric over passes that
// read the same processes. Members index the chunk's Lives, ascending.
type ChunkTotal struct {
	Metric  string
	Members []int
	Blocks  []SumBlock
}

// SumBlock is a block of a sum with the number of passes in it and the
// median of their sums.
type SumBlock struct {
	Block
	N   int
	Mid float64
}

// chunkOf returns the chunk that contains t.
func chunkOf(t time.Time) int64 { return chunkAt(t.UnixNano()) }

// chunkAt is chunkOf for Unix nanoseconds.
func chunkAt(ns int64) int64 {
	c := cellAt(ns)
	i := c / cellsPerChunk
	if c%cellsPerChunk < 0 {
		i--
	}
	return i
}

// Chunks lists, ascending, the chunks in which a worker has samples.
func Chunks(w Worker) []int64 {
	var out []int64
	for _, l := range w.Lives {
		last := int64(math.MinInt64)
		for _, s := range l.Samples {
			if i := chunkOf(s.At); i != last {
				out = append(out, i)
				last = i
			}
		}
	}
	slices.Sort(out)
	return slices.Compact(out)
}

// SummarizeChunk folds the samples that fall into one chunk; those outside
// are ignored.
func SummarizeChunk(w Worker, index int64, o Options) Chunk {
	return chunkFrom(within(tidyLives(w.Lives), index), index, o)
}

// within returns the lives that have samples in the chunk, with only those.
func within(lives []Life, index int64) []Life {
	var out []Life
	for _, l := range lives {
		lo, _ := slices.BinarySearchFunc(l.Samples, index, func(s Sample, i int64) int { return before(chunkOf(s.At), i) })
		hi, _ := slices.BinarySearchFunc(l.Samples, index+1, func(s Sample, i int64) int { return before(chunkOf(s.At), i) })
		if lo < hi {
			l.Samples = l.Samples[lo:hi]
			out = append(out, l)
		}
	}
	return out
}

func before(a, b int64) int {
	if a < b {
		return -1
	}
	return 1
}

// chunkFrom folds tidy lives that lie within the chunk.
func chunkFrom(lives []Life, index int64, o Options) Chunk {
	var f folder
	c := Chunk{Index: index, Lives: make([]ChunkLife, len(lives))}
	read := make([][len(metrics)][]reading, len(lives))
	pss := false
	for i, l := range lives {
		cl := ChunkLife{PID: l.PID, Start: l.Start, Role: l.Role, Slot: l.Slot, Readings: len(l.Samples)}
		for k, m := range metrics {
			rs := readings(l.Samples, m)
			read[i][k] = rs
			if len(rs) == 0 {
				continue
			}
			cl.Seen[k] = Extent{rs[0].at, rs[len(rs)-1].at}
			if o.Metric == m || o.Metric == "" && cl.Metric == "" {
				cl.Metric, cl.Blocks = m, make([]Block, 0, min(len(rs), int(cellsPerChunk)))
				f.fold(rs, func(b Block, _ float64, _ int) { cl.Blocks = append(cl.Blocks, b) })
			}
		}
		pss = pss || len(read[i][1]) > 0
		c.Lives[i] = cl
	}
	metric := o.Metric
	if metric == "" {
		metric = "pss"
		if !pss {
			metric = "rss"
		}
	}
	c.Total = f.totals(read, metric)
	if o.Metric == "" && len(c.Total) == 0 {
		c.Total = f.totals(read, "uss")
	}
	return c
}

// totals sums one metric over passes, and folds runs of passes that read the
// same processes. Whether a pass was complete is for [Join] to say.
func (f *folder) totals(read [][len(metrics)][]reading, metric string) []ChunkTotal {
	k := slices.Index(metrics[:], metric)
	if k < 0 {
		return nil
	}
	var out []ChunkTotal
	var run []reading
	var who, now []int
	flush := func() {
		if len(run) == 0 {
			return
		}
		t := ChunkTotal{Metric: metric, Members: slices.Clone(who), Blocks: make([]SumBlock, 0, min(len(run), int(cellsPerChunk)))}
		f.fold(run, func(b Block, mid float64, n int) { t.Blocks = append(t.Blocks, SumBlock{b, n, mid}) })
		out = append(out, t)
		run = run[:0]
	}
	left := make([][]reading, len(read))
	for i := range read {
		left[i] = read[i][k]
	}
	for {
		sum, ok := pass(left, &now)
		if !ok {
			break
		}
		if !slices.Equal(now, who) {
			flush()
			who = append(who[:0], now...)
		}
		run = append(run, sum)
	}
	flush()
	return out
}

// pass takes the readings of the earliest moment off and adds them up; who
// becomes the indices of the lives they are of.
func pass(left [][]reading, who *[]int) (sum reading, ok bool) {
	at := int64(math.MaxInt64)
	for _, rs := range left {
		if len(rs) > 0 {
			at, ok = min(at, rs[0].at), true
		}
	}
	*who = (*who)[:0]
	for i, rs := range left {
		if len(rs) == 0 || rs[0].at != at {
			continue
		}
		if r := rs[0]; len(*who) == 0 {
			sum = r
		} else {
			sum.v, sum.swap, sum.cpu = sum.v+r.v, sum.swap+r.swap, sum.cpu+r.cpu
		}
		*who = append(*who, i)
		left[i] = rs[1:]
	}
	return sum, ok
}

// Join puts chunks together into what [JudgeSummary] judges. w gives what
// does not come from samples: names, limits, events, tasks; its samples are
// not read, but for its tasks.
func Join(w Worker, chunks []Chunk) Summary { return (*Room)(nil).Join(w, chunks) }

// Join is [Join] with the summary's blocks in the room.
func (r *Room) Join(w Worker, chunks []Chunk) Summary {
	s := Summary{Name: w.Name, Droplet: w.Droplet, Pool: w.Pool, Limit: w.Limit, High: w.High,
		Pressure: w.Pressure, Held: w.Held, Events: w.Events, Gaps: w.Gaps}
	chunks = slices.Clone(chunks)
	slices.SortFunc(chunks, func(a, b Chunk) int { return before(a.Index, b.Index) })
	j := joiner{room: r, byPID: map[int][]int{}}
	for _, c := range chunks {
		j.add(c)
	}
	s.Metric = j.metric()
	j.totals(&s)
	for i := range j.lives {
		s.Lives = append(s.Lives, j.lives[i].summary(r))
	}
	slices.SortStableFunc(s.Lives, func(a, b LifeSummary) int { return a.PID - b.PID })
	slices.SortStableFunc(s.Lives, func(a, b LifeSummary) int { return before2(a.first(), b.first()) })
	return s
}

func before2(a, b int64) int {
	if a == b {
		return 0
	}
	return before(a, b)
}

// joiner gathers chunks.
type joiner struct {
	room  *Room
	lives []joinedLife
	byPID map[int][]int // indices of lives
	total []joinedTotal
}

// joinedLife is one process over all chunks. Its parts are of several
// metrics where what was read changed.
type joinedLife struct {
	ChunkLife
	parts []*ChunkLife
}

// joinedTotal is a chunk's totals with Members indexing the joiner's lives.
type joinedTotal struct {
	ChunkTotal
	members []int
}

// add appends one chunk, recognising lives that go on.
func (j *joiner) add(c Chunk) {
	at := make([]int, len(c.Lives))
	for i := range c.Lives {
		l := &c.Lives[i]
		k := j.find(l)
		to := &j.lives[k]
		for m := range l.Seen {
			to.Seen[m] = to.Seen[m].join(l.Seen[m])
		}
		to.parts = append(to.parts, l)
		at[i] = k
	}
	for _, t := range c.Total {
		members := make([]int, len(t.Members))
		for i, m := range t.Members {
			members[i] = at[m]
		}
		slices.Sort(members)
		j.total = append(j.total, joinedTotal{t, members})
	}
}

// find returns the index of the life that l is a part of, a new one where it
// is the first. A start that is not told contradicts nothing; processes whose
// pid nobody told are told apart by slot.
func (j *joiner) find(l *ChunkLife) int {
	for _, k := range slices.Backward(j.byPID[l.PID]) {
		m := &j.lives[k]
		told := !m.Start.IsZero() && !l.Start.IsZero()
		if told && m.Start.Sub(l.Start).Abs() > sameStart || l.PID == 0 && m.Slot != l.Slot {
			continue
		}
		if m.Start.IsZero() {
			m.Start = l.Start
		}
		m.Slot = cmp.Or(l.Slot, m.Slot)
		if m.Role == RoleUnknown {
			m.Role = l.Role
		}
		return k
	}
	k := len(j.lives)
	j.lives = append(j.lives, joinedLife{ChunkLife: ChunkLife{PID: l.PID, Start: l.Start, Role: l.Role, Slot: l.Slot}})
	j.byPID[l.PID] = append(j.byPID[l.PID], k)
	return k
}

// sameStart is how far apart two readings of one process's start may lie.
const sameStart = 2 * time.Second

// metric is what the worker's sum is of: PSS wherever it was ever read.
func (j *joiner) metric() string {
	for _, m := range []string{"pss", "rss", "uss"} {
		if slices.ContainsFunc(j.total, func(t joinedTotal) bool { return t.Metric == m }) {
			if m == "rss" && len(j.lives) == 1 && j.lives[0].PID == 0 {
				return "value"
			}
			return m + "+swap"
		}
	}
	return ""
}

// totals keeps the blocks of complete passes: every process whose readings
// span the moment is in them.
func (j *joiner) totals(s *Summary) {
	metric := s.Metric
	if metric == "value" {
		metric = "rss+swap"
	}
	k := slices.IndexFunc(metrics[:], func(m string) bool { return m+"+swap" == metric })
	if k < 0 {
		return
	}
	n := 0
	for _, t := range j.total {
		n += len(t.Blocks)
	}
	s.Total = j.room.totalRoom(n)[:0]
	for _, t := range j.total {
		if t.Metric != metrics[k] {
			continue
		}
		for i := range t.Blocks {
			if b := &t.Blocks[i]; len(t.members) >= j.alive(k, &b.Block) {
				s.Total = append(s.Total, TotalBlock{b, t.members})
			}
		}
	}
}

// alive counts the lives whose readings of a metric span a block.
func (j *joiner) alive(metric int, b *Block) (n int) {
	for i := range j.lives {
		e := &j.lives[i].Seen[metric]
		if e.First <= b.First && b.Last <= e.Last && !e.none() {
			n++
		}
	}
	return n
}

// summary picks the metric a process is judged on: RSS, which is read most
// often and does not jump when siblings come and go, unless asked otherwise.
func (l *joinedLife) summary(r *Room) LifeSummary {
	s := LifeSummary{PID: l.PID, Start: l.Start, Role: l.Role, Slot: l.Slot}
	for k, m := range metrics {
		n := 0
		for _, p := range l.parts {
			if p.Metric == m {
				n += len(p.Blocks)
			}
		}
		if n == 0 {
			continue
		}
		s.Metric, s.Judged = metrics[k]+"+swap", r.blockRoom(n)[:0]
		for _, p := range l.parts {
			if p.Metric == m {
				s.Judged = append(s.Judged, p.Blocks...)
			}
		}
		break
	}
	if s.Metric == "rss+swap" && l.PID == 0 && !swapKnown(s.Judged) {
		s.Metric = "value"
	}
	return s
}

func swapKnown(bs []Block) bool {
	return slices.ContainsFunc(bs, func(b Block) bool { return !math.IsNaN(b.Swap) })
}
