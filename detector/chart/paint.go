package chart

import (
	"image/color"
	"time"

	"gonum.org/v1/plot/font"
	"gonum.org/v1/plot/font/liberation"
	"gonum.org/v1/plot/text"
	"gonum.org/v1/plot/vg"
	"gonum.org/v1/plot/vg/draw"

	"github.com/dropleak/dropleak/detector"
)

// The colours: one red for what leaks, calm ones for the others.
var (
	ink    = color.RGBA{0x1f, 0x1f, 0x1f, 0xff}
	soft   = color.RGBA{0x6b, 0x6b, 0x6b, 0xff}
	grid   = color.RGBA{0xe6, 0xe6, 0xe6, 0xff}
	dark   = color.RGBA{0x6e, 0x0f, 0x17, 0xff}
	red    = color.RGBA{0xcf, 0x22, 0x2e, 0xff}
	band   = color.NRGBA{0xcf, 0x22, 0x2e, 0x24}
	amber  = color.RGBA{0xb3, 0x5c, 0x00, 0xff}
	others = []color.Color{
		color.RGBA{0x1f, 0x6f, 0xde, 0xff}, color.RGBA{0x1a, 0x7f, 0x5a, 0xff},
		color.RGBA{0x8a, 0x5f, 0xc8, 0xff}, color.RGBA{0x0b, 0x7a, 0x8a, 0xff}, color.RGBA{0x7a, 0x72, 0x66, 0xff},
	}
)

// fonts come with the program, so that a picture is the same everywhere.
var fonts = font.NewCache(liberation.Collection())

// painter draws a chart layer by layer.
type painter struct {
	draw.Canvas
	frame
	chart Chart
}

func (p painter) paint() {
	p.words()
	p.axes()
	p.forecast()
	p.limitLine()
	p.thresholdLine()
	p.events()
	p.lines()
	p.fit()
	p.marks()
	p.now()
	p.labels()
}

// write puts text at a point, anchored by x (−1 right, −0.5 middle, 0 left).
func (p painter) write(s string, size vg.Length, c color.Color, at vg.Point, x text.XAlignment) {
	style := words(size)
	style.Color, style.XAlign = c, x
	p.FillText(style, at, s)
}

func words(size vg.Length) draw.TextStyle {
	return draw.TextStyle{
		Font:    font.Font{Typeface: "Liberation", Variant: "Sans", Size: size},
		Handler: text.Plain{Fonts: fonts}, YAlign: -0.3}
}

// fit cuts a name until it and what follows it are no wider than that.
func fit(name, rest string, size, most vg.Length) string {
	style := words(size)
	for n := len([]rune(name)); n > 3 && style.Width(name+rest) > most; n-- {
		name = cut(name, n)
	}
	return name + rest
}

// The sizes of the words, in points of a picture 720 wide. On a phone, which
// shows it 360 wide, half of that is left.
const (
	titleSize = 19
	textSize  = 13
	smallSize = 12
)

// words draws title and subtitle, cut to the width.
func (p painter) words() {
	p.write(fit(p.chart.Title, "", titleSize, width-32), titleSize, ink, vg.Point{X: 16, Y: 334}, 0)
	p.write(fit(p.chart.Subtitle, "", smallSize, width-32), smallSize, soft, vg.Point{X: 16, Y: 311}, 0)
}

// cut shortens a text to n runes.
func cut(s string, n int) string {
	if r := []rune(s); len(r) > n {
		return string(r[:n-1]) + "…"
	}
	return s
}

func (p painter) axes() {
	for _, t := range byteTicks(p.top) {
		y := p.y(t.at)
		p.stroke(grid, 0.5, nil, vg.Point{X: p.left, Y: y}, vg.Point{X: p.right, Y: y})
		p.write(t.text, textSize, soft, vg.Point{X: p.left - 9, Y: y}, -1)
	}
	free := p.left - 16 // words of two ticks do not touch
	for _, t := range timeTicks(p.from, p.to, p.chart.Zone) {
		x, half := p.x(t.at), words(textSize).Width(t.text)/2
		if x-half > free && x+half < width-4 {
			p.write(t.text, textSize, soft, vg.Point{X: x, Y: 14}, -0.5)
			free = x + half + 10
		}
	}
}

func (p painter) stroke(c color.Color, w vg.Length, dashes []vg.Length, at ...vg.Point) {
	p.StrokeLines(draw.LineStyle{Color: c, Width: w, Dashes: dashes}, at)
}

// forecast draws the band between the slow and the fast rate, and the
// expected line, from now on.
func (p painter) forecast() {
	r := p.chart.Rate
	if r == nil || !p.chart.Leaks {
		return
	}
	from := p.chart.anchor()
	at := func(rate float64) vg.Point {
		ahead := p.to.Sub(from.At)
		v := from.V + rate*ahead.Hours()
		if v > p.top { // leave through the upper edge, not along it
			ahead = time.Duration(float64(ahead) * (p.top - from.V) / (v - from.V))
			v = p.top
		}
		return vg.Point{X: p.x(from.At.Add(ahead)), Y: p.y(v)}
	}
	start := vg.Point{X: p.x(from.At), Y: p.y(from.V)}
	low, high := at(r.Low), at(r.High)
	corners := []vg.Point{start, high}
	if high.X < p.right {
		corners = append(corners, vg.Point{X: p.right, Y: p.high})
	}
	p.FillPolygon(band, append(corners, low))
	p.stroke(red, 1, []vg.Length{4, 3}, start, at(r.Value))
}

// fit draws the line that was fitted over the measured one.
func (p painter) fit() {
	if fit := p.path(p.chart.Fit); len(fit) > 1 {
		p.stroke(dark, 0.9, []vg.Length{4, 3}, fit...)
	}
}

func (p painter) path(ps []detector.Point) []vg.Point {
	out := make([]vg.Point, len(ps))
	for i, x := range ps {
		out[i] = vg.Point{X: p.x(x.At), Y: p.y(x.V)}
	}
	return out
}

func (p painter) limitLine() {
	if !p.limit {
		return
	}
	y := p.y(p.chart.Limit.Bytes)
	p.stroke(ink, 1.1, nil, vg.Point{X: p.left, Y: y}, vg.Point{X: p.right, Y: y})
	p.write(limitText(p.chart.Limit), textSize, ink, vg.Point{X: p.left + 3, Y: y + 9}, 0)
}

// thresholdLine draws what the operator calls too much, its words clear of
// the limit's line.
func (p painter) thresholdLine() {
	if !p.threshold {
		return
	}
	y := p.y(p.chart.Threshold)
	p.stroke(amber, 1.1, []vg.Length{6, 3}, vg.Point{X: p.left, Y: y}, vg.Point{X: p.right, Y: y})
	words := y + 9
	if limit := p.y(p.chart.Limit.Bytes); p.limit && limit > y-14 && limit < y+20 {
		words = y - 11
	}
	p.write("threshold "+size(p.chart.Threshold), textSize, amber, vg.Point{X: p.left + 3, Y: words}, 0)
}

// events marks restarts with a triangle and OOM kills with a cross.
func (p painter) events() {
	labelled := vg.Length(-100)
	for _, e := range p.chart.Events {
		if e.At.Before(p.from) || e.At.After(p.to) {
			continue
		}
		c, glyph := color.Color(amber), draw.GlyphDrawer(draw.TriangleGlyph{})
		if e.Kind == detector.EventOOMKill {
			c, glyph = red, draw.CrossGlyph{}
		}
		x, y := p.x(e.At), p.eventHeight()
		p.stroke(c, 0.8, []vg.Length{2, 2}, vg.Point{X: x, Y: p.lower}, vg.Point{X: x, Y: y})
		p.DrawGlyph(draw.GlyphStyle{Color: c, Radius: 3.5, Shape: glyph}, vg.Point{X: x, Y: y + 4})
		if x-labelled > 120 {
			p.eventWords(cut(e.Text, 44), c, vg.Point{X: x, Y: y + 3}, labelled)
			labelled = x
		}
	}
}

// eventWords stand at the right of a mark, or at its left where the picture
// ends too soon, as far as there is room before the mark behind.
func (p painter) eventWords(s string, c color.Color, at vg.Point, behind vg.Length) {
	long := words(smallSize).Width(s)
	switch room := at.X - 6 - max(behind, p.left); {
	case at.X+6+long <= width-4:
		p.write(s, smallSize, c, vg.Point{X: at.X + 6, Y: at.Y}, 0)
	case long <= room:
		p.write(s, smallSize, c, vg.Point{X: at.X - 6, Y: at.Y}, -1)
	case room > width-10-at.X:
		p.write(fit(s, "", smallSize, room), smallSize, c, vg.Point{X: at.X - 6, Y: at.Y}, -1)
	default:
		p.write(fit(s, "", smallSize, width-10-at.X), smallSize, c, vg.Point{X: at.X + 6, Y: at.Y}, 0)
	}
}

// eventHeight is where marks stand: near the top, clear of the lines of limit
// and threshold and of their words; where both are in the way, above all.
func (p painter) eventHeight() vg.Length {
	y := p.high - 28
	if limit := p.y(p.chart.Limit.Bytes); p.limit && y > limit-22 && y < limit+22 {
		y = limit - 22
	}
	if most := p.y(p.chart.Threshold); p.threshold && y > most-26 && y < most+22 {
		y = p.high + 10
	}
	return y
}

// lines draws the others first, so that the story stands in front.
func (p painter) lines() {
	for i := len(p.chart.Lines) - 1; i >= 0; i-- {
		w := vg.Length(1)
		if i == 0 {
			w = 1.9
		}
		for _, part := range p.parts(p.chart.Lines[i].Points) {
			p.stroke(p.colour(i), w, nil, p.path(part)...)
		}
	}
}

// parts breaks a line where nothing was measured for long, so that a hole is
// seen as one.
func (p painter) parts(ps []detector.Point) (out [][]detector.Point) {
	hole := p.to.Sub(p.from) / 30
	start := 0
	for i := 1; i <= len(ps); i++ {
		if i == len(ps) || ps[i].At.Sub(ps[i-1].At) > hole {
			if i-start > 1 {
				out = append(out, ps[start:i])
			}
			start = i
		}
	}
	return out
}

// colour of a line by its place.
func (p painter) colour(i int) color.Color {
	switch {
	case i == 0 && p.chart.Leaks:
		return red
	case p.chart.Leaks:
		return others[(i-1)%len(others)]
	}
	return others[i%len(others)]
}

func (p painter) now() {
	x := p.x(p.chart.At)
	p.stroke(soft, 0.6, []vg.Length{2, 2}, vg.Point{X: x, Y: p.lower}, vg.Point{X: x, Y: p.high + 4})
	p.write("now", smallSize, soft, vg.Point{X: x - 3, Y: p.high}, -1)
}
