package watch_test

import (
	"slices"
	"testing"
	"time"

	"github.com/dropleak/dropleak/detector"
	"github.com/dropleak/dropleak/detector/synth"
)

// TestAMomentIsNotEnough: bounded caches that fill in a straight line look like
// leaks for an hour. Whoever looks every hour for months would be woken by
// each; a scan waits until it has stood.
func TestAMomentIsNotEnough(t *testing.T) {
	families := synth.Families()
	cache := families[slices.IndexFunc(families, func(f synth.Family) bool { return f.Name == "h7" })]
	for _, seed := range []uint64{310013, 310033, 310041} {
		c := cache.Make(seed, synth.Params{})
		c.Worker.Name, c.Worker.Droplet = "mailer", web.ID
		b, fooled := newBed(t, c.Worker), 0
		first := c.Worker.Lives[0].Samples[0].At
		for at := first.Add(hours(3)); at.Before(first.Add(hours(9))); at = at.Add(time.Hour) {
			if detector.Judge(c.Worker, at, detector.Options{}).Kind.Leaks() {
				fooled++
			}
			if told := b.scan(at); told != "" {
				t.Errorf("%d: %v after the start told %q", seed, at.Sub(first), told)
			}
		}
		if fooled == 0 {
			t.Errorf("%d: no single look was fooled: the case shows nothing", seed)
		}
	}
}

// TestAnOpenFindingIsNotWaitedWith: once somebody was woken, what is seen of
// the leak is told as it is seen, also after a look that saw none.
func TestAnOpenFindingIsNotWaitedWith(t *testing.T) {
	families := synth.Families()
	c := families[slices.IndexFunc(families, func(f synth.Family) bool { return f.Name == "l14" })].Make(410005, synth.Params{})
	c.Worker.Name, c.Worker.Droplet = "mailer", web.ID
	b, open, hidden := newBed(t, c.Worker), false, 0
	for at := c.Worker.Lives[0].Samples[0].At.Add(hours(3)); hidden < 2 && at.Before(c.At); at = at.Add(time.Hour) {
		told := b.scan(at)
		if open && detector.Judge(c.Worker, at, detector.Options{}).Kind.Leaks() {
			if told == "" {
				t.Errorf("the leak was seen at %v, and nothing told", at)
			}
			if !detector.Judge(c.Worker, at, detector.Options{Patience: 3 * time.Hour}).Kind.Leaks() {
				hidden++
			}
		}
		open = open || told != ""
	}
	if hidden == 0 {
		t.Error("patience would have hidden nothing: the case shows nothing")
	}
}

// TestAMomentIsNotEnoughOfADroplet: page cache that fills is no leak, whatever
// one look says.
func TestAMomentIsNotEnoughOfADroplet(t *testing.T) {
	families := synth.DropletFamilies()
	c := families[slices.IndexFunc(families, func(f synth.DropletFamily) bool { return f.Name == "dh2" })].Make(410_007, synth.Params{})
	start := c.Droplet.Available[0].At
	at := start.Add(c.At.Sub(start) * 4 / 10)
	if v := detector.JudgeDroplet(c.Droplet, nil, nil, at, detector.Options{}); !v.Kind.Leaks() {
		t.Fatalf("one look is not fooled: %v", v.Evidence)
	}
	b := newBed(t)
	b.droplets[web.ID] = c.Droplet
	b.scan(at)
	v, err := b.w.Look(t.Context(), web, at)
	if err != nil || v.Verdict.Kind != detector.Unsure || v.Verdict.HoursNeeded == nil {
		t.Errorf("%s, %v, %v", v.Verdict.Kind, v.Verdict.Evidence, err)
	}
}
