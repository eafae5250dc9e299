package chat_test

import (
	"strings"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/chat"
	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/remedy"
	"github.com/dropleak/dropleak/bot/report"
)

func TestCommands(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		f, _ := d.opened("mail")
		for _, c := range []struct{ line, want string }{
			{"/leaks", "3 workers, 1 leaking"},
			{"/leaks report", "mail on web-1: new"},
			{"/leaks report celery", "3 workers, 1 leaking"},
			{"/leaks report web-1", "3 workers, 1 leaking"},
			{"/leaks report nosuch", "No droplet carries the tag"},
			{"/leaks worker mail", "mail on web-1 leaks memory"},
			{"/leaks worker web", "web on web-1 is flat"},
			{"/leaks worker ma", "mail on web-1 leaks memory"},
			{"/leaks wo mail@web-1", "mail on web-1 leaks memory"},
			{"/leaks worker", "Which worker?"},
			{"/leaks droplet web-1", "web-1 has 3 workers"},
			{"/leaks droplet web", "web-1 has 3 workers"},
			{"/leaks droplet db", "These are there:\n[web-1]"},
			{"/leaks droplet", "Which droplet?"},
			{"/leaks why mail", "grew in 39 of 40 hours"},
			{"/leaks why web", "level for 48 h"},
			{"/leaks history", "mail on web-1 – open"},
			{"/leaks history web", "Nothing was found"},
			{"/leaks runs", "waiting for an approval"},
			{"/leaks history nobody", "about a worker that begins with"},
			{"/leaks snapshots", "No snapshot stands that dropleak made."},
			{"/leaks unmute web", "There is no open finding about `web`"},
			{"/leaks unmute mail", "Nothing about `mail` is muted."},
			{"/leaks mute mail", "How long shall `mail` be muted?\n[4h]\n[24h]\n[7d]\n[until-worse]"},
			{"/leaks mute mail until worse", "not among the configured approvers"},
			{"/leaks mute MAIL until it gets worse", "not among the configured approvers"},
			{"/leaks why MAIL", "grew in 39 of 40 hours"},
			{"/leaks why Web@WEB-1", "level for 48 h"},
			{"/leaks mute mail 0h", "How long?"},
			{"/leaks mute mail soon", "How long?"},
			{"/leaks mute mail 24h", "not among the configured approvers"},
			{"/leaks help", "/leaks restart NAME"},
			{"/leaks HELP", "/leaks restart NAME"},
			{"/leaks frobnicate", "does not know `frobnicate`"},
			{"/leaks r mail", "`r` may be any of these"}, // report, restart or runs
			{"/leaks report we", "3 workers, 1 leaking"},
			{"/leaks help mute", "For example `/leaks mute mail 24h`"},
			{"/leaks help /leaks mu", "For example `/leaks mute mail 24h`"},
			{"/leaks help appr", "Anybody may ask"},
			{"/leaks help un", "How to use /leaks unmute"},
			{"/leaks help r", "`r` may be any of these"},
			{"/leaks help frobnicate", "There is no help about `frobnicate`"},
			{"/leaks help names", "the click carries on"},
		} {
			wantText(t, c.line, d.say(carla, c.line).PlainText(), c.want)
		}
		wantText(t, "an approver's mute", d.say(anna, "/leaks mute mail 24h").PlainText(), "Noted: not now.")
		if v := d.run(); v.Outcome != remedy.Declined || v.Settled.By != anna || v.Until.IsZero() {
			t.Errorf("the question that stood is answered %q by %+v until %v", v.Outcome, v.Settled, v.Until)
		}
		if f := d.finding(f.ID); f.State != finding.Muted || f.By != anna {
			t.Errorf("the finding is %s by %s", f.State, f.By)
		}
		wantText(t, "anybody's unmute", d.say(carla, "/leaks unmute mail").PlainText(), "Done: unmute `mail`.")
		wantText(t, "a mute without a question", d.say(anna, "/leaks mute mail until-worse").PlainText(), "Done: mute `mail`.")
		wantText(t, "anybody's unmute", d.say(carla, "/leaks unmute mail").PlainText(), "Done: unmute `mail`.")
		d.press(anna, f.ID, report.ActionAskAgain)
		d.press(anna, f.ID, report.ActionRestart)
		d.rest(time.Hour)
		wantText(t, "/leaks snapshots", d.say(carla, "/leaks snapshots").PlainText(), "11.2 GB, $0.67 a month")
		wantText(t, "/leaks runs", d.say(carla, "/leaks runs").PlainText(), "memory freed, worker working")
		var mutes []string
		for _, n := range d.notes {
			mutes = append(mutes, n.Who+" "+n.What+" "+n.After)
		}
		if got := strings.Join(mutes, ", "); got != "U0CARLA unmute open, U0ANNA not_now muted, U0CARLA unmute open" {
			t.Errorf("written down: %s", got)
		}
	})
}

func TestWhoMayNotAsk(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		wantText(t, "a guest", d.say(gus, "/leaks report").PlainText(), "Only full members")
		wantText(t, "a stranger", d.say(eve, "/leaks report").PlainText(), "Only people of this workspace")
	})
}

// TestRestartOnWish offers a restart of a worker that need not leak; whoever
// asked is named, and an approver decides.
func TestRestartOnWish(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		wantText(t, "the answer", d.say(carla, "/leaks restart web-s").PlainText(), "A restart of `web-slow` is offered in <#C0OPS>")
		found, err := d.store.Findings(t.Context(), finding.Filter{Live: true})
		if err != nil || len(found) != 1 {
			t.Fatalf("%d findings, %v", len(found), err)
		}
		_, m := d.message(found[0].ID)
		wantText(t, "the message", m.PlainText(), "Asked by <@U0CARLA>", "web-slow on web-1 is flat")
		d.say(carla, "/leaks restart web-slow")
		if n := len(d.sim.Messages(ops)); n != 1 {
			t.Errorf("%d messages for one wish", n)
		}
		d.press(carla, found[0].ID, report.ActionRestart)
		wantText(t, "the asker", d.told(carla), "not among the configured approvers")
	})
}

// TestOneMeaning: no command begins like the whole of another, but for
// snapshot and snapshots: a whole word is that command.
func TestOneMeaning(t *testing.T) {
	usage := chat.Usage()
	for _, part := range strings.Split(usage, " | ") {
		word, _, _ := strings.Cut(part, " ")
		if strings.Count(usage, "| "+word) > 1 && word != "snapshot" {
			t.Errorf("%q is also the beginning of another command", word)
		}
	}
	if len(usage) > 1000 {
		t.Errorf("the usage hint has %d characters, Slack takes 1000", len(usage))
	}
}

func TestScheduledReport(t *testing.T) {
	bubble(t, func(t *testing.T, d *desk) {
		if err := d.chat.Report(t.Context(), "C0DEPLOYS", "", time.Time{}); err != nil {
			t.Fatal(err)
		}
		well := d.sim.Messages("C0DEPLOYS")[0].PlainText()
		wantText(t, "all well", well, "3 workers, none leaking", "audit")
		d.opened("mail")
		if err := d.chat.Report(t.Context(), "", "celery", time.Time{}); err != nil {
			t.Fatal(err)
		}
		m := d.sim.Messages(ops)[1]
		head, err := d.store.AuditHead(t.Context())
		if err != nil || head.Seq == 0 {
			t.Fatalf("head %v, %v", head, err)
		}
		wantText(t, "leaking", m.PlainText(), head.String(), "mail on web-1: out of memory in 11 h · 3 workers, 1 leaking")
		if n := len(m.Text); n > 80 {
			t.Errorf("the notification has %d characters", n)
		}
	})
}
