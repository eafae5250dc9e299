package slacksim_test

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"

	"github.com/dropleak/dropleak/bot/slacksim"
)

// browser opens the page as a user in a headless Chromium.
func browser(t *testing.T, sim *slacksim.Sim, user string, width, height int64, dark bool) context.Context {
	t.Helper()
	flags := append([]chromedp.ExecAllocatorOption{chromedp.NoFirstRun, chromedp.Headless, chromedp.NoSandbox, chromedp.DisableGPU,
		chromedp.UserDataDir(t.TempDir())},
		chromedp.Flag("disable-background-networking", true), chromedp.Flag("disable-component-update", true),
		chromedp.Flag("disable-sync", true), chromedp.Flag("disable-dev-shm-usage", true))
	ctx, cancel := context.WithTimeout(t.Context(), 40*time.Second)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewExecAllocator(ctx, flags...)
	t.Cleanup(cancel)
	ctx, cancel = chromedp.NewContext(ctx)
	t.Cleanup(cancel)
	scheme := "light"
	if dark {
		scheme = "dark"
	}
	if err := chromedp.Do(ctx, chromedp.EmulateViewport(width, height)); err != nil {
		t.Fatal("start the browser:", err)
	}
	media := emulation.SetEmulatedMediaParams{Features: []*emulation.MediaFeature{{Name: "prefers-color-scheme", Value: scheme}}}
	if _, err := chromedp.Call(ctx, emulation.SetEmulatedMedia, media); err != nil {
		t.Fatal(err)
	}
	err := chromedp.Do(ctx, chromedp.Navigate(sim.URL()+"/?channel=C0OPS&user="+user), chromedp.WaitVisible(chromedp.CSS("#list > *")))
	if err != nil {
		t.Fatal("open the page:", err)
	}
	return ctx
}

func eval[T any](t *testing.T, ctx context.Context, a chromedp.Action[T]) T {
	t.Helper()
	v, err := chromedp.Run(ctx, a)
	if err != nil {
		t.Fatal(err)
	}
	return v
}

// shoot keeps a picture where DROPLEAK_PAGE_SHOTS points, for people to look at.
func shoot(t *testing.T, ctx context.Context, name string) {
	t.Helper()
	dir := os.Getenv("DROPLEAK_PAGE_SHOTS")
	if dir == "" {
		return
	}
	b, err := chromedp.Run(ctx, chromedp.CaptureScreenshot())
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, name+".png"), b, 0o644); err != nil {
		t.Fatal(err)
	}
}

// deskBot is a bot of a few lines: it opens a modal on /leaks why and finishes a
// message when its button is pressed.
func deskBot(t *testing.T, opts slacksim.Options) (*slacksim.Sim, bot) {
	t.Helper()
	var b bot
	opts.AppURL = "http://bot.test"
	opts.App = app(func(path string, form url.Values, _ string) (int, string) {
		if path == "/slack/events" {
			go b.call("views.publish", object{"user_id": "U0BEN", "view": object{"type": "home", "blocks": []any{
				section("*Approvals waiting for you: 1*"), actions(button("open", "1"))}}})
			return 200, ""
		}
		if form.Get("text") == "why" {
			go b.call("views.open", object{"trigger_id": form.Get("trigger_id"), "view": modal()})
			return 200, ""
		}
		if form.Get("command") != "" {
			return 200, `{"text":"*2 workers* leak; see the report above"}`
		}
		var p object
		if err := json.Unmarshal([]byte(form.Get("payload")), &p); err != nil {
			t.Error(err)
		}
		if p["type"] != "block_actions" {
			return 200, ""
		}
		msg := p["message"].(object)
		go b.call("chat.update", object{"channel": "C0OPS", "ts": msg["ts"], "text": "done",
			"blocks": []any{section(":white_check_mark: *web@droplet-7* restarted by <@U0ANNA>, 1.9 GiB freed")}})
		return 200, ""
	})
	sim := slacksim.New(opts).Kind()
	if err := sim.Start(""); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { sim.Close() })
	sim.SetBanner("Simulated here: Slack and DigitalOcean. Real: the service, the agent and the leak.")
	b = bot{t, sim}
	return sim, b
}

func modal() object {
	return object{"type": "modal", "title": text("plain_text", "Skip the snapshot?"), "submit": text("plain_text", "Restart"),
		"blocks": []any{section("This restarts *web@droplet-7* at once, with no way back."),
			object{"type": "input", "block_id": "r", "label": text("plain_text", "Reason"), "hint": text("plain_text", "Kept in the audit log"),
				"element": object{"type": "plain_text_input", "action_id": "reason", "multiline": true}},
			object{"type": "input", "block_id": "m", "optional": true, "label": text("plain_text", "Then watch for"),
				"element": object{"type": "static_select", "action_id": "watch", "options": []any{
					object{"text": text("plain_text", "one hour"), "value": "1h"}, object{"text": text("plain_text", "a day"), "value": "24h"}}}}}}
}

func confirmed(action, value, style, label string) object {
	b := button(action, value)
	b["style"], b["text"] = style, text("plain_text", label)
	b["confirm"] = object{"title": text("plain_text", "Snapshot, then restart?"), "text": text("mrkdwn", "Restarts *web@droplet-7* after a snapshot of about 40 GiB."),
		"confirm": text("plain_text", "Snapshot & restart"), "deny": text("plain_text", "Cancel")}
	return b
}

func report(file any) []any {
	return []any{
		object{"type": "header", "text": text("plain_text", "web@droplet-7 leaks, memory ends in 5 h 20 min")},
		object{"type": "section", "fields": []any{
			text("mrkdwn", "*Growth*\n212 MiB an hour (190 to 240)"), text("mrkdwn", "*Since*\n<!date^1795363200^{date_short_pretty} {time}|some time>"),
			text("mrkdwn", "*Memory now*\n3.1 of 4.0 GiB"), text("mrkdwn", "*Sure*\n96 %, confirmed on `uss`")}},
		object{"type": "image", "alt_text": "Memory grows from 1.2 to 3.1 GiB in nine hours", "slack_file": object{"id": file}},
		section("> Two of eight pool processes grow; `reports.render` explains 80 % of it.\nHostile name: &lt;script&gt;alert(1)&lt;/script&gt; and ~struck~ _slanted_ <https://example.com|a link>"),
		object{"type": "table", "column_settings": []any{object{}, object{"align": "right"}, object{"align": "right"}}, "rows": []any{
			[]any{raw("Worker"), raw("Memory"), raw("MiB/h")}, []any{raw("web@droplet-7"), raw("3.1 GiB"), raw("212")}, []any{raw("mail@droplet-7"), raw("0.4 GiB"), raw("0")}}},
		object{"type": "divider"},
		object{"type": "actions", "elements": []any{confirmed("restart", "f-1", "primary", "Snapshot & restart"),
			object{"type": "button", "action_id": "later", "text": text("plain_text", "Not now")},
			object{"type": "overflow", "action_id": "more", "options": []any{object{"text": text("plain_text", "Mute for a day"), "value": "mute"}}}}},
		object{"type": "context", "elements": []any{text("mrkdwn", "Snapshot about 40 GiB, *$2.40* a month · running tasks get 30 s"), text("plain_text", ":hourglass: expires 18:00")}},
	}
}

func uploadChart(t *testing.T, b bot) any {
	t.Helper()
	img := image.NewRGBA(image.Rect(0, 0, 720, 220))
	for x := range 720 {
		for y := range 220 {
			c := color.RGBA{250, 250, 252, 255}
			if y > 200-x/4 && y < 204-x/4 {
				c = color.RGBA{192, 19, 67, 255}
			}
			img.Set(x, y, c)
		}
	}
	var buf bytes.Buffer
	if err := png.Encode(&buf, img); err != nil {
		t.Fatal(err)
	}
	slot := b.call("files.getUploadURLExternal", object{"filename": "a.png", "length": fmt.Sprint(buf.Len())})
	resp, err := http.Post(slot["upload_url"].(string), "image/png", &buf)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	b.call("files.completeUploadExternal", object{"files": []any{object{"id": slot["file_id"]}}})
	time.Sleep(2 * time.Millisecond) // longer than the FileDelay of these tests
	return slot["file_id"]
}

func TestReadPressConfirmAndWatchInABrowser(t *testing.T) {
	sim, b := deskBot(t, slacksim.Options{FileDelay: time.Millisecond, Hints: []string{"/leaks", "/leaks why"}})
	o := b.post(report(uploadChart(t, b))...)
	if o["ok"] != true {
		t.Fatal(o)
	}
	ts := o["ts"].(string)
	b.call("chat.postMessage", object{"channel": "C0OPS", "thread_ts": ts, "text": "Found at 09:14 by the scan of all workers"})
	ctx := browser(t, sim, "U0ANNA", 1280, 980, false)
	if err := chromedp.Do(ctx, chromedp.WaitVisible(chromedp.CSS(`.msg [data-action=restart]`))); err != nil {
		t.Fatal(err)
	}
	eval[bool](t, ctx, chromedp.Poll[bool](`[...document.images].every(i => i.complete && i.naturalWidth > 0)`))
	images := eval(t, ctx, chromedp.Evaluate[int](`document.images.length`))
	scripts := eval(t, ctx, chromedp.Evaluate[int](`document.querySelectorAll('#list script').length`))
	shown := eval(t, ctx, chromedp.Text(chromedp.CSS("#list")))
	if images != 1 || scripts != 0 || !strings.Contains(shown, "<script>alert(1)</script>") || !strings.Contains(shown, "212 MiB an hour") {
		t.Errorf("%d images, %d scripts, text:\n%s", images, scripts, shown)
	}
	shoot(t, ctx, "report")
	if err := chromedp.Do(ctx, chromedp.Click(chromedp.CSS(`.threadlink`)), chromedp.WaitVisible(chromedp.CSS(`#replies .msg`)), chromedp.Click(chromedp.CSS(`[data-action=restart]`)), chromedp.WaitVisible(chromedp.CSS(`#yes`))); err != nil {
		t.Fatal(err)
	}
	shoot(t, ctx, "confirm")
	if n := len(sim.Calls("chat.update")); n != 0 {
		t.Fatal("acted before the person confirmed")
	}
	if err := chromedp.Do(ctx, chromedp.Click(chromedp.CSS(`#yes`))); err != nil {
		t.Fatal(err)
	}
	// The update must come by itself, without a reload.
	eval(t, ctx, chromedp.Poll[bool](`document.querySelector('#list').innerText.includes('1.9 GiB freed')`, chromedp.WithPollingTimeout(10*time.Second)))
	if m, _ := sim.Message("C0OPS", ts); m.Edits != 1 || len(m.Buttons()) != 0 {
		t.Errorf("message is %+v", m)
	}
	shoot(t, ctx, "done")
}

func TestCommandAndModalInABrowser(t *testing.T) {
	sim, _ := deskBot(t, slacksim.Options{Hints: []string{"/leaks why"}})
	ctx := browser(t, sim, "U0BEN", 900, 700, true)
	err := chromedp.Do(ctx, chromedp.SendKeys(chromedp.CSS("#line"), "/leaks report\r"),
		chromedp.WaitVisible(chromedp.CSS(".msg.eph")), chromedp.Click(chromedp.CSS("#hints button")), chromedp.WaitVisible(chromedp.CSS("#submit")))
	if err != nil {
		t.Fatal(err)
	}
	shoot(t, ctx, "modal-dark")
	err = chromedp.Do(ctx, chromedp.Click(chromedp.CSS("#submit")), chromedp.WaitVisible(chromedp.CSS(".input .err")),
		chromedp.SendKeys(chromedp.CSS("[data-input=reason]"), "out of disk"), chromedp.SetValue(chromedp.CSS("[data-input=watch]"), "24h"), chromedp.Click(chromedp.CSS("#submit")),
		chromedp.WaitNotPresent(chromedp.CSS("#submit")))
	if err != nil {
		t.Fatal(err)
	}
	err = chromedp.Do(ctx, chromedp.Click(chromedp.CSS("#nav button:last-child")), chromedp.WaitVisible(chromedp.CSS("#list [data-action=open]")))
	if err != nil {
		t.Fatal("the home never came:", err)
	}
	shoot(t, ctx, "home-dark")
	var sent string
	for _, e := range sim.Journal() {
		if e.Kind == slacksim.Deliver && e.Name == "view_submission" {
			sent = string(e.Body)
		}
	}
	if !strings.Contains(sent, `"value":"out of disk"`) || !strings.Contains(sent, `"selected_option":{"text":{"text":"a day"`) {
		t.Errorf("sent in: %s", sent)
	}
	if got := sim.Ephemerals("U0ANNA"); len(got) != 0 {
		t.Error("somebody else saw Ben's answer")
	}
}

func TestEveryKindOfBlockIsDrawn(t *testing.T) {
	sim, b := deskBot(t, slacksim.Options{})
	point := func(l string, v float64) object { return object{"label": l, "value": v} }
	rich := func(kind string, els ...any) object { return object{"type": kind, "elements": els} }
	word := func(s string, style object) object { return object{"type": "text", "text": s, "style": style} }
	o := b.post(
		rich("rich_text", rich("rich_text_section", word("bold ", object{"bold": true}), word("code", object{"code": true}), object{"type": "user", "user_id": "U0ANNA"}),
			object{"type": "rich_text_list", "style": "bullet", "elements": []any{rich("rich_text_section", word("first", nil)), rich("rich_text_section", word("second", nil))}},
			rich("rich_text_preformatted", word("MemoryHigh=1500M", nil))),
		object{"type": "data_table", "caption": "Workers, worst first", "rows": []any{[]any{raw("Worker"), raw("GiB"), raw(" ")},
			[]any{raw("web@droplet-7"), object{"type": "raw_number", "value": 3.1}, object{"type": "action_cell", "element": button("row", "w1")}}}},
		object{"type": "data_visualization", "title": "Memory, GiB", "chart": object{"type": "line", "axis_config": object{"categories": []any{"09:00", "10:00", "11:00"}},
			"series": []any{object{"name": "web", "data": []any{point("09:00", 1.2), point("10:00", 2.1), point("11:00", 3.1)}},
				object{"name": "mail", "data": []any{point("09:00", 0.4), point("10:00", 0.4), point("11:00", 0.41)}}}}},
		object{"type": "card", "title": text("plain_text", "web@droplet-7"), "body": text("mrkdwn", "grows *212 MiB* an hour"), "actions": []any{button("card", "w1")}},
		object{"type": "container", "title": text("plain_text", "Detail"), "child_blocks": []any{section("folded")}},
		object{"type": "layout", "rows": []any{object{"items": []any{object{"block": section("left")}, object{"block": section("right")}}}}},
		object{"type": "markdown", "text": "**strong** and `code`"},
		object{"type": "section", "text": text("mrkdwn", "```\nworker_max_memory_per_child = 400000\n```"), "accessory": button("side", "1")},
		object{"type": "context", "elements": []any{text("mrkdwn", "<!here> <#C0OPS> <javascript:alert(1)|not a link> <!subteam^S0ONCALL|@oncall>")}})
	if o["ok"] != true {
		t.Fatal(o)
	}
	ctx := browser(t, sim, "U0ANNA", 1000, 1500, false)
	if err := chromedp.Do(ctx, chromedp.WaitVisible(chromedp.CSS("[data-action=side]"))); err != nil {
		t.Fatal(err)
	}
	shoot(t, ctx, "blocks")
	unknown := eval(t, ctx, chromedp.Evaluate[string](`[...document.querySelectorAll('.unknown')].map(e => e.innerText).join()`))
	links := eval(t, ctx, chromedp.Evaluate[int](`document.querySelectorAll('#list a').length`))
	if unknown != "" || links != 0 {
		t.Errorf("not drawn: %q; %d links of foreign schemes", unknown, links)
	}
	if err := chromedp.Do(ctx, chromedp.Click(chromedp.CSS("[data-action=row]"))); err != nil {
		t.Fatal(err)
	}
	eval(t, ctx, chromedp.Poll[bool](`document.querySelector('#list').innerText.includes('1.9 GiB freed')`, chromedp.WithPollingTimeout(10*time.Second)))
}

func TestPhone(t *testing.T) {
	sim, b := deskBot(t, slacksim.Options{FileDelay: time.Millisecond})
	if o := b.post(report(uploadChart(t, b))...); o["ok"] != true {
		t.Fatal(o)
	}
	for _, dark := range []bool{false, true} {
		ctx := browser(t, sim, "U0ANNA", 380, 780, dark)
		if err := chromedp.Do(ctx, chromedp.WaitVisible(chromedp.CSS(`[data-action=restart]`))); err != nil {
			t.Fatal(err)
		}
		over := eval(t, ctx, chromedp.Evaluate[int](`document.documentElement.scrollWidth - innerWidth`))
		if over > 0 {
			t.Errorf("the page is %d pixels wider than the phone", over)
		}
		shoot(t, ctx, fmt.Sprintf("phone-dark-%v", dark))
	}
}

func TestPageIsForThePageAlone(t *testing.T) {
	sim, _ := deskBot(t, slacksim.Options{})
	for _, tt := range []struct {
		name, host, header string
		want               int
	}{
		{"the page", "", "1", 200},
		{"another site's form", "", "", 403},
		{"a name made to point here", "evil.example", "1", 403},
	} {
		req, err := http.NewRequest("POST", sim.URL()+"/sim/say", strings.NewReader(`{"User":"U0ANNA","Channel":"C0OPS","Text":"hi"}`))
		if err != nil {
			t.Fatal(err)
		}
		if tt.host != "" {
			req.Host = tt.host
		}
		req.Header.Set("X-Slacksim", tt.header)
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		if resp.StatusCode != tt.want {
			t.Errorf("%s: %d, want %d", tt.name, resp.StatusCode, tt.want)
		}
	}
	if n := len(sim.Messages("C0OPS")); n != 1 {
		t.Errorf("%d messages, want 1", n)
	}
}
