package detector

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// creep is a process read every five minutes that grows by rate bytes an hour
// with a scatter of sigma bytes, about a wave as high every two hours.
func creep(hours, rate, sigma float64, seed uint64) curve {
	r := rand.New(rand.NewPCG(seed, 1))
	var c curve
	for i := range int(hours * 12) {
		h := float64(i) / 12
		c.t = append(c.t, h)
		c.lo = append(c.lo, 100*MiB+rate*h+sigma*(r.NormFloat64()+math.Sin(math.Pi*h)))
		c.cpu = append(c.cpu, 36*h)
	}
	return c
}

// TestPatience looks every hour at growth of doubtful strength: who is patient
// is told of a leak where it is beyond doubt, or where two of the last four
// looks said the same, and else for how long it has to stand.
func TestPatience(t *testing.T) {
	hasty, patient := Options{}.defaults(), Options{Patience: 2 * time.Hour}.defaults()
	waited, said, flickered, atOnce := 0, 0, 0, 0
	for seed := range uint64(40) {
		c := creep(14, 1.6*MiB, (0.1+0.02*float64(seed))*MiB, seed)
		look := func(h float64, th thresholds) opinion {
			return assess(c.until(h), setting{age: h, quiet: math.NaN(), lag: 1, odds: 1}, th)
		}
		for h := 3.0; h < 14; h++ {
			now, then := look(h, hasty), look(h, patient)
			if now.kind != Leak {
				if then.kind != now.kind || then.reason != now.reason {
					t.Errorf("seed %d at %.0f h: patience makes %s (%s) of %s (%s)", seed, h, then.kind, then.reason, now.kind, now.reason)
				}
				continue
			}
			looks, inRow := 0.0, true
			for back := 1.0; back <= 4; back++ {
				if look(h-back, hasty).kind == Leak {
					looks++
				} else if back <= 2 {
					inRow = false
				}
			}
			switch certain := now.certainty(setting{age: h}, hasty) >= hasty.sureAlone; {
			case certain || looks >= 2:
				said++
				if certain && looks == 0 {
					atOnce++
				}
				if !certain && !inRow {
					flickered++
				}
				if then.kind != Leak {
					t.Errorf("seed %d at %.0f h: a leak that has stood is %s (%s)", seed, h, then.kind, then.reason)
				}
			default:
				waited++
				if need := 2 - looks; then.kind != Unsure || !then.fresh || then.need != need {
					t.Errorf("seed %d at %.0f h: a leak since a moment is %s for %v h, want unsure for %v", seed, h, then.kind, then.need, need)
				}
			}
		}
	}
	if waited < 5 || said < 5 || atOnce < 1 || flickered < 1 {
		t.Errorf("%d looks had to wait, %d did not, %d for being beyond doubt and %d although one between had said nothing: the growth is not of doubtful strength", waited, said, atOnce, flickered)
	}
}

// TestPatienceIsOver: of growth that stands at a ceiling there is nothing to
// wait for.
func TestPatienceIsOver(t *testing.T) {
	w := node(14, noisy(2, func(h float64) float64 { return 80 + 1.5*h }))
	b := &bench{sum: Summarize(w, Options{}), th: Options{Patience: 2 * time.Hour}.defaults(), room: arenas.Get().(*arena)}
	if !b.open(at(14)) {
		t.Fatal("nothing to judge")
	}
	all, waited := b.steady(), 0
	for i, y := range all.lo {
		below := all.slice(0, i)
		if i < 36 || y <= slices.Max(below.lo) {
			continue
		}
		s := setting{age: below.span(), quiet: math.NaN()}
		leaks := assess(below, s, Options{}.defaults()).kind == Leak
		if leaks && assess(below, s, b.th).kind != Leak {
			waited++
		}
		if b.leakedBelow(y) != leaks {
			t.Errorf("at %.1f h it leaked: %v, told %v", all.t[i], leaks, !leaks)
		}
	}
	if waited == 0 {
		t.Error("no growth would have had to wait: the test shows nothing")
	}
}

// TestPatienceEndsAtTheLimit: growth that one look calls a leak and that has
// not stood yet waits while the limit is far, and does not where less than an
// hour would be left after that.
func TestPatienceEndsAtTheLimit(t *testing.T) {
	w := node(14, noisy(2, func(h float64) float64 { return 80 + 1.5*h }))
	waited := false
	for h := 3.0; h < 14; h += 0.5 {
		judge := func(limit float64, patience time.Duration) Verdict {
			w.Limit = Limit{Bytes: limit, Source: "memory.max"}
			return Judge(w, at(h), Options{Patience: patience})
		}
		far := judge(1<<30, 2*time.Hour)
		if judge(1<<30, 0).Kind != Leak || far.Kind == Leak {
			continue
		}
		waited = true
		if far.Kind != Unsure || *far.HoursNeeded > 2 {
			t.Errorf("at %.1f h with room it is %s for %v h", h, far.Kind, far.HoursNeeded)
		}
		if near := judge(far.Footprint+4*MiB, 2*time.Hour); near.Kind != Leak || near.Rate == nil || near.Exhaustion == nil || near.HoursNeeded != nil {
			t.Errorf("at %.1f h with room for less than three hours it is %s: %v", h, near.Kind, near.Evidence)
		}
		if edge := judge(far.Footprint+20*MiB, 2*time.Hour); edge.Kind != Unsure {
			t.Errorf("at %.1f h with room for ten hours it is %s", h, edge.Kind)
		}
	}
	if !waited {
		t.Error("no look had to wait: the test shows nothing")
	}
}

// TestNothingOfADropletIsBeyondDoubt: certainty was fitted to processes, so it
// neither puts a host's growth off nor spares it the waiting.
func TestNothingOfADropletIsBeyondDoubt(t *testing.T) {
	th := Options{Patience: 2 * time.Hour}.defaults().forDroplet(4 << 30)
	c := creep(9, 100*MiB, MiB/8, 1)
	s := setting{age: 9, quiet: math.NaN(), lag: 1, odds: 1}
	ofProcess := Options{}.defaults()
	sure := assess(c, s, ofProcess)
	if sure.kind != Leak || sure.certainty(s, th) < ofProcess.sureAlone {
		t.Fatalf("a process would not be beyond doubt: %s, certain at %.1f", sure.kind, sure.certainty(s, th))
	}
	if o := sure; !o.certain(s, th) || o.stood(c.until(2.6), s, th) >= th.patience {
		t.Errorf("certain: %v, stood for %.0f h of %.0f", o.certain(s, th), o.stood(c.until(2.6), s, th), th.patience)
	}
}
