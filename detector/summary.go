package detector

import (
	"math"
	"slices"
	"time"
)

// Summary is all that a verdict depends on: what [Summarize] keeps of a
// worker's samples.
type Summary struct {
	Name     string
	Droplet  string
	Pool     Pool
	Lives    []LifeSummary
	Total    []TotalBlock // Σ over the worker's processes, complete passes only
	Metric   string       // of Total: "pss+swap", "rss+swap", …
	Limit    Limit
	High     float64
	Pressure []Point
	Held     []Point // see [Worker]
	Events   []Event
	Tasks    []TaskVerdict
	Gaps     []Gap
}

// Newest is the time of the last usable reading, zero where there is none.
func (s Summary) Newest() (last time.Time) {
	for _, l := range s.Lives {
		if n := len(l.Judged); n > 0 {
			if t := time.Unix(0, l.Judged[n-1].Last).UTC(); t.After(last) {
				last = t
			}
		}
	}
	return last
}

// LifeSummary is one process in blocks of the metric it is judged on.
type LifeSummary struct {
	PID    int
	Start  time.Time
	Role   Role
	Slot   string
	Metric string
	Judged []Block
}

// first is the moment of the first reading in Unix nanoseconds.
func (l LifeSummary) first() int64 {
	if len(l.Judged) == 0 {
		return math.MaxInt64
	}
	return l.Judged[0].First
}

// TotalBlock is a block of the worker's sum while its members, indices of
// its lives in order of appearance, stayed the same.
type TotalBlock struct {
	*SumBlock // of the chunk it is in
	Members   []int
}

// Summarize folds a worker's samples into blocks, chunk by chunk. A caller
// that keeps [Chunk]s and renews those that new samples touched gets the
// same summary from [Join].
func Summarize(w Worker, o Options) Summary {
	lives := tidyLives(w.Lives)
	var chunks []Chunk
	for _, i := range Chunks(w) {
		chunks = append(chunks, chunkFrom(within(lives, i), i, o))
	}
	s := Join(w, chunks)
	s.Tasks = attribute(w, o)
	return s
}

// tidyLives returns the pool's lives with samples ascending, of a repeated
// time only the last, in order of their first sample. It copies only what it
// must reorder.
func tidyLives(in []Life) []Life {
	var out []Life
	for _, l := range in {
		if l.Role == RoleOther || len(l.Samples) == 0 {
			continue
		}
		if !slices.IsSortedFunc(l.Samples, func(a, b Sample) int {
			if a.At.Before(b.At) {
				return -1
			}
			return 1
		}) {
			l.Samples = tidySamples(l.Samples)
		}
		out = append(out, l)
	}
	slices.SortStableFunc(out, func(a, b Life) int {
		if c := a.Samples[0].At.Compare(b.Samples[0].At); c != 0 {
			return c
		}
		return a.PID - b.PID
	})
	return out
}

// tidySamples returns the samples in order of time, the last of equal times.
func tidySamples(in []Sample) []Sample {
	ss := slices.Clone(in)
	slices.SortStableFunc(ss, func(a, b Sample) int { return a.At.Compare(b.At) })
	out := ss[:0]
	for _, s := range ss {
		if n := len(out); n > 0 && out[n-1].At.Equal(s.At) {
			out[n-1] = s
			continue
		}
		out = append(out, s)
	}
	return out
}

// readings picks one metric out of samples. Swap is read in the same pass as
// PSS and USS and is added on the spot; RSS is read more often, so its swap
// travels beside it and the block carries the last one known.
func readings(ss []Sample, metric string) []reading {
	out := make([]reading, 0, len(ss))
	for i := range ss {
		s := &ss[i]
		r := reading{swap: math.NaN(), cpu: s.CPU}
		switch metric {
		case "rss":
			r.v, r.swap = s.RSS, s.Swap
		case "pss":
			r.v = s.PSS + known(s.Swap)
		case "uss":
			r.v = s.USS + known(s.Swap)
		}
		if !usable(r.v) {
			continue
		}
		if r.swap < 0 || r.swap >= 1e18 {
			r.swap = math.NaN()
		}
		if r.cpu < 0 || r.cpu >= 1e12 {
			r.cpu = math.NaN()
		}
		r.at = s.At.UnixNano()
		out = append(out, r)
	}
	return out
}

// known returns v, or 0 where it was not measured.
func known(v float64) float64 {
	if !(v > 0 && v < 1e18) {
		return 0
	}
	return v
}
