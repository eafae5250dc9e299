// Package chart draws a series and what the detector saw in it, as PNG.
package chart

import (
	"bytes"
	"errors"
	"fmt"
	"image/color"
	"image/png"
	"time"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"
	"gonum.org/v1/plot/vg/vgimg"

	"github.com/dropleak/dropleak/detector"
)

// Line is one curve. The first line of a chart is its story; the others
// stand behind it.
type Line struct {
	Label  string
	Points []detector.Point // bytes over time, ascending
}

// Chart is a picture of memory over time. The title tells the story, in
// words that are true without the picture.
type Chart struct {
	Title, Subtitle string
	At              time.Time      // now: where measuring ends and forecasting begins
	Zone            *time.Location // of the time axis; nil: UTC
	Lines           []Line
	Leaks           bool                 // draws the first line in red
	Fit             []detector.Point     // the fitted line up to At
	Rate            *detector.Interval   // bytes per hour; with it a forecast is drawn
	Exhaustion      *detector.Exhaustion // where the forecast meets the limit
	Limit           detector.Limit       // drawn when it is near enough to matter
	Threshold       float64              // bytes that its operator calls too much, drawn as Limit is; 0: none
	Events          []detector.Event
	Marks           []Mark // what ran meanwhile; the first few are drawn
}

// The picture's size: 1440 by 720 pixels.
const (
	dpi    = 144
	width  = 10 * vg.Inch
	height = 5 * vg.Inch
)

// ErrNoData says that there is nothing to draw.
var ErrNoData = errors.New("draw chart: no points")

// PNG draws the chart.
func (c Chart) PNG() ([]byte, error) {
	if c.Zone == nil {
		c.Zone = time.UTC
	}
	c.thin()
	f, ok := c.frame()
	if !ok {
		return nil, ErrNoData
	}
	img := vgimg.NewWith(vgimg.UseWH(width, height), vgimg.UseDPI(dpi), vgimg.UseBackgroundColor(color.White))
	p := painter{Canvas: draw.New(img), frame: f, chart: c}
	p.paint()
	var out bytes.Buffer
	if err := png.Encode(&out, img.Image()); err != nil {
		return nil, fmt.Errorf("draw chart: %w", err)
	}
	return out.Bytes(), nil
}

// maxPoints is how many points of a line can be told apart at this width.
const maxPoints = 600

// thin keeps the lowest and highest point of each column of the picture, so
// that spikes survive.
func (c *Chart) thin() {
	lines := make([]Line, len(c.Lines))
	for i, l := range c.Lines {
		lines[i] = Line{Label: l.Label, Points: thin(l.Points, maxPoints)}
	}
	c.Lines = lines
}

func thin(ps []detector.Point, most int) []detector.Point {
	if len(ps) <= most {
		return ps
	}
	out := make([]detector.Point, 0, most)
	step := float64(len(ps)) / float64(most/2-1)
	for b := 0.0; int(b) < len(ps); b += step {
		bin := ps[int(b):min(int(b+step), len(ps))]
		lo, hi := extremes(bin)
		switch {
		case len(bin) == 0:
		case lo == hi:
			out = append(out, bin[lo])
		default:
			out = append(out, bin[min(lo, hi)], bin[max(lo, hi)])
		}
	}
	return out
}

func extremes(ps []detector.Point) (lo, hi int) {
	for i, p := range ps {
		if p.V < ps[lo].V {
			lo = i
		}
		if p.V > ps[hi].V {
			hi = i
		}
	}
	return lo, hi
}
