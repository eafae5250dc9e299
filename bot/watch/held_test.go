package watch_test

import (
	"context"
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

// TestCountedLaterWhileItClimbs: such a finding ends also while the backlog
// still climbs, since nobody would open it today; not before that has been so
// for hours, nor in the middle of a run.
func TestCountedLaterWhileItClimbs(t *testing.T) {
	c := synth.PilingUp().Make(climbingBacklog, synth.Params{Held: true})
	c.Worker.Name = "mail"
	now := time.Now().Truncate(time.Minute)
	by := now.Sub(c.At)
	first := c.Worker.Lives[0].Samples[0].At.Add(by)
	for _, tt := range []struct{ counted, inHand, ends bool }{{true, false, true}, {false, false, false}, {true, true, false}} {
		h := history.New(storetest.Open(t, "sqlite:"+t.TempDir()), history.Options{})
		b := newBed(t)
		w := watch.New(watch.Options{Series: h, Findings: b.store, Fleet: func(context.Context) (watch.Fleet, error) {
			return watch.Fleet{Droplets: []watch.Droplet{web}, Listed: now}, nil
		}})
		if err := h.Write(t.Context(), sent([]detector.Worker{moved(c.Worker, by)}, time.Time{}, now.Add(time.Second))); err != nil {
			t.Fatal(err)
		}
		var opened, ended time.Duration
		for at := first.Add(3 * time.Hour); at.Before(now) && ended == 0; at = at.Add(time.Hour) {
			s, err := w.Scan(t.Context(), at)
			if err != nil {
				t.Fatal(err)
			}
			for _, change := range s.Changes {
				switch {
				case change.What == watch.Opened && opened == 0:
					opened = at.Sub(first)
					b.change(change.Finding.ID, func(f *finding.Finding) {
						f.MessageTS = "1"
						if tt.inHand {
							f.State = finding.InHand
						}
					})
					if !tt.counted {
						break
					}
					if err := h.Write(t.Context(), waiting(c.Worker.Held, by)); err != nil {
						t.Fatal(err)
					}
				case change.What == watch.Resolved:
					ended = at.Sub(first)
				}
			}
		}
		if opened == 0 || tt.ends != (ended > 0) || tt.ends && ended-opened < 6*time.Hour {
			t.Errorf("%+v: opened after %v, ended after %v", tt, opened, ended)
		}
		if tt.ends && !strings.Contains(b.ended().Why, "with the tasks that it holds until their time") {
			t.Errorf("it ended, because %q", b.ended().Why)
		}
	}
}

// climbingBacklog is the seed of one that is not worked off.
const climbingBacklog = 700_004
