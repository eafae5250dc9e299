package remedy_test

import (
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/remedy"
)

// TestQuestionEndsWithItsFinding: whatever nobody answered is taken back when
// the leak is over; an answer goes on, and so does a person's own wish, until
// the worker is gone.
func TestQuestionEndsWithItsFinding(t *testing.T) {
	for name, c := range map[string]struct {
		by     string
		answer remedy.Kind
		state  finding.State
		want   remedy.Outcome
	}{
		"resolved":           {state: finding.Resolved, want: remedy.Cancelled},
		"gone":               {state: finding.Gone, want: remedy.Cancelled},
		"asked by a person":  {by: bob, state: finding.Resolved},
		"their droplet left": {by: bob, state: finding.Gone, want: remedy.Cancelled},
		"approved before":    {answer: remedy.Approve, state: finding.Resolved, want: remedy.FreedWorking},
		"still open":         {state: finding.Open},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				p := w.start("a", nil)
				f := leaking(w, 5*time.Hour, 20*time.Hour)
				v, err := p.s.Propose(t.Context(), f, c.by)
				if err != nil {
					t.Fatal(err)
				}
				if c.answer != "" {
					decide(t, p, v.Run, click(alice, c.answer))
				}
				f.State, f.Why = c.state, "it came to rest"
				for range 2 { // another replica, or a second telling
					if err := p.s.Heed(t.Context(), f); err != nil {
						t.Fatal(err)
					}
				}
				r := w.drive(t, v.Run, time.Hour, p)
				if r.Outcome != string(c.want) {
					t.Fatalf("the question ended %q, want %q", r.Outcome, c.want)
				}
				v, err = p.s.View(t.Context(), v.Run)
				if err != nil {
					t.Fatal(err)
				}
				if c.want == remedy.Cancelled && (!strings.Contains(v.Why, "it came to rest") || len(v.Buttons) > 0 || w.count("restart") > 0) {
					t.Errorf("why %q, buttons %v, %d restarts", v.Why, v.Buttons, w.count("restart"))
				}
			})
		})
	}
}
