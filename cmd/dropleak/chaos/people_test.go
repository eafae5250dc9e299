package chaos

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/dropleak/dropleak/bot/report"
	"github.com/dropleak/dropleak/bot/slacksim"
)

// offers finds the newest message that offers to restart a worker.
func (w *town) offers(worker, action string) (slacksim.Message, bool) {
	all := w.slack.Messages(channel)
	for i := len(all) - 1; i >= 0; i-- {
		if m := all[i]; m.Thread == "" && strings.Contains(m.PlainText(), worker) && holds(m, action) {
			return m, true
		}
	}
	return slacksim.Message{}, false
}

func holds(m slacksim.Message, action string) bool {
	for _, b := range m.Buttons() {
		if b.ActionID == action {
			return true
		}
	}
	return false
}

// want has somebody ask for a restart until it is offered, and somebody else
// approve it whenever it stands there, until ctx ends. Some change their
// minds.
func (w *town) want(ctx context.Context, a *agent) {
	var asked time.Time
	moody := w.roll(8) == 0
	pause(ctx, w.upTo(4*time.Second))
	for ctx.Err() == nil {
		m, offered := w.offers(a.worker, report.ActionRestart)
		switch {
		case offered:
			asked = time.Now()
			pause(ctx, w.upTo(time.Second))
			w.approve(m)
			if moody {
				w.cancel(ctx, a)
			}
		case time.Since(asked) > patience && len(w.byWorker()[a.worker]) == 0:
			if err := w.slack.Command(carla, channel, "/leaks restart "+a.worker); err == nil {
				asked = time.Now()
			}
		}
		pause(ctx, 300*time.Millisecond+w.upTo(700*time.Millisecond))
	}
}

// patience is how long somebody waits before asking the same thing again.
const patience = 5 * time.Second

// approve presses the button one to four times, by two people at once.
func (w *town) approve(m slacksim.Message) {
	var fingers sync.WaitGroup
	for i := range 1 + w.roll(4) {
		fingers.Go(func() {
			// The button may be gone, the service dead: both are told to a
			// person, who looks again.
			_ = w.slack.Click([]string{anna, ben}[i%2], m.Channel, m.TS, report.ActionRestart)
		})
	}
	w.at(clicked, nil)
	fingers.Wait()
}

// cancel presses Cancel after a while, if it is still there.
func (w *town) cancel(ctx context.Context, a *agent) {
	pause(ctx, w.upTo(3*time.Second))
	if m, ok := w.offers(a.worker, report.ActionCancel); ok {
		_ = w.slack.Click(ben, m.Channel, m.TS, report.ActionCancel) // as with approve
	}
}
