package detector_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dropleak/dropleak/detector"
	"github.com/dropleak/dropleak/detector/synth"
)

// contradicts names what in a worker's verdict contradicts itself, "" for
// nothing. What has ended, or is held at its ceiling, has no rate, and nor has
// a pool that recycling holds down.
func contradicts(w detector.Worker, v detector.Verdict, at time.Time) string {
	leaks := func(p detector.ProcessVerdict) bool { return p.Kind == detector.Leak && alive(w, p, at) }
	parent := func(p detector.ProcessVerdict) bool { return leaks(p) && p.Role == detector.RoleParent }
	some := slices.ContainsFunc(v.Processes, leaks)
	switch {
	case some && !v.Kind.Leaks():
		return "a process leaks, its worker does not"
	case v.Kind == detector.LeakMasked && v.Reason != detector.ReasonRecycled:
		return "hidden by something other than recycling"
	case v.Reason == detector.ReasonLeakingParent && !slices.ContainsFunc(v.Processes, parent):
		return "the parent leaks, and it is not among the processes that do"
	case v.Kind == detector.Leak && v.Reason != detector.ReasonThrottled && (v.Rate == nil || v.Onset == nil):
		return "a leak without rate or onset"
	case v.Kind.Leaks() && v.HoursNeeded != nil:
		return "a leak that waits for more hours"
	case v.Kind == detector.Unsure && v.HoursNeeded == nil:
		return "unsure for ever"
	case v.Kind == detector.Healthy && (v.Exhaustion != nil && v.Reason != detector.ReasonThreshold || v.HoursNeeded != nil):
		return "healthy, and memory runs out or hours are missing"
	case v.Rate != nil && !(v.Rate.Low <= v.Rate.Value && v.Rate.Value <= v.Rate.High):
		return "an interval beside its value"
	case v.Onset != nil && v.Onset.After(at):
		return "an onset to come"
	case v.Confidence < 0 || v.Confidence > 1 || len(v.Evidence) == 0 || strings.Contains(strings.Join(v.Evidence, " "), "NaN"):
		return "no confidence or no words"
	}
	return ""
}

// alive reports whether a process still ran shortly before a moment.
func alive(w detector.Worker, p detector.ProcessVerdict, at time.Time) bool {
	return slices.ContainsFunc(w.Lives, func(l detector.Life) bool {
		return l.PID == p.PID && l.Start.Equal(p.Start) && slices.ContainsFunc(l.Samples, func(s detector.Sample) bool {
			return !s.At.After(at) && at.Sub(s.At) < 10*time.Minute
		})
	})
}

// TestVerdictsAgree: over every family and at every look, what is said of
// processes, pool and worker does not contradict itself.
func TestVerdictsAgree(t *testing.T) {
	t.Parallel()
	leaking := 0
	for _, f := range synth.Families() {
		for seed := uint64(410_000); seed < 410_002; seed++ {
			c := f.Make(seed, synth.Params{})
			first := firstSample(c.Worker)
			for k, v := range cuts(c) {
				at := first.Add(c.At.Sub(first) * time.Duration(k+1) / 10)
				if wrong := contradicts(c.Worker, v, at); wrong != "" {
					t.Errorf("%s %d, look %d: %s: %s (%s) %v %v", f.Name, seed, k, wrong, v.Kind, v.Reason, v.Processes, v.Evidence)
				}
				if v.Kind.Leaks() {
					leaking++
				}
			}
		}
	}
	if leaking < 100 {
		t.Errorf("only %d looks saw a leak", leaking)
	}
}
