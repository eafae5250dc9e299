package slacksim_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"os/exec"
	"slices"
	"strings"
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
		{"data table", []any{dataTable(nil, row("w1", "a"), row("w2", "b"))}, ""},
		{"data table of a header", []any{dataTable(nil)}, "/blocks/0/rows]"},
		{"data table of 101 rows", []any{dataTable(nil, slices.Repeat([][]any{{raw("w"), number(1), raw("x")}}, 101)...)}, "/blocks/0/rows]"},
		{"data table without caption", []any{dataTable(object{"caption": ""}, row("w1", "a"))}, "/blocks/0/caption]"},
		{"data table of no page", []any{dataTable(object{"page_size": 0}, row("w1", "a"))}, "/blocks/0/page_size]"},
		{"data table with two alike buttons", []any{dataTable(nil, row("w1", "a"), row("w2", "a"))}, "/blocks/0/rows/2/2/element/action_id]"},
		{"data table with an empty cell", []any{dataTable(nil, row("", "a"))}, "/blocks/0/rows/1/0/text]"},
		{"data table without a number", []any{dataTable(nil, []any{raw("w"), object{"type": "raw_number", "text": "1"}, raw("x")})}, "/blocks/0/rows/1/1/value]"},
		{"data table with a menu", []any{dataTable(nil, []any{raw("w"), number(1), object{"type": "action_cell", "element": object{"type": "overflow"}}})}, "/blocks/0/rows/1/2/element/type]"},
		{"data table of long names", []any{dataTable(nil, row(strings.Repeat("x", 10001), "a"))}, "/blocks/0/rows]"},
		{"button in an old table", []any{object{"type": "table", "rows": []any{row("w1", "a")}}}, "/blocks/0/rows/0/2/type]"},
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

func raw(s string) object     { return object{"type": "raw_text", "text": s} }
func number(v float64) object { return object{"type": "raw_number", "value": v} }

func row(name, action string) []any {
	return []any{raw(name), number(3.1), object{"type": "action_cell", "element": button(action, name), "fallback": raw("in its message")}}
}

// dataTable has a header and these rows; over changes what else it says.
func dataTable(over object, rows ...[]any) object {
	all := []any{[]any{raw("Worker"), raw("GiB"), raw("Decide")}}
	for _, r := range rows {
		all = append(all, r)
	}
	o := object{"type": "data_table", "caption": "Workers", "page_size": 10, "rows": all}
	maps.Copy(o, over)
	return o
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

// FuzzCall sends foreign arguments to every method: whatever comes, the answer is
// JSON with ok, and what was accepted can be shown.
func FuzzCall(f *testing.F) {
	for _, s := range []string{
		`{}`, `null`, `{"channel":"C0OPS","text":"x","blocks":[null,1,{"type":5},{"type":"actions","elements":[[],{"type":"button"}]}]}`,
		`{"channel":"C0OPS","blocks":[{"type":"data_table","caption":"c","rows":[[{"type":"action_cell","element":{"type":"button","action_id":"a"}}],[null]]}]}`,
		`{"view":{"type":"modal","title":{"type":"plain_text","text":"t"},"blocks":[{"type":"input","element":{"type":"static_select","options":[1]}}]}}`,
		`{"files":[{"id":"F"},4],"length":"-1","filename":"x"}`, `{"user_id":"U0ANNA","view":{"type":"home","blocks":[{"type":"layout","rows":[{"items":[{"block":{}}]}]}]}}`,
	} {
		f.Add([]byte(s))
	}
	all := []string{"auth.test", "chat.postMessage", "chat.postEphemeral", "chat.update", "chat.delete", "views.open", "views.push",
		"views.update", "views.publish", "users.info", "usergroups.users.list", "conversations.info",
		"files.getUploadURLExternal", "files.completeUploadExternal", "files.info"}
	f.Fuzz(func(t *testing.T, args []byte) {
		sim := slacksim.New(slacksim.Options{}).Kind()
		for _, m := range all {
			req, err := http.NewRequest("POST", "http://slack.test/api/"+m, bytes.NewReader(args))
			if err != nil {
				t.Fatal(err)
			}
			req.Header.Set("Content-Type", "application/json")
			req.Header.Set("Authorization", "Bearer xoxb-sim")
			resp, err := sim.RoundTripper().RoundTrip(req)
			if err != nil {
				t.Fatalf("%s: %v", m, err)
			}
			var o object
			if err := json.NewDecoder(resp.Body).Decode(&o); resp.StatusCode == 200 && (err != nil || o["ok"] == nil) {
				t.Fatalf("%s answers %v, %v", m, o, err)
			}
		}
		for _, m := range sim.Messages("C0OPS") {
			m.PlainText()
			m.Buttons()
		}
	})
}
