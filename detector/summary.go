package detector

import (
	"hash/fnv"
	"math"
	"slices"
	"strconv"
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
	Events   []Event
	Tasks    []TaskVerdict
	Gaps     []Gap
}

// LifeSummary is one process in blocks. Judged is the metric the process is
// judged on, Private its uss+swap where measured.
type LifeSummary struct {
	PID     int
	Start   time.Time
	Role    Role
	Slot    string
	Metric  string
	Judged  []Block
	Private []Block
	Shared  []Block // pss+swap
}

// TotalBlock is a block of the worker's sum while its members stayed the
// same; Members is a fingerprint of who they were.
type TotalBlock struct {
	Block
	Members uint64
	Count   int
}

// Summarize folds a worker's samples into blocks. It is the only part of a
// judgement that reads samples.
func Summarize(w Worker, o Options) Summary {
	s := Summary{Name: w.Name, Droplet: w.Droplet, Pool: w.Pool, Limit: w.Limit, High: w.High,
		Pressure: w.Pressure, Events: w.Events, Gaps: w.Gaps}
	lives := tidyLives(w.Lives)
	for _, l := range lives {
		s.Lives = append(s.Lives, summarizeLife(l, o))
	}
	s.Total, s.Metric = totals(lives, o)
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

// summarizeLife folds one process.
func summarizeLife(l Life, o Options) LifeSummary {
	s := LifeSummary{PID: l.PID, Start: l.Start, Role: l.Role, Slot: l.Slot}
	s.Private = summarise(readings(l.Samples, "uss"))
	s.Shared = summarise(readings(l.Samples, "pss"))
	switch {
	case o.Metric == "uss":
		s.Judged, s.Metric = s.Private, "uss+swap"
	case o.Metric == "pss":
		s.Judged, s.Metric = s.Shared, "pss+swap"
	default:
		s.Judged, s.Metric = summarise(readings(l.Samples, "rss")), "rss+swap"
		if o.Metric == "" && len(s.Judged) == 0 {
			if s.Judged, s.Metric = s.Shared, "pss+swap"; len(s.Judged) == 0 {
				s.Judged, s.Metric = s.Private, "uss+swap"
			}
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

// readings picks one metric out of samples. Swap is read in the same pass as
// PSS and USS and is added on the spot; RSS is read more often, so its swap
// travels beside it and the block carries the last one known.
func readings(ss []Sample, metric string) []reading {
	var out []reading
	for _, s := range ss {
		r := reading{at: s.At, swap: math.NaN(), cpu: s.CPU}
		switch metric {
		case "rss":
			r.v, r.swap = s.RSS, s.Swap
		case "pss":
			r.v = s.PSS + known(s.Swap)
		case "uss":
			r.v = s.USS + known(s.Swap)
		}
		if math.IsInf(r.swap, 0) || r.swap < 0 {
			r.swap = math.NaN()
		}
		if usable(r.v) {
			out = append(out, r)
		}
	}
	return out
}

// known returns v, or 0 where it was not measured.
func known(v float64) float64 {
	if math.IsNaN(v) || math.IsInf(v, 0) || v < 0 {
		return 0
	}
	return v
}

// totals sums the worker's processes over complete passes. Where no process
// ever had PSS the sum is of RSS, which counts shared pages once a process.
func totals(lives []Life, o Options) ([]TotalBlock, string) {
	metrics := []string{"pss", "rss", "uss"}
	if o.Metric != "" {
		metrics = []string{o.Metric}
	}
	for _, m := range metrics {
		if bs := totalOf(lives, m); len(bs) > 0 {
			if m == "rss" && len(lives) == 1 && lives[0].PID == 0 {
				return bs, "value"
			}
			return bs, m + "+swap"
		}
	}
	return nil, ""
}

// member is one process's part in a pass.
type member struct {
	life int
	r    reading
}

// totalOf sums one metric over the passes in which every process then alive
// was read, and folds runs of passes with the same members.
func totalOf(lives []Life, metric string) []TotalBlock {
	passes := map[int64][]member{}
	for i, l := range lives {
		swap := 0.0
		for _, r := range readings(l.Samples, metric) {
			if !math.IsNaN(r.swap) {
				swap = r.swap
			}
			r.v += swap * boolFloat(metric == "rss")
			at := r.at.UnixNano()
			passes[at] = append(passes[at], member{i, r})
		}
	}
	times := make([]int64, 0, len(passes))
	for at := range passes {
		times = append(times, at)
	}
	slices.Sort(times)
	var out []TotalBlock
	var run []reading
	var key uint64
	var count int
	flush := func() {
		for _, b := range summarise(run) {
			out = append(out, TotalBlock{b, key, count})
		}
		run = run[:0]
	}
	for _, at := range times {
		ms := passes[at]
		if len(ms) < aliveAt(lives, at) {
			continue
		}
		r, k := sumPass(ms)
		if k != key && len(run) > 0 {
			flush()
		}
		key, count = k, len(ms)
		run = append(run, r)
	}
	flush()
	return out
}

func boolFloat(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

// aliveAt counts the lives whose samples span the moment.
func aliveAt(lives []Life, at int64) int {
	n := 0
	for _, l := range lives {
		if l.Samples[0].At.UnixNano() <= at && at <= l.Samples[len(l.Samples)-1].At.UnixNano() {
			n++
		}
	}
	return n
}

// sumPass adds up one pass and fingerprints its members.
func sumPass(ms []member) (reading, uint64) {
	h := fnv.New64a()
	sum := reading{at: ms[0].r.at, swap: math.NaN(), cpu: 0}
	for _, m := range ms {
		sum.v += m.r.v
		sum.cpu += m.r.cpu
		h.Write(strconv.AppendInt(nil, int64(m.life), 10))
		h.Write([]byte{','})
	}
	return sum, h.Sum64()
}
