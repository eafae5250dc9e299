package sample

import (
	"maps"
	"slices"
	"time"
)

// NameWorkerTasks is the series in which an agent ships what the probe in a
// worker's main process says it has on hand, with the label state. Like the
// counts of tasks it is no part of a [Pass].
const NameWorkerTasks = "dropleak_worker_tasks"

// OnHand is how many tasks a worker has taken from its broker and not
// finished, by its main process's own count.
type OnHand struct {
	At              time.Time
	Droplet, Worker string
	Running         float64
	Late            float64 // of Running, those that are acknowledged only when they are done
	Reserved        float64 // taken and waiting for a free process, or held by a rate limit
	ETA             float64 // taken and held until their ETA or countdown
}

// onHandStates are the values of the label state, and whose they are.
var onHandStates = []struct {
	state string
	of    func(*OnHand) *float64
}{
	{"running", func(h *OnHand) *float64 { return &h.Running }},
	{"running_acks_late", func(h *OnHand) *float64 { return &h.Late }},
	{"reserved", func(h *OnHand) *float64 { return &h.Reserved }},
	{"eta", func(h *OnHand) *float64 { return &h.ETA }},
}

// EncodeOnHand turns counts into series with one point each.
func EncodeOnHand(counts []OnHand) (out []Series) {
	for _, c := range counts {
		for _, s := range onHandStates {
			out = append(out, Series{Labels: labels(MetricName, NameWorkerTasks, "droplet", c.Droplet, "worker", c.Worker, "state", s.state),
				Points: []Point{{c.At.UnixMilli(), *s.of(&c)}}})
		}
	}
	return out
}

// DecodeOnHand is the opposite for the series of one worker: its counts by
// time. A moment that lacks a state is left out.
func DecodeOnHand(series []Series) []OnHand {
	type partial struct {
		count OnHand
		seen  int
	}
	by := map[int64]*partial{}
	for _, s := range onHandStates {
		told := map[int64]bool{}
		for _, one := range series {
			if one.Name() != NameWorkerTasks || one.Get("state") != s.state {
				continue
			}
			for _, p := range one.Points {
				if IsStale(p.V) || !Measured(p.V) || told[p.At] {
					continue
				}
				told[p.At] = true
				if by[p.At] == nil {
					by[p.At] = &partial{count: OnHand{At: time.UnixMilli(p.At).UTC(), Droplet: one.Get("droplet"), Worker: one.Get("worker")}}
				}
				*s.of(&by[p.At].count) = p.V
				by[p.At].seen++
			}
		}
	}
	var out []OnHand
	for _, at := range slices.Sorted(maps.Keys(by)) {
		if by[at].seen == len(onHandStates) {
			out = append(out, by[at].count)
		}
	}
	return out
}
