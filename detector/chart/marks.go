package chart

import (
	"fmt"
	"time"

	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/dropleak/dropleak/detector"
)

// Mark is something that ran while memory was measured, as a function that
// mprof was told to mark: when, how often, and the most memory at one of its
// ends.
type Mark struct {
	Label string
	Spans [][2]time.Time // begin and end of each call, in the order they began
	Peak  detector.Point // bytes
}

// mostMarks is how many rows stand in the picture.
const mostMarks = 4

// rowHeight is the room of one mark: words over a bar.
const rowHeight = 24

// marks draws a row for each mark along the lower edge, a bar for each call,
// and a dot on the curve where the peak of it was.
func (p painter) marks() {
	for i, m := range p.chart.Marks[:min(len(p.chart.Marks), mostMarks)] {
		y := p.lower + 6 + rowHeight*vg.Length(i)
		c := others[i%len(others)]
		last := vg.Length(-1)
		for _, s := range m.Spans {
			from, to := max(p.x(s[0]), p.left), min(max(p.x(s[1]), p.x(s[0])+1.5), p.right)
			if to <= last || from > p.right { // within what is drawn already
				continue
			}
			p.stroke(c, 4, nil, vg.Point{X: max(from, last), Y: y}, vg.Point{X: to, Y: y})
			last = to
		}
		calls := fmt.Sprintf("%d calls", len(m.Spans))
		if len(m.Spans) == 1 {
			calls = "1 call"
		}
		end := p.x(p.chart.At) - 6 // where what grows is highest
		p.write(fit(m.Label, fmt.Sprintf("  %s, peak %s", calls, size(m.Peak.V)), smallSize, end-p.left), smallSize, c, vg.Point{X: end, Y: y + 10}, -1)
		p.DrawGlyph(draw.GlyphStyle{Color: c, Radius: 4, Shape: draw.CircleGlyph{}}, vg.Point{X: p.x(m.Peak.At), Y: p.y(m.Peak.V)})
	}
}
