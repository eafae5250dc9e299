package chat_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/chat"
	"github.com/dropleak/dropleak/bot/report"
)

// The chart at the end of a run is of after it, and says what the message says.
func TestChartIsDrawnAnewAtTheEnd(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		f, _ := d.opened("mail")
		old := d.finding(f.ID).Picture
		d.press(anna, f.ID, report.ActionRestart)
		d.rest(10 * time.Minute)
		if now := d.finding(f.ID); now.Picture != old || old == "" {
			t.Fatalf("before the end the chart went from %q to %q", old, now.Picture)
		}
		d.rest(20 * time.Minute)
		now, m := d.message(f.ID)
		if now.Picture == old || !now.Drawn.After(d.run().Ended) {
			t.Errorf("the chart stayed %q, drawn %v; the run ended %v", now.Picture, now.Drawn, d.run().Ended)
		}
		alt := ""
		for _, b := range m.Blocks {
			if b["type"] == "image" {
				alt, _ = b["alt_text"].(string)
				if b["title"] != nil {
					t.Errorf("titled %v", b["title"])
				}
			}
		}
		if !strings.Contains(alt, "was restarted, 1.3 GiB freed") {
			t.Errorf("alt text %q", alt)
		}
	})
}

// The moment from which it can be known that growth has stopped is named until
// it has come, and the message is told anew then.
func TestGrowthIsToldAnew(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		d.far.tells = time.Now().Add(9 * time.Hour)
		f := d.cured()
		_, m := d.message(f.ID)
		wantText(t, "after an hour", m.PlainText(), "that it stopped is not known before")
		d.rest(time.Until(d.far.tells) - 2*time.Minute)
		edits := len(d.sim.Calls("chat.update"))
		d.rest(5 * time.Minute)
		_, m = d.message(f.ID)
		wantText(t, "after nine hours", m.PlainText(), "not known yet")
		d.rest(time.Hour)
		if n := len(d.sim.Calls("chat.update")) - edits; n != 1 {
			t.Errorf("edited %d times, want once", n)
		}
	})
}

// stuck is a cursor that cannot be moved.
type stuck string

func (s stuck) Cursor(context.Context, string) (string, error) { return string(s), nil }
func (stuck) SetCursor(context.Context, string, string) error  { return errors.New("away") }

// A moment that passed while the service was down is told of when it is back,
// once, where it is remembered how far was looked.
func TestGrowthIsToldAnewAfterAnAbsence(t *testing.T) {
	for name, c := range map[string]struct {
		cursors func(*desk) chat.Cursors
		says    string
		edits   int
	}{
		"remembered":               {func(d *desk) chat.Cursors { return d.store }, "not known yet", 1},
		"it cannot be kept":        {func(*desk) chat.Cursors { return stuck(time.Now().Format(time.RFC3339Nano)) }, "not known yet", 2}, // by each process
		"without a store":          {func(*desk) chat.Cursors { return nil }, "that it stopped is not known before", 0},
		"while its store was away": {func(*desk) chat.Cursors { return forgetful{} }, "that it stopped is not known before", 0},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, func(t *testing.T, d *desk) {
				d.far.tells = time.Now().Add(9 * time.Hour)
				f := d.cured()
				edits := len(d.sim.Calls("chat.update"))
				d.nap(9*time.Hour, 5*time.Minute)
				_, m := d.message(f.ID)
				wantText(t, "after the absence", m.PlainText(), c.says)
				d.nap(time.Hour, 5*time.Minute)
				if n := len(d.sim.Calls("chat.update")) - edits; n != c.edits {
					t.Errorf("edited %d times, want %d", n, c.edits)
				}
			}, func(d *desk) { d.cursors = c.cursors(d) })
		})
	}
}

// The question's buttons stand right below the first section, where a phone
// shows them without scrolling.
func TestButtonsStandAboveTheFold(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		_, m := d.opened("mail")
		at := map[string]int{}
		for i, b := range m.Blocks {
			kind, _ := b["type"].(string)
			if _, seen := at[kind]; !seen {
				at[kind] = i
			}
		}
		if at["actions"] != at["section"]+1 || at["actions"] > 3 {
			t.Errorf("blocks begin at %v", at)
		}
	})
}
