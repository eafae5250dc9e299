package chat_test

import (
	"encoding/json"
	"regexp"
	"strings"
	"testing"
	"time"
	"unicode"

	"github.com/dropleak/dropleak/bot/report"
	"github.com/dropleak/dropleak/bot/slacksim"
	"github.com/dropleak/dropleak/bot/watch"
)

// ours is all the markup that we write ourselves.
var ours = regexp.MustCompile(`<@U0[A-Z]+>|<#C0OPS>|<!subteam\^S0[A-Z]+>|<!date\^\d+\^[^|<>]*\|[^|<>]*>`)

// poisoned names what is wrong with a string that people see.
func poisoned(s string) string {
	rest := ours.ReplaceAllString(s, "")
	if i := strings.IndexByte(rest, '<'); i >= 0 {
		return "markup of others: " + rest[i:]
	}
	for _, r := range s {
		if unicode.IsControl(r) && r != '\n' || r == 0x202e || r == 0x200b {
			return "a control or direction character"
		}
	}
	return ""
}

// dead leaves out what has no meaning in plain text.
func dead(s string) string { return strings.ReplaceAll(s, "<", "") }

// visible visits every string in a JSON value that people see.
func visible(key string, v any, visit func(string)) {
	switch v := v.(type) {
	case string:
		switch key {
		case "text":
			visit(v)
		case "alt_text", "alt_txt":
			visit(dead(v))
		}
	case map[string]any:
		for k, x := range v {
			if v["type"] == "plain_text" || v["type"] == "raw_text" || v["type"] == "raw_number" {
				x, _ := v["text"].(string)
				visit(dead(x))
				break
			}
			visible(k, x, visit)
		}
	case []any:
		for _, x := range v {
			visible(key, x, visit)
		}
	}
}

// TestHostileNames has a worker named to mention, link, style and hide, and
// walks it through every message there is.
func TestHostileNames(t *testing.T) {
	for label, name := range map[string]string{
		"mention": "<!channel>", "person": "<@U0BEN|boss>", "link": "<https://evil.test|mail>", "entity": "&lt;!here&gt;",
		"styles": "*b* _i_ ~s~ `c` ```", "hidden": "ma\u202eli\u200b\x07\n> x", "long": strings.Repeat("x", 300), "empty": "\u200b",
	} {
		t.Run(label, func(t *testing.T) {
			bubble(t, func(t *testing.T, d *desk) {
				d.far.names[0] = name
				f, m := d.opened(name)
				for _, line := range []string{"/leaks report", "/leaks worker " + name, "/leaks worker zzz" + name, "/leaks why " + name,
					"/leaks droplet web-1", "/leaks droplet " + name, "/leaks history", "/leaks " + name, "/leaks mute " + name + " soon",
					"/leaks restart " + name, "/leaks runs"} {
					d.say(carla, line)
				}
				d.press(carla, f.ID, report.ActionDetails)
				if err := d.sim.Choose(anna, ops, m.TS, report.ActionMore, report.ActionSkip+":"+d.run().Run); err != nil {
					t.Fatal(err)
				}
				d.rest(time.Second)
				if err := d.sim.Submit(anna, map[string]string{"remark": "because <!here> *x*"}); err != nil {
					t.Fatal(err)
				}
				d.rest(30 * time.Minute)
				d.tell(watch.Resolved, f.ID)
				if err := d.chat.Report(t.Context(), "", "", time.Time{}); err != nil {
					t.Fatal(err)
				}
				checkWritten(t, d.sim)
				snaps, restarts := d.far.counted()
				if snaps != 0 || restarts != 1 {
					t.Errorf("%d snapshots, %d restarts", snaps, restarts)
				}
			})
		})
	}
}

// checkWritten looks at everything that was sent to Slack.
func checkWritten(t *testing.T, sim *slacksim.Sim) {
	t.Helper()
	seen := 0
	for _, e := range sim.Journal() {
		if e.Kind != slacksim.Call && e.Kind != slacksim.Respond {
			continue
		}
		if e.Error != "" {
			t.Errorf("%s %s: %s\n%s", e.Kind, e.Name, e.Error, e.Body)
		}
		var body any
		if len(e.Body) == 0 || json.Unmarshal(e.Body, &body) != nil {
			continue
		}
		visible("", body, func(s string) {
			seen++
			if wrong := poisoned(s); wrong != "" {
				t.Errorf("%s %s writes %s\nin %q", e.Kind, e.Name, wrong, s)
			}
		})
	}
	if seen < 100 {
		t.Errorf("only %d strings were looked at", seen)
	}
}
