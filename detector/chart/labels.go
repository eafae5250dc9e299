package chart

import (
	"cmp"
	"fmt"
	"slices"

	"gonum.org/v1/plot/vg"

	"github.com/dropleak/dropleak/detector"
)

// labels names each line at its end, spread so that none covers another.
func (p painter) labels() {
	type label struct {
		line int
		y    vg.Length
	}
	var ls []label
	for i, l := range p.chart.Lines {
		if n := len(l.Points); n > 0 {
			ls = append(ls, label{i, p.y(l.Points[n-1].V) - offset(i)})
		}
	}
	slices.SortStableFunc(ls, func(a, b label) int { return cmp.Compare(b.y, a.y) })
	ys := make([]vg.Length, len(ls))
	for i, l := range ls {
		ys[i] = l.y
	}
	spread(ys, 15, p.lower+8, p.high-12)
	x := p.x(p.chart.At) + 5
	for i, l := range ls {
		line := p.chart.Lines[l.line]
		held := size(line.Points[len(line.Points)-1].V)
		p.write(fit(line.Label, "  "+held, textSize, width-4-x), textSize, p.colour(l.line), vg.Point{X: x, Y: ys[i]}, 0)
	}
}

// offset moves the story's label below its forecast.
func offset(line int) vg.Length {
	if line == 0 {
		return 13
	}
	return 0
}

// spread moves descending positions apart to at least gap, within limits.
func spread(ys []vg.Length, gap, lowest, highest vg.Length) {
	for i := range ys {
		ys[i] = min(ys[i], highest)
		if i > 0 {
			ys[i] = min(ys[i], ys[i-1]-gap)
		}
	}
	for i := len(ys) - 1; i >= 0; i-- {
		floor := lowest
		if i < len(ys)-1 {
			floor = ys[i+1] + gap
		}
		ys[i] = max(ys[i], floor)
	}
}

// size says bytes in whole MiB, or GiB with a digit.
func size(v float64) string {
	if v >= 10*(1<<30) {
		return fmt.Sprintf("%.1f GiB", v/(1<<30))
	}
	return fmt.Sprintf("%.0f MiB", v/(1<<20))
}

func limitText(l detector.Limit) string {
	v := fmt.Sprintf("%.0f MiB", l.Bytes/(1<<20))
	if l.Bytes >= 1<<30 {
		v = fmt.Sprintf("%s GiB", trim(float64(int(l.Bytes/(1<<30)*10))/10))
	}
	if l.Source == "" {
		return "limit " + v
	}
	return fmt.Sprintf("limit %s (%s)", v, l.Source)
}
