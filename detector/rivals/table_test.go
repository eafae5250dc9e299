package rivals

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/dropleak/dropleak/detector/synth"
)

// style is how a table is written.
type style int

const (
	plain style = iota
	markdown
)

// grid is a table: the first row is its header.
type grid [][]string

func (g grid) write(b *strings.Builder, how style) {
	widths := make([]int, len(g[0]))
	for _, row := range g {
		for i, cell := range row {
			widths[i] = max(widths[i], len([]rune(cell)))
		}
	}
	for n, row := range g {
		for i, cell := range row {
			pad := strings.Repeat(" ", widths[i]-len([]rune(cell)))
			switch {
			case how == markdown:
				b.WriteString("| " + cell + pad + " ")
			case i == 0:
				b.WriteString(cell + pad)
			default:
				b.WriteString("  " + cell + pad)
			}
		}
		if how == markdown {
			b.WriteString("|")
		}
		b.WriteString("\n")
		if n == 0 && how == markdown {
			for _, w := range widths {
				b.WriteString("|" + strings.Repeat("-", w+2))
			}
			b.WriteString("|\n")
		}
	}
}

func methods() []string {
	out := []string{"dropleak"}
	if *rivalsFlag == 0 {
		return out
	}
	for _, r := range All() {
		out = append(out, r.Name)
	}
	return out
}

// print writes every table of the run.
func (r *report) print(b *strings.Builder, how style) {
	sets := map[string]string{"synth": "Generated series", "celery": "Celery recordings, reported half", "real": "Published series, reported half"}
	for _, set := range []string{"synth", "celery", "real"} {
		if r.total(set) == nil {
			continue
		}
		r.title(b, how, sets[set])
		r.summary(set).write(b, how)
		b.WriteString("\n")
		r.byFamily(set).write(b, how)
		b.WriteString("\n")
		if set != "real" {
			r.title(b, how, sets[set]+": dropleak's own figures at the last look")
			r.own(set).write(b, how)
			b.WriteString("\n")
		}
	}
	r.title(b, how, "Generated droplets: dropleak at the last look")
	r.droplets().write(b, how)
}

// droplets is one row a droplet family.
func (r *report) droplets() grid {
	g := grid{{"family", "what", "called leaking", "share (95 %)", "culprit named"}}
	for _, f := range synth.DropletFamilies() {
		if n := r.hosts[f.Name]; n != nil {
			named := "-"
			if n.blamed > 0 {
				named = fmt.Sprintf("%d/%d", n.named, n.blamed)
			}
			g = append(g, []string{f.Name, f.Text, fmt.Sprintf("%d/%d", n.alarms, n.n), interval(ratio(n.alarms, n.n), n.alarms, n.n), named})
		}
	}
	return g
}

func (r *report) title(b *strings.Builder, how style, text string) {
	if how == markdown {
		text = "### " + text + "\n"
	}
	b.WriteString(text + "\n")
}

// total adds up a set's families by method, nil if there are none.
func (r *report) total(set string) []*score {
	var out []*score
	for key, scores := range r.scores {
		if key[0] != set {
			continue
		}
		if out == nil {
			for range scores {
				out = append(out, &score{})
			}
		}
		for i, s := range scores {
			out[i].merge(s)
		}
	}
	return out
}

func (r *report) summary(set string) grid {
	g := grid{{"method", "found", "recall (95 %)", "false alarms", "share (95 %)", "precision, half leak (95 %)", "precision, 1 in 20", "F1", "time to alarm", "false/series/month"}}
	for i, c := range r.total(set)[:len(methods())] {
		p50, p5 := c.precisionAt(0.5), c.precisionAt(0.05)
		lo, hi := c.precisionBounds(0.5)
		lo5, hi5 := c.precisionBounds(0.05)
		g = append(g, []string{methods()[i], fmt.Sprintf("%d/%d", c.found, c.leaks), interval(c.recall(), c.found, c.leaks),
			fmt.Sprintf("%d/%d", c.falsely, c.healthy), interval(c.falseShare(), c.falsely, c.healthy),
			fmt.Sprintf("%s (%s to %s)", share(p50), share(lo), share(hi)), fmt.Sprintf("%s (%s to %s)", share(p5), share(lo5), share(hi5)),
			share(f1(p50, c.recall())), delay(c.medianDelay()), fmt.Sprintf("%.2f", float64(c.episodes)/c.months)})
	}
	return g
}

func interval(v float64, k, n int) string {
	lo, hi := wilson(k, n)
	return fmt.Sprintf("%s (%s to %s)", share(v), share(lo), share(hi))
}

func share(v float64) string {
	if math.IsNaN(v) {
		return "-"
	}
	return fmt.Sprintf("%.3f", v)
}

func short(v float64) string {
	if math.IsNaN(v) {
		return "-"
	}
	return fmt.Sprintf("%.2f", v)
}

func delay(h float64) string {
	switch {
	case math.IsNaN(h):
		return "-"
	case math.IsInf(h, 1):
		return "never"
	}
	return fmt.Sprintf("%.1f h", h)
}

// byFamily is one row a family. For a leaking family a cell holds precision,
// recall, F1 and median hours to the alarm, the precision against all
// healthy families where half the workers leak; for a healthy one the share
// with a false alarm.
func (r *report) byFamily(set string) grid {
	g := grid{append([]string{"family"}, methods()...)}
	total := r.total(set)
	for _, key := range r.keys(set) {
		row := []string{key[1]}
		for i, c := range r.scores[key][:len(methods())] {
			switch {
			case c.leaks > 0:
				p := precision(c.recall(), total[i].falseShare(), 0.5)
				row = append(row, fmt.Sprintf("%s %s %s %s", short(p), short(c.recall()), short(f1(p, c.recall())), delay(c.medianDelay())))
			default:
				row = append(row, fmt.Sprintf("%s false", share(c.falseShare())))
			}
		}
		g = append(g, row)
	}
	return g
}

// keys are a set's families, healthy first, in order of their numbers.
func (r *report) keys(set string) [][2]string {
	var out [][2]string
	for key := range r.scores {
		if key[0] == set {
			out = append(out, key)
		}
	}
	slices.SortFunc(out, func(a, b [2]string) int {
		if a[1][0] == b[1][0] {
			na, errA := strconv.Atoi(a[1][1:])
			nb, errB := strconv.Atoi(b[1][1:])
			if errA == nil && errB == nil {
				return na - nb
			}
		}
		return strings.Compare(a[1], b[1])
	})
	return out
}

// own is how far dropleak's confidence, rates and forecasts can be believed.
func (r *report) own(set string) grid {
	n := r.numbers[set]
	g := grid{{"figure", "right", "of", "share (95 %)"}}
	add := func(name string, k, of int) {
		if of > 0 {
			g = append(g, []string{name, fmt.Sprint(k), fmt.Sprint(of), interval(ratio(k, of), k, of)})
		}
	}
	for i, b := range n.bins {
		add(fmt.Sprintf("confidence %.1f to %.1f: verdict right", float64(i)/10, float64(i+1)/10), b.right, b.n)
	}
	add("rate interval (90 %) holds the true rate", n.rateIn, n.rate)
	add("exhaustion interval (90 %) holds the true time", n.exhaustIn, n.exhaust)
	add("leak or leak_masked told apart", n.kindRight, n.kinds)
	add("reason acceptable, where the verdict is right", n.whyRight, n.why)
	add("leaking task named, of several", n.named, n.blamed)
	add("innocent task accused", n.accused, n.innocent)
	add("unsure at the last look", n.unsure, n.all)
	if len(n.rateError) > 0 {
		g = append(g, []string{fmt.Sprintf("median relative error of the rate: %.2f", middle(n.rateError)), "", fmt.Sprint(len(n.rateError)), ""})
	}
	return g
}
