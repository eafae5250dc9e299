package detector

import (
	"math"
	"slices"
	"time"
)

// Footprint returns a worker's memory over time as it is judged: the sum over
// its processes, of one metric with swap, at each pass in which every process
// then alive was read. Bytes, ascending; the metric is named as in
// [Verdict.Metric], "" with no points.
func Footprint(w Worker, o Options) ([]Point, string) {
	metrics := []string{"pss", "rss", "uss"}
	if o.Metric != "" {
		metrics = []string{o.Metric}
	}
	lives := tidyLives(w.Lives)
	for _, m := range metrics {
		if points := footprintOf(lives, m); len(points) > 0 {
			return points, m + "+swap"
		}
	}
	return nil, ""
}

func footprintOf(lives []Life, metric string) []Point {
	sums, members := map[int64]float64{}, map[int64]int{}
	for _, l := range lives {
		swap := 0.0
		for _, r := range readings(l.Samples, metric) {
			if !math.IsNaN(r.swap) {
				swap = r.swap
			}
			at := r.at
			sums[at] += r.v
			if metric == "rss" {
				sums[at] += swap
			}
			members[at]++
		}
	}
	var out []Point
	for at, sum := range sums {
		if members[at] >= aliveAt(lives, at) {
			out = append(out, Point{At: time.Unix(0, at).UTC(), V: sum})
		}
	}
	slices.SortFunc(out, func(a, b Point) int { return a.At.Compare(b.At) })
	return out
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
