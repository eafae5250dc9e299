package chart

import (
	"math"
	"time"

	"gonum.org/v1/plot/vg"

	"github.com/dropleak/dropleak/detector"
)

// frame maps time and bytes to the picture.
type frame struct {
	from, to                 time.Time
	top                      float64 // bytes at the upper edge; the lower is zero
	left, right, lower, high vg.Length
	limit, threshold         bool // they are within the picture
}

// frame chooses what part of time and memory the picture shows; false when
// there is nothing to show.
func (c Chart) frame() (frame, bool) {
	f := frame{left: 76, right: 706, lower: 32, high: 276}
	var last time.Time
	for _, l := range c.Lines {
		for _, p := range l.Points {
			if f.from.IsZero() || p.At.Before(f.from) {
				f.from = p.At
			}
			if p.At.After(last) {
				last = p.At
			}
			f.top = math.Max(f.top, p.V)
		}
	}
	if f.from.IsZero() || !(f.top > 0) || math.IsInf(f.top, 0) {
		return f, false
	}
	if c.At.Before(last) {
		c.At = last
	}
	measured := f.top
	f.limit = c.Limit.Bytes > 0 && c.Limit.Bytes < 3*measured
	f.threshold = c.Threshold > 0 && c.Threshold < 3*measured
	if f.limit {
		f.top = math.Max(f.top, c.Limit.Bytes)
	}
	if f.threshold {
		f.top = math.Max(f.top, c.Threshold)
	}
	f.to = c.horizon(f.from)
	if ahead := f.to.Sub(c.At); c.Rate != nil && c.Leaks && !f.limit { // the forecast stays in sight
		f.top = math.Max(f.top, math.Min(3*f.top, c.anchor().V+c.Rate.High*ahead.Hours()))
	}
	f.top *= 1.12
	if !f.to.After(f.from) {
		f.to = f.from.Add(time.Minute)
	}
	return f, true
}

// horizon is the right edge: room for the labels, or for the forecast until
// memory runs out, but never more future than past.
func (c Chart) horizon(from time.Time) time.Time {
	past := c.At.Sub(from)
	ahead := past / 4
	if c.Exhaustion != nil && c.Rate != nil {
		ahead = c.Exhaustion.Expected.Sub(c.At) * 21 / 20
	}
	return c.At.Add(min(max(ahead, past/4), past))
}

// anchor is where the forecast begins: the fit's end, else the line's; without
// either, now and at nothing.
func (c Chart) anchor() detector.Point {
	ps := c.Fit
	if len(ps) == 0 {
		ps = c.Lines[0].Points
	}
	if len(ps) == 0 {
		return detector.Point{At: c.At}
	}
	last := ps[len(ps)-1]
	if last.At.Before(c.At) {
		last.At = c.At
	}
	return last
}

// x returns where a moment stands; past the edges it stands on the edge.
func (f frame) x(t time.Time) vg.Length {
	share := float64(t.Sub(f.from)) / float64(f.to.Sub(f.from))
	return f.left + vg.Length(math.Min(math.Max(share, 0), 1))*(f.right-f.left)
}

// y returns where a number of bytes stands.
func (f frame) y(v float64) vg.Length {
	return f.lower + vg.Length(math.Min(math.Max(v/f.top, 0), 1))*(f.high-f.lower)
}
