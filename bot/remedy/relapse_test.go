package remedy_test

import (
	"testing"
	"testing/synctest"
	"time"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/remedy"
	"github.com/dropleak/dropleak/detector"
)

// leaking is the finding about mail with a verdict as of now, whose growth
// began a while ago.
func leaking(w *world, since time.Duration, left time.Duration) finding.Finding {
	f := w.finding("mail")
	onset := time.Now().Add(-since)
	f.LastSeen = time.Now()
	f.Verdict = detector.Verdict{Kind: detector.Leak, Onset: &onset, Rate: &detector.Interval{Value: 4e7},
		Exhaustion: &detector.Exhaustion{Expected: time.Now().Add(left)}}
	w.lock(func() { w.findings[f.ID] = f })
	return f
}

// TestRelapse: growth of the life before says nothing of the new one; growth
// since is written down once, shown, and asked about anew.
func TestRelapse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		p := w.start("a", nil)
		run := makeSnapshots(t, w, p, 1)[0] // a day has passed since
		heed := func(since time.Duration) remedy.View {
			t.Helper()
			if err := p.s.Heed(t.Context(), leaking(w, since, 9*time.Hour)); err != nil {
				t.Fatal(err)
			}
			v, err := p.s.View(t.Context(), run)
			if err != nil {
				t.Fatal(err)
			}
			return v
		}
		if v := heed(30 * time.Hour); v.Relapse != nil {
			t.Fatalf("old growth is called a relapse: %+v", v.Relapse)
		}
		late := leaking(w, 5*time.Hour, 9*time.Hour) // judged while the run still watched the new life, and told now
		ended, err := p.s.View(t.Context(), run)
		if err != nil {
			t.Fatal(err)
		}
		late.LastSeen = ended.Ended
		if err := p.s.Heed(t.Context(), late); err != nil {
			t.Fatal(err)
		}
		if v, err := p.s.View(t.Context(), run); err != nil || v.Relapse != nil {
			t.Fatalf("what the run itself saw is called a relapse: %+v, %v", v.Relapse, err)
		}
		v := heed(5 * time.Hour)
		if v.Relapse == nil || v.Relapse.Rate != 4e7 || v.Relapse.Helped < 23*3600 {
			t.Fatalf("relapse %+v", v.Relapse)
		}
		if again := heed(6 * time.Hour); !again.Relapse.At.Equal(v.Relapse.At) {
			t.Error("it was written down twice")
		}
		next := question(t, p)
		if next.Run == run || len(next.Card.Past) != 1 || next.Card.Past[0].Still || next.AskedBy != "" {
			t.Errorf("asked anew: %+v", next.Card.Past)
		}
	})
}
