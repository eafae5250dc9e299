package detector_test

import (
	"math"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/dropleak/dropleak/detector"
	"github.com/dropleak/dropleak/detector/synth"
)

// score counts a family's cases.
type score struct {
	cases, alarmed, last, unsure, wrongReason, wrongKind int
	delay                                                []float64
	seeds                                                []uint64
}

// judgeFamily plays seeds from..from+n-1 of a family and judges each at every
// tenth of its window.
func judgeFamily(f synth.Family, from, n int) score {
	var s score
	for seed := from; seed < from+n; seed++ {
		c := f.Make(uint64(seed), synth.Params{Every: 2 * time.Minute})
		start := firstSample(c.Worker)
		alarmed, bad := false, false
		var v detector.Verdict
		for k := 1; k <= 10; k++ {
			at := start.Add(c.At.Sub(start) * time.Duration(k) / 10)
			v = detector.Judge(c.Worker, at, detector.Options{})
			if v.Kind.Leaks() && !alarmed {
				alarmed = true
				if f.Leaks && at.Before(c.Truth.Onset) {
					bad = true
				}
				s.delay = append(s.delay, at.Sub(c.Truth.Onset).Hours())
			}
		}
		s.cases++
		if alarmed {
			s.alarmed++
		}
		if bad {
			s.wrongKind++
		}
		if v.Kind.Leaks() {
			s.last++
		}
		if v.Kind == detector.Unsure {
			s.unsure++
		}
		if !slices.Contains(c.Truth.Reasons, v.Reason) {
			s.wrongReason++
		}
		if alarmed != f.Leaks {
			s.seeds = append(s.seeds, uint64(seed))
		}
	}
	return s
}

func firstSample(w detector.Worker) time.Time {
	first := w.Lives[0].Samples[0].At
	for _, l := range w.Lives {
		if len(l.Samples) > 0 && l.Samples[0].At.Before(first) {
			first = l.Samples[0].At
		}
	}
	return first
}

// TestSynth judges made series of every family as alerts come and holds
// floors below what it reaches today. DROPLEAK_SYNTH_N asks for more seeds.
func TestSynth(t *testing.T) {
	n := 1
	if s := os.Getenv("DROPLEAK_SYNTH_N"); s != "" {
		n, _ = strconv.Atoi(s)
	}
	var leaks, found, healthy, accused int
	for _, f := range synth.Families() {
		s := judgeFamily(f, 1, n)
		slices.Sort(s.delay)
		med := math.NaN()
		if len(s.delay) > 0 && f.Leaks {
			med = s.delay[len(s.delay)/2]
		}
		if f.Leaks {
			leaks, found = leaks+s.cases, found+s.alarmed
		} else {
			healthy, accused = healthy+s.cases, accused+s.alarmed
		}
		t.Logf("%-4s %-60s %3d cases, %3d alarmed (%d before onset), %3d at the end, %d unsure, %d odd reasons, median delay %.1f h, wrong seeds %v",
			f.Name, f.Text, s.cases, s.alarmed, s.wrongKind, s.last, s.unsure, s.wrongReason, med, s.seeds)
	}
	t.Logf("leaks found %d of %d, healthy accused %d of %d", found, leaks, accused, healthy)
	if float64(found) < 0.9*float64(leaks) {
		t.Errorf("found %d of %d leaks", found, leaks)
	}
	if float64(accused) > 0.15*float64(healthy) {
		t.Errorf("accused %d of %d healthy workers", accused, healthy)
	}
}
