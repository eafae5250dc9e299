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
	told, inside                                         int // times to exhaustion, and those whose interval held the truth
	sure, right                                          int // verdicts with confidence 0.9 and more
}

// judgeFamily plays seeds from..from+n-1 of a family and judges each at every
// tenth of its window.
func judgeFamily(f synth.Family, from, n int) score {
	var s score
	for seed := from; seed < from+n; seed++ {
		c := f.Make(uint64(seed), synth.Params{Every: 4 * time.Minute})
		start := firstSample(c.Worker)
		alarmed, bad := false, false
		var v detector.Verdict
		for k := 1; k <= 10; k++ {
			at := start.Add(c.At.Sub(start) * time.Duration(k) / 10)
			v = detector.Judge(c.Worker, at, detector.Options{})
			s.weigh(c, f.Leaks && at.After(c.Truth.Onset), at, v)
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

// weigh counts how often the numbers of a verdict held.
func (s *score) weigh(c synth.Case, leaks bool, at time.Time, v detector.Verdict) {
	if v.Kind != detector.Unsure && v.Confidence >= 0.9 {
		s.sure++
		if v.Kind.Leaks() == leaks {
			s.right++
		}
	}
	if e := v.Exhaustion; e != nil && leaks && c.Truth.Exhausts.After(at) && at.Sub(c.Truth.Onset) > 12*time.Hour {
		s.told++
		if !c.Truth.Exhausts.Before(e.Earliest) && (e.Latest.IsZero() || !c.Truth.Exhausts.After(e.Latest)) {
			s.inside++
		}
	}
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
	var leaks, found, healthy, accused, told, inside, sure, right int
	for _, f := range synth.Families() {
		s := judgeFamily(f, 1, n)
		slices.Sort(s.delay)
		med := math.NaN()
		if len(s.delay) > 0 && f.Leaks {
			med = s.delay[len(s.delay)/2]
		}
		told, inside, sure, right = told+s.told, inside+s.inside, sure+s.sure, right+s.right
		if f.Leaks {
			leaks, found = leaks+s.cases, found+s.alarmed
		} else {
			healthy, accused = healthy+s.cases, accused+s.alarmed
		}
		t.Logf("%-4s %-60s %3d cases, %3d alarmed (%d before onset), %3d at the end, %d unsure, %d odd reasons, median delay %.1f h, wrong seeds %v",
			f.Name, f.Text, s.cases, s.alarmed, s.wrongKind, s.last, s.unsure, s.wrongReason, med, s.seeds)
	}
	t.Logf("leaks found %d of %d, healthy accused %d of %d", found, leaks, accused, healthy)
	t.Logf("time to exhaustion inside its interval %d of %d; verdicts with confidence 0.9 and more right %d of %d", inside, told, right, sure)
	if float64(inside) < 0.75*float64(told) {
		t.Errorf("the interval held %d of %d times to exhaustion", inside, told)
	}
	if float64(right) < 0.9*float64(sure) {
		t.Errorf("of %d sure verdicts only %d were right", sure, right)
	}
	if float64(found) < 0.9*float64(leaks) {
		t.Errorf("found %d of %d leaks", found, leaks)
	}
	if float64(accused) > 0.15*float64(healthy) {
		t.Errorf("accused %d of %d healthy workers", accused, healthy)
	}
}

// lookAt plays a case and judges it at that tenth of its window.
func lookAt(t *testing.T, family string, seed uint64, tenth int) detector.Verdict {
	t.Helper()
	return lookOf(t, family, seed, tenth, 10)
}

// lookOf plays a case and judges it at the k-th of n looks.
func lookOf(t *testing.T, family string, seed uint64, k, n int) detector.Verdict {
	t.Helper()
	for _, f := range synth.Families() {
		if f.Name == family {
			c := f.Make(seed, synth.Params{})
			start := firstSample(c.Worker)
			return detector.Judge(c.Worker, start.Add(c.At.Sub(start)*time.Duration(k)/time.Duration(n)), detector.Options{})
		}
	}
	t.Fatalf("no family %s", family)
	return detector.Verdict{}
}

// TestPassingGrowth judges growth that was once called a leak at that look
// and was none: warm-ups, load on its way up, stairs. And leaks that were
// once put off at their first look although nothing spoke for a warm-up.
func TestPassingGrowth(t *testing.T) {
	for _, k := range []struct {
		family string
		seed   uint64
		tenth  int
	}{
		{"h2", 20035, 2}, {"h12", 20021, 1}, {"h12", 20049, 1}, {"h15", 20040, 1}, {"h15", 20050, 1}, {"h4", 20024, 2}, {"h4", 20040, 2},
		{"h4", 20053, 3}, {"h10", 20030, 8}, {"h10", 20050, 9}, {"h19", 20050, 1}, {"h19", 20055, 8},
		{"h4", 31000, 3}, {"h4", 31020, 2}, {"h4", 31049, 2}, {"h4", 31055, 1}, {"h4", 31060, 2}, {"h10", 31069, 4}, {"h12", 31032, 1},
	} {
		if v := lookAt(t, k.family, k.seed, k.tenth); v.Kind.Leaks() {
			t.Errorf("%s %d at %d/10: %s, %v", k.family, k.seed, k.tenth, v.Kind, v.Evidence)
		}
	}
	for family, seed := range map[string]uint64{"l1": 20019, "l4": 20017, "l15": 20008} {
		if v := lookAt(t, family, seed, 1); !v.Kind.Leaks() {
			t.Errorf("%s %d at its first look: %s (%s), %v", family, seed, v.Kind, v.Reason, v.Evidence)
		}
	}
}

// TestDoubtfulGrowth judges growth that passed every gate narrowly at that of
// twenty looks and was none: noise near a walk, a mix, the slope of a cycle.
// It is left open, and the verdict says for how long.
func TestDoubtfulGrowth(t *testing.T) {
	for _, k := range []struct {
		family string
		seed   uint64
		look   int
	}{
		{"h9", 100038, 7}, {"h19", 100046, 7}, {"h4", 100049, 4}, {"h4", 100049, 5},
	} {
		v := lookOf(t, k.family, k.seed, k.look, 20)
		if v.Kind.Leaks() {
			t.Errorf("%s %d at %d/20: %s, %v", k.family, k.seed, k.look, v.Kind, v.Evidence)
		}
		if v.Kind == detector.Unsure && (v.HoursNeeded == nil || *v.HoursNeeded <= 0) {
			t.Errorf("%s %d at %d/20: unsure for nobody knows how long", k.family, k.seed, k.look)
		}
	}
}
