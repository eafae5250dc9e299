package chat_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/chat"
	"github.com/dropleak/dropleak/bot/report"
)

// forgetful are cursors whose store is away.
type forgetful struct{}

func (forgetful) Cursor(context.Context, string) (string, error)  { return "", nil }
func (forgetful) SetCursor(context.Context, string, string) error { return errors.New("away") }

// TestThreadToldOnce: what a thread was told it is not told again by a new
// process, nor by the same one where it cannot be remembered in the store.
func TestThreadToldOnce(t *testing.T) {
	for name, c := range map[string]struct {
		cursors func(*desk) chat.Cursors
		fresh   bool // the service was started anew
		again   int
	}{
		"a new process":               {func(d *desk) chat.Cursors { return d.store }, true, 0},
		"the same, without its store": {func(*desk) chat.Cursors { return forgetful{} }, false, 0},
		"a new one, without":          {func(*desk) chat.Cursors { return forgetful{} }, true, 1},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, d *desk) {
				f := d.cured()
				lines := len(d.sim.Thread(ops, f.MessageTS))
				if c.fresh {
					d.chat = d.newChat("b")
				}
				if err := d.chat.RunChanged(t.Context(), d.run()); err != nil {
					t.Fatal(err)
				}
				d.rest(time.Minute)
				if more := len(d.sim.Thread(ops, f.MessageTS)) - lines; more != c.again {
					t.Errorf("%d more lines in the thread, want %d", more, c.again)
				}
			}, func(d *desk) { d.cursors = c.cursors(d) })
		})
	}
}

// TestRolloutToldOnce is the same for a rolling restart.
func TestRolloutToldOnce(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		ids := d.incident(2)
		d.press(anna, ids[0], report.ActionRollout)
		d.rest(3 * time.Hour)
		f, _ := d.message(ids[0])
		v, found, err := d.rem.Rollout(t.Context(), f.Incident)
		if err != nil || !found || v.End == "" {
			t.Fatalf("%+v, %v", v, err)
		}
		lines := len(d.sim.Thread(ops, f.MessageTS))
		d.chat = d.newChat("b")
		if err := d.chat.RolloutChanged(t.Context(), v); err != nil {
			t.Fatal(err)
		}
		d.rest(time.Minute)
		if now := len(d.sim.Thread(ops, f.MessageTS)); now != lines {
			t.Errorf("%d lines in the thread, were %d", now, lines)
		}
	}, func(d *desk) { d.cursors = d.store })
}
