package slacksim_test

import (
	"encoding/json"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dropleak/dropleak/bot/slacksim"
)

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
