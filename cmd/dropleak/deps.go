package main

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/dropleak/dropleak/bot"
	"github.com/dropleak/dropleak/bot/alert"
	"github.com/dropleak/dropleak/bot/history"
	"github.com/dropleak/dropleak/bot/remedy"
	"github.com/dropleak/dropleak/bot/schedule"
	"github.com/dropleak/dropleak/bot/slackapp"
	"github.com/dropleak/dropleak/bot/source"
	"github.com/dropleak/dropleak/bot/store"
	"github.com/dropleak/dropleak/configs"
	"github.com/dropleak/dropleak/doclient"
)

// deps turns the configuration into what the service is put together of. The
// configuration was checked when it was read.
func deps(c configs.Config, st *store.Store, log *slog.Logger) (bot.Deps, error) {
	d := bot.Deps{Store: st, Channel: c.Slack.Channel, Tag: c.DigitalOcean.Tag,
		Approvers: c.Approvals.Approvers, Quorum: c.Approvals.Quorum, AllowSelf: c.Approvals.AllowSelf, AnyoneMutes: c.Approvals.Mute == "members",
		Escalation: c.Approvals.Escalation, Expires: time.Duration(c.Approvals.Expires), Keep: c.Snapshots.Keep, MaxAge: time.Duration(c.Snapshots.MaxAge), Rehearse: c.Mode == "rehearse", Limits: limits(c.Remediation), OwnDroplet: ownDroplet(),
		Retention: time.Duration(c.History.Retention), Scale: c.Scale(), Owner: owner(), Log: log,
		Slack: slackapp.Options{BotToken: c.Secrets.SlackBot, AppToken: c.Secrets.SlackApp, SigningSecret: c.Secrets.SlackSigning,
			APIURL: c.Slack.APIURL, Mode: slackapp.Mode(c.Slack.Mode)},
		Rule: func(id int64, tags []string, worker string) bot.Rule { return rule(c, id, tags, worker) }}
	var err error
	if c.History.URL != "" {
		if d.Remote, err = history.NewRemote(c.History.URL, nil); err != nil {
			return d, err
		}
	}
	for _, p := range c.Sources {
		d.Pulls = append(d.Pulls, bot.Pull{Type: p.Type, Name: p.Name, URL: p.URL, Every: time.Duration(p.Every), Backfill: time.Duration(p.Backfill),
			Queries: p.Queries, Database: p.Database, Droplet: p.Droplet, DropletLabels: p.DropletLabels, Worker: p.Worker, WorkerLabels: p.WorkerLabels, Group: p.Group, Shell: p.Shell(),
			Access: source.Access{User: p.User, Password: p.Password, Token: p.Token, CA: p.CA, Timeout: time.Duration(p.Timeout)}})
	}
	d.Alerts = bot.Alerts{Below: time.Duration(c.Alerts.Below), LostAfter: time.Duration(c.Alerts.LostAfter), Endpoints: endpoints(c)}
	reader, err := doclient.NewReader(cloudOptions(c, c.Secrets.ReaderToken, log))
	if err != nil {
		return d, fmt.Errorf("DigitalOcean reader: %w", err)
	}
	d.Reader = reader
	if c.Secrets.ExecutorToken != "" {
		o := cloudOptions(c, c.Secrets.ExecutorToken, log)
		o.OnlyTag = c.DigitalOcean.Tag
		if d.Executor, err = doclient.NewExecutor(o); err != nil {
			return d, fmt.Errorf("DigitalOcean executor: %w", err)
		}
	}
	return d, schedules(&d, c)
}

// endpoints are those that are called beside Slack.
func endpoints(c configs.Config) (out []alert.Endpoint) {
	if w := c.Alerts.Webhook; w.URL != "" {
		out = append(out, alert.Webhook{URL: w.URL, Secret: w.Secret})
	}
	if p := c.Alerts.PagerDuty; p.KeyEnv != "" {
		out = append(out, alert.PagerDuty{URL: p.URL, RoutingKey: p.Key, Source: c.DigitalOcean.Tag})
	}
	for _, m := range c.Alerts.Alertmanager {
		out = append(out, alert.Alertmanager{URL: m.URL, User: m.User, Secret: m.Password})
	}
	return out
}

// limits are on how many runs act at a time.
func limits(c configs.Remediation) remedy.Limits {
	l := remedy.Limits{Fleet: c.AtOnce, SameWorker: c.SameWorker, Tags: map[string]int{}}
	for _, t := range c.Tags {
		l.Tags[t.Tag] = t.AtOnce
	}
	for _, q := range c.Queues {
		l.Queues = append(l.Queues, remedy.Queue{Workers: q.Workers, Keep: q.Keep})
	}
	return l
}

// schedules parses what the configuration's check has already parsed once.
func schedules(d *bot.Deps, c configs.Config) (err error) {
	if d.Scan, err = schedule.Parse(c.Schedule.Scan, nil); err != nil {
		return err
	}
	if d.Quiet, err = schedule.ParseQuiet(c.Approvals.QuietHours); err != nil {
		return err
	}
	for _, r := range c.Schedule.Report {
		zone, err := time.LoadLocation(r.TimeZone)
		if err != nil {
			return err
		}
		if d.Zone == nil {
			d.Zone = zone // that of the first one
		}
		spec, err := schedule.Parse(r.Cron, zone)
		if err != nil {
			return err
		}
		d.Reports = append(d.Reports, bot.Report{Spec: spec, Channel: r.Channel, Tag: r.Tag})
	}
	return nil
}

func cloudOptions(c configs.Config, token string, log *slog.Logger) doclient.Options {
	o := doclient.Options{BaseURL: c.DigitalOcean.APIURL, Token: doclient.StaticToken(token), Logger: log, UserAgent: "dropleak/" + version()}
	if c.TimeScale > 1 {
		o.Pace.PerSecond = float64(c.TimeScale) // a simulator's hour is as much shorter
	}
	return o
}

// rule is the configuration's word about a worker, with a hash over the keys
// it came from: an approval is void when they change.
func rule(c configs.Config, id int64, tags []string, worker string) bot.Rule {
	r, ok := c.RuleFor(id, tags, worker)
	if !ok {
		return bot.Rule{Hash: hash(nil)}
	}
	out := bot.Rule{Restart: r.Restart, Unit: r.Unit, Limit: float64(r.Limit), Hash: hash(r),
		Threshold: r.Threshold.Of, Policy: remedy.Policy{Below: time.Duration(r.Auto.Below), AtThreshold: r.Auto.AtThreshold, Line: r.Auto.Line}}
	if w, err := schedule.ParseQuiet(r.Auto.Window); err != nil {
		out.Policy = remedy.Policy{} // the check refuses such a file; nothing acts on half of it
	} else if r.Auto.Window != "" {
		out.Policy.Open = w.Contains
	}
	return out
}

func hash(v any) string {
	b, err := json.Marshal(v)
	if err != nil {
		return "unhashable"
	}
	sum := sha256.Sum256(b)
	return hex.EncodeToString(sum[:8])
}

// ownDroplet asks DigitalOcean's metadata service which droplet this is; 0
// where there is none.
func ownDroplet() int64 {
	client := http.Client{Timeout: time.Second}
	resp, err := client.Get("http://169.254.169.254/metadata/v1/id")
	if err != nil {
		return 0
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(io.LimitReader(resp.Body, 64))
	if err != nil || resp.StatusCode != http.StatusOK {
		return 0
	}
	id, err := strconv.ParseInt(strings.TrimSpace(string(body)), 10, 64)
	if err != nil {
		return 0
	}
	return id
}
