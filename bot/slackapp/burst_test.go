package slackapp_test

import (
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dropleak/dropleak/bot/slackapp"
	"github.com/dropleak/dropleak/bot/slacksim"
)

// TestBurstOf429: a crowd of posts and edits meets a Slack that asks to wait.
// It is not spoken to before that time is over, and in the end each post
// stands once and each message has its last words.
func TestBurstOf429(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const crowd, refusals, wait = 30, 5, 20 * time.Second
		app, sim := overHTTP(t, &recorder{})
		var stand []string
		for range 3 {
			stand = append(stand, post(t, app))
		}
		sim.Faults(func(f *slacksim.Faults) {
			f.RateLimit["chat.postMessage"], f.RateLimit["chat.update"], f.RetryAfter = refusals, refusals, wait
		})
		before := map[string]int{"chat.postMessage": len(sim.Calls("chat.postMessage")), "chat.update": 0}
		var wg sync.WaitGroup
		for i := range crowd {
			wg.Go(func() {
				if _, err := app.Post(t.Context(), "C0OPS", slackapp.Message{Text: fmt.Sprint("post ", i)}); err != nil {
					t.Error(err)
				}
			})
		}
		for i := range crowd {
			for _, ts := range stand {
				if err := app.UpdateLater("C0OPS", ts, slackapp.Message{Text: fmt.Sprint("edit ", i)}); err != nil {
					t.Error(err)
				}
			}
		}
		wg.Wait()
		if err := app.Close(t.Context()); err != nil {
			t.Error(err)
		}
		texts := map[string]int{}
		for _, m := range sim.Messages("C0OPS") {
			texts[m.Text]++
		}
		for i := range crowd {
			if n := texts[fmt.Sprint("post ", i)]; n != 1 {
				t.Errorf("post %d stands %d times", i, n)
			}
		}
		if n := texts[fmt.Sprint("edit ", crowd-1)]; n != len(stand) {
			t.Errorf("%d of %d messages have their last words", n, len(stand))
		}
		for method, from := range before {
			calls := sim.Calls(method)[from:]
			for i, c := range calls[:refusals] { // the simulator's own moods come later
				if c.Error == "" {
					t.Errorf("%s: call %d went through", method, i)
				}
				for _, later := range calls[i+1:] {
					if d := later.At.Sub(c.At); d > 0 && d < wait {
						t.Errorf("%s: asked to wait %v, came back after %v", method, wait, d)
					}
				}
			}
		}
	})
}
