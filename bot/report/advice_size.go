package report

import (
	"fmt"
	"math"
	"slices"
	"time"

	"github.com/dropleak/dropleak/detector"
)

// sizes are what a prefork pool holds once its processes have warmed up,
// before anything grew. Bytes; 0 where it was not measured.
type sizes struct {
	children  int     // alive now
	settled   float64 // resident size of a settled child, the median over children
	own       float64 // PSS and swap of a settled child, the median over children
	parent    float64 // resident size of the parent now
	parentOwn float64 // PSS and swap of the parent now
	spike     float64 // the most a child rose for a moment and gave back
	apart     time.Duration
	whole     bool // settled children were seen from their start on
}

// sizesOf measures a pool. The settled size of a leaking child counts for
// whole only if its beginning was seen: later it holds what leaked.
func sizesOf(w detector.Worker, leaks bool) (s sizes) {
	newest := newestSample(w)
	var resident, own []float64
	early := true
	for _, l := range w.Lives {
		n := len(l.Samples)
		if n == 0 {
			continue
		}
		alive := newest.Sub(l.Samples[n-1].At) <= 5*time.Minute
		switch {
		case l.Role == detector.RoleParent && alive:
			s.parent, s.parentOwn = lastOf(l.Samples, residentOf), lastOf(l.Samples, ownOf)
		case l.Role == detector.RoleChild:
			if alive {
				s.children++
			}
			part := settledPart(l.Samples)
			if r := medianOf(part, residentOf); r > 0 {
				resident = append(resident, r)
				early = early && !l.Start.IsZero() && l.Samples[0].At.Sub(l.Start) <= 10*time.Minute
			}
			if o := medianOf(part, ownOf); o > 0 {
				own = append(own, o)
			}
			s.spike = math.Max(s.spike, spikeOf(l.Samples))
			s.apart = max(s.apart, l.Samples[n-1].At.Sub(l.Samples[0].At)/time.Duration(max(n-1, 1)))
		}
	}
	s.settled, s.own, s.whole = middle(resident), middle(own), early || !leaks
	return s
}

// steady is what the settled pool holds together: of PSS where it was
// measured, else of resident sizes.
func (s sizes) steady() float64 {
	if s.own > 0 && s.parentOwn > 0 {
		return s.parentOwn + float64(s.children)*s.own
	}
	return s.parent + float64(s.children)*s.settled
}

func (s sizes) metric() string {
	if s.own > 0 && s.parentOwn > 0 {
		return saysPSSAndSwap
	}
	return saysResident
}

func (s sizes) who() string {
	if s.children == 1 {
		return saysParentAndChild
	}
	return fmt.Sprintf(saysParentAndChildren, s.children)
}

// seenFrom warns where the settled size may hold leaked memory already.
func (s sizes) seenFrom() string {
	if s.whole {
		return ""
	}
	return saysSeenLate
}

// peaks says what readings cannot show of the peak that Celery compares.
func (s sizes) peaks() string {
	if s.apart < time.Second {
		return ""
	}
	return fmt.Sprintf(saysPeaksMissed, Duration(s.apart))
}

func newestSample(w detector.Worker) (at time.Time) {
	for _, l := range w.Lives {
		if n := len(l.Samples); n > 0 && l.Samples[n-1].At.After(at) {
			at = l.Samples[n-1].At
		}
	}
	return at
}

// settledPart is the stretch of a life after its start-up (a twelfth of it,
// an hour at most) and twice as long; nil for lives under half an hour.
func settledPart(samples []detector.Sample) []detector.Sample {
	first, last := samples[0].At, samples[len(samples)-1].At
	if last.Sub(first) < 30*time.Minute {
		return nil
	}
	warm := min(last.Sub(first)/12, time.Hour)
	from := slices.IndexFunc(samples, func(x detector.Sample) bool { return !x.At.Before(first.Add(warm)) })
	to := slices.IndexFunc(samples, func(x detector.Sample) bool { return x.At.After(first.Add(3 * warm)) })
	if from < 0 || to <= from {
		return nil
	}
	return samples[from:to]
}

func residentOf(x detector.Sample) float64 { return x.RSS }

// ownOf is a process's own share of memory, with what of it is swapped out.
func ownOf(x detector.Sample) float64 {
	if x.Swap > 0 {
		return x.PSS + x.Swap
	}
	return x.PSS
}

// lastOf returns the newest measured value, 0 for none.
func lastOf(samples []detector.Sample, of func(detector.Sample) float64) float64 {
	for _, x := range slices.Backward(samples) {
		if v := of(x); v > 0 { // NaN is not
			return v
		}
	}
	return 0
}

func medianOf(samples []detector.Sample, of func(detector.Sample) float64) float64 {
	var vs []float64
	for _, x := range samples {
		if v := of(x); v > 0 {
			vs = append(vs, v)
		}
	}
	return middle(vs)
}

// middle is the median, the lower one of an even number; 0 of none.
func middle(vs []float64) float64 {
	if len(vs) == 0 {
		return 0
	}
	vs = slices.Sorted(slices.Values(vs))
	return vs[(len(vs)-1)/2]
}

// spikeOf is how far the highest reading stands above the median of the five
// around it: what a task takes and gives back.
func spikeOf(samples []detector.Sample) (most float64) {
	for i := 2; i+2 < len(samples); i++ {
		if over := samples[i].RSS - medianOf(samples[i-2:i+3], residentOf); over > most {
			most = over
		}
	}
	return most
}
