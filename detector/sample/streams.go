package sample

import (
	"cmp"
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
func DecodeStreams(series []Series) (out []Streams) {
	var d decoder
	d.addAll(series)
	for _, h := range d.order {
		h.fill()
		if s := h.streams(); len(s.Processes)+len(s.Workers)+len(s.Droplets)+len(s.Others) > 0 {
			out = append(out, s)
		}
	}
	return out
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
	n := 0
	for _, o := range h.others {
		n += len(o.points)
	}
	out := make([]Other, 0, n)
	for _, o := range h.others {
		for _, p := range o.points {
			out = append(out, Other{At: time.UnixMilli(p.At).UTC(), Droplet: h.name, Name: o.name, Memory: p.V})
		}
	}
	slices.SortFunc(out, func(a, b Other) int { return cmp.Or(a.At.Compare(b.At), compareOthers(a, b)) })
	return out
}
