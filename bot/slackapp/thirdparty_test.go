package slackapp_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/slack-go/slack"

	"github.com/dropleak/dropleak/bot/slackapp"
	"github.com/dropleak/dropleak/bot/testbed"
)

// The same conversation against a fake Slack that others wrote, so that our
// client and our simulator cannot merely agree with each other. It is the npm
// package local-slack-linux-x64.

func TestForeignSlackOverSocket(t *testing.T) {
	f, h := testbed.LocalSlack(t, "mode: socket"), &recorder{}
	app, err := slackapp.New(slackapp.Options{BotToken: "xoxb-test", AppToken: "xapp-test", APIURL: f.URL + "/api/", Handler: h, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	slackapp.SetStagger(app, 0)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); app.Run(ctx) }()
	defer func() { cancel(); <-done }()
	until(t, func() bool { return app.Status().Sockets == 2 })
	foreignConversation(t, f, app, h)
}

// Its HTTP mode posts everything to one address: we sort it by the look of it.
func TestForeignSlackOverHTTP(t *testing.T) {
	h := &recorder{}
	var app *slackapp.App
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		r.URL.Path = "/slack/commands"
		switch {
		case bytes.HasPrefix(body, []byte("{")):
			r.URL.Path = "/slack/events"
		case bytes.HasPrefix(body, []byte("payload=")):
			r.URL.Path = "/slack/interactions"
		}
		app.HTTPHandler().ServeHTTP(w, r)
	}))
	defer srv.Close()
	f := testbed.LocalSlack(t, "mode: events, requestUrl: "+srv.URL)
	app, err := slackapp.New(slackapp.Options{BotToken: "xoxb-test", SigningSecret: "test-secret", Mode: slackapp.HTTP,
		APIURL: f.URL + "/api/", Handler: h, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	foreignConversation(t, f, app, h)
}

func foreignConversation(t *testing.T, f *testbed.LocalSlackServer, app *slackapp.App, h *recorder) {
	ctx := within(t, 60*time.Second)
	defer func() {
		if err := app.Close(ctx); err != nil {
			t.Error(err)
		}
	}()
	if id, err := app.AuthTest(ctx); err != nil || id.UserID != "U0BOT" || id.TeamID != "T01TEST" {
		t.Errorf("we are %+v, %v", id, err)
	}
	f.Control("command", map[string]any{"channel": "C01OPS", "user": "U01ALICE", "command": "/leaks", "text": "report web"})
	until(t, func() bool { taken, _ := h.counts(); return taken == 1 })
	c := h.last(t).Command
	if c == nil || c.Text != "report web" || c.Team != "T01TEST" || c.User != "U01ALICE" {
		t.Fatalf("command is %+v", c)
	}
	if err := app.Respond(ctx, c.ResponseURL, slackapp.Message{Text: "here it is"}); err != nil {
		t.Error(err)
	}
	if v, err := app.OpenView(ctx, c.TriggerID, modal()); err != nil || v.ID == "" {
		t.Errorf("view %+v, %v", v, err)
	}
	foreignReport(ctx, t, f, app, h)
	f.Control("open-home", map[string]any{"user": "U01ALICE"})
	until(t, func() bool { taken, _ := h.counts(); return taken == 3 })
	if h.last(t).HomeOpened == nil {
		t.Errorf("home opened came as %+v", h.last(t))
	}
	home := slack.HomeTabViewRequest{Type: slack.VTHomeTab, Blocks: slack.Blocks{BlockSet: []slack.Block{section("all well")}}}
	if _, err := app.PublishHome(ctx, "U01ALICE", "", home); err != nil {
		t.Error(err)
	}
	if p, err := app.User(ctx, "U01ALICE"); err != nil || p.Bot || p.Guest || p.Stranger || p.Name == "" {
		t.Errorf("alice is %+v, %v", p, err)
	}
}

// foreignReport posts a report with its picture, has its button pressed and
// brings it to its end.
func foreignReport(ctx context.Context, t *testing.T, f *testbed.LocalSlackServer, app *slackapp.App, h *recorder) {
	t.Helper()
	png := append([]byte("\x89PNG\r\n\x1a\n"), make([]byte, 300)...)
	file, err := app.UploadPNG(ctx, "w1.png", "memory grows", png)
	if err != nil {
		t.Fatal(err)
	}
	ts, err := app.Post(ctx, "C01OPS", slackapp.Message{Text: "w1 leaks", Blocks: []slack.Block{
		slackapp.Picture(file, "memory grows"), buttons("restart", "f-1")}})
	if err != nil {
		t.Fatal(err)
	}
	f.Control("interact", map[string]any{"channel": "C01OPS", "user": "U01ALICE", "messageTs": ts,
		"action": map[string]any{"type": "button", "action_id": "restart", "block_id": "go", "value": "f-1"}})
	until(t, func() bool { taken, _ := h.counts(); return taken == 2 })
	if k := h.last(t).Click; k == nil || k.Value != "f-1" || k.MessageTS != ts || k.Channel != "C01OPS" || k.User != "U01ALICE" {
		t.Fatalf("click is %+v", k)
	}
	if err := app.Update(ctx, "C01OPS", ts, slackapp.Message{Text: "restarted, 1.9 GiB freed"}); err != nil {
		t.Error(err)
	}
	if _, err := app.Reply(ctx, "C01OPS", ts, slackapp.Message{Text: "snapshot done"}); err != nil {
		t.Error(err)
	}
	if err := app.Ephemeral(ctx, "C01OPS", "U01ALICE", slackapp.Message{Text: "thank you"}); err != nil {
		t.Error(err)
	}
	messages := fmt.Sprint(f.Messages("C01OPS"))
	for _, want := range []string{"restarted, 1.9 GiB freed", "snapshot done"} {
		if !strings.Contains(messages, want) {
			t.Errorf("the channel does not say %q", want)
		}
	}
	if strings.Contains(messages, "action_id:restart") {
		t.Error("the button is still there")
	}
}
