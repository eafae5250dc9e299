// Package rivals re-implements what others use today, to be measured beside.
//
// Each [Rival] sees what its users give it: the memory of the whole worker as
// one series, a limit, and nothing of lives, load or events. Settings are the
// published or documented defaults. They are here so that one run measures
// them and dropleak on the same data; no program uses them.
package rivals

import (
	"math"
	"slices"
	"sort"
	"time"

	"github.com/dropleak/dropleak/detector"
)

// Series is a worker's memory the way the rivals see it.
type Series struct {
	Hours   []float64 // ascending, from the first pass
	Bytes   []float64 // Σ(rss+swap) of all processes
	Largest []float64 // rss of the largest process
	Limit   float64   // bytes, +Inf where nobody knows one
	origin  time.Time
}

// Of lays a worker's lives out as one series, summing whatever a pass read.
func Of(w detector.Worker) Series {
	type pass struct {
		sum, largest float64
		seen         int
	}
	passes := map[int64]*pass{}
	for _, l := range w.Lives {
		for _, s := range l.Samples {
			if math.IsNaN(s.RSS) {
				continue
			}
			p := passes[s.At.UnixMilli()]
			if p == nil {
				p = &pass{}
				passes[s.At.UnixMilli()] = p
			}
			p.sum, p.largest, p.seen = p.sum+s.RSS, max(p.largest, s.RSS), p.seen+1
			if !math.IsNaN(s.Swap) {
				p.sum += s.Swap
			}
		}
	}
	at := make([]int64, 0, len(passes))
	for k := range passes {
		at = append(at, k)
	}
	slices.Sort(at)
	out := Series{Limit: limitOf(w)}
	if len(at) > 0 {
		out.origin = time.UnixMilli(at[0])
	}
	for _, k := range at {
		out.Hours = append(out.Hours, float64(k-at[0])/3.6e6)
		out.Bytes = append(out.Bytes, passes[k].sum)
		out.Largest = append(out.Largest, passes[k].largest)
	}
	return out
}

// limitOf is the worker's limit, +Inf where it has none.
func limitOf(w detector.Worker) float64 {
	if w.Limit.Bytes > 0 {
		return w.Limit.Bytes
	}
	return math.Inf(1)
}

// Until is the series as it stood at that moment.
func (s Series) Until(at time.Time) Series {
	h := at.Sub(s.origin).Hours()
	n := sort.Search(len(s.Hours), func(i int) bool { return s.Hours[i] > h })
	s.Hours, s.Bytes, s.Largest = s.Hours[:n], s.Bytes[:n], s.Largest[:n]
	return s
}

// Rival is one way to raise an alarm.
type Rival struct {
	Name   string
	Source string              // who uses or published it
	Alarm  func(s Series) bool // judged at the end of the series
}

// All lists the rivals with their usual settings.
func All() []Rival {
	return []Rival{
		{"predict_linear", "Prometheus rule: 6 h range, 24 h ahead, crossing the limit", PredictLinear{Range: 6, Ahead: 24}.Alarm},
		{"LBR", "linear backward regression, Jindal et al. 2021: R² at least 0.8, limit within 7 days", Backward{R2: 0.8, Critical: 7 * 24}.Alarm},
		{"Mann-Kendall", "Mann 1945, Kendall 1975 with Sen's slope, 5 %", func(s Series) bool { return trending(s, false) }},
		{"Hamed-Rao", "Mann-Kendall with the variance of Hamed and Rao 1998, 5 %", func(s Series) bool { return trending(s, true) }},
		{"threshold 80 %", "the usual usage alert", func(s Series) bool { return s.over(0.8 * s.Limit) }},
		{"memmon", "supervisor's memmon: one process above its size, half the limit here", func(s Series) bool { return s.largestOver(0.5 * s.Limit) }},
	}
}

func (s Series) over(line float64) bool {
	return len(s.Bytes) > 0 && s.Bytes[len(s.Bytes)-1] >= line
}

func (s Series) largestOver(line float64) bool {
	return len(s.Largest) > 0 && s.Largest[len(s.Largest)-1] >= line
}
