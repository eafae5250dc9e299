package slackapp_test

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slack-go/slack"

	"github.com/dropleak/dropleak/bot/slackapp"
	"github.com/dropleak/dropleak/bot/slacksim"
)

func blocks(b ...slack.Block) []slack.Block { return b }

func post(t *testing.T, app *slackapp.App, b ...slack.Block) string {
	t.Helper()
	ts, err := app.Post(t.Context(), "C0OPS", slackapp.Message{Text: "first", Blocks: b})
	if err != nil {
		t.Fatal(err)
	}
	return ts
}

func TestUpdatesAreCoalesced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app, sim := overHTTP(t, &recorder{})
		ts := post(t, app)
		start := time.Now()
		var wg sync.WaitGroup
		for i := range 100 { // progress every 100 ms for ten seconds
			if err := app.UpdateLater("C0OPS", ts, slackapp.Message{Text: fmt.Sprintf("%d %%", i)}); err != nil {
				t.Error(err)
			}
			if i == 50 {
				wg.Go(func() {
					if err := app.Update(t.Context(), "C0OPS", ts, slackapp.Message{Text: "half"}); err != nil {
						t.Error(err)
					}
				})
			}
			time.Sleep(100 * time.Millisecond)
		}
		if err := app.Update(t.Context(), "C0OPS", ts, slackapp.Message{Text: "done"}); err != nil {
			t.Error(err)
		}
		wg.Wait()
		calls := sim.Calls("chat.update")
		if m, _ := sim.Message("C0OPS", ts); m.Text != "done" || len(calls) < 4 || len(calls) > 6 {
			t.Errorf("after %v the message says %q, with %d updates", time.Since(start), m.Text, len(calls))
		}
		if calls[0].At.Sub(start) > 0 {
			t.Errorf("the first update waited %v", calls[0].At.Sub(start))
		}
		for i := 1; i < len(calls); i++ {
			if d := calls[i].At.Sub(calls[i-1].At); d < 2500*time.Millisecond {
				t.Errorf("update %d came %v after the one before", i, d)
			}
		}
		if err := app.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestFinalStateSurvivesRefusalsAndClosing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app, sim := overHTTP(t, &recorder{})
		ts := post(t, app)
		sim.Faults(func(f *slacksim.Faults) {
			f.RateLimit["chat.update"], f.RetryAfter = 3, 30*time.Second
		})
		if err := app.UpdateLater("C0OPS", ts, slackapp.Message{Text: "50 %"}); err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		// The caller gives up waiting; the state must still arrive.
		ctx, cancel := context.WithTimeout(t.Context(), time.Second)
		defer cancel()
		if err := app.Update(ctx, "C0OPS", ts, slackapp.Message{Text: "done"}); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("update says %v", err)
		}
		if err := app.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if m, _ := sim.Message("C0OPS", ts); m.Text != "done" {
			t.Errorf("message says %q", m.Text)
		}
		calls := sim.Calls("chat.update")
		for i := 1; i < 4; i++ {
			if d := calls[i].At.Sub(calls[i-1].At); d < 30*time.Second {
				t.Errorf("asked to wait 30 s, came back after %v", d)
			}
		}
		if err := app.UpdateLater("C0OPS", ts, slackapp.Message{Text: "late"}); err == nil {
			t.Error("a closed app took an update")
		}
	})
}

func TestClosingDoesNotDawdle(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app, sim := overHTTP(t, &recorder{})
		ts, start := post(t, app), time.Now()
		for _, text := range []string{"50 %", "done"} {
			if err := app.UpdateLater("C0OPS", ts, slackapp.Message{Text: text}); err != nil {
				t.Fatal(err)
			}
			synctest.Wait()
		}
		if err := app.Close(t.Context()); err != nil {
			t.Error(err)
		}
		if m, _ := sim.Message("C0OPS", ts); m.Text != "done" || time.Since(start) > 0 {
			t.Errorf("closed after %v with %q", time.Since(start), m.Text)
		}
	})
}

func TestClosingGivesUpInTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app, sim := overHTTP(t, &recorder{})
		ts := post(t, app)
		sim.Faults(func(f *slacksim.Faults) { f.RateLimit["chat.update"], f.RetryAfter = 100, time.Hour })
		if err := app.UpdateLater("C0OPS", ts, slackapp.Message{Text: "x"}); err != nil {
			t.Fatal(err)
		}
		ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
		defer cancel()
		if err := app.Close(ctx); err == nil || !strings.Contains(err.Error(), "waiting") {
			t.Errorf("closing with an update lost says %v", err)
		}
	})
}

func TestPostsQueueByChannel(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app, sim := overHTTP(t, &recorder{})
		start := time.Now()
		var wg sync.WaitGroup
		for _, c := range []string{"C0OPS", "C0DEPLOYS"} {
			for range 10 {
				wg.Go(func() {
					if _, err := app.Post(t.Context(), c, slackapp.Message{Text: "x"}); err != nil {
						t.Error(err)
					}
				})
			}
		}
		wg.Wait()
		if d := time.Since(start); d != 9*time.Second {
			t.Errorf("ten posts in each of two channels took %v, want 9s", d)
		}
		for _, e := range sim.Calls("chat.postMessage") {
			if e.Error != "" {
				t.Errorf("we ran into Slack's limit ourselves: %s", e.Error)
			}
		}
	})
}

func TestOurPaceStaysWithinSlacksTiers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app, sim := overHTTP(t, &recorder{})
		ts := post(t, app)
		var wg sync.WaitGroup
		for i := range 120 {
			wg.Go(func() {
				err := app.Update(t.Context(), "C0OPS", ts, slackapp.Message{Text: fmt.Sprint(i)})
				if err != nil {
					t.Error(err)
				}
				if _, err := app.GroupMembers(t.Context(), "S0ONCALL"); err != nil {
					t.Error(err)
				}
				if err := app.Delete(t.Context(), "C0OPS", "1.0"); err == nil {
					t.Error("deleted what is not there")
				}
			})
		}
		wg.Wait()
		if err := app.Close(t.Context()); err != nil {
			t.Error(err)
		}
		for _, e := range sim.Journal() {
			if e.Error == "ratelimited" {
				t.Fatalf("%s ran into Slack's limit", e.Name)
			}
		}
	})
}

func TestRetries(t *testing.T) {
	for _, tt := range []struct {
		name  string
		fault func(*slacksim.Faults)
		call  func(context.Context, *slackapp.App, string) error
		calls string // method counted
		want  int
		is    error
	}{
		{"post waits for 429", func(f *slacksim.Faults) { f.RateLimit["chat.postMessage"] = 2 }, doPost, "chat.postMessage", 3, nil},
		{"post is not repeated after 503", func(f *slacksim.Faults) { f.ServerError["chat.postMessage"] = 1 }, doPost, "chat.postMessage", 1, slackapp.ErrUnclear},
		{"post is not repeated when the answer is lost", func(f *slacksim.Faults) { f.LoseAnswer["chat.postMessage"] = 1 }, doPost, "chat.postMessage", 1, slackapp.ErrUnclear},
		{"post is not repeated after internal_error", func(f *slacksim.Faults) { f.Codes["chat.postMessage"] = []string{"internal_error"} }, doPost, "chat.postMessage", 1, slackapp.ErrUnclear},
		{"update is repeated after 503", func(f *slacksim.Faults) { f.ServerError["chat.update"] = 2 }, doUpdate, "chat.update", 3, nil},
		{"update is repeated when the answer is lost", func(f *slacksim.Faults) { f.LoseAnswer["chat.update"] = 1 }, doUpdate, "chat.update", 2, nil},
		{"update gives up", func(f *slacksim.Faults) { f.ServerError["chat.update"] = 99 }, doUpdate, "chat.update", 4, slackapp.ErrUnclear},
		{"update of a lost message", func(f *slacksim.Faults) { f.LostMessages["*"] = true }, doUpdate, "chat.update", 1, slackapp.ErrGone},
		{"update outside the edit window", func(f *slacksim.Faults) { f.Codes["chat.update"] = []string{"edit_window_closed"} }, doUpdate, "chat.update", 1, slackapp.ErrGone},
		{"revoked token", func(f *slacksim.Faults) { f.Codes["chat.update"] = []string{"token_revoked"} }, doUpdate, "chat.update", 1, slackapp.ErrNotAllowed},
		{"dead trigger", func(f *slacksim.Faults) { f.ExpireTriggers = true }, doOpen, "views.open", 1, slackapp.ErrExpiredTrigger},
	} {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &recorder{}
				app, sim := overHTTP(t, h)
				ts := post(t, app)
				if err := sim.Command("U0ANNA", "C0OPS", "/leaks"); err != nil {
					t.Fatal(err)
				}
				time.Sleep(time.Second)
				before := len(sim.Calls(tt.calls))
				sim.Faults(tt.fault)
				arg := ts
				if tt.calls == "views.open" {
					arg = h.last(t).Command.TriggerID
				}
				err := tt.call(t.Context(), app, arg)
				if tt.is == nil && err != nil || tt.is != nil && !errors.Is(err, tt.is) {
					t.Errorf("got %v, want %v", err, tt.is)
				}
				if n := len(sim.Calls(tt.calls)) - before; n != tt.want {
					t.Errorf("%d calls, want %d", n, tt.want)
				}
				if err := app.Close(t.Context()); err != nil {
					t.Error(err)
				}
			})
		})
	}
}

func doPost(ctx context.Context, app *slackapp.App, _ string) error {
	_, err := app.Post(ctx, "C0OPS", slackapp.Message{Text: "x"})
	return err
}

func doUpdate(ctx context.Context, app *slackapp.App, ts string) error {
	return app.Update(ctx, "C0OPS", ts, slackapp.Message{Text: "x"})
}

func doOpen(ctx context.Context, app *slackapp.App, trigger string) error {
	_, err := app.OpenView(ctx, trigger, modal())
	return err
}

func TestMissingScopeIsNamed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app, _ := overHTTP(t, &recorder{}, func(_ *slackapp.Options, o *slacksim.Options) { o.Scopes = []string{"chat:write"} })
		_, err := app.User(t.Context(), "U0ANNA")
		if !errors.Is(err, slackapp.ErrNotAllowed) || !strings.Contains(err.Error(), "needs users:read, has chat:write") {
			t.Error(err)
		}
		id, err := app.AuthTest(t.Context())
		if err != nil || id.TeamID != "T0DROPLEAK" || fmt.Sprint(id.Scopes) != "[chat:write]" {
			t.Errorf("%+v, %v", id, err)
		}
	})
}

func TestLadder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var steps []slackapp.Degraded
		app, sim := overHTTP(t, &recorder{}, func(o *slackapp.Options, _ *slacksim.Options) {
			o.OnDegrade = func(d slackapp.Degraded) { steps = append(steps, d) }
		})
		table := &slack.TableBlock{Type: slack.MBTTable, Rows: [][]slack.TableCell{{slack.NewTableRawTextCell("w1")}}}
		m := slackapp.Message{Text: "w1 leaks", Blocks: blocks(table, buttons("go", "1")),
			Rungs: [][]slack.Block{blocks(slackapp.Picture("F0NOTREADY0", "chart"), buttons("go", "1")), blocks(section("*w1*"), buttons("go", "1"))}}
		ts, err := app.Post(t.Context(), "C0OPS", m)
		if err != nil || len(steps) != 0 {
			t.Fatal(err, steps)
		}
		sim.Faults(func(f *slacksim.Faults) { f.RefuseBlocks["table"] = true })
		if err := app.Update(t.Context(), "C0OPS", ts, m); err != nil {
			t.Fatal(err)
		}
		got, _ := sim.Message("C0OPS", ts)
		if len(steps) != 1 || steps[0].Rung != 2 || steps[0].TS != ts || !strings.Contains(steps[0].Reason, "invalid slack file") || len(got.Buttons()) != 1 {
			t.Errorf("second rung: %+v, %s", steps, got.PlainText())
		}
		sim.Faults(func(f *slacksim.Faults) { f.RefuseBlocks["actions"] = true })
		if err := app.Update(t.Context(), "C0OPS", ts, m); err != nil {
			t.Fatal(err)
		}
		got, _ = sim.Message("C0OPS", ts)
		if len(steps) != 2 || steps[1].Rung != 3 || len(got.Blocks) != 0 || got.Text != "w1 leaks" {
			t.Errorf("text alone: %+v, %s", steps, got.PlainText())
		}
		if err := app.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestTextIsRequiredAndCut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app, sim := overHTTP(t, &recorder{})
		if _, err := app.Post(t.Context(), "C0OPS", slackapp.Message{Text: " ", Blocks: blocks(section("x"))}); err == nil {
			t.Error("posted without text")
		}
		ts := post(t, app)
		if err := app.Update(t.Context(), "C0OPS", ts, slackapp.Message{Text: strings.Repeat("ü", 5000)}); err != nil {
			t.Fatal(err)
		}
		if m, _ := sim.Message("C0OPS", ts); len([]rune(m.Text)) != 4000 || !strings.HasSuffix(m.Text, "ü…") {
			t.Errorf("text has %d characters", len([]rune(m.Text)))
		}
		body := string(sim.Calls("chat.postMessage")[0].Body)
		if !strings.Contains(body, `"unfurl_links":"false"`) || !strings.Contains(body, `"unfurl_media":"false"`) {
			t.Errorf("links would unfurl: %s", body)
		}
		if err := app.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestUploadThatNeverGetsReady(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app, sim := overHTTP(t, &recorder{})
		sim.Faults(func(f *slacksim.Faults) { f.FilesNeverReady = true })
		start := time.Now()
		_, err := app.UploadPNG(t.Context(), "a.png", "alt", []byte("\x89PNG"))
		if err == nil || time.Since(start) != 45*time.Second {
			t.Errorf("%v after %v", err, time.Since(start))
		}
	})
}

func TestResponseAddressUsedUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &recorder{}
		app, sim := overHTTP(t, h)
		if err := sim.Command("U0ANNA", "C0OPS", "/leaks"); err != nil {
			t.Fatal(err)
		}
		address := h.last(t).Command.ResponseURL
		for i := range 6 {
			err := app.Respond(t.Context(), address, slackapp.Message{Text: "x"})
			if (i == 5) != errors.Is(err, slackapp.ErrGone) {
				t.Errorf("use %d: %v", i+1, err)
			}
			if err != nil && strings.Contains(err.Error(), "/response/") {
				t.Error("the error holds the address")
			}
		}
	})
}

func TestErrorsHoldNoSecrets(t *testing.T) {
	app, err := slackapp.New(slackapp.Options{BotToken: "xoxb-secret", AppToken: "xapp-secret",
		APIURL: "http://127.0.0.1:1/api/", Handler: &recorder{}, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	_, err1 := app.AuthTest(within(t, time.Second))
	err2 := app.Respond(within(t, time.Second), "http://127.0.0.1:1/response/s3cret", slackapp.Message{Text: "x"})
	for _, err := range []error{err1, err2} {
		if err == nil || strings.Contains(err.Error(), "cret") || errors.Is(err, slackapp.ErrUnclear) {
			t.Errorf("error is %v", err)
		}
	}
}

// Whatever the simulator's moods, a conversation comes through.
func TestConversationWithAnUnkindSlack(t *testing.T) {
	for seed := range uint64(12) {
		synctest.Test(t, func(t *testing.T) {
			h := &recorder{}
			app, sim := overHTTP(t, h, func(_ *slackapp.Options, o *slacksim.Options) { o.Seed = seed })
			sim.Unkind()
			conversation(t, app, sim, h)
			if err := app.Close(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
}

func TestAHundredAnswersAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &recorder{}
		app, sim := overHTTP(t, h)
		for range 100 {
			if err := sim.Command("U0ANNA", "C0OPS", "/leaks"); err != nil {
				t.Fatal(err)
			}
		}
		start := time.Now()
		var wg sync.WaitGroup
		for _, in := range h.order {
			wg.Go(func() {
				if err := app.Respond(t.Context(), in.Command.ResponseURL, slackapp.Message{Text: "x"}); err != nil {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		if d := time.Since(start); d > time.Second {
			t.Errorf("a hundred answers took %v", d)
		}
	})
}

func TestTextAloneSendsNoNullBlocks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app, sim := overHTTP(t, &recorder{})
		post(t, app)
		if body := string(sim.Calls("chat.postMessage")[0].Body); strings.Contains(body, "null") || !strings.Contains(body, `"blocks":[]`) {
			t.Errorf("sent %s", body)
		}
	})
}
