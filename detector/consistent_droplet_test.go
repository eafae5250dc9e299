package detector_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/dropleak/dropleak/detector"
	"github.com/dropleak/dropleak/detector/synth"
)

// hostContradicts names what in a droplet's verdict contradicts itself or the
// verdicts on its workers, "" for nothing.
func hostContradicts(v detector.DropletVerdict, workers []detector.Verdict, names []string, at time.Time) string {
	left := 1.0
	for _, s := range v.Workers {
		left -= s.Share.Value
		for i, w := range workers {
			if names[i] == s.Name && w.Kind == detector.Leak && s.Share.Value > 0.5 && v.Rate != nil && v.Rate.Value > 0 && v.Kind != detector.Leak {
				return "a worker leaks most of the growth, its droplet does not"
			}
		}
	}
	for _, s := range append(append([]detector.Share{}, v.Workers...), v.Others...) {
		if s.Share.Low < 0 || s.Share.Low > s.Share.Value || s.Share.Value > s.Share.High || s.Share.High > 1 {
			return "a share beside its interval"
		}
	}
	switch leak := v.Kind == detector.Leak; {
	case v.Kind == detector.LeakMasked || leak != (v.Reason == detector.ReasonLeak):
		return "a kind that does not fit its reason"
	case leak != (v.Onset != nil) || leak && (v.Rate == nil || v.Exhaustion == nil || v.Onset.After(at)):
		return "a leak without its numbers, or numbers without a leak"
	case leak && v.Exhaustion.Earliest.After(v.Exhaustion.Expected):
		return "an interval beside its time"
	case (v.Kind == detector.Unsure) != (v.HoursNeeded != nil && *v.HoursNeeded > 0):
		return "unsure for ever, or sure and waiting"
	case v.MinDetectable == nil || *v.MinDetectable <= 0:
		return "blind to nothing"
	case v.Suspect != "" && (!leak || v.Suspect != v.Others[0].Name || left <= 0.3):
		return "somebody is suspected without need"
	case v.Unexplained < 0 || v.Unexplained > 1 || v.Confidence <= 0 || v.Confidence > 1:
		return "a share or confidence that is none"
	case len(v.Evidence) == 0 || strings.Contains(strings.Join(v.Evidence, " "), "NaN"):
		return "no words"
	}
	return ""
}

// TestDropletsAgree: what is said of a droplet contradicts neither itself nor
// its workers' verdicts; page cache that fills and a database that warms are
// no leak at the end and at all but one of their looks, and most leaks are one.
func TestDropletsAgree(t *testing.T) {
	t.Parallel()
	leaks, found, accused := 0, 0, 0
	for _, f := range synth.DropletFamilies() {
		for seed := uint64(960_000); seed < 960_003; seed++ {
			c := f.Make(seed, synth.Params{Every: 4 * time.Minute})
			start := c.Droplet.Available[0].At
			var v detector.DropletVerdict
			for _, tenth := range []time.Duration{1, 3, 6, 10} {
				at := start.Add(c.At.Sub(start) * tenth / 10)
				var vs []detector.Verdict
				var names []string
				for _, w := range c.Workers {
					vs, names = append(vs, detector.Judge(w, at, detector.Options{})), append(names, w.Name)
				}
				v = detector.JudgeDroplet(c.Droplet, c.Workers, vs, at, detector.Options{})
				if wrong := hostContradicts(v, vs, names, at); wrong != "" {
					t.Errorf("%s %d at %d/10: %s: %+v", f.Name, seed, tenth, wrong, v)
				}
				if !f.Leaks && v.Kind.Leaks() {
					accused++
					t.Logf("%s (%s) %d at %d/10: %v", f.Name, f.Text, seed, tenth, v.Evidence)
				}
			}
			if !f.Leaks && v.Kind.Leaks() {
				t.Errorf("%s (%s) %d at the end: %v", f.Name, f.Text, seed, v.Evidence)
			}
			if f.Leaks {
				leaks++
				if v.Kind.Leaks() {
					found++
				}
			}
		}
	}
	t.Logf("%d of %d leaking droplets found at the last look", found, leaks)
	if found < leaks*3/4 || accused > 1 {
		t.Errorf("%d of %d leaking droplets found, healthy ones accused at %d of 36 looks", found, leaks, accused)
	}
}

// TestPatienceWithDroplets: page cache and warm buffers look like a leak at a
// look or two of the first day. Who is patient leaves that open, unless memory
// is about to run out, and finds what grows on.
func TestPatienceWithDroplets(t *testing.T) {
	t.Parallel()
	families := synth.DropletFamilies()
	judge := func(family string, seed uint64, tenth time.Duration, room float64, patience time.Duration) detector.DropletVerdict {
		c := families[slices.IndexFunc(families, func(f synth.DropletFamily) bool { return f.Name == family })].Make(seed, synth.Params{})
		start := c.Droplet.Available[0].At
		at := start.Add(c.At.Sub(start) * tenth / 10)
		var last float64
		for _, p := range c.Droplet.Available {
			if !p.At.After(at) {
				last = p.V
			}
		}
		if room > 0 {
			for i := range c.Droplet.Available {
				c.Droplet.Available[i].V += room - last
			}
		}
		return detector.JudgeDroplet(c.Droplet, nil, nil, at, detector.Options{Patience: patience})
	}
	if v := judge("dh2", 410_007, 4, 0, 0); v.Kind != detector.Leak {
		t.Fatalf("one look is not fooled: %s, %v", v.Kind, v.Evidence)
	}
	v := judge("dh2", 410_007, 4, 0, 3*time.Hour)
	if v.Kind != detector.Unsure || v.HoursNeeded == nil || *v.HoursNeeded > 3 || !strings.Contains(strings.Join(v.Evidence, " "), "looks like a leak") {
		t.Errorf("%s, %v", v.Kind, v.Evidence)
	}
	if v := judge("dh2", 410_007, 4, 8<<20, 3*time.Hour); v.Kind != detector.Leak || v.Exhaustion == nil {
		t.Errorf("with 8 MiB left: %s, %v", v.Kind, v.Evidence)
	}
	if v := judge("dl4", 410_003, 10, 0, 3*time.Hour); v.Kind != detector.Leak {
		t.Errorf("a leak at its end: %s, %v", v.Kind, v.Evidence)
	}
}
