package detector

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"pgregory.net/rapid"
)

// nodes are workers of different shapes for the properties below.
func nodes() map[string]Worker {
	return map[string]Worker{
		"leak":    node(20, noisy(0.5, func(h float64) float64 { return 80 + 3*h })),
		"warm-up": node(20, noisy(0.5, func(h float64) float64 { return 80 + 60*(1-math.Exp(-h/3)) })),
		"level":   node(20, level(80)),
		"cache":   node(20, noisy(0.5, func(h float64) float64 { return 80 + 8*math.Mod(h, 6) })),
		"masked":  pool(20, 4, noisy(0.5, func(h float64) float64 { return 60 + 10*h })),
		"stairs":  node(20, noisy(0.5, stairs)),
	}
}

// change returns a worker with every sample passed through f.
func change(w Worker, f func(l int, s Sample) Sample) Worker {
	lives := slices.Clone(w.Lives)
	for i := range lives {
		ss := slices.Clone(lives[i].Samples)
		for k := range ss {
			ss[k] = f(i, ss[k])
		}
		lives[i].Samples = ss
	}
	w.Lives = lives
	return w
}

func add(s Sample, b float64) Sample {
	s.RSS, s.PSS, s.USS = s.RSS+b, s.PSS+b, s.USS+b
	return s
}

// TestMetamorphic: what must not change the verdict does not.
func TestMetamorphic(t *testing.T) {
	shift := 1000 * 24 * time.Hour
	for name, w := range nodes() {
		want := Judge(w, time.Time{}, Options{})
		same := func(what string, got Verdict) {
			t.Helper()
			if got.Kind != want.Kind || got.Reason != want.Reason {
				t.Errorf("%s, %s: %s (%s), was %s (%s)", name, what, got.Kind, got.Reason, want.Kind, want.Reason)
			}
		}
		moved := change(w, func(_ int, s Sample) Sample { s.At = s.At.Add(shift); return s })
		for i := range moved.Lives {
			moved.Lives[i].Start = moved.Lives[i].Start.Add(shift)
		}
		got := Judge(moved, time.Time{}, Options{})
		same("time shifted", got)
		if want.Onset != nil && !got.Onset.Equal(want.Onset.Add(shift)) {
			t.Errorf("%s: onset moved to %v, want %v", name, got.Onset, want.Onset.Add(shift))
		}
		got = Judge(change(w, func(_ int, s Sample) Sample {
			s.RSS, s.PSS, s.USS, s.Swap = 4*s.RSS, 4*s.PSS, 4*s.USS, 4*s.Swap
			return s
		}), time.Time{}, Options{Scale: 4})
		same("bytes and floors times four", got)
		if want.Rate != nil && math.Abs(got.Rate.Value/want.Rate.Value-4) > 1e-9 {
			t.Errorf("%s: rate %v, want four times %v", name, got.Rate.Value, want.Rate.Value)
		}
		same("a constant added to a child", Judge(change(w, func(l int, s Sample) Sample {
			return add(s, 100*MiB*boolFloat(l > 0))
		}), time.Time{}, Options{}))
		same("lives in another order", Judge(reversed(w), time.Time{}, Options{}))
		same("samples shuffled and repeated", Judge(shuffled(w), time.Time{}, Options{}))
		same("an hour missing", Judge(without(w, 8, 9), time.Time{}, Options{}))
	}
}

func boolFloat(b bool) float64 {
	if b {
		return 1
	}
	return 0
}

func reversed(w Worker) Worker {
	w.Lives = slices.Clone(w.Lives)
	slices.Reverse(w.Lives)
	return w
}

func shuffled(w Worker) Worker {
	r := rand.New(rand.NewPCG(5, 5))
	w.Lives = slices.Clone(w.Lives)
	for i := range w.Lives {
		ss := slices.Concat(w.Lives[i].Samples, w.Lives[i].Samples[:100])
		r.Shuffle(len(ss), func(a, b int) { ss[a], ss[b] = ss[b], ss[a] })
		w.Lives[i].Samples = ss
	}
	return w
}

func without(w Worker, from, to float64) Worker {
	w.Lives = slices.Clone(w.Lives)
	for i := range w.Lives {
		w.Lives[i].Samples = slices.DeleteFunc(slices.Clone(w.Lives[i].Samples), func(s Sample) bool {
			return !s.At.Before(at(from)) && s.At.Before(at(to))
		})
	}
	return w
}

// TestLaterDataDoNotMatter: a verdict at a moment depends on nothing after it.
func TestLaterDataDoNotMatter(t *testing.T) {
	for name, w := range nodes() {
		cut := change(w, func(_ int, s Sample) Sample { return s })
		for i := range cut.Lives {
			cut.Lives[i].Samples = slices.DeleteFunc(cut.Lives[i].Samples, func(s Sample) bool { return s.At.After(at(11)) })
		}
		if diff := cmp.Diff(Judge(cut, at(11), Options{}), Judge(w, at(11), Options{}), cmpopts.EquateNaNs()); diff != "" {
			t.Errorf("%s: %s", name, diff)
		}
	}
}

// TestChunksAreEnough: samples that arrive in any order, late and some of
// them twice, with only the chunks they touch summarised anew and all of them
// written down in between, give exactly the batch verdict; also in the room
// that another worker's chunks have just left.
func TestChunksAreEnough(t *testing.T) {
	var room Room
	all := nodes()
	names := []string{"leak", "cache", "masked", "stairs"}
	rapid.Check(t, func(rt *rapid.T) {
		w := all[rapid.SampledFrom(names).Draw(rt, "node")]
		o := Options{Metric: rapid.SampledFrom([]string{"", "rss", "uss"}).Draw(rt, "metric")}
		parts := rapid.IntRange(1, 6).Draw(rt, "parts")
		r := rand.New(rand.NewPCG(rapid.Uint64().Draw(rt, "seed"), 1))
		kept := map[int64]Chunk{}
		held := w
		held.Lives = slices.Clone(w.Lives)
		for i := range held.Lives {
			held.Lives[i].Samples = nil
		}
		for part := range parts {
			touched := map[int64]bool{}
			for i, l := range w.Lives {
				for _, s := range l.Samples {
					if int(s.At.Unix()/60*2654435761%int64(parts)) == part {
						held.Lives[i].Samples = append(held.Lives[i].Samples, s)
						if r.IntN(50) == 0 {
							held.Lives[i].Samples = append(held.Lives[i].Samples, s)
						}
						touched[chunkOf(s.At)] = true
					}
				}
				ss := held.Lives[i].Samples
				r.Shuffle(len(ss), func(a, b int) { ss[a], ss[b] = ss[b], ss[a] })
			}
			for i := range touched {
				kept[i] = SummarizeChunk(held, i, o)
			}
		}
		var chunks []Chunk
		for _, c := range kept {
			chunks = append(chunks, c)
		}
		room.Reset()
		chunks, _ = reread(rt, &room, chunks)
		cached := room.Join(w, chunks)
		if diff := cmp.Diff(Summarize(w, o), cached, cmpopts.EquateNaNs()); diff != "" {
			rt.Fatalf("summary: %s", diff)
		}
		if diff := cmp.Diff(Judge(w, time.Time{}, o), JudgeSummary(cached, time.Time{}, o), cmpopts.EquateNaNs()); diff != "" {
			rt.Fatalf("verdict: %s", diff)
		}
	})
}

// FuzzJudge: no samples make it panic, hang or say what is not a number.
func FuzzJudge(f *testing.F) {
	f.Add([]byte{1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12}, uint8(3), uint16(60), 1e8)
	f.Add([]byte{255, 0, 255, 0, 200, 13}, uint8(1), uint16(1), math.Inf(1))
	f.Add([]byte{}, uint8(0), uint16(0), math.NaN())
	f.Fuzz(func(t *testing.T, raw []byte, lives uint8, step uint16, scale float64) {
		w := Worker{Name: "w", Limit: Limit{Bytes: scale * 200}, High: scale}
		odd := []float64{math.NaN(), math.Inf(1), math.Inf(-1), -1, 0, math.MaxFloat64, 5e-324}
		for i := range int(lives%5) + 1 {
			l := Life{PID: i, Role: []Role{RoleParent, RoleChild, RoleUnknown, RoleOther}[i%4], Start: at(float64(i))}
			for k, b := range raw {
				v := scale * (float64(b) + float64(k*i))
				if b < byte(len(odd)) {
					v = odd[b]
				}
				l.Samples = append(l.Samples, Sample{At: at(float64(k*int(step)) / 60), RSS: v, PSS: v / 2, USS: v / 3, Swap: odd[k%len(odd)], CPU: v})
			}
			w.Lives = append(w.Lives, l)
		}
		v := Judge(w, time.Time{}, Options{})
		if bad := notNumber(v); bad != "" {
			t.Errorf("%s in %+v", bad, v)
		}
		d := Droplet{Total: scale * 1000, Others: []Other{{Name: "x", Memory: pointsOf(w)}}, Available: pointsOf(w)}
		JudgeDroplet(d, []Worker{w}, []Verdict{v}, time.Time{}, Options{})
		Recovered(w, w, w.Limit, time.Time{})
		Compare(w, w, Options{})
	})
}

func pointsOf(w Worker) []Point {
	var ps []Point
	for _, s := range w.Lives[0].Samples {
		ps = append(ps, Point{s.At, s.RSS})
	}
	return ps
}

// notNumber names a number of the verdict that is none.
func notNumber(v Verdict) string {
	all := map[string]float64{"confidence": v.Confidence, "footprint": v.Footprint}
	if v.MinDetectable != nil {
		all["min detectable"] = *v.MinDetectable
	}
	if v.HoursNeeded != nil {
		all["hours needed"] = *v.HoursNeeded
	}
	if v.Rate != nil {
		all["rate"], all["rate low"], all["rate high"] = v.Rate.Value, v.Rate.Low, v.Rate.High
	}
	for i, p := range v.Processes {
		if p.Rate != nil {
			all[fmt.Sprint("process rate ", i)] = p.Rate.Low + p.Rate.Value + p.Rate.High
		}
	}
	for i, p := range v.Fit {
		all[fmt.Sprint("fit ", i)] = p.V
	}
	for name, x := range all {
		if math.IsNaN(x) || math.IsInf(x, 0) {
			return name
		}
	}
	return ""
}

// BenchmarkSen is the slope of one window: 4,560 pairs.
func BenchmarkSen(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 2))
	t, y := make([]float64, 96), make([]float64, 96)
	for i := range t {
		t[i], y[i] = float64(i), r.Float64()
	}
	b.ReportAllocs()
	for b.Loop() {
		sen(t, y)
	}
}

func BenchmarkJudge(b *testing.B) {
	leak, calm := node(7*24, noisy(0.5, func(h float64) float64 { return 80 + 1*h })), node(7*24, level(80))
	for name, w := range map[string]Worker{"leak": leak, "calm": calm} {
		b.Run(name+" samples", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				Judge(w, time.Time{}, Options{})
			}
		})
		s := Summarize(w, Options{})
		b.Run(name+" summary", func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				JudgeSummary(s, time.Time{}, Options{})
			}
		})
		var written []byte
		for _, c := range chunksOf(w, Options{}) {
			written = c.Append(written)
		}
		b.Run(name+" written", func(b *testing.B) {
			b.ReportAllocs()
			b.ReportMetric(float64(len(written))/float64(len(w.Lives)), "B/process")
			for b.Loop() {
				var chunks []Chunk
				for rest := written; len(rest) > 0; {
					var c Chunk
					var err error
					if c, rest, err = ParseChunk(rest); err != nil {
						b.Fatal(err)
					}
					chunks = append(chunks, c)
				}
				JudgeSummary(Join(w, chunks), time.Time{}, Options{})
			}
		})
	}
}

func stairs(h float64) float64 { return 80 + 9*math.Min(math.Floor(h/2), 5) }

// TestMetamorphicDrawn: whatever shape, time of day, size and limit are drawn,
// an agent five minutes times n later sees the same leak n times later, and
// memory twice the size under twice the limit and floors the same at twice
// the rate, and one whose processes hold more the same. Powers of two, so that rounding is no excuse.
func TestMetamorphicDrawn(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		kinds := map[string]func(h, size, pace float64) float64{
			"leak":    func(h, size, pace float64) float64 { return size + pace*h },
			"warm-up": func(h, size, pace float64) float64 { return size + 12*pace*(1-math.Exp(-h/3)) },
			"cache":   func(h, size, pace float64) float64 { return size + 2*pace*math.Mod(h, 1+pace) },
			"stairs":  func(h, size, pace float64) float64 { return size + pace*stairs(h)/9 },
			"step":    func(h, size, pace float64) float64 { return size + 8*pace*boolFloat(h > 2*pace) },
		}
		kind := rapid.SampledFrom([]string{"leak", "warm-up", "cache", "stairs", "step"}).Draw(rt, "kind")
		start, pace := rapid.Float64Range(20, 300).Draw(rt, "MiB"), rapid.Float64Range(0.2, 12).Draw(rt, "MiB an hour")
		w := node(rapid.Float64Range(2, 30).Draw(rt, "hours"), noisy(0.3, func(h float64) float64 { return kinds[kind](h, start, pace) }))
		w.Limit = Limit{Bytes: rapid.Float64Range(200, 2000).Draw(rt, "limit") * MiB, Source: "memory.max"}
		want := Judge(w, time.Time{}, Options{})

		shift := time.Duration(rapid.IntRange(-1000, 100_000).Draw(rt, "later")) * blockWidth
		later := change(w, func(_ int, s Sample) Sample { s.At = s.At.Add(shift); return s })
		for i := range later.Lives {
			later.Lives[i].Start = later.Lives[i].Start.Add(shift)
		}
		if diff := cmp.Diff(told(want, shift, 1), told(Judge(later, time.Time{}, Options{}), 0, 1)); diff != "" {
			rt.Errorf("%v later: %s", shift, diff)
		}

		times := math.Ldexp(1, rapid.IntRange(-6, 6).Draw(rt, "doublings"))
		sized := change(w, func(_ int, s Sample) Sample {
			s.RSS, s.PSS, s.USS, s.Swap = times*s.RSS, times*s.PSS, times*s.USS, times*s.Swap
			return s
		})
		sized.Limit.Bytes *= times
		if diff := cmp.Diff(told(want, 0, times), told(Judge(sized, time.Time{}, Options{Scale: times}), 0, 1), cmpopts.EquateApprox(1e-9, 0)); diff != "" {
			rt.Errorf("%v times the size: %s", times, diff)
		}

		// What every process holds beside its growth is no part of it, where no limit is near.
		more := float64(rapid.IntRange(0, 4000).Draw(rt, "more MiB")) * MiB
		w.Limit = Limit{}
		alone, heavier := told(Judge(w, time.Time{}, Options{}), 0, 1), told(Judge(change(w, func(_ int, s Sample) Sample { return add(s, more) }), time.Time{}, Options{}), 0, 1)
		heavier["footprint"] = heavier["footprint"].(float64) - more*float64(len(w.Lives))
		if diff := cmp.Diff(alone, heavier, cmpopts.EquateApprox(1e-6, 0), cmpopts.EquateApproxTime(time.Second)); diff != "" {
			rt.Errorf("%s more in every process: %s", size(more), diff)
		}
	})
}

// told is what a verdict says, moved in time and sized.
func told(v Verdict, shift time.Duration, times float64) map[string]any {
	out := map[string]any{"kind": v.Kind, "reason": v.Reason, "confidence": v.Confidence, "footprint": times * v.Footprint}
	if v.Rate != nil {
		out["rate"] = []float64{times * v.Rate.Low, times * v.Rate.Value, times * v.Rate.High}
	}
	if v.Onset != nil {
		out["onset"] = v.Onset.Add(shift)
	}
	if v.HoursNeeded != nil {
		out["needed"] = *v.HoursNeeded
	}
	if v.Exhaustion != nil {
		out["runs out"] = v.Exhaustion.Expected.Add(shift).Round(time.Millisecond)
	}
	return out
}
