package chart

import (
	"bytes"
	"errors"
	"flag"
	"image/png"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"gonum.org/v1/plot/vg"

	"github.com/dropleak/dropleak/detector"
)

var update = flag.Bool("update", false, "write the golden pictures anew; look at them")

var now = time.Date(2026, 11, 22, 14, 0, 0, 0, time.UTC)

const mib = 1 << 20

// walk makes a noisy line from a value with a rate per hour over the last
// hours.
func walk(seed uint64, from, rate float64, hours int) []detector.Point {
	r := rand.New(rand.NewPCG(seed, 1))
	var ps []detector.Point
	for m := -hours * 60; m <= 0; m += 2 {
		at := now.Add(time.Duration(m) * time.Minute)
		ps = append(ps, detector.Point{At: at, V: (from + rate*float64(m+hours*60)/60 + 4*r.NormFloat64()) * mib})
	}
	return ps
}

func story() Chart {
	leak := walk(1, 310, 0, 24)
	for i := range leak {
		h := leak[i].At.Sub(now.Add(-16*time.Hour - 40*time.Minute)).Hours()
		if h < 0 {
			leak[i].V += (7.4 + h) * 40 * mib
		} else {
			leak[i].V += h * 44 * mib
		}
	}
	return Chart{
		Title:    "default-1 on web-1 reaches its limit in 11 h (9–14 h)",
		Subtitle: "PSS + swap per worker · leaks +44 MiB/h since the last restart · the other workers are flat",
		At:       now, Leaks: true,
		Lines:      []Line{{"default-1", leak}, {"default-2", walk(2, 340, 7, 24)}, {"reports-1", walk(3, 370, 6, 24)}, {"mail-1", walk(4, 350, 4, 24)}},
		Fit:        []detector.Point{{At: now.Add(-16*time.Hour - 30*time.Minute), V: 316 * mib}, {At: now, V: 1042 * mib}},
		Rate:       &detector.Interval{Low: 33 * mib, Value: 44 * mib, High: 55 * mib},
		Limit:      detector.Limit{Bytes: 1536 * mib, Source: "memory.max"},
		Exhaustion: &detector.Exhaustion{Earliest: now.Add(9 * time.Hour), Expected: now.Add(11*time.Hour + 14*time.Minute), Latest: now.Add(14 * time.Hour)},
		Events: []detector.Event{{At: now.Add(-16*time.Hour - 40*time.Minute), Kind: detector.EventRestart, Text: "restarted by @dana, 21:20"},
			{At: now.Add(-20 * time.Hour), Kind: detector.EventOOMKill, Text: "OOM kill, 18:00"}},
	}
}

func TestGolden(t *testing.T) {
	healthy := Chart{Title: "mail-1 on web-2 is healthy", Subtitle: "flat at 350 MiB for 24 h", At: now, Lines: []Line{{"mail-1", walk(4, 350, 0, 24)}},
		Limit: detector.Limit{Bytes: 8192 * mib, Source: "droplet"}}
	gap := walk(5, 200, 3, 48)
	gap = append(append([]detector.Point{}, gap[:500]...), gap[900:]...)
	old := Chart{Title: "w003: no leak seen", Subtitle: "a recording on its own clock, with a hole", Lines: []Line{{"w003", nil}}}
	for _, p := range gap {
		old.Lines[0].Points = append(old.Lines[0].Points, detector.Point{At: time.Unix(0, 0).Add(p.At.Sub(gap[0].At)), V: p.V})
	}
	old.At = old.Lines[0].Points[len(old.Lines[0].Points)-1].At
	berlin := story()
	berlin.Zone, _ = time.LoadLocation("Europe/Berlin")
	over := Chart{Title: "mail-1 on web-2 is above its memory threshold", Subtitle: "PSS + swap per worker", At: now,
		Lines: []Line{{"mail-1", walk(4, 410, 3, 24)}, {"mail-2", walk(2, 340, 0, 24)}}, Threshold: 480 * mib, Limit: detector.Limit{Bytes: 512 * mib, Source: "memory.max"},
		Events: story().Events[:1]}
	week := Chart{Title: "mailer on web-1 was restarted, 120 MiB freed", Subtitle: "PSS + swap per worker", At: now, Lines: []Line{{"mailer", walk(7, 100, 0.6, 24*8)}},
		Events: []detector.Event{{At: now.Add(-time.Hour), Kind: detector.EventRestart, Text: "restarted: main process 16378 → 17012"}}}
	for name, c := range map[string]Chart{"leak": story(), "week": week, "threshold": over, "healthy": healthy, "gap": old, "berlin": berlin} {
		t.Run(name, func(t *testing.T) {
			got, err := c.PNG()
			if err != nil {
				t.Fatal(err)
			}
			path := filepath.Join("testdata", name+".png")
			if *update {
				if err := os.WriteFile(path, got, 0o644); err != nil {
					t.Fatal(err)
				}
			}
			want, err := os.ReadFile(path)
			if err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(got, want) {
				t.Errorf("%s differs from the golden picture; look at it, then run with -update", name)
			}
		})
	}
}

func TestPictureSize(t *testing.T) {
	b, err := story().PNG()
	if err != nil {
		t.Fatal(err)
	}
	cfg, err := png.DecodeConfig(bytes.NewReader(b))
	if err != nil || cfg.Width != 1440 || cfg.Height != 720 {
		t.Errorf("%+v, %v", cfg, err)
	}
	if len(b) > 400<<10 {
		t.Errorf("the picture has %d bytes", len(b))
	}
}

func TestNothingToDraw(t *testing.T) {
	for name, c := range map[string]Chart{
		"no lines": {}, "empty line": {Lines: []Line{{Label: "x"}}}, "only zeros": {Lines: []Line{{Points: []detector.Point{{At: now}}}}},
	} {
		if _, err := c.PNG(); !errors.Is(err, ErrNoData) {
			t.Errorf("%s: %v", name, err)
		}
	}
	one := Chart{At: now, Lines: []Line{{"x", []detector.Point{{At: now, V: 5 * mib}}}}}
	if _, err := one.PNG(); err != nil {
		t.Errorf("a single point: %v", err)
	}
}

func TestSpikesSurviveThinning(t *testing.T) {
	ps := walk(6, 100, 0, 24*14)
	ps[5000].V, ps[7000].V = 900*mib, 1*mib
	got := thin(ps, maxPoints)
	lo, hi := extremes(got)
	if len(got) > maxPoints || got[hi].V != 900*mib || got[lo].V != 1*mib {
		t.Errorf("%d points, from %v to %v", len(got), got[lo].V, got[hi].V)
	}
	for i := 1; i < len(got); i++ {
		if got[i].At.Before(got[i-1].At) {
			t.Fatal("out of order")
		}
	}
}

func TestTicks(t *testing.T) {
	for _, top := range []float64{1, 900, 3 * mib, 500 * mib, 1536 * mib, 7e10, 3e13} {
		ticks := byteTicks(top)
		if len(ticks) < 3 || len(ticks) > 11 {
			t.Errorf("%d marks up to %v", len(ticks), top)
		}
	}
	for _, d := range []time.Duration{time.Minute, time.Hour, 33 * time.Hour, 14 * 24 * time.Hour, 90 * 24 * time.Hour} {
		if n := len(timeTicks(now, now.Add(d), time.UTC)); n < 3 || n > 10 {
			t.Errorf("%d marks over %v", n, d)
		}
	}
}

func TestSpread(t *testing.T) {
	ys := []vg.Length{300, 299, 298, 30, 29}
	spread(ys, 10, 20, 290)
	for i := 1; i < len(ys); i++ {
		if ys[i-1]-ys[i] < 9.99 {
			t.Errorf("labels %v stand too close", ys)
		}
	}
	if ys[0] > 300 || ys[len(ys)-1] < 20 {
		t.Errorf("labels %v leave the picture", ys)
	}
}

func BenchmarkPNG(b *testing.B) {
	c := story()
	for b.Loop() {
		if _, err := c.PNG(); err != nil {
			b.Fatal(err)
		}
	}
}

// The longest name and the largest numbers stay within the picture.
func TestLabelsFit(t *testing.T) {
	at := time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)
	c := Chart{Title: strings.Repeat("W", 200), Subtitle: strings.Repeat("W", 300), At: at}
	for i := range 3 {
		c.Lines = append(c.Lines, Line{Label: strings.Repeat("mean", 20), Points: []detector.Point{{At: at.Add(-24 * time.Hour), V: 1 << 40}, {At: at, V: float64(int64(i+1) << 40)}}})
	}
	raw, err := c.PNG()
	if err != nil {
		t.Fatal(err)
	}
	img, err := png.Decode(bytes.NewReader(raw))
	if err != nil {
		t.Fatal(err)
	}
	b := img.Bounds()
	for y := range b.Dy() {
		for x := b.Dx() - 4; x < b.Dx(); x++ {
			if r, _, _, _ := img.At(x, y).RGBA(); r != 0xffff {
				t.Fatalf("something is drawn at the edge, at %d, %d", x, y)
			}
		}
	}
}

// TestForecastStaysInSight: where no limit is in the picture, the forecast
// leaves it on the right and not through the top; one that is steep beyond
// measure does not squeeze what was measured.
func TestForecastStaysInSight(t *testing.T) {
	c := story()
	c.Limit, c.Exhaustion = detector.Limit{Bytes: 1 << 40, Source: "droplet"}, &detector.Exhaustion{Expected: now.Add(1000 * time.Hour)}
	for high, seen := range map[float64]bool{55 * mib: true, 55 << 30: false} {
		c.Rate = &detector.Interval{Low: 33 * mib, Value: 44 * mib, High: high}
		f, ok := c.frame()
		end := 1042*mib + high*f.to.Sub(now).Hours()
		if !ok || f.limit || f.to.Sub(now) < 20*time.Hour || (end < f.top) != seen || f.top > 4*1042*mib {
			t.Errorf("at %g MiB an hour: to %v, the upper edge at %g MiB, the forecast's end at %g", high/mib, f.to, f.top/mib, end/mib)
		}
	}
	c.Lines[0].Points, c.Fit = nil, nil // only the others were measured
	if _, err := c.PNG(); err != nil {
		t.Error(err)
	}
}

// TestMarks: many calls, long names and times outside of the picture harm
// nothing, and each mark is seen.
func TestMarks(t *testing.T) {
	c := story()
	plain, err := c.PNG()
	if err != nil {
		t.Fatal(err)
	}
	seen := map[string]bool{string(plain): true}
	for n := range 5 {
		m := Mark{Label: strings.Repeat("a.very.long.name", 20), Peak: detector.Point{At: now.Add(-time.Hour), V: 900 * mib}}
		for i := range 20000 {
			at := now.Add(-time.Duration(40000-i) * time.Second * 3)
			m.Spans = append(m.Spans, [2]time.Time{at, at.Add(time.Second)})
		}
		c.Marks = append(c.Marks, m)
		with, err := c.PNG()
		if err != nil {
			t.Fatal(err)
		}
		if seen[string(with)] != (n >= mostMarks) {
			t.Errorf("with %d marks the picture was seen: %t", n+1, seen[string(with)])
		}
		seen[string(with)] = true
	}
}
