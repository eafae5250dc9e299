package synth

import (
	"math"
	"math/rand/v2"
	"slices"

	"github.com/dropleak/dropleak/detector"
)

// proc is one process being played. Its pages are: lib, mapped by all;
// inherited from the parent, of which the first shared bytes are still the
// parent's (copy on write: a child keeps sharing the pages nobody writes to);
// and its own.
type proc struct {
	pid, slot, serial, generation int
	role                          detector.Role
	start                         float64 // hour
	rng                           *rand.Rand
	drip, trims                   *rand.Rand // apart, so that a leak does not change what else is drawn
	causes                        []cause
	streams                       []*rand.Rand
	base, resident, mapped        float64
	inherited, shared, touched    float64
	leaked, cpu                   float64
	calls                         int
	swapped                       float64 // share of own pages that are out
	samples                       []reading
}

// reading is what one pass reads of one process, in bytes.
type reading struct {
	hour                     float64
	rss, pss, uss, swap, cpu float64
}

// own is the memory this process shares with nobody, in RAM or swapped out.
func (p *proc) own() float64 {
	return p.base + p.resident + p.mapped + p.inherited - p.shared
}

// step lets a pass go by in which the process ran m.calls tasks. Freed heap
// stays resident until the allocator trims, which happens in a share give of
// the passes with work; 1 is an allocator that keeps nothing.
func (p *proc) step(m moment, give float64) {
	heap, mapped := p.leaked, 0.0
	for i, c := range p.causes {
		h, mm := c.bytes(m, p.streams[i])
		heap, mapped = heap+h, mapped+mm
	}
	switch {
	case heap >= p.resident:
		p.resident = heap
	case give == 1:
		p.resident = heap
	case m.calls > 0 && p.trims.Float64() < give:
		p.resident -= (0.2 + 0.8*p.trims.Float64()) * (p.resident - heap)
	}
	p.mapped = mapped
	p.calls += m.calls
	if p.role == detector.RoleChild {
		// Most inherited pages are written to (reference counts) in the
		// first minutes, the rest hardly ever.
		kept := p.inherited * (1 - p.touched*(1-math.Exp(-m.age/0.2)))
		p.shared = min(p.shared, kept)
	}
}

// family of one node's processes at one pass: measure fills the readings.
// Inherited pages are nested by how late they are written to, so the bytes
// below the smallest shared mark belong to all, those above the largest to
// the parent alone.
func measure(parent *proc, children []*proc, lib float64, others int) []reading {
	out := make([]reading, 1+len(children))
	marks := make([]float64, 0, len(children))
	for _, c := range children {
		marks = append(marks, c.shared)
	}
	slices.Sort(marks)
	mapped := float64(1 + len(children) + others)
	parentAnon := parent.own()
	top := 0.0
	if len(marks) > 0 {
		top = min(marks[len(marks)-1], parentAnon)
	}
	out[0] = split(parent, parentAnon-top, sharedPart(marks, top), top, lib, mapped)
	for i, c := range children {
		out[1+i] = split(c, c.own(), sharedPart(marks, c.shared), c.shared, lib, mapped)
	}
	return out
}

// sharedPart is a process's proportional share of the nested pages below
// upTo, where marks holds every child's upper mark, ascending.
func sharedPart(marks []float64, upTo float64) float64 {
	sum, below := 0.0, 0.0
	for i, m := range marks {
		m = min(m, upTo)
		if m > below {
			sum += (m - below) / float64(1+len(marks)-i)
			below = m
		}
	}
	return sum
}

// split turns own pages and shares into the figures the kernel shows.
func split(p *proc, own, part, shared, lib, mapped float64) reading {
	out := p.swapped * own
	r := reading{rss: lib + shared + own - out, pss: lib/mapped + part + own - out, uss: own - out, swap: out, cpu: p.cpu}
	if mapped == 1 {
		r.uss += lib
	}
	return r
}
