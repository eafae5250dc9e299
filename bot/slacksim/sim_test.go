package slacksim_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os/exec"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dropleak/dropleak/bot/slacksim"
)

type object = map[string]any

// bot calls the Web API with nothing but net/http.
type bot struct {
	t   *testing.T
	sim *slacksim.Sim
}

func (b bot) raw(method, token string, args object) (*http.Response, object) {
	b.t.Helper()
	body, err := json.Marshal(args)
	if err != nil {
		b.t.Fatal(err)
	}
	req, err := http.NewRequest("POST", "http://slack.test/api/"+method, bytes.NewReader(body))
	if err != nil {
		b.t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+token)
	resp, err := b.sim.RoundTripper().RoundTrip(req)
	if err != nil {
		return nil, object{"error": err.Error()}
	}
	defer resp.Body.Close()
	raw, err := io.ReadAll(resp.Body)
	if err != nil {
		b.t.Fatal(err)
	}
	var o object
	if err := json.Unmarshal(raw, &o); err != nil {
		o = object{"error": string(raw)}
	}
	return resp, o
}

func (b bot) call(method string, args object) object {
	b.t.Helper()
	_, o := b.raw(method, "xoxb-sim", args)
	return o
}

func (b bot) post(blocks ...any) object {
	b.t.Helper()
	return b.call("chat.postMessage", object{"channel": "C0OPS", "text": "t", "blocks": blocks})
}

func text(kind, s string) object { return object{"type": kind, "text": s} }

func button(action, value string) object {
	return object{"type": "button", "action_id": action, "value": value, "text": text("plain_text", "Press")}
}

func actions(els ...any) object { return object{"type": "actions", "elements": els} }

func section(s string) object { return object{"type": "section", "text": text("mrkdwn", s)} }

func TestRefusesWhatSlackRefuses(t *testing.T) {
	long := strings.Repeat("x", 3001)
	many := make([]any, 51)
	for i := range many {
		many[i] = object{"type": "divider"}
	}
	tests := []struct {
		name    string
		blocks  []any
		pointer string // "" is accepted
	}{
		{"plain", []any{section("hello"), actions(button("a", "1"), button("b", "1"))}, ""},
		{"fifty-one blocks", many, "/blocks]"},
		{"long section", []any{section(long)}, "/blocks/0/text/text]"},
		{"empty section", []any{section("")}, "/blocks/0/text/text]"},
		{"header in mrkdwn", []any{object{"type": "header", "text": text("mrkdwn", "x")}}, "/blocks/0/text/type]"},
		{"same action id", []any{actions(button("a", "1"), button("a", "2"))}, "/blocks/0/elements/1/action_id]"},
		{"same action id in another block", []any{actions(button("a", "1")), actions(button("a", "2"))}, ""},
		{"same block id", []any{object{"type": "divider", "block_id": "d"}, object{"type": "divider", "block_id": "d"}}, "/blocks/1/block_id]"},
		{"long value", []any{actions(button("a", strings.Repeat("v", 2001)))}, "/blocks/0/elements/0/value]"},
		{"unknown style", []any{actions(object{"type": "button", "action_id": "a", "style": "green", "text": text("plain_text", "x")})}, "/blocks/0/elements/0/style]"},
		{"unknown block", []any{object{"type": "marquee"}}, "/blocks/0/type]"},
		{"alert outside a modal", []any{object{"type": "alert", "text": text("plain_text", "x")}}, "/blocks/0/type]"},
		{"no alt text", []any{object{"type": "image", "image_url": "https://x.example/a.png"}}, "/blocks/0/alt_text]"},
		{"unknown file", []any{object{"type": "image", "alt_text": "a", "slack_file": object{"id": "F0NONE"}}}, "/blocks/0/slack_file]"},
		{"ragged table", []any{object{"type": "table", "rows": []any{[]any{object{"type": "raw_text", "text": "a"}}, []any{}}}}, "/blocks/0/rows/1]"},
		{"eleven fields", []any{object{"type": "section", "fields": elevenFields()}}, "/blocks/0/fields]"},
		{"long confirm", []any{actions(object{"type": "button", "action_id": "a", "text": text("plain_text", "x"),
			"confirm": object{"title": text("plain_text", "t"), "text": text("mrkdwn", strings.Repeat("x", 301)),
				"confirm": text("plain_text", "y"), "deny": text("plain_text", "n")}})}, "/blocks/0/elements/0/confirm/text/text]"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			o := bot{t, slacksim.New(slacksim.Options{}).Kind()}.post(tt.blocks...)
			if tt.pointer == "" {
				if o["ok"] != true {
					t.Fatalf("refused: %v", o)
				}
				return
			}
			if o["error"] != "invalid_blocks" || !strings.Contains(fmt.Sprint(o["response_metadata"]), "json-pointer:"+tt.pointer) {
				t.Fatalf("got %v, want invalid_blocks at %s", o, tt.pointer)
			}
		})
	}
}

func elevenFields() []any {
	f := make([]any, 11)
	for i := range f {
		f[i] = text("mrkdwn", "x")
	}
	return f
}

func TestTextLengths(t *testing.T) {
	b := bot{t, slacksim.New(slacksim.Options{}).Kind()}
	o := b.call("chat.postMessage", object{"channel": "C0OPS", "text": strings.Repeat("ä", 4001)})
	if o["ok"] != true {
		t.Fatal(o)
	}
	u := b.call("chat.update", object{"channel": "C0OPS", "ts": o["ts"], "text": strings.Repeat("ä", 4001)})
	if u["error"] != "msg_too_long" {
		t.Errorf("update with 4001 characters: %v", u)
	}
	if n := b.call("chat.postMessage", object{"channel": "C0OPS"}); n["error"] != "no_text" {
		t.Errorf("message without text: %v", n)
	}
}

func TestTokensAndScopes(t *testing.T) {
	b := bot{t, slacksim.New(slacksim.Options{Scopes: []string{"chat:write"}}).Kind()}
	for _, tt := range []struct{ method, token, want string }{
		{"auth.test", "", "not_authed"},
		{"auth.test", "xoxb-other", "invalid_auth"},
		{"auth.test", "xapp-sim", "not_allowed_token_type"},
		{"apps.connections.open", "xoxb-sim", "not_allowed_token_type"},
		{"users.info", "xoxb-sim", "missing_scope"},
		{"chat.meMessage", "xoxb-sim", "unknown_method"},
	} {
		_, o := b.raw(tt.method, tt.token, object{"user": "U0ANNA"})
		if o["error"] != tt.want {
			t.Errorf("%s with %q: %v, want %s", tt.method, tt.token, o, tt.want)
		}
		if tt.want == "missing_scope" && (o["needed"] != "users:read" || o["provided"] != "chat:write") {
			t.Errorf("missing_scope does not name the scopes: %v", o)
		}
	}
	var unknown int
	for _, e := range b.sim.Journal() {
		if e.Error == "unknown_method" {
			unknown++
		}
	}
	if unknown != 1 {
		t.Errorf("journal holds %d unknown methods, want 1", unknown)
	}
}

func TestRates(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bot{t, slacksim.New(slacksim.Options{}).Kind()}
		first := b.post(section("one"))
		var refused int
		for range 9 {
			resp, o := b.raw("chat.postMessage", "xoxb-sim", object{"channel": "C0OPS", "text": "again"})
			if o["ok"] != true {
				refused++
				if resp.StatusCode != 429 || resp.Header.Get("Retry-After") == "" {
					t.Fatalf("refusal: %d %v", resp.StatusCode, resp.Header)
				}
			}
		}
		if refused == 0 {
			t.Error("ten posts in an instant all went through")
		}
		if resp, o := b.raw("chat.postMessage", "xoxb-sim", object{"channel": "C0DEPLOYS", "text": "else"}); o["ok"] != true {
			t.Errorf("another channel: %d %v", resp.StatusCode, o)
		}
		for i := range 60 {
			resp, o := b.raw("chat.update", "xoxb-sim", object{"channel": "C0OPS", "ts": first["ts"], "text": fmt.Sprint(i)})
			if (resp.StatusCode == 429) != (i >= 50) {
				t.Fatalf("update %d within a minute: %d %v", i, resp.StatusCode, o)
			}
		}
		time.Sleep(time.Minute)
		if o := b.call("chat.update", object{"channel": "C0OPS", "ts": first["ts"], "text": "later"}); o["ok"] != true {
			t.Errorf("a minute later: %v", o)
		}
	})
}

func TestFileIsNotReadyAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		b := bot{t, slacksim.New(slacksim.Options{FileDelay: time.Second}).Kind()}
		png := []byte("\x89PNG\r\n\x1a\n0000")
		slot := b.call("files.getUploadURLExternal", object{"filename": "a.png", "length": fmt.Sprint(len(png)), "alt_txt": "memory"})
		up, err := url.Parse(slot["upload_url"].(string))
		if err != nil {
			t.Fatal(err)
		}
		req, err := http.NewRequest("POST", up.String(), bytes.NewReader(png))
		if err != nil {
			t.Fatal(err)
		}
		resp, err := b.sim.RoundTripper().RoundTrip(req)
		if err != nil || resp.StatusCode != 200 {
			t.Fatal(err, resp)
		}
		id := slot["file_id"]
		if o := b.call("files.completeUploadExternal", object{"files": []any{object{"id": id, "title": "a"}}}); o["ok"] != true {
			t.Fatal(o)
		}
		image := object{"type": "image", "alt_text": "memory", "slack_file": object{"id": id}}
		if o := b.post(image); o["error"] != "invalid_blocks" {
			t.Errorf("file shown before it was ready: %v", o)
		}
		if f := b.call("files.info", object{"file": id})["file"].(object); f["mimetype"] != "" || f["size"] != 0.0 {
			t.Errorf("file looks ready at once: %v", f)
		}
		time.Sleep(time.Second)
		if f := b.call("files.info", object{"file": id})["file"].(object); f["mimetype"] != "image/png" {
			t.Errorf("file never became ready: %v", f)
		}
		if o := b.post(image); o["ok"] != true {
			t.Errorf("ready file refused: %v", o)
		}
	})
}

// app is a bot of one function, reached in process over HTTP.
func app(fn func(path string, form url.Values, body string) (int, string)) http.RoundTripper {
	return slacksim.Transport(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		raw, _ := io.ReadAll(r.Body)
		form, _ := url.ParseQuery(string(raw))
		code, answer := fn(r.URL.Path, form, string(raw))
		w.WriteHeader(code)
		io.WriteString(w, answer)
	}))
}

func TestButtonsVanish(t *testing.T) {
	var payloads []string
	sim := slacksim.New(slacksim.Options{AppURL: "http://bot.test", App: app(func(_ string, form url.Values, _ string) (int, string) {
		payloads = append(payloads, form.Get("payload"))
		return 200, ""
	})}).Kind()
	b := bot{t, sim}
	ts := b.post(section("?"), actions(button("go", "42")))["ts"].(string)
	if err := sim.Click("U0ANNA", "C0OPS", ts, "go"); err != nil {
		t.Fatal(err)
	}
	var p object
	if err := json.Unmarshal([]byte(payloads[0]), &p); err != nil {
		t.Fatal(err)
	}
	if a := p["actions"].([]any)[0].(object); a["value"] != "42" || a["block_id"] == "" {
		t.Errorf("action is %v", a)
	}
	if o := b.call("chat.update", object{"channel": "C0OPS", "ts": ts, "text": "done", "blocks": []any{section("done")}}); o["ok"] != true {
		t.Fatal(o)
	}
	err := sim.Click("U0ANNA", "C0OPS", ts, "go")
	if err == nil || !strings.Contains(err.Error(), "no such button") {
		t.Errorf("pressed a button that is gone: %v", err)
	}
	if err := sim.ClickRaw("U0ANNA", "C0OPS", ts, "x", "go", "42"); err != nil || len(payloads) != 2 {
		t.Errorf("stale click: %v, %d payloads", err, len(payloads))
	}
	m, _ := sim.Message("C0OPS", ts)
	if m.Edits != 1 || len(m.Buttons()) != 0 || !strings.Contains(string(m.History[0]), `"go"`) {
		t.Errorf("history not kept: %+v", m)
	}
}

func TestUnackedRequestShowsItsUserAnError(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		sim := slacksim.New(slacksim.Options{AppURL: "http://bot.test", App: app(func(_ string, form url.Values, _ string) (int, string) {
			if form.Get("text") == "slow" {
				time.Sleep(4 * time.Second)
			}
			return map[string]int{"slow": 200, "fail": 500}[form.Get("text")], ""
		})}).Kind()
		for line, want := range map[string]string{"/leaks slow": "operation_timeout", "/leaks fail": "http_500"} {
			err := sim.Command("U0ANNA", "C0OPS", line)
			if err == nil || !strings.Contains(err.Error(), want) {
				t.Errorf("%s: %v, want %s", line, err, want)
			}
		}
		if got := sim.Ephemerals("U0ANNA"); len(got) != 2 || got[0].User != slacksim.SlackbotID {
			t.Errorf("the user saw %v", got)
		}
		time.Sleep(2 * time.Second) // the slow handler ends
	})
}

func TestResponseAddressWearsOut(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var address string
		sim := slacksim.New(slacksim.Options{AppURL: "http://bot.test", App: app(func(_ string, form url.Values, _ string) (int, string) {
			address = form.Get("response_url")
			return 200, `{"text":"in the ack"}`
		})}).Kind()
		respond := func() (int, string) {
			req, err := http.NewRequest("POST", address, strings.NewReader(`{"text":"later"}`))
			if err != nil {
				t.Fatal(err)
			}
			resp, err := sim.RoundTripper().RoundTrip(req)
			if err != nil {
				t.Fatal(err)
			}
			raw, _ := io.ReadAll(resp.Body)
			return resp.StatusCode, string(raw)
		}
		if err := sim.Command("U0ANNA", "C0OPS", "/leaks"); err != nil {
			t.Fatal(err)
		}
		for i := range 6 {
			if code, answer := respond(); (code == 200) != (i < 5) {
				t.Errorf("use %d: %d %s", i+1, code, answer)
			}
		}
		if got := len(sim.Ephemerals("U0ANNA")); got != 6 { // the ack's and five
			t.Errorf("%d ephemerals, want 6", got)
		}
		if err := sim.Command("U0ANNA", "C0OPS", "/leaks"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(31 * time.Minute)
		if code, answer := respond(); code != 404 || !strings.Contains(answer, "expired_url") {
			t.Errorf("after 31 minutes: %d %s", code, answer)
		}
	})
}

func TestModal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var b bot
		var trigger string
		answer := ""
		sim := slacksim.New(slacksim.Options{AppURL: "http://bot.test", App: app(func(_ string, form url.Values, _ string) (int, string) {
			if form.Get("trigger_id") != "" {
				trigger = form.Get("trigger_id")
			}
			return 200, answer
		})}).Kind()
		b = bot{t, sim}
		view := object{"type": "modal", "title": text("plain_text", "Why"), "submit": text("plain_text", "Send"),
			"blocks": []any{object{"type": "input", "block_id": "r", "label": text("plain_text", "Reason"),
				"element": object{"type": "plain_text_input", "action_id": "reason"}}}}
		if err := sim.Command("U0BEN", "C0OPS", "/leaks"); err != nil {
			t.Fatal(err)
		}
		if o := b.call("views.open", object{"trigger_id": trigger, "view": view}); o["ok"] != true {
			t.Fatal(o)
		}
		if o := b.call("views.open", object{"trigger_id": trigger, "view": view}); o["error"] != "exchanged_trigger_id" {
			t.Errorf("trigger used twice: %v", o)
		}
		if err := sim.Submit("U0BEN", nil); err == nil {
			t.Error("sent in without a required field")
		}
		answer = `{"response_action":"errors","errors":{"r":"too short"}}`
		if err := sim.Submit("U0BEN", map[string]string{"reason": "x"}); err == nil || !strings.Contains(err.Error(), "too short") {
			t.Errorf("sent back: %v", err)
		}
		answer = ""
		if err := sim.Submit("U0BEN", map[string]string{"reason": "really"}); err != nil {
			t.Error(err)
		}
		if _, open := sim.Modal("U0BEN"); open {
			t.Error("modal still open")
		}
		if err := sim.Command("U0BEN", "C0OPS", "/leaks"); err != nil {
			t.Fatal(err)
		}
		time.Sleep(4 * time.Second)
		if o := b.call("views.open", object{"trigger_id": trigger, "view": view}); o["error"] != "expired_trigger_id" {
			t.Errorf("old trigger: %v", o)
		}
	})
}

func TestUnkindByDefault(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got atomic.Int64
		sim := slacksim.New(slacksim.Options{AppURL: "http://bot.test", App: app(func(string, url.Values, string) (int, string) {
			got.Add(1)
			return 200, ""
		})})
		for range 200 {
			if err := sim.Command("U0ANNA", "C0OPS", "/leaks"); err != nil {
				t.Fatal(err)
			}
		}
		if got.Load() <= 200 {
			t.Error("no command came twice")
		}
		sim.Kind()
		got.Store(0)
		for range 200 {
			if err := sim.Command("U0ANNA", "C0OPS", "/leaks"); err != nil {
				t.Fatal(err)
			}
		}
		if got.Load() != 200 {
			t.Errorf("kind, and yet %d deliveries of 200", got.Load())
		}
	})
}

func TestFaultSwitches(t *testing.T) {
	sim := slacksim.New(slacksim.Options{}).Kind()
	b := bot{t, sim}
	ts := b.post(section("x"))["ts"].(string)
	sim.Faults(func(f *slacksim.Faults) {
		f.RateLimit["chat.update"] = 1
		f.RetryAfter = 7 * time.Second
		f.ServerError["users.info"] = 1
		f.Codes["auth.test"] = []string{"token_revoked"}
		f.LostMessages[ts] = true
		f.RefuseBlocks["table"] = true
	})
	if resp, _ := b.raw("chat.update", "xoxb-sim", object{"channel": "C0OPS", "ts": ts, "text": "y"}); resp.Header.Get("Retry-After") != "7" {
		t.Errorf("no 429: %v", resp.Status)
	}
	if o := b.call("chat.update", object{"channel": "C0OPS", "ts": ts, "text": "y"}); o["error"] != "message_not_found" {
		t.Errorf("lost message: %v", o)
	}
	if resp, _ := b.raw("users.info", "xoxb-sim", object{"user": "U0ANNA"}); resp.StatusCode != 503 {
		t.Errorf("no 503: %v", resp.Status)
	}
	if o := b.call("auth.test", nil); o["error"] != "token_revoked" {
		t.Errorf("no token_revoked: %v", o)
	}
	if o := b.post(object{"type": "table", "rows": []any{[]any{object{"type": "raw_text", "text": "a"}}}}); o["error"] != "invalid_blocks" {
		t.Errorf("table accepted: %v", o)
	}
	sim.Faults(func(f *slacksim.Faults) { f.LoseAnswer["chat.postMessage"] = 1 })
	before := len(sim.Messages("C0OPS"))
	resp, _ := b.raw("chat.postMessage", "xoxb-sim", object{"channel": "C0OPS", "text": "acted"})
	if resp != nil || len(sim.Messages("C0OPS")) != before+1 {
		t.Errorf("lost answer: %v, %d messages, before %d", resp, len(sim.Messages("C0OPS")), before)
	}
}

// The simulator must not share a type with the client it faces.
func TestImports(t *testing.T) {
	out, err := exec.Command("go", "list", "-deps", "-test", ".").Output()
	if err != nil {
		t.Fatal(err)
	}
	deps := string(out)
	if !strings.Contains(deps, "github.com/coder/websocket") {
		t.Fatal("the list of imports is not what it seems")
	}
	for _, ban := range []string{"github.com/slack-go/slack", "dropleak/bot/slackapp", "gorilla/websocket"} {
		if strings.Contains(deps, ban) {
			t.Errorf("slacksim depends on %s", ban)
		}
	}
}
