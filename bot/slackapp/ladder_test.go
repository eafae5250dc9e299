package slackapp_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"

	"github.com/slack-go/slack"

	"github.com/dropleak/dropleak/bot/slackapp"
	"github.com/dropleak/dropleak/bot/slacksim"
)

// memory is what a service remembers of refusals.
type memory struct {
	mu    sync.Mutex
	no    map[string]bool
	steps []slackapp.Degraded
}

func (m *memory) accepts(_ context.Context, channel, block string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return !m.no[channel+" "+block]
}

func (m *memory) degraded(d slackapp.Degraded) {
	m.mu.Lock()
	defer m.mu.Unlock()
	m.steps = append(m.steps, d)
	for _, b := range d.Types {
		m.no[d.Channel+" "+b] = true
	}
}

func dataTable() slack.Block {
	t := slack.NewDataTableBlock("Workers")
	t.AddRow(slack.NewDataTableRawTextCell("Worker"))
	t.AddRow(slack.NewDataTableRawTextCell("w1"))
	return t
}

// TestRefusedTypeIsNotTriedAgain: what a channel refused is not sent there again
// as long as that is remembered; other channels get it, and every message that
// stands lower is counted.
func TestRefusedTypeIsNotTriedAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		known := &memory{no: map[string]bool{}}
		app, sim := overHTTP(t, &recorder{}, func(o *slackapp.Options, _ *slacksim.Options) {
			o.OnDegrade, o.Accepts = known.degraded, known.accepts
		})
		m := slackapp.Message{Text: "w1 leaks", Blocks: blocks(section("worst first"), dataTable()), Rungs: [][]slack.Block{blocks(section("*w1*"))}}
		sim.Faults(func(f *slacksim.Faults) { f.RefuseBlocks["data_table"] = true })
		post := func(channel string) int {
			t.Helper()
			before := len(sim.Calls("chat.postMessage"))
			ts, err := app.Post(t.Context(), channel, m)
			if err != nil {
				t.Fatal(err)
			}
			if got, _ := sim.Message(channel, ts); !strings.Contains(got.PlainText(), "w1") {
				t.Errorf("it says %s", got.PlainText())
			}
			return len(sim.Calls("chat.postMessage")) - before
		}
		for i, want := range []int{2, 1, 1} {
			if got := post("C0OPS"); got != want {
				t.Errorf("report %d took %d calls, want %d", i, got, want)
			}
		}
		if got := post("C0DEPLOYS"); got != 2 {
			t.Errorf("another channel was tried in %d calls", got)
		}
		if got := fmt.Sprint(known.steps[0].Types, known.steps[1].Types, known.steps[3].Types); got != "[data_table] [] [data_table]" {
			t.Errorf("refused: %s", got)
		}
		if s := app.Status().SteppedDown; s.Messages != 4 || s.Rung != 1 || s.At.IsZero() {
			t.Errorf("the status tells %+v", s)
		}
		known.no = map[string]bool{}
		sim.Faults(func(f *slacksim.Faults) { f.RefuseBlocks["data_table"] = false })
		if got := post("C0OPS"); got != 1 || app.Status().SteppedDown.Messages != 4 {
			t.Errorf("once Slack takes it: %d calls, %+v", got, app.Status().SteppedDown)
		}
	})
}

// TestWhatIsRemembered: a picture that is not ready is no reason to do without
// tables for a day, and where Slack does not say what it refused it is what it
// did not take.
func TestWhatIsRemembered(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		known := &memory{no: map[string]bool{}}
		app, sim := overHTTP(t, &recorder{}, func(o *slackapp.Options, _ *slacksim.Options) {
			o.OnDegrade, o.Accepts = known.degraded, known.accepts
		})
		picture := slackapp.Picture("F0NOTREADY0", "chart")
		if _, err := app.Post(t.Context(), "C0OPS", slackapp.Message{Text: "w1", Blocks: blocks(dataTable(), picture), Rungs: [][]slack.Block{blocks(section("w1"))}}); err != nil {
			t.Fatal(err)
		}
		if len(known.no) != 0 || len(known.steps) != 1 || known.steps[0].Rung != 1 {
			t.Errorf("of a picture is remembered: %v, %+v", known.no, known.steps)
		}
		sim.Faults(func(f *slacksim.Faults) { f.Codes["chat.postMessage"] = []string{"invalid_blocks"} })
		if _, err := app.Post(t.Context(), "C0OPS", slackapp.Message{Text: "w1", Blocks: blocks(section("w1"), dataTable()), Rungs: [][]slack.Block{blocks(section("w1"))}}); err != nil {
			t.Fatal(err)
		}
		if fmt.Sprint(known.no) != "map[C0OPS data_table:true]" {
			t.Errorf("of a refusal without a reason is remembered: %v", known.no)
		}
	})
}
