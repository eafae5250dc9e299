package detector

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"
)

// creep is a process read every five minutes that grows by rate bytes an hour
// with a scatter of sigma bytes.
func creep(hours, rate, sigma float64, seed uint64) curve {
	r := rand.New(rand.NewPCG(seed, 1))
	var c curve
	for i := range int(hours * 12) {
		h := float64(i) / 12
		c.t = append(c.t, h)
		c.lo = append(c.lo, 100*MiB+rate*h+sigma*r.NormFloat64())
		c.cpu = append(c.cpu, 36*h)
	}
	return c
}

// TestPatience looks every hour at growth of doubtful strength: who is patient
// is told of a leak where it is beyond doubt, or where the same was said an
// hour and two hours before, and else for how long it has to stand.
func TestPatience(t *testing.T) {
	hasty, patient := Options{}.defaults(), Options{Patience: 2 * time.Hour}.defaults()
	waited, said, atOnce := 0, 0, 0
	for seed := range uint64(40) {
		c := creep(14, 1.6*MiB, (0.1+0.02*float64(seed))*MiB, seed)
		look := func(h float64, th thresholds) opinion {
			return assess(c.until(h), setting{age: h, quiet: math.NaN(), lag: 1, odds: 1}, th)
		}
		for h := 3.0; h < 14; h++ {
			now, then := look(h, hasty), look(h, patient)
			certain := now.kind == Leak && now.certainty(setting{age: h}, hasty) >= hasty.sureAlone
			before, long := look(h-1, hasty).kind == Leak, look(h-2, hasty).kind == Leak
			switch {
			case now.kind != Leak:
				if then.kind != now.kind || then.reason != now.reason {
					t.Errorf("seed %d at %.0f h: patience makes %s (%s) of %s (%s)", seed, h, then.kind, then.reason, now.kind, now.reason)
				}
			case certain || before && long:
				if said++; certain && !before {
					atOnce++
				}
				if then.kind != Leak {
					t.Errorf("seed %d at %.0f h: a leak that has stood is %s (%s)", seed, h, then.kind, then.reason)
				}
			default:
				waited++
				need := 2.0
				if before {
					need = 1
				}
				if then.kind != Unsure || !then.fresh || then.need != need {
					t.Errorf("seed %d at %.0f h: a leak since a moment is %s for %v h, want unsure for %v", seed, h, then.kind, then.need, need)
				}
			}
		}
	}
	if waited < 5 || said < 5 || atOnce < 1 {
		t.Errorf("%d looks had to wait, %d did not, %d for being beyond doubt: the growth is not of doubtful strength", waited, said, atOnce)
	}
}
