package watch_test

import (
	"context"
	"math"
	"strings"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/history"
	"github.com/dropleak/dropleak/bot/store/storetest"
	"github.com/dropleak/dropleak/bot/watch"
	"github.com/dropleak/dropleak/detector"
	"github.com/dropleak/dropleak/detector/sample"
	"github.com/dropleak/dropleak/detector/synth"
)

// waiting are the counts that the probe would send of what a made parent held
// until its time.
func waiting(held []detector.Point, by time.Duration) []sample.Series {
	var counts []sample.OnHand
	for _, p := range held {
		counts = append(counts, sample.OnHand{At: p.At.Add(by).Truncate(time.Second), Droplet: web.ID, Worker: "mail", ETA: p.V})
	}
	return sample.EncodeOnHand(counts)
}

// TestBacklogOpensNoFinding: a main process that grows with the tasks that
// wait in it is a leak to who does not know their number. Where the probe
// counts them, no finding is opened, by scans and by looks alike.
func TestBacklogOpensNoFinding(t *testing.T) {
	c := synth.PilingUp().Make(700_003, synth.Params{Held: true})
	c.Worker.Name = "mail"
	now := time.Now().Truncate(time.Minute)
	by := now.Sub(c.At)
	for _, counted := range []bool{false, true} {
		h := history.New(storetest.Open(t, "sqlite:"+t.TempDir()), history.Options{})
		series := sent([]detector.Worker{moved(c.Worker, by)}, time.Time{}, now.Add(time.Second))
		if counted {
			series = append(series, waiting(c.Worker.Held, by)...)
		}
		if err := h.Write(t.Context(), series); err != nil {
			t.Fatal(err)
		}
		w := watch.New(watch.Options{Series: h, Findings: newBed(t).store, Fleet: func(context.Context) (watch.Fleet, error) {
			return watch.Fleet{Droplets: []watch.Droplet{web}, Listed: now}, nil
		}})
		s, err := w.Scan(t.Context(), now)
		if err != nil || len(s.Views) != 1 || len(s.Views[0].Verdicts) != 1 {
			t.Fatalf("%+v, %v", s, err)
		}
		sameView(t, w, s.Views[0])
		v := s.Views[0].Verdicts[0]
		if counted != (len(s.Changes) == 0) || counted != strings.Contains(strings.Join(v.Evidence, " "), "tasks that it holds until their time") {
			t.Errorf("counted %t: %d changes, %s", counted, len(s.Changes), v.Evidence)
		}
	}
}

// TestCountedLaterIsCured: a finding opened while nobody counted what waits in
// the worker ends once the counts are there and the backlog explains it.
func TestCountedLaterIsCured(t *testing.T) {
	c := synth.PilingUp().Make(cyclingBacklog, synth.Params{Held: true})
	c.Worker.Name = "mail"
	now := time.Now().Truncate(time.Minute)
	by := now.Sub(c.At)
	h := history.New(storetest.Open(t, "sqlite:"+t.TempDir()), history.Options{})
	w := watch.New(watch.Options{Series: h, Findings: newBed(t).store, Fleet: func(context.Context) (watch.Fleet, error) {
		return watch.Fleet{Droplets: []watch.Droplet{web}, Listed: now}, nil
	}})
	if err := h.Write(t.Context(), sent([]detector.Worker{moved(c.Worker, by)}, time.Time{}, now.Add(time.Second))); err != nil {
		t.Fatal(err)
	}
	told := map[watch.What]int{}
	counted := false
	for at := now.Add(-c.At.Sub(c.Worker.Lives[0].Samples[0].At)).Add(3 * time.Hour); at.Before(now); at = at.Add(time.Hour) {
		s, err := w.Scan(t.Context(), at)
		if err != nil {
			t.Fatal(err)
		}
		for _, change := range s.Changes {
			told[change.What]++
			t.Logf("%s: %s %s", at, change.What, change.Finding.Verdict.Evidence)
		}
		if !counted && told[watch.Opened] > 0 {
			counted = true
			if err := h.Write(t.Context(), waiting(c.Worker.Held, by)); err != nil {
				t.Fatal(err)
			}
		}
	}
	if told[watch.Opened] != 1 || told[watch.Resolved] != 1 {
		t.Errorf("changes %v", told)
	}
}

// cyclingBacklog is the seed of a backlog that looks like a leak, and is worked off in the end.
const cyclingBacklog = 700_000

// TestCountedLater: of a finding opened before anybody counted. It stays while
// the backlog climbs, since growth that goes on is no cure; where no sample has
// come since it was last seen, since silence is none; and in the middle of a
// run. It ends, hours later, where the backlog falls and memory keeps what the
// most of it needed.
func TestCountedLater(t *testing.T) {
	const hours, countedAt = 60, 20
	climbs := func(h float64) float64 { return 20 * h }
	worked := func(h float64) float64 { return 20 * h * math.Mod(h, 2) / 2 } // off every 2 hours, each time from more
	for _, tt := range []struct {
		name    string
		backlog func(h float64) float64
		samples float64 // hours of them
		inHand  bool
		ends    bool
	}{
		{"it climbs", climbs, hours, false, false},
		{"it is worked off", worked, hours, false, true},
		{"no sample since", worked, countedAt, false, false},
		{"a run", worked, hours, true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			var counts []detector.Point
			most := 0.0
			b := newBed(t, line("mail", monday, monday.Add(time.Duration(tt.samples*float64(time.Hour))), func(h float64) float64 {
				now := tt.backlog(h)
				most = max(most, now)
				counts = append(counts, detector.Point{At: monday.Add(time.Duration(h * float64(time.Hour))), V: now})
				return 120<<20 + 40e3*most + 10e3*now
			}))
			b.limit = 512 << 20
			ends := 0
			for h := 3; h < hours && ends == 0; h++ {
				if h > countedAt {
					b.held = counts
				}
				b.scan(monday.Add(time.Duration(h) * time.Hour))
				for _, c := range b.told {
					if c.Finding.State.Final() {
						ends = h
					}
				}
				if tt.inHand && h == countedAt {
					b.change(b.the().ID, func(f *finding.Finding) { f.State = finding.InHand })
				}
			}
			if tt.ends != (ends > 0) || tt.ends && (ends < countedAt+6 || ends > countedAt+12) {
				t.Fatalf("it ended after %d hours: %s", ends, b.ended().Why)
			}
			if !tt.ends && b.the().Verdict.Exhaustion == nil {
				t.Error("it foretells nothing any more")
			}
		})
	}
}
