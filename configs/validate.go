package configs

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dropleak/dropleak/bot/schedule"
)

// validator checks what a decoded file says against itself and against the
// secrets it needs.
type validator struct {
	*decoder
	c      *Config
	beside bool // the tokens of the service need not be there
}

// bad reports a problem at the value of key, or at the nearest key above it
// that stands in the file; a key that could not be read has its problem
// already.
func (v *validator) bad(key, format string, args ...any) {
	if slices.ContainsFunc(v.problems, func(p Problem) bool { return p.Key == key && p.Line > 0 }) {
		return
	}
	p := Problem{File: v.file, Key: key, Text: fmt.Sprintf(format, args...)}
	for k := key; k != ""; k = above(k) {
		if pos := v.at[k]; pos != nil {
			p.Line, p.Column = pos.Line, pos.Column
			break
		}
	}
	v.problems = append(v.problems, p)
}

func above(key string) string {
	if i := strings.LastIndexAny(key, ".["); i >= 0 {
		return key[:i]
	}
	return ""
}

// missing reports a secret that is not there.
func (v *validator) missing(name, format string, args ...any) {
	v.problems = append(v.problems, Problem{File: v.file, Key: name, Text: fmt.Sprintf(format, args...)})
}

func (v *validator) all() {
	v.listening()
	v.plain()
	v.needed()
	v.schedules()
	v.approvals()
	v.workers()
}

func (v *validator) oneOf(key, got string, want ...string) {
	if !slices.Contains(want, got) {
		v.bad(key, "%q is none of %s", got, strings.Join(want, ", "))
	}
}

func (v *validator) url(key, text string, schemes ...string) {
	u, err := url.Parse(text)
	if err != nil || u.Host == "" || !slices.Contains(schemes, u.Scheme) {
		v.bad(key, "%q is not a URL with %s", text, strings.Join(schemes, " or "))
		return
	}
	if u.User != nil {
		v.bad(key, "carries a user or password; secrets come from the environment")
	}
}

// api checks the address of an API that our tokens go to.
func (v *validator) api(key, text string) {
	v.url(key, text, "https", "http")
	if u, err := url.Parse(text); err == nil && u.Scheme == "http" && u.Host != "" && !loopback(u.Hostname()) {
		v.bad(key, "would send the tokens to %s in the clear: use https; http:// is for loopback only", u.Host)
	}
}

// listening checks the addresses: what others can reach wants TLS.
func (v *validator) listening() {
	host, _, err := hostPort(v.c.Listen)
	switch {
	case err != nil:
		v.bad("listen", "%s", err)
	case !loopback(host) && v.c.TLS.Cert == "" && !v.c.InsecureListen:
		v.bad("listen", "%s can be reached from outside without TLS: set tls.cert and tls.key, or insecure_listen: true behind a proxy that does TLS", v.c.Listen)
	}
	_, port, err := hostPort(v.c.MetricsListen)
	switch {
	case v.c.MetricsListen == "": // nobody asks for metrics
	case err != nil:
		v.bad("metrics_listen", "%s", err)
	case port != "0" && v.c.MetricsListen == v.c.Listen:
		v.bad("metrics_listen", "%s is what listen has already: give it a port of its own", v.c.MetricsListen)
	}
	v.certificate()
}

// hostPort takes an address to listen on apart.
func hostPort(address string) (host, port string, err error) {
	host, port, err = net.SplitHostPort(address)
	if err != nil {
		return "", "", fmt.Errorf("%q is not HOST:PORT", address)
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return "", "", fmt.Errorf("%q has no port from 0 to 65535", address)
	}
	return host, port, nil
}

// certificate reads what the service would serve with: a file that is missing
// or does not fit must not be found out by the first agent.
func (v *validator) certificate() {
	cert, key := v.c.TLS.Cert, v.c.TLS.Key
	switch {
	case (cert == "") != (key == ""):
		v.bad("tls", "cert and key belong together")
		return
	case cert == "" || v.beside:
		return
	}
	for name, file := range map[string]string{"tls.cert": cert, "tls.key": key} {
		if f, err := os.Open(file); err != nil {
			v.bad(name, "%s", err)
		} else {
			f.Close() // it was only read
		}
	}
	if _, err := tls.LoadX509KeyPair(cert, key); err != nil && !errors.Is(err, fs.ErrNotExist) && !errors.Is(err, fs.ErrPermission) {
		v.bad("tls", "%s and %s are no pair to serve with: %s", cert, key, err)
	}
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || ip != nil && ip.IsLoopback()
}

func (v *validator) plain() {
	v.oneOf("mode", v.c.Mode, "live", "rehearse")
	v.oneOf("log.level", v.c.Log.Level, "debug", "info", "warn", "error")
	v.oneOf("log.format", v.c.Log.Format, "text", "json")
	v.oneOf("slack.mode", v.c.Slack.Mode, "socket", "http")
	v.api("digitalocean.api_url", v.c.DigitalOcean.APIURL)
	v.api("slack.api_url", v.c.Slack.APIURL)
	if !strings.HasSuffix(v.c.Slack.APIURL, "/") {
		v.bad("slack.api_url", "must end with /, as in https://slack.com/api/")
	}
	if strings.HasSuffix(strings.TrimRight(v.c.DigitalOcean.APIURL, "/"), "/v2") {
		v.bad("digitalocean.api_url", "is given without /v2")
	}
	if v.c.History.URL != "" {
		v.url("history.url", v.c.History.URL, "https", "http")
	}
	if v.c.TimeScale < 1 || v.c.TimeScale > 10000 {
		v.bad("time_scale", "%g is not between 1 and 10000 (it is for tests and the demo)", v.c.TimeScale)
	}
	v.atLeast("history.retention", v.c.History.Retention, 24*time.Hour)
	v.atLeast("snapshots.max_age", v.c.Snapshots.MaxAge, time.Hour)
	if v.c.Snapshots.Keep < 1 {
		v.bad("snapshots.keep", "%d: at least the newest snapshot stays", v.c.Snapshots.Keep)
	}
	v.remediation()
	v.queues()
	v.dsn()
}

// remediation checks the limits on runs.
func (v *validator) remediation() {
	r := v.c.Remediation
	if r.AtOnce < 0 {
		v.bad("remediation.at_once", "%d: 0 does not limit, 1 and more do", r.AtOnce)
	}
	if r.SameWorker < 0 {
		v.bad("remediation.same_worker", "%d: 0 does not limit, 1 and more do", r.SameWorker)
	}
	for i, t := range r.Tags {
		key := fmt.Sprintf("remediation.tags[%d]", i)
		if t.Tag == "" {
			v.bad(key+".tag", "names no tag")
		}
		if t.AtOnce < 1 {
			v.bad(key+".at_once", "%d: at least one run may act", t.AtOnce)
		}
	}
}

// queues checks which workers serve one queue, and how many of them stay up.
func (v *validator) queues() {
	for i, q := range v.c.Remediation.Queues {
		key := fmt.Sprintf("remediation.queues[%d]", i)
		if len(q.Workers) == 0 {
			v.bad(key+".workers", "names no worker")
		}
		for j, glob := range q.Workers {
			if _, err := path.Match(glob, ""); err != nil || glob == "" {
				v.bad(fmt.Sprintf("%s.workers[%d]", key, j), "%q is not a glob", glob)
			}
		}
		if q.Keep < 1 {
			v.bad(key+".keep", "%d: at least one other worker stays up", q.Keep)
		}
	}
}

func (v *validator) atLeast(key string, d Duration, least time.Duration) {
	if time.Duration(d) < least {
		v.bad(key, "%s is shorter than %s", span(time.Duration(d)), span(least))
	}
}

// span writes a duration without the zeros at its end: 24h, 1m30s.
func span(d time.Duration) string {
	s := d.String()
	if strings.HasSuffix(s, "m0s") {
		s = strings.TrimSuffix(s, "0s")
	}
	if strings.HasSuffix(s, "h0m") {
		s = strings.TrimSuffix(s, "0m")
	}
	return s
}

// needed checks the secrets and names that the service cannot do without.
func (v *validator) needed() {
	if !v.beside {
		v.tokens()
	}
	if v.c.Slack.Channel == "" {
		v.bad("slack.channel", "is not set; reports need a channel, as in C0123456789")
	} else {
		v.channel("slack.channel", v.c.Slack.Channel)
	}
	if tag := v.c.DigitalOcean.Tag; tag == "" {
		v.bad("digitalocean.tag", "is empty; only droplets with this tag are watched and touched")
	} else {
		v.tag("digitalocean.tag", tag)
	}
	if v.c.DataDir == "" && v.c.Store.DSN == "" && v.c.Secrets.StoreDSN == "" {
		v.bad("data_dir", "is empty; SQLite's files need a directory")
	}
}

// cloudTag is what DigitalOcean takes for a tag.
var cloudTag = regexp.MustCompile(`^[A-Za-z0-9:_-]{1,255}$`)

func (v *validator) tag(key, tag string) {
	if !cloudTag.MatchString(tag) {
		v.bad(key, "%q can be no tag: DigitalOcean takes letters, digits, colons, dashes and underscores, at most 255", tag)
	}
}

var channelID = regexp.MustCompile(`^[CGD][A-Z0-9]+$`)

func (v *validator) channel(key, id string) {
	if !channelID.MatchString(id) {
		v.bad(key, "%q is not a Slack channel's id, as in C0123456789; View channel details shows it at the end", id)
	}
}

func (v *validator) tokens() {
	s := v.c.Secrets
	for name, value := range map[string]string{
		"DIGITALOCEAN_ACCESS_TOKEN": s.ReaderToken, "SLACK_BOT_TOKEN": s.SlackBot,
	} {
		if value == "" {
			v.missing(name, "is not set, nor is %s_FILE", name)
		}
	}
	if s.ExecutorToken == "" && v.c.Mode == "live" {
		v.missing("DIGITALOCEAN_EXECUTOR_TOKEN", "is not set; snapshots and restarts need it (mode: rehearse does without)")
	}
	if s.SlackApp == "" && v.c.Slack.Mode == "socket" {
		v.missing("SLACK_APP_TOKEN", "is not set; slack.mode: socket needs it")
	}
	if s.SlackSigning == "" && v.c.Slack.Mode == "http" {
		v.missing("SLACK_SIGNING_SECRET", "is not set; slack.mode: http needs it")
	}
}

func (v *validator) schedules() {
	if _, err := schedule.Parse(v.c.Schedule.Scan, nil); err != nil {
		v.bad("schedule.scan", "%s", err)
	}
	for i, r := range v.c.Schedule.Report {
		key := fmt.Sprintf("schedule.report[%d]", i)
		zone, err := time.LoadLocation(r.TimeZone)
		if err != nil {
			v.bad(key+".time_zone", "unknown time zone %q", r.TimeZone)
		}
		if _, err := schedule.Parse(r.Cron, zone); err != nil {
			v.bad(key+".cron", "%s", err)
		}
		if r.Channel != "" {
			v.channel(key+".channel", r.Channel)
		}
		switch {
		case r.Tag != "":
			v.tag(key+".tag", r.Tag)
		case v.at[key+".tag"] != nil:
			v.bad(key+".tag", "is empty; without the key the report is about all droplets")
		}
	}
}

var approver = regexp.MustCompile(`^[UWS][A-Z0-9]{2,}$`)

func (v *validator) approvals() {
	a := v.c.Approvals
	if len(a.Approvers) == 0 {
		v.bad("approvals.approvers", "is empty; nobody could approve a restart")
	}
	for i, id := range a.Approvers {
		if !approver.MatchString(id) {
			v.bad(fmt.Sprintf("approvals.approvers[%d]", i), "%q is neither a Slack user id (U…, W…) nor a user group id (S…)", id)
		}
		if slices.Contains(a.Approvers[:i], id) {
			v.bad(fmt.Sprintf("approvals.approvers[%d]", i), "%s stands there twice, and counts once", id)
		}
	}
	if a.Quorum < 1 {
		v.bad("approvals.quorum", "%d is not at least 1", a.Quorum)
	}
	groups := slices.ContainsFunc(a.Approvers, func(id string) bool { return strings.HasPrefix(id, "S") })
	if len(a.Approvers) > 0 && !groups && a.Quorum > len(a.Approvers) {
		v.bad("approvals.quorum", "%d of %d approvers can never be reached", a.Quorum, len(a.Approvers))
	}
	if _, err := schedule.ParseQuiet(a.QuietHours); err != nil {
		v.bad("approvals.quiet_hours", "%s", err)
	}
	if a.Escalation != "" && !approver.MatchString(a.Escalation) {
		v.bad("approvals.escalation", "%q is neither a Slack user id (U…, W…) nor a user group id (S…)", a.Escalation)
	}
	if a.Mute != "approvers" && a.Mute != "members" {
		v.bad("approvals.mute", "%q is neither approvers nor members", a.Mute)
	}
	v.atLeast("approvals.expires", a.Expires, time.Minute)
}

// workers checks each rule and the rules against each other.
func (v *validator) workers() {
	for i, r := range v.c.Workers {
		key := fmt.Sprintf("workers[%d]", i)
		if _, err := path.Match(r.Node, ""); err != nil {
			v.bad(key+".node", "%q is not a glob", r.Node)
		}
		v.oneOf(key+".restart", r.Restart, "systemd", "supervisor", "celery", "ssh", "reboot", "power_cycle")
		v.overSSH(key, r)
		if r.Unit != "" && (r.Restart == "reboot" || r.Restart == "power_cycle") {
			v.bad(key+".unit", "contradicts restart: %s, which restarts the whole droplet", r.Restart)
		}
		if r.Unit != "" && slices.Contains([]string{"systemd", "supervisor", "celery"}, r.Restart) && !unitName.MatchString(r.Unit) {
			v.bad(key+".unit", "%q can be no unit or program: letters, digits and :_.@\\- are", r.Unit)
		}
		v.auto(key+".auto", r)
		for j, earlier := range v.c.Workers[:i] {
			if covers(earlier, r) {
				v.bad(key, "is never reached: rule %d matches all of it first", j+1)
				break
			}
		}
	}
}

// unitName is what systemd takes for a unit, and supervisor for a program and
// its group.
var unitName = regexp.MustCompile(`^[A-Za-z0-9:_.@\\-]+$`)

// sshUnit is a unit with its manager: over SSH there are more than an agent
// knows.
var sshUnit = regexp.MustCompile(`^(systemd:[A-Za-z0-9_.@-]+\.service|(supervisor|docker|command):[A-Za-z0-9][A-Za-z0-9_.:-]*|compose:/[A-Za-z0-9_./-]*:[A-Za-z0-9][A-Za-z0-9_.-]*)$`)

// overSSH checks a rule whose restarts go over SSH.
func (v *validator) overSSH(key string, r WorkerRule) {
	if r.Restart != "ssh" {
		return
	}
	if !slices.ContainsFunc(v.c.Sources, func(s Source) bool { return s.Type == "ssh" }) {
		v.bad(key+".restart", "ssh goes over a source of type: ssh, and there is none under sources")
	}
	if r.Unit != "" && (!sshUnit.MatchString(r.Unit) || strings.Contains(r.Unit, "..")) {
		v.bad(key+".unit", "%q is none of systemd:NAME.service, supervisor:PROGRAM, docker:CONTAINER, compose:/DIRECTORY:SERVICE, command:NAME", r.Unit)
	}
}

// auto checks a policy: what may act by itself must be clear.
func (v *validator) auto(key string, r WorkerRule) {
	if _, err := schedule.ParseQuiet(r.Auto.Window); err != nil {
		v.bad(key+".window", "%q is not HH:MM-HH:MM, with or without a time zone", r.Auto.Window)
	}
	switch {
	case r.Auto.AtThreshold && r.Threshold == Threshold{}:
		v.bad(key+".at_threshold", "needs the worker's threshold")
	case r.Auto.Below == 0 && !r.Auto.AtThreshold && r.Auto.Window != "":
		v.bad(key+".below", "is not set; a window alone lets nothing happen")
	case r.Auto.Below != 0 && time.Duration(r.Auto.Below) < time.Minute:
		v.atLeast(key+".below", r.Auto.Below, time.Minute)
	case (r.Auto.Below != 0 || r.Auto.AtThreshold) && (r.Restart == "reboot" || r.Restart == "power_cycle"):
		v.bad(key, "dropleak reboots no droplet by itself: restart: %s needs a person", r.Restart)
	}
}

// covers reports whether every worker that b matches is matched by a.
func covers(a, b WorkerRule) bool {
	node := a.Node == "" || a.Node == "*" || a.Node == b.Node
	return node && a.Droplets.covers(b.Droplets)
}

func (a Droplets) covers(b Droplets) bool {
	if a.Tag == "" && len(a.IDs) == 0 {
		return true
	}
	if a.Tag != "" {
		return a.Tag == b.Tag
	}
	inA := func(id int64) bool { return slices.Contains(a.IDs, id) }
	return len(b.IDs) > 0 && !slices.ContainsFunc(b.IDs, func(id int64) bool { return !inA(id) })
}
