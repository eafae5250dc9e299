package detector

import (
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

// ChunkLife is one process within a chunk: each metric in blocks, swap
// included in PSS and USS and carried beside RSS.
type ChunkLife struct {
	PID           int
	Start         time.Time
	Role          Role
	Slot          string
	RSS, PSS, USS []Block
}

// ChunkTotal is a block of the worker's sum in one metric over passes that
// read the same processes. Members index the chunk's Lives, ascending.
type ChunkTotal struct {
	Block
	Metric  string
	Members []int
}

// chunkOf returns the chunk that contains t.
func chunkOf(t time.Time) int64 {
	c := cellOf(t)
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
	c := Chunk{Index: index}
	pss := false
	for _, l := range lives {
		cl := ChunkLife{PID: l.PID, Start: l.Start, Role: l.Role, Slot: l.Slot,
			RSS: summarise(readings(l.Samples, "rss")), PSS: summarise(readings(l.Samples, "pss")), USS: summarise(readings(l.Samples, "uss"))}
		pss = pss || len(cl.PSS) > 0
		c.Lives = append(c.Lives, cl)
	}
	metric := o.Metric
	if metric == "" {
		metric = "pss"
		if !pss {
			metric = "rss"
		}
	}
	c.Total = chunkTotals(lives, metric)
	if o.Metric == "" && len(c.Total) == 0 {
		c.Total = chunkTotals(lives, "uss")
	}
	return c
}

// member is one process's part in a pass.
type member struct {
	at   int64
	life int
	r    reading
}

// chunkTotals sums one metric over passes, and folds runs of passes that
// read the same processes. Whether a pass was complete is for [Join] to say.
func chunkTotals(lives []Life, metric string) []ChunkTotal {
	var all []member
	for i, l := range lives {
		for _, r := range readings(l.Samples, metric) {
			all = append(all, member{r.at.UnixNano(), i, r})
		}
	}
	slices.SortFunc(all, func(a, b member) int {
		if a.at != b.at {
			return before(a.at, b.at)
		}
		return a.life - b.life
	})
	var out []ChunkTotal
	var run []reading
	var who, now []int
	flush := func() {
		for _, b := range summarise(run) {
			out = append(out, ChunkTotal{b, metric, slices.Clone(who)})
		}
		run = run[:0]
	}
	for i := 0; i < len(all); {
		sum := all[i].r
		now = append(now[:0], all[i].life)
		j := i + 1
		for ; j < len(all) && all[j].at == all[i].at; j++ {
			sum.v += all[j].r.v
			sum.swap += all[j].r.swap
			sum.cpu += all[j].r.cpu
			now = append(now, all[j].life)
		}
		if !slices.Equal(now, who) {
			flush()
			who = append(who[:0], now...)
		}
		run = append(run, sum)
		i = j
	}
	flush()
	return out
}

// Join puts chunks together into what [JudgeSummary] judges. w gives what
// does not come from samples: names, limits, events, tasks; its samples are
// not read, but for its tasks.
func Join(w Worker, chunks []Chunk, o Options) Summary {
	s := Summary{Name: w.Name, Droplet: w.Droplet, Pool: w.Pool, Limit: w.Limit, High: w.High,
		Pressure: w.Pressure, Events: w.Events, Gaps: w.Gaps}
	chunks = slices.Clone(chunks)
	slices.SortFunc(chunks, func(a, b Chunk) int { return before(a.Index, b.Index) })
	j := joiner{}
	for _, c := range chunks {
		j.add(c)
	}
	s.Metric = j.metric(o)
	j.totals(&s)
	for _, l := range j.lives {
		s.Lives = append(s.Lives, l.summary(o))
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
	lives []ChunkLife
	total []ChunkTotal // Members index lives
}

// add appends one chunk, recognising lives that go on.
func (j *joiner) add(c Chunk) {
	at := make([]int, len(c.Lives))
	for i, l := range c.Lives {
		k := slices.IndexFunc(j.lives, func(k ChunkLife) bool {
			return k.PID == l.PID && k.Start.Sub(l.Start).Abs() <= sameStart
		})
		if k < 0 {
			k = len(j.lives)
			j.lives = append(j.lives, ChunkLife{PID: l.PID, Start: l.Start, Role: l.Role, Slot: l.Slot})
		}
		to := &j.lives[k]
		to.RSS, to.PSS, to.USS = append(to.RSS, l.RSS...), append(to.PSS, l.PSS...), append(to.USS, l.USS...)
		at[i] = k
	}
	for _, t := range c.Total {
		members := make([]int, len(t.Members))
		for i, m := range t.Members {
			members[i] = at[m]
		}
		slices.Sort(members)
		t.Members = members
		j.total = append(j.total, t)
	}
}

// sameStart is how far apart two readings of one process's start may lie.
const sameStart = 2 * time.Second

// metric is what the worker's sum is of: PSS wherever it was ever read.
func (j *joiner) metric(o Options) string {
	for _, m := range []string{"pss", "rss", "uss"} {
		if slices.ContainsFunc(j.total, func(t ChunkTotal) bool { return t.Metric == m }) {
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
	type extent struct{ first, last int64 }
	spans := make([]extent, len(j.lives))
	for i, l := range j.lives {
		bs := l.blocks(metric[:min(3, len(metric))])
		if len(bs) > 0 {
			spans[i] = extent{bs[0].First, bs[len(bs)-1].Last}
		} else {
			spans[i] = extent{math.MaxInt64, math.MinInt64}
		}
	}
	for _, t := range j.total {
		if t.Metric+"+swap" != metric {
			continue
		}
		alive := 0
		for _, e := range spans {
			if e.first <= t.First && t.Last <= e.last {
				alive++
			}
		}
		if len(t.Members) >= alive {
			s.Total = append(s.Total, TotalBlock{t.Block, t.Members})
		}
	}
}

// blocks returns one metric's blocks.
func (l ChunkLife) blocks(metric string) []Block {
	switch metric {
	case "pss":
		return l.PSS
	case "uss":
		return l.USS
	}
	return l.RSS
}

// summary picks the metric a process is judged on: RSS, which is read most
// often and does not jump when siblings come and go, unless asked otherwise.
func (l ChunkLife) summary(o Options) LifeSummary {
	s := LifeSummary{PID: l.PID, Start: l.Start, Role: l.Role, Slot: l.Slot, Private: l.USS}
	order := []string{"rss", "pss", "uss"}
	if o.Metric != "" {
		order = []string{o.Metric}
	}
	for _, m := range order {
		if s.Judged = l.blocks(m); len(s.Judged) > 0 {
			s.Metric = m + "+swap"
			break
		}
	}
	if s.Metric == "rss+swap" && l.PID == 0 && !swapKnown(s.Judged) {
		s.Metric = "value"
	}
	return s
}

func swapKnown(bs []Block) bool {
	return slices.ContainsFunc(bs, func(b Block) bool { return !math.IsNaN(b.Swap) })
}
