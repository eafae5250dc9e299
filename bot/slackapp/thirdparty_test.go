package slackapp_test

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/slack-go/slack"

	"github.com/dropleak/dropleak/bot/slackapp"
)

// The same conversation against a fake Slack that others wrote, so that our
// client and our simulator cannot merely agree with each other. It is the npm
// package local-slack-linux-x64, pinned in testdata/local-slack.

// localSlack finds the program: where DROPLEAK_LOCAL_SLACK points, else in a
// cache folder, filled from npm on first use.
func localSlack(t *testing.T) string {
	t.Helper()
	if p := os.Getenv("DROPLEAK_LOCAL_SLACK"); p != "" {
		return p
	}
	cache, err := os.UserCacheDir()
	if err != nil {
		t.Fatal(err)
	}
	dir := filepath.Join(cache, "dropleak", "local-slack-0.1.8")
	bin := filepath.Join(dir, "node_modules", "local-slack-linux-x64", "bin", "local-slack")
	if _, err := os.Stat(bin); err == nil {
		return bin
	}
	if _, err := exec.LookPath("npm"); err != nil {
		t.Skip("DROPLEAK_LOCAL_SLACK is not set, and there is no npm to install it with")
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, f := range []string{"package.json", "package-lock.json"} {
		b, err := os.ReadFile(filepath.Join("testdata", "local-slack", f))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, f), b, 0o644); err != nil {
			t.Fatal(err)
		}
	}
	cmd := exec.CommandContext(t.Context(), "npm", "ci", "--ignore-scripts", "--no-audit", "--no-fund")
	cmd.Dir = dir
	if out, err := cmd.CombinedOutput(); err != nil {
		t.Fatalf("npm ci: %v\n%s", err, out)
	}
	return bin
}

// foreign is the running fake and its control API.
type foreign struct {
	t    *testing.T
	base string
}

func startForeign(t *testing.T, app string) foreign {
	t.Helper()
	bin, dir := localSlack(t), t.TempDir()
	conf := filepath.Join(dir, "workspace.yaml")
	text := `workspace: { name: Test, domain: test, teamId: T01TEST }
app: { appId: A01APP, botUserId: U0BOT, botName: dropleak, botToken: xoxb-test, appToken: xapp-test, signingSecret: test-secret, ` + app + ` }
users:
  - { id: U01ALICE, name: alice, real_name: Alice Anderson }
channels:
  - { id: C01OPS, name: ops, members: [U01ALICE, U0BOT] }
`
	if err := os.WriteFile(conf, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	port := freePort(t)
	cmd := exec.Command(bin, "--config", conf, "--port", port, "--base-host", "127.0.0.1", "--files-dir", filepath.Join(dir, "files"))
	cmd.Env = append(os.Environ(), "HOME="+dir)
	var log bytes.Buffer
	cmd.Stdout, cmd.Stderr = &log, &log
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		cmd.Process.Kill()
		cmd.Wait() // it was killed: the error says so
		if t.Failed() {
			t.Logf("local-slack said:\n%s", &log)
		}
	})
	f := foreign{t, "http://127.0.0.1:" + port}
	until(t, func() bool {
		resp, err := http.Get(f.base + "/_control/state")
		if err == nil {
			resp.Body.Close()
		}
		return err == nil
	})
	return f
}

func freePort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	_, port, err := net.SplitHostPort(l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	return port
}

func (f foreign) control(what string, args map[string]any) {
	f.t.Helper()
	body, err := json.Marshal(args)
	if err != nil {
		f.t.Fatal(err)
	}
	resp, err := http.Post(f.base+"/_control/"+what, "application/json", bytes.NewReader(body))
	if err != nil {
		f.t.Fatal(err)
	}
	defer resp.Body.Close()
	if b, _ := io.ReadAll(resp.Body); resp.StatusCode != 200 {
		f.t.Fatalf("%s: %s", what, b)
	}
}

func (f foreign) read(path string) string {
	f.t.Helper()
	resp, err := http.Get(f.base + path)
	if err != nil {
		f.t.Fatal(err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		f.t.Fatal(err)
	}
	return string(b)
}

func TestForeignSlackOverSocket(t *testing.T) {
	f, h := startForeign(t, "mode: socket"), &recorder{}
	app, err := slackapp.New(slackapp.Options{BotToken: "xoxb-test", AppToken: "xapp-test", APIURL: f.base + "/api/", Handler: h, Logger: quiet})
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
	f := startForeign(t, "mode: events, requestUrl: "+srv.URL)
	app, err := slackapp.New(slackapp.Options{BotToken: "xoxb-test", SigningSecret: "test-secret", Mode: slackapp.HTTP,
		APIURL: f.base + "/api/", Handler: h, Logger: quiet})
	if err != nil {
		t.Fatal(err)
	}
	foreignConversation(t, f, app, h)
}

func foreignConversation(t *testing.T, f foreign, app *slackapp.App, h *recorder) {
	ctx := within(t, 60*time.Second)
	defer func() {
		if err := app.Close(ctx); err != nil {
			t.Error(err)
		}
	}()
	if id, err := app.AuthTest(ctx); err != nil || id.UserID != "U0BOT" || id.TeamID != "T01TEST" {
		t.Errorf("we are %+v, %v", id, err)
	}
	f.control("command", map[string]any{"channel": "C01OPS", "user": "U01ALICE", "command": "/leaks", "text": "report web"})
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
	f.control("open-home", map[string]any{"user": "U01ALICE"})
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
func foreignReport(ctx context.Context, t *testing.T, f foreign, app *slackapp.App, h *recorder) {
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
	f.control("interact", map[string]any{"channel": "C01OPS", "user": "U01ALICE", "messageTs": ts,
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
	messages := f.read("/_control/messages/C01OPS")
	for _, want := range []string{"restarted, 1.9 GiB freed", "snapshot done"} {
		if !strings.Contains(messages, want) {
			t.Errorf("the channel does not say %q", want)
		}
	}
	if strings.Contains(messages, `"action_id":"restart"`) {
		t.Error("the button is still there")
	}
}
