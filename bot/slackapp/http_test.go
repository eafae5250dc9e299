package slackapp_test

import (
	"bytes"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dropleak/dropleak/bot/slackapp"
	"github.com/dropleak/dropleak/bot/slacksim"
)

const (
	clickJSON = `{"type":"block_actions","trigger_id":"1.2.x","team":{"id":"T0DROPLEAK"},"user":{"id":"U0ANNA","team_id":"T0DROPLEAK"},` +
		`"actions":[{"type":"button","action_id":"restart","block_id":"b","value":"f-1"}]}`
	commandForm = "command=%2Fleaks&text=report&user_id=U0ANNA&team_id=T0DROPLEAK&channel_id=C0OPS&trigger_id=1.2.y&response_url=https%3A%2F%2Fhooks.slack.com%2Fx"
)

func serve(app *slackapp.App, path string, header http.Header, body string) *httptest.ResponseRecorder {
	r := httptest.NewRequest("POST", path, strings.NewReader(body))
	r.Header = header.Clone()
	w := httptest.NewRecorder()
	app.HTTPHandler().ServeHTTP(w, r)
	return w
}

func TestRefusesWhatSlackDidNotSend(t *testing.T) {
	click := "payload=" + url.QueryEscape(clickJSON)
	for _, tt := range []struct {
		name, path, body string
		at               time.Duration // of the signature
		change           func(http.Header)
		want, taken      int
	}{
		{name: "genuine click", path: "/slack/interactions", body: click, want: 200, taken: 1},
		{name: "genuine command", path: "/slack/commands", body: commandForm, want: 200, taken: 1},
		{name: "four minutes old", path: "/slack/interactions", body: click, at: -4 * time.Minute, want: 200, taken: 1},
		{name: "six minutes old", path: "/slack/interactions", body: click, at: -6 * time.Minute, want: 401},
		{name: "six minutes early", path: "/slack/interactions", body: click, at: 6 * time.Minute, want: 401},
		{name: "unsigned", path: "/slack/interactions", body: click, change: func(h http.Header) { h.Del("X-Slack-Signature") }, want: 401},
		{name: "no time", path: "/slack/interactions", body: click, change: func(h http.Header) { h.Del("X-Slack-Request-Timestamp") }, want: 401},
		{name: "time moved", path: "/slack/interactions", body: click, at: -6 * time.Minute, change: func(h http.Header) {
			h.Set("X-Slack-Request-Timestamp", (&slacksim.Sim{}).Sign(nil, time.Now()).Get("X-Slack-Request-Timestamp"))
		}, want: 401},
		{name: "signature of nothing", path: "/slack/interactions", body: click, change: func(h http.Header) { h.Set("X-Slack-Signature", "v0=") }, want: 401},
		{name: "short signature", path: "/slack/interactions", body: click, change: func(h http.Header) { h.Set("X-Slack-Signature", "v0=00") }, want: 401},
		{name: "other version", path: "/slack/interactions", body: click, change: func(h http.Header) {
			h.Set("X-Slack-Signature", "v1"+h.Get("X-Slack-Signature")[2:])
		}, want: 401},
		{name: "payload in the query string", path: "/slack/interactions?" + click, body: "", want: 400},
		{name: "query string beside the body", path: "/slack/interactions?payload=" + url.QueryEscape(strings.Replace(clickJSON, "f-1", "f-2", 1)), body: click, want: 200, taken: 1},
		{name: "command in the query string", path: "/slack/commands?" + commandForm, body: "", want: 400},
		{name: "not JSON", path: "/slack/interactions", body: "payload=%7B", want: 400},
		{name: "nobody's click", path: "/slack/interactions", body: "payload=" + url.QueryEscape(`{"type":"block_actions","trigger_id":"x","actions":[{}]}`), want: 400},
		{name: "a shortcut", path: "/slack/interactions", body: "payload=" + url.QueryEscape(`{"type":"shortcut"}`), want: 200},
		{name: "another event", path: "/slack/events", body: `{"type":"event_callback","event":{"type":"channel_rename","channel":{"id":"C1"}}}`, want: 200},
		{name: "challenge", path: "/slack/events", body: `{"type":"url_verification","challenge":"c-1"}`, want: 200},
		{name: "too large", path: "/slack/commands", body: strings.Repeat("x", 1<<20+1), want: 413},
		{name: "elsewhere", path: "/slack/other", body: click, want: 404},
	} {
		t.Run(tt.name, func(t *testing.T) {
			h := &recorder{}
			app, sim := overHTTP(t, h)
			header := sim.Sign([]byte(tt.body), time.Now().Add(tt.at))
			if tt.change != nil {
				tt.change(header)
			}
			w := serve(app, tt.path, header, tt.body)
			if taken, _ := h.counts(); w.Code != tt.want || taken != tt.taken {
				t.Fatalf("status %d, taken %d; want %d, %d", w.Code, taken, tt.want, tt.taken)
			}
			if tt.name == "challenge" && !strings.Contains(w.Body.String(), `"challenge":"c-1"`) {
				t.Errorf("answer to the challenge: %s", w.Body)
			}
			if tt.taken == 1 && strings.Contains(tt.path, "interactions") && h.last(t).Click.Value != "f-1" {
				t.Error("took the value the signature does not cover")
			}
		})
	}
}

func TestWrongSecretIsRefused(t *testing.T) {
	h := &recorder{}
	app, _ := overHTTP(t, h)
	forger := slacksim.New(slacksim.Options{SigningSecret: "guessed"})
	w := serve(app, "/slack/commands", forger.Sign([]byte(commandForm), time.Now()), commandForm)
	if taken, _ := h.counts(); w.Code != 401 || taken != 0 {
		t.Errorf("status %d, taken %d", w.Code, taken)
	}
}

func TestReplayDoesNotActAgain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &recorder{}
		app, sim := overHTTP(t, h)
		header := sim.Sign([]byte(commandForm), time.Now())
		again := header.Clone()
		again.Set("X-Slack-Signature", "v0="+strings.ToUpper(header.Get("X-Slack-Signature")[3:]))
		var wg sync.WaitGroup
		for _, hd := range []http.Header{header, header, again, header} {
			wg.Go(func() {
				if w := serve(app, "/slack/commands", hd, commandForm); w.Code != 200 {
					t.Errorf("status %d", w.Code)
				}
			})
		}
		wg.Wait()
		time.Sleep(4 * time.Minute)
		serve(app, "/slack/commands", header, commandForm)
		if _, calls := h.counts(); calls != 1 {
			t.Errorf("one signed request reached the handler %d times", calls)
		}
		time.Sleep(2 * time.Minute)
		if w := serve(app, "/slack/commands", header, commandForm); w.Code != 401 {
			t.Errorf("outside the window: %d", w.Code)
		}
	})
}

func TestNotPersistedIsNotAcked(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &recorder{}
		app, sim := overHTTP(t, h)
		h.ack = func(slackapp.Envelope) (slackapp.Ack, error) { return slackapp.Ack{}, errors.New("disk full") }
		header := sim.Sign([]byte(commandForm), time.Now())
		for range 2 {
			if w := serve(app, "/slack/commands", header, commandForm); w.Code != 500 {
				t.Errorf("status %d, want 500", w.Code)
			}
		}
		h.ack = func(slackapp.Envelope) (slackapp.Ack, error) { panic("nil map") }
		if w := serve(app, "/slack/commands", header, commandForm); w.Code != 500 {
			t.Errorf("a panic is answered %d, want 500", w.Code)
		}
		h.ack = nil
		// The same signed request, not taken so far, may still be taken.
		if w := serve(app, "/slack/commands", header, commandForm); w.Code != 200 {
			t.Errorf("status %d, want 200", w.Code)
		}
		if taken, calls := h.counts(); taken != 1 || calls != 4 {
			t.Errorf("taken %d in %d calls", taken, calls)
		}
	})
}

func TestSocketModeServesNoHTTP(t *testing.T) {
	app, err := slackapp.New(slackapp.Options{BotToken: "b", AppToken: "a", SigningSecret: "s", Handler: &recorder{}})
	if err != nil {
		t.Fatal(err)
	}
	for _, path := range []string{"/slack/commands", "/slack/interactions", "/slack/events"} {
		if w := serve(app, path, http.Header{}, ""); w.Code != 404 {
			t.Errorf("%s: %d", path, w.Code)
		}
	}
}

// TestClockBehind: a request from the future is none that came late.
func TestClockBehind(t *testing.T) {
	var said bytes.Buffer
	app, sim := overHTTP(t, &recorder{}, func(o *slackapp.Options, _ *slacksim.Options) { o.Logger = slog.New(slog.NewTextHandler(&said, nil)) })
	serve(app, "/slack/commands", sim.Sign([]byte("x"), time.Now().Add(10*time.Minute)), "x")
	if !strings.Contains(said.String(), "ahead of our clock, which is behind") || strings.Contains(said.String(), "too old") {
		t.Errorf("says %s", said.String())
	}
}

func TestDuplicatesKeepTheirID(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := &recorder{}
		app, sim := overHTTP(t, h)
		sim.Faults(func(f *slacksim.Faults) { f.Duplicate = 3 })
		ts, err := app.Post(t.Context(), "C0OPS", slackapp.Message{Text: "t", Blocks: blocks(buttons("go", "1"))})
		if err != nil {
			t.Fatal(err)
		}
		for _, err := range []error{sim.Command("U0ANNA", "C0OPS", "/leaks"), sim.Click("U0ANNA", "C0OPS", ts, "go"), sim.OpenHome("U0ANNA")} {
			if err != nil {
				t.Error(err)
			}
		}
		if taken, _ := h.counts(); taken != 3 {
			t.Errorf("three requests, each delivered twice, have %d ids", taken)
		}
	})
}

// Slack drops an ack of 20 KB without a word, and so does the simulator.
func TestOversizedAckGoesByTheResponseAddress(t *testing.T) {
	h := &recorder{ack: func(slackapp.Envelope) (slackapp.Ack, error) {
		return slackapp.Ack{Text: strings.Repeat("w", 25_000)}, nil
	}}
	_, sim := overSocket(t, h)
	if err := sim.Command("U0ANNA", "C0OPS", "/leaks"); err != nil {
		t.Fatal(err)
	}
	m, err := sim.WaitFor(within(t, 10*time.Second), func(m slacksim.Message) bool { return m.Ephemeral == "U0ANNA" })
	if err != nil || len(m.Text) != 25_000 {
		t.Errorf("the user saw %d characters, %v", len(m.Text), err)
	}
}

func TestResponseHosts(t *testing.T) {
	var asked []string
	client := &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		asked = append(asked, r.URL.Host)
		return &http.Response{StatusCode: 200, Body: io.NopCloser(bytes.NewReader([]byte("ok")))}, nil
	})}
	for _, tt := range []struct {
		api, address string
		ok           bool
	}{
		{"https://slack.com/api/", "https://hooks.slack.com/commands/1/2", true},
		{"https://slack.com/api/", "https://HOOKS.slack.com/commands/1/2", true},
		{"https://slack.com/api/", "http://hooks.slack.com/commands/1/2", false},
		{"https://slack.com/api/", "https://hooks.slack.com.evil.example/x", false},
		{"https://slack.com/api/", "https://hooks.slack.com@evil.example/x", false},
		{"https://slack.com/api/", "https://evil@hooks.slack.com/x", false},
		{"https://slack.com/api/", "https://hooks.slack.com:8443/x", false},
		{"https://slack.com/api/", "https://slack.com/x", false},
		{"https://slack.com/api/", "http://127.0.0.1:9/response/x", false},
		{"https://slack.com/api/", "http://169.254.169.254/metadata", false},
		{"https://slack.com/api/", "://", false},
		{"http://127.0.0.1:9/api/", "http://127.0.0.1:9/response/x", true},
		{"http://127.0.0.1:9/api/", "http://127.0.0.1:10/response/x", false},
		{"http://127.0.0.1:9/api/", "http://localhost:9/response/x", false},
	} {
		asked = nil
		app, err := slackapp.New(slackapp.Options{BotToken: "b", AppToken: "a", APIURL: tt.api, HTTPClient: client, Handler: &recorder{}, Logger: quiet})
		if err != nil {
			t.Fatal(err)
		}
		err = app.Respond(t.Context(), tt.address, slackapp.Message{Text: "secret report"})
		if (err == nil) != tt.ok || (len(asked) == 1) != tt.ok {
			t.Errorf("%s with API %s: %v, asked %v", tt.address, tt.api, err, asked)
		}
	}
}

type roundTrip func(*http.Request) (*http.Response, error)

func (f roundTrip) RoundTrip(r *http.Request) (*http.Response, error) { return f(r) }
