package slackapp_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/slack-go/slack"

	"github.com/dropleak/dropleak/bot/slackapp"
	"github.com/dropleak/dropleak/bot/slacksim"
)

// recorder is a handler with a store that is a map: what is in it was taken.
type recorder struct {
	mu    sync.Mutex
	calls int
	taken map[string]slackapp.Envelope
	order []slackapp.Envelope
	ack   func(slackapp.Envelope) (slackapp.Ack, error)
}

func (r *recorder) Receive(ctx context.Context, in slackapp.Envelope) (slackapp.Ack, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls++
	var ack slackapp.Ack
	if r.ack != nil {
		var err error
		if ack, err = r.ack(in); err != nil {
			return ack, err
		}
	}
	if r.taken == nil {
		r.taken = map[string]slackapp.Envelope{}
	}
	if _, ok := r.taken[in.ID]; !ok {
		r.taken[in.ID] = in
		r.order = append(r.order, in)
	}
	return ack, nil
}

func (r *recorder) last(t *testing.T) slackapp.Envelope {
	t.Helper()
	r.mu.Lock()
	defer r.mu.Unlock()
	if len(r.order) == 0 {
		t.Fatal("nothing was taken")
	}
	return r.order[len(r.order)-1]
}

func (r *recorder) counts() (taken, calls int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return len(r.taken), r.calls
}

var quiet = slog.New(slog.DiscardHandler)

// overHTTP is an app and a workspace that reach each other without a socket, so
// both live in a synctest bubble.
func overHTTP(t *testing.T, h slackapp.Handler, change ...func(*slackapp.Options, *slacksim.Options)) (*slackapp.App, *slacksim.Sim) {
	t.Helper()
	so := slacksim.Options{AppURL: "http://bot.test"}
	ao := slackapp.Options{BotToken: "xoxb-sim", SigningSecret: "sim-signing-secret", Mode: slackapp.HTTP,
		APIURL: "http://127.0.0.1:9/api/", Logger: quiet, Handler: h}
	for _, c := range change {
		c(&ao, &so)
	}
	var app *slackapp.App
	so.App = slacksim.Transport(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		app.HTTPHandler().ServeHTTP(w, r)
	}))
	sim := slacksim.New(so).Kind()
	ao.HTTPClient = &http.Client{Transport: sim.RoundTripper()}
	app, err := slackapp.New(ao)
	if err != nil {
		t.Fatal(err)
	}
	return app, sim
}

// overSocket is an app and a workspace joined by two real sockets.
func overSocket(t *testing.T, h slackapp.Handler) (*slackapp.App, *slacksim.Sim) {
	t.Helper()
	sim := slacksim.New(slacksim.Options{}).Kind()
	if err := sim.Start(""); err != nil {
		t.Fatal(err)
	}
	app, err := slackapp.New(slackapp.Options{BotToken: "xoxb-sim", AppToken: "xapp-sim", Mode: slackapp.Socket,
		APIURL: sim.APIURL(), Logger: quiet, Handler: h})
	if err != nil {
		t.Fatal(err)
	}
	slackapp.SetStagger(app, 0)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan struct{})
	go func() { defer close(done); app.Run(ctx) }()
	t.Cleanup(func() {
		if err := app.Close(context.Background()); err != nil {
			t.Error(err)
		}
		cancel()
		<-done
		sim.Close()
	})
	if err := sim.WaitSockets(within(t, 10*time.Second), 2); err != nil {
		t.Fatal("sockets never opened:", err)
	}
	return app, sim
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}

func section(s string) slack.Block {
	return slack.NewSectionBlock(slack.NewTextBlockObject(slack.MarkdownType, s, false, false), nil, nil)
}

func buttons(actionID, value string) slack.Block {
	b := slack.NewButtonBlockElement(actionID, value, slack.NewTextBlockObject(slack.PlainTextType, "Go", false, false))
	return slack.NewActionBlock("go", b)
}

func modal() slack.ModalViewRequest {
	input := slack.NewInputBlock("why", slack.NewTextBlockObject(slack.PlainTextType, "Why", false, false), nil,
		slack.NewPlainTextInputBlockElement(nil, "reason"))
	return slack.ModalViewRequest{Type: slack.VTModal, CallbackID: "skip", PrivateMetadata: "run-7",
		Title:  slack.NewTextBlockObject(slack.PlainTextType, "Skip snapshot", false, false),
		Submit: slack.NewTextBlockObject(slack.PlainTextType, "Send", false, false),
		Blocks: slack.Blocks{BlockSet: []slack.Block{input}}}
}

// conversation is what both transports must carry alike.
func conversation(t *testing.T, app *slackapp.App, sim *slacksim.Sim, h *recorder) {
	commandAndModal(t, app, sim, h)
	messageAndClick(t, app, sim, h)
	homePage(t, app, sim, h)
	picture(t, app, sim)
}

func commandAndModal(t *testing.T, app *slackapp.App, sim *slacksim.Sim, h *recorder) {
	t.Helper()
	ctx := t.Context()
	h.ack = func(in slackapp.Envelope) (slackapp.Ack, error) {
		if in.Command != nil {
			return slackapp.Ack{Text: "on it"}, nil
		}
		return slackapp.Ack{}, nil
	}
	if err := sim.Command("U0ANNA", "C0OPS", "/leaks report  web"); err != nil {
		t.Fatal(err)
	}
	c := h.last(t).Command
	if c == nil || c.Command != "/leaks" || c.Text != "report  web" || c.User != "U0ANNA" || c.Team != "T0DROPLEAK" || c.Channel != "C0OPS" {
		t.Fatalf("command is %+v", c)
	}
	if e := sim.Ephemerals("U0ANNA"); len(e) != 1 || e[0].Text != "on it" {
		t.Errorf("answer in the ack: %+v", e)
	}
	view, err := app.OpenView(ctx, c.TriggerID, modal())
	if err != nil {
		t.Fatal(err)
	}
	if err := sim.Submit("U0ANNA", map[string]string{"reason": "disk is full"}); err != nil {
		t.Fatal(err)
	}
	if s := h.last(t).Submission; s == nil || s.State.Get("reason") != "disk is full" || s.Metadata != "run-7" || s.ViewID != view.ID || s.CallbackID != "skip" {
		t.Errorf("submission is %+v", s)
	}
	if err := app.Respond(ctx, c.ResponseURL, slackapp.Message{Text: "here it is", Blocks: []slack.Block{section("*here*")}}, slackapp.How{InChannel: true}); err != nil {
		t.Error(err)
	}
}

func messageAndClick(t *testing.T, app *slackapp.App, sim *slacksim.Sim, h *recorder) {
	t.Helper()
	ctx := t.Context()
	ts, err := app.Post(ctx, "C0OPS", slackapp.Message{Text: "leak", Blocks: []slack.Block{section("leak"), buttons("restart", "f-1")}})
	if err != nil {
		t.Fatal(err)
	}
	if err := sim.Click("U0BEN", "C0OPS", ts, "restart"); err != nil {
		t.Fatal(err)
	}
	k := h.last(t).Click
	if k == nil || k.ActionID != "restart" || k.Value != "f-1" || k.MessageTS != ts || k.User != "U0BEN" || k.BlockID != "go" {
		t.Fatalf("click is %+v", k)
	}
	if err := app.Update(ctx, "C0OPS", ts, slackapp.Message{Text: "restarting", Blocks: []slack.Block{section("restarting")}}); err != nil {
		t.Fatal(err)
	}
	if m, _ := sim.Message("C0OPS", ts); len(m.Buttons()) != 0 || m.Text != "restarting" {
		t.Errorf("message is %+v", m)
	}
	if _, err := app.Reply(ctx, "C0OPS", ts, slackapp.Message{Text: "snapshot 40 %"}); err != nil {
		t.Error(err)
	}
	if r := sim.Thread("C0OPS", ts); len(r) != 1 {
		t.Errorf("thread holds %d", len(r))
	}
	if err := app.Ephemeral(ctx, "C0OPS", "U0CARLA", slackapp.Message{Text: "you may not"}); err != nil {
		t.Error(err)
	}
}

func homePage(t *testing.T, app *slackapp.App, sim *slacksim.Sim, h *recorder) {
	t.Helper()
	ctx := t.Context()
	if err := sim.OpenHome("U0ANNA"); err != nil {
		t.Fatal(err)
	}
	if o := h.last(t).HomeOpened; o == nil || o.User != "U0ANNA" {
		t.Errorf("home opened is %+v", o)
	}
	home := slack.HomeTabViewRequest{Type: slack.VTHomeTab, Blocks: slack.Blocks{BlockSet: []slack.Block{section("all well")}}}
	first, err := app.PublishHome(ctx, "U0ANNA", "", home)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := app.PublishHome(ctx, "U0ANNA", first.Hash, home); err != nil {
		t.Error(err)
	}
	if _, err := app.PublishHome(ctx, "U0ANNA", first.Hash, home); !errors.Is(err, slackapp.ErrHashConflict) {
		t.Errorf("stale hash: %v", err)
	}
}

func picture(t *testing.T, app *slackapp.App, sim *slacksim.Sim) {
	t.Helper()
	png := append([]byte("\x89PNG\r\n\x1a\n"), make([]byte, 500)...)
	id, err := app.UploadPNG(t.Context(), "w1.png", "memory grows 40 MiB an hour", png)
	if err != nil {
		t.Fatal(err)
	}
	ts, err := app.Post(t.Context(), "C0OPS", slackapp.Message{Text: "chart", Blocks: []slack.Block{slackapp.Picture(id, "memory grows")}})
	if err != nil {
		t.Fatal(err)
	}
	if m, _ := sim.Message("C0OPS", ts); len(m.Blocks) != 1 || m.Blocks[0]["type"] != "image" {
		t.Errorf("picture not in the message: %+v", m)
	}
	if data, alt, _ := sim.File(id); len(data) != len(png) || alt != "memory grows 40 MiB an hour" {
		t.Errorf("file holds %d bytes, alt %q", len(data), alt)
	}
}

func TestConversationOverHTTP(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &recorder{}
		app, sim := overHTTP(t, h, func(_ *slackapp.Options, o *slacksim.Options) { o.FileDelay = 10 * time.Second })
		conversation(t, app, sim, h)
		if err := app.Close(t.Context()); err != nil {
			t.Error(err)
		}
	})
}

func TestConversationOverSocket(t *testing.T) {
	h := &recorder{}
	app, sim := overSocket(t, h)
	conversation(t, app, sim, h)
	if s := app.Status(); s.Sockets != 2 || time.Since(s.LastContact) > time.Minute || s.LastError != "" {
		t.Errorf("status is %+v", s)
	}
}

func TestPeople(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		app, sim := overHTTP(t, &recorder{})
		for id, want := range map[string]string{
			"U0ANNA": "anna T0DROPLEAK", "U0GUS": "gus T0DROPLEAK guest", "U0EVE": "eve T0OTHER stranger", "U0BOT": "dropleak T0DROPLEAK bot"} {
			var wg sync.WaitGroup
			for range 50 {
				wg.Go(func() {
					p, err := app.User(t.Context(), id)
					got := p.Name + " " + p.Team
					for word, is := range map[string]bool{" guest": p.Guest, " stranger": p.Stranger, " bot": p.Bot} {
						if is {
							got += word
						}
					}
					if err != nil || got != want {
						t.Errorf("%s is %q, %v; want %q", id, got, err, want)
					}
				})
			}
			wg.Wait()
		}
		if n := len(sim.Calls("users.info")); n != 4 {
			t.Errorf("200 questions about 4 people took %d calls", n)
		}
		if _, err := app.User(t.Context(), "U0NOBODY"); err == nil {
			t.Error("nobody is somebody")
		}
		members, err := app.GroupMembers(t.Context(), "S0ONCALL")
		if err != nil || fmt.Sprint(members) != "[U0ANNA U0BEN]" {
			t.Error(members, err)
		}
		sim.SetGroup("S0ONCALL", "U0BEN")
		time.Sleep(2*time.Minute + time.Second)
		members, err = app.GroupMembers(t.Context(), "S0ONCALL")
		if err != nil || fmt.Sprint(members) != "[U0BEN]" {
			t.Error("two minutes later:", members, err)
		}
	})
}

func TestOptions(t *testing.T) {
	ok := slackapp.Options{BotToken: "b", AppToken: "a", SigningSecret: "s", Handler: &recorder{}}
	for _, tt := range []struct {
		name   string
		change func(*slackapp.Options)
		want   string // in the error; "" is fine
	}{
		{"as it is", func(*slackapp.Options) {}, ""},
		{"no tokens", func(o *slackapp.Options) { o.BotToken, o.AppToken = "", "" }, "bot token is empty\nslack: socket mode needs"},
		{"no secret", func(o *slackapp.Options) { o.Mode, o.SigningSecret = slackapp.HTTP, "" }, "signing secret"},
		{"other mode", func(o *slackapp.Options) { o.Mode = "pigeon" }, "pigeon"},
		{"no handler", func(o *slackapp.Options) { o.Handler = nil }, "no handler"},
		{"no /api/", func(o *slackapp.Options) { o.APIURL = "https://slack.com/" }, "/api/"},
		{"clear text", func(o *slackapp.Options) { o.APIURL = "http://slack.example/api/" }, "neither https"},
		{"clear text at home", func(o *slackapp.Options) { o.APIURL = "http://localhost:1/api/" }, ""},
	} {
		t.Run(tt.name, func(t *testing.T) {
			o := ok
			tt.change(&o)
			_, err := slackapp.New(o)
			if (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("got %v, want %q", err, tt.want)
			}
		})
	}
}
