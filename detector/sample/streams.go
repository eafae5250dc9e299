package sample

import (
	"math"
	"slices"
	"time"
)

// Streams are the records that series hold of one droplet, each stream
// ascending in time: what [Decode] lays out in passes, for who needs the
// records of one thing and not those of one time. No stream is empty.
type Streams struct {
	Droplet   string
	Processes [][]Process // of one worker, slot and role each; in the order of [Pass.Sort]
	Workers   [][]Worker  // of one worker each, by name
	Droplets  []Droplet
	Others    []Other // by time, and of one time in the order of [Pass.Sort]
}

// DecodeStreams assembles streams from series, in the order in which their
// droplets come; a droplet of which nothing was measured has none. Series
// under names this package does not speak are left out.
func DecodeStreams(series []Series) []Streams { return new(Room).Decode(series) }

// Room is memory for the records of one decoding after another, which are most
// of what it takes. The zero Room is ready.
type Room struct {
	processes []Process
	workers   []Worker
}

// Decode is [DecodeStreams]. What it returns is good until the next Decode.
func (r *Room) Decode(series []Series) (out []Streams) {
	r.processes, r.workers = r.processes[:0], r.workers[:0]
	var d decoder
	d.addAll(series)
	for _, h := range d.order {
		h.fill(r)
		if s := h.streams(); len(s.Processes)+len(s.Workers)+len(s.Droplets)+len(s.Others) > 0 {
			out = append(out, s)
		}
	}
	return out
}

// cut takes n records of any value off the room.
func cut[T any](room *[]T, n int) []T {
	if cap(*room)-len(*room) < n { // what was cut before keeps the old room
		*room = make([]T, 0, max(n, 2*cap(*room)))
	}
	from := len(*room)
	*room = (*room)[:from+n]
	return (*room)[from : from+n : from+n]
}

func (h *host) streams() Streams {
	s := Streams{Droplet: h.name, Others: h.othersByTime()}
	s.Processes, s.Workers = h.processes.records(), h.workers.records()
	for _, d := range h.droplet.order { // only one: nothing but the droplet names it
		s.Droplets = append(s.Droplets, d.recs...)
	}
	return s
}

// records are those of each stream that has any.
func (ss *streams[T]) records() [][]T {
	out := make([][]T, 0, len(ss.order))
	for _, s := range ss.order {
		if len(s.recs) > 0 {
			out = append(out, s.recs)
		}
	}
	return out
}

// othersByTime lists the other processes in the order of their passes.
func (h *host) othersByTime() []Other {
	n, left := 0, make([][]Point, len(h.others))
	for i, o := range h.others {
		n, left[i] = n+len(o.points), o.points
	}
	out := make([]Other, 0, n)
	for len(out) < n {
		at := int64(math.MaxInt64)
		for _, ps := range left {
			if len(ps) > 0 {
				at = min(at, ps[0].At)
			}
		}
		first, t := len(out), time.UnixMilli(at).UTC()
		for i, o := range h.others {
			for ; len(left[i]) > 0 && left[i][0].At == at; left[i] = left[i][1:] {
				out = append(out, Other{At: t, Droplet: h.name, Name: o.name, Memory: left[i][0].V})
			}
		}
		slices.SortFunc(out[first:], compareOthers)
	}
	return out
}
