package rivals

import (
	"fmt"
	"math"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/dropleak/dropleak/detector"
	"github.com/dropleak/dropleak/detector/corpus"
	"github.com/dropleak/dropleak/detector/synth"
)

// traits are what makes a child's RSS look real.
type traits struct {
	moving   float64 // share of passes in which RSS changes at all
	step     float64 // median change where it does, MiB
	noise    float64 // MAD of 5-minute medians about a 3-hour running median, MiB
	lag1     float64 // lag-1 autocorrelation of what is left about a straight line, 5-minute medians
	startUp  float64 // MiB grown in the first hour
	warmHour float64 // hours until 90 % of the final footprint less the start
	pss      float64 // PSS over RSS, median
}

// traitsOf measures the child (or only process) with the most samples.
func traitsOf(w detector.Worker) (traits, bool) {
	var longest detector.Life
	for _, l := range w.Lives {
		child := l.Role == detector.RoleChild || len(w.Lives) == 1
		if child && len(l.Samples) > len(longest.Samples) {
			longest = l
		}
	}
	if len(longest.Samples) < 600 {
		return traits{}, false
	}
	var rss, steps, shares []float64
	moves := 0
	for i, s := range longest.Samples {
		rss = append(rss, s.RSS/detector.MiB)
		if i > 0 && rss[i] != rss[i-1] {
			moves++
			steps = append(steps, math.Abs(rss[i]-rss[i-1]))
		}
		if !math.IsNaN(s.PSS) && s.RSS > 0 {
			shares = append(shares, s.PSS/s.RSS)
		}
	}
	t := traits{moving: ratio(moves, len(rss)-1), step: middle(steps), startUp: rss[min(60, len(rss)-1)] - rss[0], pss: middle(shares)}
	five := make([]float64, len(rss)/5)
	for i := range five {
		five[i] = middle(rss[5*i : 5*i+5])
	}
	t.noise, t.lag1 = roughness(five)
	t.warmHour = warmed(five)
	return t, true
}

func roughness(y []float64) (noise, lag1 float64) {
	var off []float64
	for i := range y {
		off = append(off, math.Abs(y[i]-middle(y[max(0, i-18):min(len(y), i+18)])))
	}
	x := make([]float64, len(y))
	for i := range x {
		x[i] = float64(i)
	}
	slope, at, _ := leastSquares(x, y, 0)
	rest := make([]float64, len(y))
	for i := range rest {
		rest[i] = y[i] - at - slope*x[i]
	}
	return middle(off), autocorrelation(rest)[1]
}

func warmed(y []float64) float64 {
	for i, v := range y {
		if v-y[0] >= 0.9*(y[len(y)-1]-y[0]) {
			return float64(i) / 12
		}
	}
	return 0
}

// TestGeneratedLooksRecorded compares each shape of the recordings with the
// generated family of the same name. It prints the table of
// docs/detection.md and holds that the medians over all families agree
// within a factor that only a broken generator leaves.
func TestGeneratedLooksRecorded(t *testing.T) {
	dir := os.Getenv(corpus.Env)
	if dir == "" {
		t.Skipf("needs %s, the folder with the labelled recordings", corpus.Env)
	}
	nodes, err := corpus.Celery(dir, false)
	if err != nil {
		t.Fatal(err)
	}
	var real, made []traits
	for _, n := range nodes {
		if v, ok := traitsOf(n.Worker); ok {
			real = append(real, v)
		}
	}
	for _, f := range synth.Families() {
		shared := slices.ContainsFunc(nodes, func(n corpus.Recording) bool { return n.Family == f.Name })
		for seed := uint64(0); shared && seed < 6; seed++ {
			if v, ok := traitsOf(f.Make(seed, synth.Params{Days: 1.4}).Worker); ok {
				made = append(made, v)
			}
		}
	}
	columns := []struct {
		name   string
		of     func(traits) float64
		factor float64
	}{
		{"share of passes in which RSS moves", func(v traits) float64 { return v.moving }, 3},
		{"median move, MiB", func(v traits) float64 { return v.step }, 5},
		{"5-minute noise, MiB", func(v traits) float64 { return v.noise }, 5},
		{"lag-1 autocorrelation", func(v traits) float64 { return v.lag1 }, 1.3},
		{"growth in the first hour, MiB", func(v traits) float64 { return v.startUp }, 4},
		{"hours until 90 % grown", func(v traits) float64 { return v.warmHour }, 4},
		{"PSS / RSS", func(v traits) float64 { return v.pss }, 1.5},
	}
	g := grid{{"trait of the busiest child", "recorded: 10 %, median, 90 %", "generated"}}
	for _, c := range columns {
		a, b := spreadOf(real, c.of), spreadOf(made, c.of)
		g = append(g, []string{c.name, fmt.Sprintf("%.3g, %.3g, %.3g", a[0], a[1], a[2]), fmt.Sprintf("%.3g, %.3g, %.3g", b[0], b[1], b[2])})
		if q := (b[1] + 0.03) / (a[1] + 0.03); q > c.factor || q < 1/c.factor {
			t.Errorf("%s: generated median %.3g, recorded %.3g: apart by more than %.1f", c.name, b[1], a[1], c.factor)
		}
	}
	var text strings.Builder
	g.write(&text, plain)
	t.Log("\n" + text.String())
}

// spreadOf is the 10 %, 50 % and 90 % quantile of a trait.
func spreadOf(v []traits, of func(traits) float64) [3]float64 {
	var x []float64
	for _, t := range v {
		if y := of(t); !math.IsNaN(y) {
			x = append(x, y)
		}
	}
	slices.Sort(x)
	q := func(p float64) float64 { return x[int(p*float64(len(x)-1))] }
	return [3]float64{q(0.1), q(0.5), q(0.9)}
}
