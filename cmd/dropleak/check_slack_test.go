package main

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/slackapp"
	"github.com/dropleak/dropleak/bot/slacksim"
	"github.com/dropleak/dropleak/configs"
)

// Whatever is missing in Slack is found before the first leak, each with what
// to do about it.
func TestSlackProbes(t *testing.T) {
	tests := []struct {
		name  string
		slack slacksim.Options
		alter func(*configs.Config)
		says  []string // lines that fail; all others are good
	}{
		{"all is well", slacksim.Options{}, func(*configs.Config) {}, nil},
		{"scopes", slacksim.Options{Scopes: []string{"chat:write", "commands", "users:read", "usergroups:read"}}, func(*configs.Config) {},
			[]string{"Slack scopes: the bot token lacks files:read (for files.info), files:write (for ", "Slack upload: "}},
		{"not invited", slacksim.Options{Channels: []slacksim.Channel{{ID: "C0OPS", Absent: []string{"U0BOT"}}}}, func(*configs.Config) {},
			[]string{"Slack channel C0OPS: slack chat.scheduleMessage: not_in_channel; in that channel, send /invite @dropleak"}},
		{"a report elsewhere", slacksim.Options{}, func(c *configs.Config) {
			c.Schedule.Report = configs.Reports{{Cron: "0 9 * * *", Channel: "C0NONE"}}
		}, []string{"Slack channel C0NONE: slack chat.scheduleMessage: channel_not_found; the configuration wants the channel's id"}},
		{"a guest", slacksim.Options{}, func(c *configs.Config) { c.Approvals.Approvers = []string{"U0GUS", "U0ANNA"} },
			[]string{"Slack approvers: U0GUS is a guest and cannot approve"}},
		{"nobody", slacksim.Options{Groups: map[string][]string{"S0ONCALL": {"U0GUS"}}}, func(*configs.Config) {},
			[]string{"Slack approvers: nobody can approve"}},
		{"too few", slacksim.Options{}, func(c *configs.Config) { c.Approvals.Quorum = 3 },
			[]string{"Slack approvers: approvals.quorum is 3 and only 2 can approve"}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			sim := slacksim.New(tt.slack).Kind()
			if err := sim.Start(""); err != nil {
				t.Fatal(err)
			}
			defer sim.Close()
			c := configs.Config{Secrets: configs.Secrets{SlackBot: "xoxb-sim", SlackApp: "xapp-sim"}}
			c.Slack.APIURL, c.Slack.Mode, c.Slack.Channel = sim.APIURL(), "socket", "C0OPS"
			c.Approvals.Approvers = []string{"S0ONCALL"}
			tt.alter(&c)
			var out bytes.Buffer
			err := ask(t.Context(), &out, slackQuestions(c, quiet()))
			var failed []string
			for line := range strings.Lines(out.String()) {
				if rest, bad := strings.CutPrefix(line, "FAIL  "); bad {
					failed = append(failed, rest)
				}
			}
			if (err != nil) != (len(tt.says) > 0) || len(failed) != len(tt.says) {
				t.Fatalf("error %v:\n%s", err, out.String())
			}
			for i, want := range tt.says {
				if !strings.HasPrefix(failed[i], want) {
					t.Errorf("says %q, want %q", failed[i], want)
				}
			}
			if n := sim.Scheduled(); n != 0 || len(sim.Messages("C0OPS")) != 0 {
				t.Errorf("%d messages are left to come, %d stand", n, len(sim.Messages("C0OPS")))
			}
		})
	}
}

// Whoever swallows what is asked is given up once, and asked no more; nothing
// is said of tokens or of the configuration then. What a signal ends is no
// finding at all.
func TestChecksOfWhoSwallows(t *testing.T) {
	t.Parallel()
	hole, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer hole.Close()
	at := "http://" + hole.Addr().String()
	c := configs.Config{Secrets: configs.Secrets{SlackBot: "xoxb-sim", SlackApp: "xapp-sim", ReaderToken: "r", ExecutorToken: "x"}, DataDir: t.TempDir()}
	c.Slack.APIURL, c.Slack.Mode, c.Slack.Channel, c.DigitalOcean.APIURL, c.DigitalOcean.Tag = at+"/api/", "socket", "C0OPS", at, "dropleak"
	c.Approvals.Approvers = []string{"U0ANNA"}
	qs := questions(c, time.Second)
	asked := 0
	for i := range qs {
		if qs[i].within > 0 {
			qs[i].within = time.Second
		}
		do := qs[i].ask
		qs[i].ask = func(ctx context.Context) (string, error) { asked++; return do(ctx) }
	}
	var out bytes.Buffer
	if err := ask(t.Context(), &out, qs); err == nil || asked != 3 { // the store, and each of the two once
		t.Errorf("%d questions were asked, %v:\n%s", asked, err, out.String())
	}
	for _, q := range []string{"DigitalOcean executor: not asked, for DigitalOcean did not answer: see whether", "Slack scopes: not asked, for Slack did not answer: see whether this machine reaches slack.api_url",
		"Slack sockets: not asked", "Slack channel C0OPS: not asked", "Slack upload: not asked", "Slack approvers: not asked"} {
		if !strings.Contains(out.String(), "FAIL  "+q) {
			t.Errorf("%q is not said:\n%s", q, out.String())
		}
	}
	for _, about := range []string{"nobody can approve", "Reinstall", "OAuth"} {
		if strings.Contains(out.String(), about) {
			t.Errorf("says something of %s:\n%s", about, out.String())
		}
	}
	ctx, stop := context.WithCancel(t.Context())
	out.Reset()
	err = ask(ctx, &out, []question{{name: "a", ask: func(ctx context.Context) (string, error) { stop(); return "", ctx.Err() }}, qs[0]})
	var exit exitError
	if !errors.As(err, &exit) || exit.code != interrupted || out.Len() > 0 {
		t.Errorf("a signal ends it with %v:\n%s", err, out.String())
	}
}

// A DigitalOcean that lists the droplets and is slow with their memory is there:
// the executor is asked all the same.
func TestSlowReaderMutesNobody(t *testing.T) {
	t.Parallel()
	slow := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path != "/v2/droplets" {
			<-r.Context().Done()
			return
		}
		w.Header().Set("Content-Type", "application/json")
		_, _ = w.Write([]byte(`{"droplets":[{"id":7,"name":"web-1","status":"active","tags":["dropleak"]}],"meta":{"total":1}}`))
	}))
	defer slow.Close()
	c := configs.Config{Secrets: configs.Secrets{ReaderToken: "r", ExecutorToken: "x"}}
	c.DigitalOcean.APIURL, c.DigitalOcean.Tag = slow.URL, "dropleak"
	qs := questions(c, 10*time.Second)[1:3]
	qs[0].within = time.Second
	var out bytes.Buffer
	if err := ask(t.Context(), &out, qs); err == nil || !strings.Contains(out.String(), "FAIL  DigitalOcean reader") || !strings.Contains(out.String(), "ok    DigitalOcean executor: its token reads") {
		t.Errorf("%v:\n%s", err, out.String())
	}
}

// Files go to an address of their own: that it does not answer says nothing of
// Slack's others.
func TestUploadMutesNobody(t *testing.T) {
	c := configs.Config{Secrets: configs.Secrets{SlackBot: "xoxb-sim", SlackApp: "xapp-sim"}}
	c.Slack.Mode = "socket"
	for _, q := range slackQuestions(c, quiet()) {
		if got, want := q.silent(&slackapp.Error{Method: "files.upload"}), q.name != "Slack upload"; got != want {
			t.Errorf("%s: nobody is asked more: %v, want %v", q.name, got, want)
		}
	}
}

// Who may approve is not known where Slack does not say; and what a bad token
// hides is no reason to make the app anew.
func TestCheckBlamesNoConfiguration(t *testing.T) {
	sim := slacksim.New(slacksim.Options{}).Kind()
	if err := sim.Start(""); err != nil {
		t.Fatal(err)
	}
	defer sim.Close()
	c := configs.Config{Secrets: configs.Secrets{SlackBot: "xoxb-of-another", SlackApp: "xapp-sim"}}
	c.Slack.APIURL, c.Slack.Mode, c.Slack.Channel = sim.APIURL(), "socket", "C0OPS"
	c.Approvals.Approvers = []string{"U0ANNA", "S0ONCALL"}
	var out bytes.Buffer
	err := ask(t.Context(), &out, slackQuestions(c, quiet()))
	if said := out.String(); err == nil || strings.Count(said, "invalid_auth") < 5 || !strings.Contains(said, "SLACK_BOT_TOKEN is") || strings.Contains(said, "nobody can approve") || strings.Contains(said, "Reinstall") {
		t.Errorf("%v:\n%s", err, said)
	}
}

// A Slack that cannot be reached is no reason to make its app anew.
func TestSlackProbesReachNobody(t *testing.T) {
	t.Parallel() // the calls are tried again for some seconds
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	proxy := httptest.NewServer(http.NotFoundHandler())
	defer proxy.Close()
	for name, tt := range map[string]struct{ url, says string }{
		"refused":      {gone.URL, "Slack did not answer: see whether this machine reaches slack.api_url"},
		"another page": {proxy.URL, "that is no answer of Slack's API: see slack.api_url"},
	} {
		t.Run(name, func(t *testing.T) {
			c := configs.Config{Secrets: configs.Secrets{SlackBot: "xoxb-sim", SlackApp: "xapp-sim"}}
			c.Slack.APIURL, c.Slack.Mode, c.Slack.Channel = tt.url+"/api/", "socket", "C0OPS"
			var out bytes.Buffer
			if err := ask(t.Context(), &out, slackQuestions(c, quiet())); err == nil {
				t.Error("all is well")
			}
			said := out.String()
			for _, about := range []string{"SLACK_BOT_TOKEN", "SLACK_APP_TOKEN", "Reinstall"} {
				if strings.Contains(said, about) {
					t.Errorf("says something of %s:\n%s", about, said)
				}
			}
			for _, q := range []string{"Slack bot token", "Slack sockets", "Slack channel C0OPS", "Slack upload"} {
				if !regexp.MustCompile("FAIL  " + q + ": .*" + regexp.QuoteMeta(tt.says)).MatchString(said) {
					t.Errorf("%s does not say %q:\n%s", q, tt.says, said)
				}
			}
		})
	}
}
