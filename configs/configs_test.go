package configs

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// all is an environment in which every secret is set.
func all(name string) (string, bool) {
	if strings.HasSuffix(name, "_FILE") || name == "DROPLEAK_STORE_DSN" {
		return "", false
	}
	return "secret-" + name, true
}

func none(string) (string, bool) { return "", false }

const least = "slack: {channel: C012}\napprovals: {approvers: [U012]}\n"

func TestExampleIsGoodAndSaysTheDefaults(t *testing.T) {
	text, err := os.ReadFile("dropleak.example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	got, err := Read("dropleak.example.yaml", text, all)
	if err != nil {
		t.Fatal(err)
	}
	want := defaults()
	want.Path = got.Path
	want.Secrets = got.Secrets
	want.Slack.Channel = "C0123456789"
	want.Approvals.Approvers = []string{"U0123456789"}
	want.Workers = []WorkerRule{
		{Node: "mail@*", Restart: "supervisor", Unit: "mail"},
		{Droplets: Droplets{Tag: "batch"}, Restart: "systemd", Unit: "celery-batch.service", Limit: 3 << 29},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the example differs from the defaults (-want +got):\n%s", diff)
	}
}

func TestLeastConfiguration(t *testing.T) {
	c, err := Read("x.yaml", []byte(least), all)
	if err != nil {
		t.Fatal(err)
	}
	if c.Listen != "127.0.0.1:8080" || c.StoreDSN() != "sqlite:/var/lib/dropleak" || c.Scale() != 1 {
		t.Errorf("defaults are missing: %+v", c)
	}
}

// TestNothingButComments: what has no key yet is a file that lacks some, not
// one that is no YAML.
func TestNothingButComments(t *testing.T) {
	for _, file := range []string{"", "# later\n", "---\n", "# a\n# b\n---\n"} {
		_, err := Read("d.yaml", []byte(file), all)
		var ps Problems
		if !errors.As(err, &ps) || len(ps) != 2 || !strings.Contains(err.Error(), "slack.channel: is not set") || !strings.Contains(err.Error(), "approvals.approvers: is empty") {
			t.Errorf("%q: %v; want that channel and approvers are missing", file, err)
		}
	}
}

func TestSpan(t *testing.T) {
	for d, want := range map[time.Duration]string{24 * time.Hour: "24h", time.Minute: "1m", 90 * time.Second: "1m30s", time.Hour + time.Second: "1h0m1s", 0: "0s"} {
		if got := span(d); got != want {
			t.Errorf("span(%v) = %s, want %s", d, got, want)
		}
	}
}

func TestEveryProblemAtOnce(t *testing.T) {
	const file = `listen: 0.0.0.0:8080
lissten: x
mode: live
digitalocean:
  api_url: https://api.digitalocean.com/v2
slack:
  mode: pigeon
  channel: C012
schedule:
  scan: "TZ=0"
  report:
    - cron: "0 9 * *"
    - cron: "0 9 * * *"
      time_zone: Mars/Olympus
approvals:
  approvers: [U012, dana]
  quorum: 3
  expires: soon
workers:
  - node: "a*"
    restart: systemd
  - restart: supervisor
  - node: b
    restart: reboot
    unit: x
    limit: lots
  - droplets: [12, web]
    restart: magic
  - node: c
    restart: ssh
mode: rehearse
`
	_, err := Read("d.yaml", []byte(file), none)
	var ps Problems
	if !errors.As(err, &ps) {
		t.Fatalf("error is %T: %v", err, err)
	}
	want := []string{
		"d.yaml:1:9: listen: 0.0.0.0:8080 can be reached from outside without TLS",
		"d.yaml:2:1: lissten: unknown key; did you mean listen?",
		"d.yaml:5:12: digitalocean.api_url: is given without /v2",
		"d.yaml:7:9: slack.mode: \"pigeon\" is none of socket, http",
		"d.yaml:10:9: schedule.scan: schedule \"TZ=0\": give the time zone in the key time_zone",
		"d.yaml:12:13: schedule.report[0].cron: schedule \"0 9 * *\" is not a cron spec",
		"d.yaml:14:18: schedule.report[1].time_zone: unknown time zone \"Mars/Olympus\"",
		"d.yaml:16:21: approvals.approvers[1]: \"dana\" is neither",
		"d.yaml:17:11: approvals.quorum: 3 of 2 approvers can never be reached",
		"d.yaml:18:12: approvals.expires: \"soon\" is not a duration",
		"d.yaml:23:5: workers[2]: is never reached: rule 2 matches all of it first",
		"d.yaml:25:11: workers[2].unit: contradicts restart: reboot",
		"d.yaml:26:12: workers[2].limit: \"lots\" is not a size",
		"d.yaml:27:15: workers[3].droplets[1]: \"web\" is not a droplet id",
		"d.yaml:28:14: workers[3].restart: \"magic\" is none of",
		"d.yaml:30:14: workers[4].restart: ssh goes over a source of type: ssh, and there is none",
		"d.yaml:31:1: mode: given twice",
		"DIGITALOCEAN_ACCESS_TOKEN: is not set",
		"DIGITALOCEAN_EXECUTOR_TOKEN: is not set",
		"SLACK_BOT_TOKEN: is not set",
	}
	got := ps.Error()
	for _, w := range want {
		if !strings.Contains(got, w) {
			t.Errorf("missing: %s", w)
		}
	}
	if t.Failed() {
		t.Logf("got:\n%s", got)
	}
}

func TestOneProblem(t *testing.T) {
	for name, c := range map[string]struct{ file, want string }{
		"syntax":           {"a: [1", "d.yaml:1:"},
		"two documents":    {least + "---\nmode: live\n", "a second YAML document"},
		"anchor":           {least + "listen: &a 127.0.0.1:1\n", "anchors"},
		"list for value":   {least + "listen: [a]\n", "wants one value"},
		"value for list":   {"slack: {channel: C1}\napprovals: {approvers: U012}\n", "wants a list"},
		"value for map":    {least + "log: loud\n", "wants keys and values"},
		"bool":             {least + "insecure_listen: yes\n", "neither true nor false"},
		"number":           {least + "snapshots: {keep: few}\n", "not a whole number"},
		"zero keep":        {least + "snapshots: {keep: 0}\n", "the newest snapshot stays"},
		"below none":       {least + "remediation: {at_once: -1}\n", "0 does not limit"},
		"nobody of a name": {least + "remediation: {same_worker: -1}\n", "0 does not limit"},
		"tag without name": {least + "remediation: {tags: [{at_once: 1}]}\n", "names no tag"},
		"tag without runs": {least + "remediation: {tags: [{tag: web}]}\n", "at least one run may act"},
		"queue of nobody":  {least + "remediation: {queues: [{keep: 1}]}\n", "d.yaml:3:25: remediation.queues[0].workers: names no worker"},
		"queue keeps none": {least + "remediation: {queues: [{workers: mail, keep: 0}]}\n", "d.yaml:3:46: remediation.queues[0].keep: 0: at least one other worker stays up"},
		"keep left out":    {least + "remediation: {queues: [{workers: mail}]}\n", "remediation.queues[0].keep: 0: at least one"},
		"queue glob":       {least + "remediation: {queues: [{workers: \"[\", keep: 1}]}\n", "d.yaml:3:34: remediation.queues[0].workers[0]: \"[\" is not a glob"},
		"one of its globs": {least + "remediation: {queues: [{workers: [mail, \"a[\"], keep: 1}]}\n", "d.yaml:3:41: remediation.queues[0].workers[1]: \"a[\" is not a glob"},
		"empty glob":       {least + "remediation: {queues: [{workers: [\"\"], keep: 1}]}\n", "is not a glob"},
		"key of a queue":   {least + "remediation: {queues: [{workers: mail, keep: 1, kept: 2}]}\n", "d.yaml:3:49: remediation.queues[0].kept: unknown key"},
		"password in dsn":  {least + "store: {dsn: \"postgres://a:b@c/d\"}\n", "carries a password"},
		"dsn":              {least + "store: {dsn: mysql}\n", "neither sqlite:DIR nor postgres"},
		"slack url":        {"slack: {channel: C1, api_url: \"https://slack.com/api\"}\napprovals: {approvers: [U012]}\n", "must end with /"},
		"token in clear":   {least + "digitalocean:\n  api_url: http://10.0.0.5:8080\n", "digitalocean.api_url: would send the tokens to 10.0.0.5:8080 in the clear"},
		"slack in clear":   {"slack: {channel: C1, api_url: \"http://slack.example/api/\"}\napprovals: {approvers: [U012]}\n", "d.yaml:1:31: slack.api_url: would send"},
		"user in url":      {least + "digitalocean: {api_url: \"https://a:b@x\"}\n", "secrets come from the environment"},
		"cert without key": {least + "tls: {cert: a}\n", "belong together"},
		"cert is no pair":  {least + "tls: {cert: configs.go, key: configs.go}\n", "d.yaml:3:7: tls: configs.go and configs.go are no pair to serve with"},
		"key not there":    {least + "tls: {cert: configs.go, key: nowhere.key}\n", "d.yaml:3:30: tls.key: open nowhere.key: no such file"},
		"high port":        {least + "listen: 127.0.0.1:99999\n", "\"127.0.0.1:99999\" has no port from 0 to 65535"},
		"port by name":     {least + "metrics_listen: 127.0.0.1:http\n", "metrics_listen: \"127.0.0.1:http\" has no port"},
		"one port":         {least + "metrics_listen: 127.0.0.1:8080\n", "127.0.0.1:8080 is what listen has already"},
		"ssl of no kind":   {least + "store: {dsn: \"postgres://a@c/d?sslmode=bogus\"}\n", "store.dsn: cannot be read as PostgreSQL's: sslmode is invalid"},
		"no directory":     {least + "store: {dsn: 'sqlite:'}\n", "d.yaml:3:14: store.dsn: names no directory"},
		"tab":              {least + "log:\n\tlevel: info\n", "d.yaml:4:1: a tab; YAML is indented with blanks"},
		"channel by name":  {"slack: {channel: '#general'}\napprovals: {approvers: [U012]}\n", "d.yaml:1:18: slack.channel: \"#general\" is not a Slack channel's id"},
		"report's channel": {least + "schedule: {report: [{cron: \"0 9 * * *\", channel: foo}]}\n", "schedule.report[0].channel: \"foo\" is not a Slack channel's id"},
		"report's tag":     {least + "schedule: {report: [{cron: \"0 9 * * *\", tag: ''}]}\n", "schedule.report[0].tag: is empty"},
		"no tag of any":    {least + "schedule: {report: [{cron: \"0 9 * * *\", tag: a b}]}\n", "schedule.report[0].tag: \"a b\" can be no tag"},
		"unit":             {least + "workers: [{restart: systemd, unit: 'bad unit;rm'}]\n", "workers[0].unit: \"bad unit;rm\" can be no unit or program"},
		"no place":         {least + "data_dir: \"\"\n", "data_dir: is empty"},
		"tag":              {least + "digitalocean: {tag: a b}\n", "digitalocean.tag: \"a b\" can be no tag"},
		"no tag":           {least + "digitalocean: {tag: \"\"}\n", "digitalocean.tag: is empty"},
		"approver twice":   {"slack: {channel: C1}\napprovals: {approvers: [U012, U013, U012]}\n", "d.yaml:2:37: approvals.approvers[2]: U012 stands there twice"},
		"a list":           {"- a\n- b\n", "d.yaml:1:1: wants keys and values, not a sequence"},
		"a word":           {"hello\n", "wants keys and values, not a string"},
		"merge key":        {least + "<<: {mode: live}\n", "d.yaml:3:1: a key that is no plain text: <<"},
		"scale":            {least + "time_scale: 0\n", "between 1 and 10000"},
		"retention":        {least + "history: {retention: 1h}\n", "shorter than 24h"},
		"mute":             {"slack: {channel: C1}\napprovals: {approvers: [U012], mute: everybody}\n", "approvals.mute: \"everybody\" is neither"},
		"escalation":       {"slack: {channel: C1}\napprovals: {approvers: [U012], escalation: ops}\n", "approvals.escalation: \"ops\" is neither"},
		"auto window":      {auto("window: night, below: 1h"), "workers[0].auto.window: \"night\" is not HH:MM-HH:MM"},
		"auto no below":    {auto("window: 22:00-06:00"), "workers[0].auto.below: is not set"},
		"auto too short":   {auto("below: 5s"), "workers[0].auto.below: 5s is shorter than 1m"},
		"auto reboot":      {strings.ReplaceAll(auto("below: 1h"), "systemd", "reboot"), "dropleak reboots no droplet by itself"},
		"quiet":            {"slack: {channel: C1}\napprovals: {approvers: [U012], quiet_hours: night}\n", "not HH:MM-HH:MM"},
		"every":            {least + "schedule: {scan: \"@every 0s\"}\n", "shorter than one second"},
		"no approvers":     {"slack: {channel: C1}\n", "nobody could approve"},
		"glob":             {least + "workers: [{node: \"[\", restart: systemd}]\n", "not a glob"},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := Read("d.yaml", []byte(c.file), all)
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("error %v, want %q", err, c.want)
			}
			var ps Problems
			if errors.As(err, &ps) && len(ps) != 1 {
				t.Errorf("%d problems, want one:\n%v", len(ps), err)
			}
		})
	}
}

// TestTokensAtHome: a simulator or proxy on this machine needs no TLS.
func TestTokensAtHome(t *testing.T) {
	for _, host := range []string{"localhost:1", "127.0.0.1:1", "[::1]:1"} {
		file := fmt.Sprintf("slack: {channel: C1, api_url: \"http://%s/api/\"}\ndigitalocean: {api_url: \"http://%[1]s\"}\napprovals: {approvers: [U012]}\n", host)
		if _, err := Read("d.yaml", []byte(file), all); err != nil {
			t.Errorf("%s: %v", host, err)
		}
	}
}

func TestSecretsFromFiles(t *testing.T) {
	file := filepath.Join(t.TempDir(), "token")
	if err := os.WriteFile(file, []byte("dop_v1_abc\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	env := func(name string) (string, bool) {
		switch name {
		case "DIGITALOCEAN_ACCESS_TOKEN":
			return "", false
		case "DIGITALOCEAN_ACCESS_TOKEN_FILE":
			return file, true
		case "SLACK_BOT_TOKEN":
			return "", false
		case "SLACK_BOT_TOKEN_FILE":
			return file + ".gone", true
		}
		return all(name)
	}
	_, err := Read("d.yaml", []byte(least), env)
	if err == nil || !strings.Contains(err.Error(), "SLACK_BOT_TOKEN_FILE: open") {
		t.Errorf("a missing secret file: %v", err)
	}
	if err != nil && strings.Contains(err.Error(), "DIGITALOCEAN_ACCESS_TOKEN:") {
		t.Errorf("the token file was not read: %v", err)
	}
}

// TestByteOrderMark: some editors begin a file with one.
func TestByteOrderMark(t *testing.T) {
	if _, err := Read("d.yaml", []byte("\ufeffmode: rehearse\n"+least), all); err != nil {
		t.Error(err)
	}
}

// TestSecretProblems: what a server would only refuse is told with the
// variable's name, and never quoted.
func TestSecretProblems(t *testing.T) {
	dir := t.TempDir()
	file := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	two, other, same, empty := file("two", "xoxb-hunter2\nxapp-hunter2\n"), file("other", "xoxb-hunter3\n"), file("same", "xoxb-hunter2\n"), file("empty", "\n")
	for name, tt := range map[string]struct {
		env    map[string]string
		want   string
		beside bool // the commands that need no token say so, too
	}{
		"swapped":         {map[string]string{"SLACK_BOT_TOKEN": "xapp-hunter2"}, "SLACK_BOT_TOKEN: begins with xapp-, which is Slack's app-level token", false},
		"the other":       {map[string]string{"SLACK_APP_TOKEN": "xoxb-hunter2"}, "SLACK_APP_TOKEN: begins with xoxb-, which is Slack's bot token", false},
		"a user's":        {map[string]string{"SLACK_BOT_TOKEN": "xoxp-hunter2"}, "SLACK_BOT_TOKEN: begins with xoxp-, which is a Slack user's token", false},
		"of another firm": {map[string]string{"SLACK_APP_TOKEN": "dop_v1_hunter2"}, "SLACK_APP_TOKEN: begins with dop_v1_", false},
		"quoted":          {map[string]string{"SLACK_BOT_TOKEN": `"xoxb-hunter2"`}, "SLACK_BOT_TOKEN: is in quotes, which would be part of it", false},
		"blank":           {map[string]string{"DIGITALOCEAN_ACCESS_TOKEN": "hunter2 "}, "DIGITALOCEAN_ACCESS_TOKEN: is surrounded by blanks", false},
		"two lines":       {map[string]string{"SLACK_BOT_TOKEN": "", "SLACK_BOT_TOKEN_FILE": two}, "SLACK_BOT_TOKEN: SLACK_BOT_TOKEN_FILE: what " + two + " holds is of several lines", false},
		"both":            {map[string]string{"SLACK_BOT_TOKEN": "xoxb-hunter2", "SLACK_BOT_TOKEN_FILE": other}, "SLACK_BOT_TOKEN: is set, and so is SLACK_BOT_TOKEN_FILE, to something else", false},
		"both alike":      {map[string]string{"SLACK_BOT_TOKEN": "xoxb-hunter2", "SLACK_BOT_TOKEN_FILE": same}, "", false},
		"empty file":      {map[string]string{"SLACK_SIGNING_SECRET_FILE": empty, "SLACK_SIGNING_SECRET": ""}, "SLACK_SIGNING_SECRET: SLACK_SIGNING_SECRET_FILE: " + empty + " is empty", false},
		"no database":     {map[string]string{"DROPLEAK_STORE_DSN": "mysql://u:hunter2@h/d"}, "DROPLEAK_STORE_DSN: is neither sqlite:DIR nor postgres", true},
		"no URL":          {map[string]string{"DROPLEAK_STORE_DSN": "postgres://u:hunter2 x@h:1/d"}, "DROPLEAK_STORE_DSN: is no URL", true},
		"no port":         {map[string]string{"DROPLEAK_STORE_DSN": "postgres://u:hunter2@h:port/d"}, "DROPLEAK_STORE_DSN: is no URL", true},
		"no TLS":          {map[string]string{"DROPLEAK_STORE_DSN": "postgres://u:hunter2@h/d?sslmode=bogus"}, "DROPLEAK_STORE_DSN: cannot be read as PostgreSQL's: sslmode is invalid", true},
		"no directory":    {map[string]string{"DROPLEAK_STORE_DSN": "sqlite:"}, "DROPLEAK_STORE_DSN: names no directory", true},
		"a good one":      {map[string]string{"DROPLEAK_STORE_DSN": "postgres://u:hunter2@h:1/d?sslmode=require"}, "", true},
	} {
		t.Run(name, func(t *testing.T) {
			env := func(name string) (string, bool) {
				if value, ok := tt.env[name]; ok {
					return value, true
				}
				return all(name)
			}
			_, err := Read("d.yaml", []byte(least), env)
			if (err != nil) != (tt.want != "") || err != nil && !strings.Contains(err.Error(), tt.want) || err != nil && strings.Contains(err.Error(), "hunter") {
				t.Errorf("error %v, want %q", err, tt.want)
			}
			if _, err := read("d.yaml", []byte(least), env, true); (err != nil) != (tt.beside && tt.want != "") {
				t.Errorf("beside the service: %v", err)
			}
		})
	}
}

func TestParseSize(t *testing.T) {
	for text, want := range map[string]Size{
		"0": 0, "1073741824": 1 << 30, "512MiB": 512 << 20, "1.5G": 3 << 29, "500MB": 500e6, "64k": 64 << 10, "2 TiB": 2 << 40,
	} {
		if got, err := ParseSize(text); err != nil || got != want {
			t.Errorf("ParseSize(%q) = %d, %v, want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "-1", "1X", "MiB", "99999999T"} {
		if got, err := ParseSize(text); err == nil {
			t.Errorf("ParseSize(%q) = %d, want an error", text, got)
		}
	}
}

func TestRuleFor(t *testing.T) {
	c := Config{Workers: []WorkerRule{
		{Droplets: Droplets{IDs: []int64{7}}, Node: "mail@*", Restart: "celery"},
		{Droplets: Droplets{Tag: "batch"}, Restart: "systemd"},
		{Restart: "supervisor"},
	}}
	for _, x := range []struct {
		id   int64
		tags []string
		node string
		want string
	}{
		{7, nil, "mail@web-1", "celery"},
		{7, []string{"batch"}, "video@web-1", "systemd"},
		{8, nil, "mail@web-2", "supervisor"},
	} {
		if r, ok := c.RuleFor(x.id, x.tags, x.node); !ok || r.Restart != x.want {
			t.Errorf("RuleFor(%d, %v, %s) = %v, %v", x.id, x.tags, x.node, r, ok)
		}
	}
	if _, ok := (Config{}).RuleFor(1, nil, "x"); ok {
		t.Error("a rule out of nothing")
	}
}

func FuzzRead(f *testing.F) {
	f.Add([]byte(least))
	f.Add([]byte("workers: [{restart: systemd}]"))
	f.Add([]byte("a: &x [*x]"))
	f.Fuzz(func(t *testing.T, text []byte) {
		c, err := Read("f.yaml", text, all)
		if err == nil && (c.Slack.Channel == "" || len(c.Approvals.Approvers) == 0) {
			t.Errorf("accepted without channel or approvers: %q", text)
		}
		_ = time.Duration(c.Approvals.Expires)
	})
}

// auto is a file with one rule and its policy.
func auto(keys string) string {
	return "slack: {channel: C1}\napprovals: {approvers: [U012]}\nworkers:\n  - restart: systemd\n    auto: {" + keys + "}\n"
}

// TestThreshold: a size, or a share of what may be used, and nothing else.
func TestThreshold(t *testing.T) {
	for text, want := range map[string]float64{"80%": 80, "12.5 %": 12.5, "300M": 300 << 20, "100": 100, "0": -1, "0%": -1, "101%": -1, "-5%": -1, "much": -1, "NaN%": -1} {
		got, err := ParseThreshold(text)
		if of := got.Of(100); want < 0 && err == nil || want >= 0 && (err != nil || of != want) {
			t.Errorf("%s is %g of 100, %v; want %g", text, of, err, want)
		}
	}
	if (Threshold{Percent: 80}).Of(0) != 0 {
		t.Error("a share of a limit that nobody knows is no threshold")
	}
	c, err := beside(t, strings.Replace(auto("at_threshold: true"), "    auto", "    threshold: 80%\n    auto", 1))
	if err != nil || c.Workers[0].Threshold.Percent != 80 || !c.Workers[0].Auto.AtThreshold {
		t.Errorf("%+v, %v", c.Workers, err)
	}
	if _, err = beside(t, auto("at_threshold: true")); err == nil || !strings.Contains(err.Error(), "needs the worker's threshold") {
		t.Errorf("without a threshold: %v", err)
	}
	if a, b := hashed(t, WorkerRule{}), hashed(t, WorkerRule{Threshold: Threshold{Percent: 1}}); strings.Contains(a, "hreshold") || !strings.Contains(b, "Percent") {
		t.Errorf("the hash of a rule is over %s and %s", a, b)
	}
}

// hashed is what an approval holds the hash of.
func hashed(t *testing.T, r WorkerRule) string {
	t.Helper()
	b, err := json.Marshal(r)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// TestAutoNamesItsLine: off unless written, and what is written knows where.
func TestAutoNamesItsLine(t *testing.T) {
	c, err := beside(t, auto("below: 45m, window: 22:00-06:00 Europe/Berlin"))
	if err != nil {
		t.Fatal(err)
	}
	if a := c.Workers[0].Auto; a.Line != "d.yaml:5" || time.Duration(a.Below) != 45*time.Minute {
		t.Errorf("policy %+v", a)
	}
	if c, err = beside(t, "slack: {channel: C1}\napprovals: {approvers: [U012]}\nworkers: [{restart: systemd}]\n"); err != nil || c.Workers[0].Auto != (Auto{}) {
		t.Errorf("policy %+v, %v", c.Workers, err)
	}
}

// beside reads a text as LoadBeside does a file.
func beside(t *testing.T, text string) (Config, error) {
	t.Helper()
	return read("/etc/d.yaml", []byte(text), none, true)
}

// TestQueues: the workers of a queue are one glob or a list of them.
func TestQueues(t *testing.T) {
	c, err := Read("d.yaml", []byte(least+"remediation:\n  queues:\n    - {workers: \"mail@*\", keep: 1}\n    - workers: [web, \"api-?\"]\n      keep: 2\n"), all)
	if err != nil {
		t.Fatal(err)
	}
	want := []Queue{{Workers: Globs{"mail@*"}, Keep: 1}, {Workers: Globs{"web", "api-?"}, Keep: 2}}
	if got := c.Remediation.Queues; !reflect.DeepEqual(got, want) {
		t.Errorf("queues %+v, want %+v", got, want)
	}
}
