package slackapp_test

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/dropleak/dropleak/bot/slackapp"
	"github.com/dropleak/dropleak/bot/slacksim"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m,
		goleak.IgnoreTopFunction("internal/poll.runtime_pollWait"),
		goleak.IgnoreTopFunction("net/http.(*persistConn).writeLoop"))
}

func TestNothingIsLostWhileOneSocketIsRenewed(t *testing.T) {
	h := &recorder{}
	_, sim := overSocket(t, h)
	const rounds = 20
	for i := range rounds {
		if i%4 == 0 {
			if err := sim.WaitSockets(within(t, 10*time.Second), 2); err != nil {
				t.Fatal("the socket renewed last never came back")
			}
			sim.Refresh(1)
		}
		if err := sim.Command("U0ANNA", "C0OPS", "/leaks"); err != nil {
			t.Errorf("command %d: %v", i, err)
		}
	}
	if taken, _ := h.counts(); taken != rounds {
		t.Errorf("%d of %d commands were taken", taken, rounds)
	}
	if err := sim.WaitSockets(within(t, 10*time.Second), 2); err != nil {
		t.Error("the second socket never came back")
	}
}

func TestReconnectsAfterACut(t *testing.T) {
	h := &recorder{}
	app, sim := overSocket(t, h)
	sim.Faults(func(f *slacksim.Faults) { f.RefuseSockets = true })
	sim.Cut()
	if err := sim.Wait(within(t, 10*time.Second), func() bool { return sim.Sockets() == 0 }); err != nil {
		t.Fatal("sockets survived the cut")
	}
	if err := sim.Command("U0ANNA", "C0OPS", "/leaks"); err == nil {
		t.Error("a command went through without a socket")
	}
	until(t, func() bool { s := app.Status(); return s.Sockets == 0 && s.LastError != "" })
	sim.Faults(func(f *slacksim.Faults) { f.RefuseSockets = false })
	if err := sim.WaitSockets(within(t, 30*time.Second), 2); err != nil {
		t.Fatal("sockets never came back:", err)
	}
	if err := sim.Command("U0ANNA", "C0OPS", "/leaks"); err != nil {
		t.Error(err)
	}
	until(t, func() bool { s := app.Status(); return s.Sockets == 2 && s.LastError == "" })
}

// until polls a state that no event announces.
func until(t *testing.T, cond func() bool) {
	t.Helper()
	ctx := within(t, 20*time.Second)
	for !cond() {
		select {
		case <-ctx.Done():
			t.Fatal("it never came so far")
		case <-time.After(20 * time.Millisecond):
		}
	}
}

func TestOneBadFrameBreaksNothing(t *testing.T) {
	h := &recorder{}
	_, sim := overSocket(t, h)
	for _, frame := range []string{
		`{`, `[]`, `null`, `"x"`, `{"type":"marquee","envelope_id":"e1","payload":{}}`,
		`{"type":"interactive","envelope_id":"e2","payload":{"type":"block_actions"}}`,
		`{"type":"interactive","envelope_id":"e3","payload":"text"}`,
		`{"type":"slash_commands","envelope_id":"e4","payload":[]}`,
		`{"type":"events_api","envelope_id":"e5","payload":{"event":{"type":"app_home_opened","user":{"id":"U"}}}}`,
		// slack-go cannot decode this one: a number where it wants a block's text.
		`{"type":"interactive","envelope_id":"e6","payload":{"type":"block_actions","trigger_id":"t6","team":{"id":"T0DROPLEAK"},` +
			`"user":{"id":"U0BEN","team_id":"T0DROPLEAK"},"message":{"ts":"1.5","blocks":[{"type":"section","text":5}]},` +
			`"actions":[{"type":"button","action_id":"restart","block_id":"b","value":"f-6"}]}}`,
	} {
		sim.SendFrame([]byte(frame))
	}
	until(t, func() bool { taken, _ := h.counts(); return taken == 1 })
	if k := h.last(t).Click; k == nil || k.Value != "f-6" || k.MessageTS != "1.5" {
		t.Errorf("salvaged %+v", k)
	}
	if err := sim.WaitSockets(within(t, 10*time.Second), 2); err != nil {
		t.Fatal(err)
	}
	if err := sim.Command("U0ANNA", "C0OPS", "/leaks"); err != nil {
		t.Error(err)
	}
}

func TestNotPersistedIsNotAckedOverSocket(t *testing.T) {
	h := &recorder{ack: func(in slackapp.Envelope) (slackapp.Ack, error) {
		switch in.Command.Text {
		case "fail":
			return slackapp.Ack{}, errors.New("disk full")
		case "panic":
			panic("nil map")
		}
		return slackapp.Ack{}, nil
	}}
	_, sim := overSocket(t, h)
	var wg sync.WaitGroup
	for _, word := range []string{"fail", "panic"} {
		wg.Go(func() {
			err := sim.Command("U0ANNA", "C0OPS", "/leaks "+word)
			if err == nil || !strings.Contains(err.Error(), "operation_timeout") {
				t.Errorf("%s was acked: %v", word, err)
			}
		})
	}
	wg.Go(func() {
		if err := sim.Command("U0BEN", "C0OPS", "/leaks report"); err != nil {
			t.Errorf("another command suffered: %v", err)
		}
	})
	wg.Wait()
}

func TestDuplicatesOverSocketKeepTheirID(t *testing.T) {
	h := &recorder{}
	_, sim := overSocket(t, h)
	sim.Faults(func(f *slacksim.Faults) { f.Duplicate = 10 })
	for range 10 {
		if err := sim.Command("U0ANNA", "C0OPS", "/leaks"); err != nil {
			t.Error(err)
		}
	}
	if taken, calls := h.counts(); taken != 10 || calls != 20 {
		t.Errorf("ten commands, each twice: %d ids in %d calls", taken, calls)
	}
}

func TestRefusedTokenIsSaid(t *testing.T) {
	sim := slacksim.New(slacksim.Options{AppToken: "xapp-new"}).Kind()
	if err := sim.Start(""); err != nil {
		t.Fatal(err)
	}
	defer sim.Close()
	var said bytes.Buffer
	app, err := slackapp.New(slackapp.Options{BotToken: "xoxb-sim", AppToken: "xapp-old", APIURL: sim.APIURL(), Logger: slog.New(slog.NewTextHandler(&said, nil)), Handler: &recorder{}})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- app.Run(ctx) }()
	until(t, func() bool { return app.Status().LastError == "invalid_auth" })
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if !strings.Contains(said.String(), "err=invalid_auth retry_in=5s about=SLACK_APP_TOKEN") {
		t.Errorf("logs %s", said.String())
	}
}

// The load of a large workspace: a hundred people at once, again and again. The
// simulator counts an ack after three seconds as none; how far below that we stay
// is BenchmarkAck's to say, since here the race detector and other packages' tests
// take their part of the machine.
func TestHundredAtOnce(t *testing.T) {
	h := &recorder{}
	_, sim := overSocket(t, h)
	var wg sync.WaitGroup
	for range 100 {
		wg.Go(func() {
			for range 5 {
				if err := sim.Command("U0ANNA", "C0OPS", "/leaks report"); err != nil {
					t.Error(err)
				}
			}
		})
	}
	wg.Wait()
	took := slacksim.AckTimes(sim.Journal())
	if taken, _ := h.counts(); taken != 500 || len(took) != 500 {
		t.Fatalf("%d of 500 taken, %d acked", taken, len(took))
	}
	t.Logf("acks: median %v, slowest %v", took[250], took[499])
}

// BenchmarkAck presses with a hundred people at once and fails when one ack takes
// a second.
func BenchmarkAck(b *testing.B) {
	h := &recorder{}
	sim := slacksim.New(slacksim.Options{}).Kind()
	if err := sim.Start(""); err != nil {
		b.Fatal(err)
	}
	defer sim.Close()
	app, err := slackapp.New(slackapp.Options{BotToken: "xoxb-sim", AppToken: "xapp-sim", APIURL: sim.APIURL(), Logger: quiet, Handler: h})
	if err != nil {
		b.Fatal(err)
	}
	slackapp.SetStagger(app, 0)
	ctx, cancel := context.WithCancel(b.Context())
	done := make(chan struct{})
	go func() { defer close(done); app.Run(ctx) }()
	defer func() { cancel(); <-done }()
	if err := sim.WaitSockets(ctx, 2); err != nil {
		b.Fatal(err)
	}
	b.ResetTimer()
	b.SetParallelism(50)
	b.RunParallel(func(pb *testing.PB) {
		for pb.Next() {
			if err := sim.Command("U0ANNA", "C0OPS", "/leaks report"); err != nil {
				b.Error(err)
			}
		}
	})
	b.StopTimer()
	took := slacksim.AckTimes(sim.Journal())
	if worst := took[len(took)-1]; worst > time.Second {
		b.Errorf("an ack took %v", worst)
	}
	b.ReportMetric(float64(took[len(took)*99/100].Microseconds())/1000, "ms/p99")
	b.ReportMetric(float64(took[len(took)-1].Microseconds())/1000, "ms/worst")
}
