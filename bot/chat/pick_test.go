package chat_test

import (
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/slacksim"
)

// choose clicks the choice of that text in a message, and returns the newest
// answer that the clicker sees.
func (d *desk) choose(user string, m slacksim.Message, text string) slacksim.Message {
	d.t.Helper()
	for _, b := range m.Buttons() {
		if b.Text != text {
			continue
		}
		if err := d.sim.ClickValue(user, m.Channel, m.TS, b.ActionID, b.Value); err != nil {
			d.t.Fatal(err)
		}
		d.rest(5 * time.Second)
		seen := d.sim.Ephemerals(user)
		if len(seen) == 0 {
			d.t.Fatalf("%s is answered by nothing", text)
		}
		return seen[len(seen)-1]
	}
	d.t.Fatalf("no choice %q in\n%s", text, m.PlainText())
	return slacksim.Message{}
}

// texts are what the buttons of a message say.
func texts(m slacksim.Message) (out []string) {
	for _, b := range m.Buttons() {
		out = append(out, b.Text)
	}
	return out
}

// TestChoices: a name that says too little or that nobody has is answered with
// buttons, and the click carries on with the very command that was typed.
func TestChoices(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		d.far.names = append(d.far.names, "mailer")
		d.opened("mail")
		for _, c := range []struct{ line, offers, click, want string }{
			{"/leaks worker we", "web on web-1, web-slow on web-1", "web-slow on web-1", "web-slow on web-1 is flat"},
			{"/leaks worker nosuch", "mail on web-1, mailer on web-1, web on web-1, web-slow on web-1", "web on web-1", "web on web-1 is flat"},
			{"/leaks worker", "mail on web-1, mailer on web-1, web on web-1, web-slow on web-1", "mail on web-1", "mail on web-1 leaks memory"},
			{"/leaks worker slow", "web-slow on web-1, mail on web-1, mailer on web-1, web on web-1", "web-slow on web-1", "web-slow on web-1 is flat"},
			{"/leaks why mai", "mail on web-1, mailer on web-1", "mail on web-1", "grew in 39 of 40 hours"},
			{"/leaks mute mai 24h", "mail on web-1, mailer on web-1", "mail on web-1", "not among the configured approvers"},
			{"/leaks unmute we", "web on web-1, web-slow on web-1", "web on web-1", "There is no open finding about `web`"},
			{"/leaks droplet db", "web-1", "web-1", "web-1 has 4 workers"},
			{"/leaks droplet", "web-1", "web-1", "web-1 has 4 workers"},
			{"/leaks report nosuch", "celery, web-1", "celery", "4 workers, 1 leaking"},
			{"/leaks r", "report, restart, runs", "runs", "waiting for an approval"},
			{"/leaks h mail", "history, help", "help", "There is no help about `mail`"},
			{"/leaks help h", "history, help", "history", "How to use /leaks history"},
			{"/leaks help nosuch", "report, worker, droplet, why, restart, snapshot, mute, unmute, history, runs, snapshots, help, names, approvals, verdicts", "verdicts", "the data cannot tell"},
		} {
			m := d.say(carla, c.line)
			if got := strings.Join(texts(m), ", "); got != c.offers {
				t.Errorf("%s offers %s", c.line, got)
			}
			wantText(t, c.line+", "+c.click, d.choose(carla, m, c.click).PlainText(), c.want)
		}
		d.far.scanned = false
		wantText(t, "before a scan", d.say(carla, "/leaks worker mail").PlainText(), "not been scanned yet")
		wantText(t, "before a scan", d.say(carla, "/leaks report").PlainText(), "not been scanned yet")
	})
}

// TestChoiceCarriesOn: what stood behind the name is not lost at the click, and
// the clicker's own right decides, not that of who typed.
func TestChoiceCarriesOn(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		d.far.names = append(d.far.names, "mailer")
		f, _ := d.opened("mail")
		d.choose(anna, d.say(anna, "/leaks mute mai 24h"), "mail on web-1")
		if f := d.finding(f.ID); f.State != finding.Muted || f.By != anna || time.Until(f.MutedUntil).Round(time.Hour) != 24*time.Hour {
			t.Errorf("the finding is %s by %s until %v", f.State, f.By, f.MutedUntil)
		}
		m := d.say(anna, "/leaks mute mail some")
		wantText(t, "no time", m.PlainText(), "How long?", "[4h]\n[24h]\n[7d]\n[until-worse]")
		d.choose(anna, m, "until-worse")
		if f := d.finding(f.ID); !f.MuteWorse {
			t.Errorf("the finding is %s until %v", f.State, f.MutedUntil)
		}

		m = d.say(carla, "/leaks snapshot we before the deploy of <!channel>")
		wantText(t, "snapshot", d.choose(carla, m, "web-slow on web-1").PlainText(), "A snapshot of web-1 is offered")
		if v := d.run(); v.Purpose != "before the deploy of <!channel>" || v.Plan.Worker != "web-slow" || v.AskedBy != carla {
			t.Errorf("asked for by %s of %s because %q", v.AskedBy, v.Plan.Worker, v.Purpose)
		}
		m = d.say(carla, "/leaks restart mai")
		wantText(t, "restart", d.choose(carla, m, "mailer on web-1").PlainText(), "A restart of `mailer` is offered")
		if v := d.run(); v.Plan.Worker != "mailer" || v.Only || v.AskedBy != carla || v.Settled != nil {
			t.Errorf("asked for by %s of %s: %+v", v.AskedBy, v.Plan.Worker, v.Settled)
		}
	})
}

// TestStaleChoice: what a choice names may be gone at the click, or come from
// another version; then nothing is done, and that is said.
func TestStaleChoice(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		m := d.say(carla, "/leaks restart we")
		b := m.Buttons()[0]
		d.far.names = d.far.names[:1]
		wantText(t, "a worker that is gone", d.choose(carla, m, b.Text).PlainText(), "not seen any more")
		for _, value := range []string{"", "42/web", `{"v":"explode"}`, `{"v":"restart","w":"42/nosuch"}`} {
			if err := d.sim.ClickRaw(carla, ops, m.TS, b.BlockID, b.ActionID, value); err != nil {
				t.Fatal(err)
			}
			d.rest(5 * time.Second)
			if told := d.told(carla); !strings.Contains(told, "another version") && !strings.Contains(told, "not seen any more") {
				t.Errorf("the value %q is answered\n%s", value, told)
			}
		}
		if err := d.sim.ClickRaw(gus, ops, m.TS, b.BlockID, b.ActionID, b.Value); err != nil {
			t.Fatal(err)
		}
		d.rest(5 * time.Second)
		wantText(t, "a guest", d.told(gus), "Only full members")
		if views, err := d.rem.Views(t.Context(), all); err != nil || len(views) != 0 {
			t.Errorf("%d runs, %v", len(views), err)
		}
	})
}

// TestManyChoices: of a large fleet twenty are offered and the rest counted,
// whatever the names are; Slack takes it.
func TestManyChoices(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		d.far.names = nil
		for i := range 200 {
			d.far.names = append(d.far.names, fmt.Sprintf("mail-%03d%s", i, strings.Repeat("\u202e<!here>", 60)))
		}
		m := d.say(carla, "/leaks restart mail "+strings.Repeat("y", 2000))
		if n := len(m.Buttons()); n != 20 {
			t.Fatalf("%d choices: %s", n, m.PlainText())
		}
		m = d.say(carla, "/leaks snapshot mail "+strings.Repeat("y", 2000))
		wantText(t, "the rest", m.PlainText(), "200 workers begin with `mail`", "and 180 more")
		for _, b := range m.Buttons() {
			if !json.Valid([]byte(b.Value)) || len([]rune(b.Value)) > 2000 {
				t.Errorf("the value has %d characters", len([]rune(b.Value)))
			}
		}
	})
}
