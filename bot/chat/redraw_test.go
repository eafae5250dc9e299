package chat_test

import (
	"strings"
	"testing"
	"time"

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
