package sample

import (
	"math"
	"slices"
	"strings"
)

// Label is one name and value of a series.
type Label struct{ Name, Value string }

// Point is one value of a series. At is in milliseconds since the epoch, as
// remote write has it.
type Point struct {
	At int64
	V  float64
}

// Series is one remote-write series: its labels sorted by name, none empty,
// the metric's name under [MetricName].
type Series struct {
	Labels []Label
	Points []Point
}

// MetricName is the label that carries the name of a metric.
const MetricName = "__name__"

// Name returns the name of the metric, "" where there is none.
func (s Series) Name() string { return s.Get(MetricName) }

// Get returns the value of a label, "" where there is none.
func (s Series) Get(name string) string {
	for _, l := range s.Labels {
		if l.Name == name {
			return l.Value
		}
	}
	return ""
}

// Key is the labels in one string: equal keys are the same series.
func (s Series) Key() string {
	var b strings.Builder
	for _, l := range s.Labels {
		b.WriteString(l.Name)
		b.WriteByte(0xff) // never part of valid UTF-8, so never of a label
		b.WriteString(l.Value)
		b.WriteByte(0xff)
	}
	return b.String()
}

// staleBits is the NaN by which Prometheus marks the end of a series. It is
// told from other NaNs by its bits alone.
const staleBits = 0x7ff0000000000002

// StaleMarker is the value that says "this series ended here".
func StaleMarker() float64 { return math.Float64frombits(staleBits) }

// IsStale reports whether v is a stale marker.
func IsStale(v float64) bool { return math.Float64bits(v) == staleBits }

// Stale returns a stale marker at time at (milliseconds) for every series of
// before that after lacks: the slots, workers and names vacated between two
// passes.
func Stale(before, after []Series, at int64) []Series {
	here := make(map[string]bool, len(after))
	for _, s := range after {
		here[s.Key()] = true
	}
	var out []Series
	for _, s := range before {
		if !here[s.Key()] {
			out = append(out, Series{Labels: s.Labels, Points: []Point{{At: at, V: StaleMarker()}}})
		}
	}
	return out
}

// labels makes a sorted label list of name, value pairs. Empty values are
// left out: to Prometheus an empty label is no label.
func labels(pairs ...string) []Label {
	out := make([]Label, 0, len(pairs)/2)
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			out = append(out, Label{pairs[i], pairs[i+1]})
		}
	}
	slices.SortFunc(out, func(a, b Label) int { return strings.Compare(a.Name, b.Name) })
	return out
}

// Merge puts the points of series with the same labels into one, in the order
// they came.
func Merge(series []Series) []Series {
	at := make(map[string]int, len(series))
	var out []Series
	for _, s := range series {
		key := s.Key()
		i, known := at[key]
		if !known {
			at[key] = len(out)
			out = append(out, Series{Labels: s.Labels, Points: slices.Clone(s.Points)})
			continue
		}
		out[i].Points = append(out[i].Points, s.Points...)
	}
	return out
}
