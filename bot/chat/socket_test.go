package chat_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/report"
	"github.com/dropleak/dropleak/bot/slackapp"
	"github.com/dropleak/dropleak/bot/slacksim"
	"github.com/dropleak/dropleak/bot/watch"
)

// TestSocketMode has the conversation over real sockets and real time, with
// every request delivered twice: the same handlers, the same answers.
func TestSocketMode(t *testing.T) {
	d := newDesk(t)
	d.sim = slacksim.New(slacksim.Options{}).Kind()
	if err := d.sim.Start(""); err != nil {
		t.Fatal(err)
	}
	d.open(slackapp.Options{BotToken: "xoxb-sim", AppToken: "xapp-sim", Mode: slackapp.Socket, APIURL: d.sim.APIURL(), UpdateEvery: 50 * time.Millisecond})
	ctx, cancel := context.WithCancel(t.Context())
	var wg sync.WaitGroup
	wg.Go(func() {
		if err := d.app.Run(ctx); err != nil {
			t.Error(err)
		}
	})
	stop := d.work()
	defer func() {
		stop()
		cancel()
		wg.Wait()
		if err := d.sim.Close(); err != nil {
			t.Error(err)
		}
	}()
	soon, done := context.WithTimeout(ctx, 30*time.Second)
	defer done()
	if err := d.sim.WaitSockets(soon, 1); err != nil {
		t.Fatal(err)
	}
	until := func(what, text, user string) slacksim.Message {
		t.Helper()
		m, err := d.sim.WaitFor(soon, func(m slacksim.Message) bool {
			return m.Ephemeral == user && m.Thread == "" && strings.Contains(m.PlainText(), text)
		})
		if err != nil {
			t.Fatalf("%s never came: %v", what, err)
		}
		return m
	}
	v := d.far.view()
	f := leak(v, "mail")
	if err := d.store.OpenFinding(ctx, f); err != nil {
		t.Fatal(err)
	}
	if err := d.chat.FindingChanged(ctx, watch.Change{What: watch.Opened, Finding: f, View: &v}); err != nil {
		t.Fatal(err)
	}
	m := until("the card", "Snapshot & restart", "")
	d.sim.Faults(func(x *slacksim.Faults) { x.Duplicate = 3 })
	if err := d.sim.Command(carla, ops, "/leaks worker web"); err != nil {
		t.Fatal(err)
	}
	until("the answer to the command", "is flat", carla)
	if err := d.sim.Click(carla, ops, m.TS, report.ActionRestart); err != nil {
		t.Fatal(err)
	}
	until("the refusal", "not among the configured approvers", carla)
	if err := d.sim.Click(anna, ops, m.TS, report.ActionRestart); err != nil {
		t.Fatal(err)
	}
	until("the progress", "Approved by <@U0ANNA>", "")
	if n := len(d.run().Votes); n != 1 {
		t.Errorf("%d votes", n)
	}
}
