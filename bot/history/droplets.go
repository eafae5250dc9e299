package history

import (
	"context"
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/dropleak/dropleak/detector"
	"github.com/dropleak/dropleak/detector/sample"
)

// Droplets assembles the memory of droplets over a time, and of what else
// runs on them, in the order asked for. The agent's numbers are believed
// where they cover at least half of what another source covers; sources are
// never mixed.
func (h *History) Droplets(ctx context.Context, q Query) ([]detector.Droplet, error) {
	ids, err := h.droplets(ctx, q)
	if err != nil {
		return nil, err
	}
	var out []detector.Droplet
	for _, id := range ids {
		var hosts []*host // by source, the agent's first
		var last string
		err := h.eachSource(ctx, id, aboutDroplet, q, func(source string, s sample.Streams) {
			if len(hosts) == 0 || source != last {
				hosts, last = append(hosts, newHost(id)), source
			}
			hosts[len(hosts)-1].feed(s)
		})
		if err != nil {
			return nil, fmt.Errorf("read memory of droplet %s: %w", id, err)
		}
		if len(hosts) == 0 {
			continue
		}
		best := hosts[0]
		for _, d := range hosts[1:] {
			best.others(d)
			if d.span() > 2*best.span() {
				best.d.Available, best.d.Total = d.d.Available, d.d.Total
			}
		}
		slices.SortStableFunc(best.d.Events, func(a, b detector.Event) int { return a.At.Compare(b.At) })
		out = append(out, best.d)
	}
	return out, nil
}

// host is a droplet in the making, fed ascending in time.
type host struct {
	d     detector.Droplet
	kills float64
	boots []time.Time
	names map[string]int // of others, by name
}

func newHost(id string) *host {
	return &host{d: detector.Droplet{ID: id}, kills: sample.NaN, names: map[string]int{}}
}

// feed takes streams that go on where those before them ended.
func (h *host) feed(s sample.Streams) {
	for i := range s.Droplets {
		h.read(&s.Droplets[i])
	}
	for _, o := range s.Others {
		i, ok := h.names[o.Name]
		if !ok {
			i = len(h.d.Others)
			h.names[o.Name] = i
			h.d.Others = append(h.d.Others, detector.Other{Name: o.Name})
		}
		h.d.Others[i].Memory = append(h.d.Others[i].Memory, detector.Point{At: o.At, V: o.Memory})
	}
}

func (h *host) read(d *sample.Droplet) {
	if d.Available > 0 {
		h.d.Available = append(h.d.Available, detector.Point{At: d.At, V: d.Available})
	}
	if d.Total > 0 {
		// A new kernel keeps a little more or less for itself.
		if h.d.Total > 0 && math.Abs(d.Total-h.d.Total) > h.d.Total/20 {
			h.d.Events = append(h.d.Events, detector.Event{At: d.At, Kind: detector.EventResize,
				Text: fmt.Sprintf("resized from %.1f to %.1f GiB", h.d.Total/(1<<30), d.Total/(1<<30))})
		}
		h.d.Total = d.Total
	}
	h.d.Events = append(h.d.Events, killed(&h.kills, d.OOMKills, d.At)...)
	was := len(h.boots)
	if h.boots = booted(h.boots, d.Boot); was > 0 && len(h.boots) > was {
		h.d.Events = append(h.d.Events, detector.Event{At: d.Boot, Kind: detector.EventReboot, Text: "the droplet booted"})
	}
}

// others takes over what only another source told.
func (h *host) others(from *host) {
	if len(h.d.Others) == 0 {
		h.d.Others = from.d.Others
	}
	if len(h.d.Events) == 0 {
		h.d.Events = from.d.Events
	}
}

// span is the time its memory was measured over.
func (h *host) span() time.Duration {
	if len(h.d.Available) == 0 {
		return 0
	}
	return h.d.Available[len(h.d.Available)-1].At.Sub(h.d.Available[0].At)
}
