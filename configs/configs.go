// Package configs holds the operator's files beside the strict reader of
// them: unknown keys are errors, all problems are reported at once with line
// and column, and secrets come only from the environment.
package configs

import (
	"regexp"
	"time"

	"github.com/dropleak/dropleak/bot/schedule"
)

// Config is the whole of dropleak.yaml, defaults filled in.
type Config struct {
	Listen         string       `yaml:"listen"`
	MetricsListen  string       `yaml:"metrics_listen"`
	InsecureListen bool         `yaml:"insecure_listen"`
	TLS            TLS          `yaml:"tls"`
	DataDir        string       `yaml:"data_dir"`
	Mode           string       `yaml:"mode"`
	Log            Log          `yaml:"log"`
	DigitalOcean   DigitalOcean `yaml:"digitalocean"`
	Slack          Slack        `yaml:"slack"`
	Store          Store        `yaml:"store"`
	History        History      `yaml:"history"`
	Schedule       Schedule     `yaml:"schedule"`
	Approvals      Approvals    `yaml:"approvals"`
	Snapshots      Snapshots    `yaml:"snapshots"`
	Remediation    Remediation  `yaml:"remediation"`
	TimeScale      float64      `yaml:"time_scale"`
	Workers        []WorkerRule `yaml:"workers"`
	Sources        []Source     `yaml:"sources"`
	Alerts         Alerts       `yaml:"alerts"`
	Secrets        Secrets      `yaml:"-"`
	Path           string       `yaml:"-"` // the file it was read from
}

// TLS names the files of the certificate the service listens with.
type TLS struct {
	Cert string `yaml:"cert"`
	Key  string `yaml:"key"`
}

// Log says how much is logged, and how.
type Log struct {
	Level  string `yaml:"level"`  // debug, info, warn, error
	Format string `yaml:"format"` // text, json
}

// DigitalOcean says where its API is and which droplets are ours.
type DigitalOcean struct {
	APIURL string `yaml:"api_url"` // without /v2
	Tag    string `yaml:"tag"`
}

// Slack says how to speak to it and where reports go.
type Slack struct {
	APIURL  string `yaml:"api_url"` // with /api/
	Mode    string `yaml:"mode"`    // socket, http
	Channel string `yaml:"channel"`
}

// Store says where state and samples live.
type Store struct {
	DSN string `yaml:"dsn"` // sqlite:DIR or postgres://… without password
}

// History says how long samples are kept, and where else they live.
type History struct {
	URL       string   `yaml:"url"` // a Prometheus-compatible server; empty: the store
	Retention Duration `yaml:"retention"`
}

// Schedule says when to look and when to report.
type Schedule struct {
	Scan   string  `yaml:"scan"`
	Report Reports `yaml:"report"`
}

// Reports is one spec or a list of them.
type Reports []Report

// Report is one scheduled report.
type Report struct {
	Cron     string `yaml:"cron"`
	TimeZone string `yaml:"time_zone"`
	Channel  string `yaml:"channel"`
	Tag      string `yaml:"tag"`
}

// Approvals says who may approve a run, and when.
type Approvals struct {
	Approvers  []string `yaml:"approvers"` // Slack user ids (U…, W…) or user group ids (S…)
	Quorum     int      `yaml:"quorum"`
	AllowSelf  bool     `yaml:"allow_self"`
	Expires    Duration `yaml:"expires"`
	QuietHours string   `yaml:"quiet_hours"`
	Mute       string   `yaml:"mute"`       // who may mute a finding: approvers, or members of the workspace
	Escalation string   `yaml:"escalation"` // whom to call when nobody answers: a Slack user or user group id; empty: nobody
}

// Snapshots says how many of dropleak's own snapshots stay, and how long.
type Snapshots struct {
	Keep   int      `yaml:"keep"`
	MaxAge Duration `yaml:"max_age"`
}

// Remediation limits how many runs act at the same time; on one droplet it is
// always one. 0 does not limit.
type Remediation struct {
	AtOnce     int        `yaml:"at_once"`     // over the whole fleet
	SameWorker int        `yaml:"same_worker"` // of workers of one name, so that the others serve its queues meanwhile
	Tags       []TagLimit `yaml:"tags"`
	Queues     []Queue    `yaml:"queues"`
}

// Queue is how many others of the workers that serve one queue must be up
// before one of them is restarted.
type Queue struct {
	Workers Globs `yaml:"workers"`
	Keep    int   `yaml:"keep"`
}

// Globs are patterns over workers' names: one, or a list.
type Globs []string

// TagLimit is how many runs act at the same time on droplets with a tag.
type TagLimit struct {
	Tag    string `yaml:"tag"`
	AtOnce int    `yaml:"at_once"`
}

// WorkerRule says how the workers it matches are restarted. The first
// matching rule wins.
type WorkerRule struct {
	Droplets Droplets `yaml:"droplets"` // a tag, or ids; empty: all
	Node     string   `yaml:"node"`     // glob over the node name; empty: all
	Restart  string   `yaml:"restart"`  // systemd, supervisor, celery, ssh, reboot, power_cycle
	Unit     string   `yaml:"unit"`     // empty: what the agent found
	Limit    Size     `yaml:"limit"`    // 0: what the agent found
	// Threshold prompts as soon as it is reached, trend or not; zero: never.
	// Left out of the hash of what does not have it, which approvals hold.
	Threshold Threshold `yaml:"threshold" json:",omitzero"`
	Auto      Auto      `yaml:"auto"` // off unless written
}

// Auto is the policy by which dropleak approves restarts of a worker by
// itself, under the same snapshot rule as everybody.
type Auto struct {
	Below       Duration `yaml:"below"`                          // act when less is left until memory runs out; 0: never
	AtThreshold bool     `yaml:"at_threshold" json:",omitempty"` // act when the threshold is reached
	Window      string   `yaml:"window"`                         // only then: HH:MM-HH:MM and a time zone; empty: always
	Line        string   `yaml:"-" json:"-"`                     // where it stands: file:line
}

// Droplets is a tag or a list of droplet ids.
type Droplets struct {
	Tag string
	IDs []int64
}

// Duration is a [time.Duration] written as Go writes it, plus d and w.
type Duration time.Duration

// Size is a number of bytes: plain, KiB MiB GiB TiB, K M G T (binary, as
// systemd reads them) or KB MB GB TB (decimal).
type Size int64

// Source is where samples are pulled from beside DigitalOcean.
type Source struct {
	Type          string   `yaml:"type"`     // prometheus, exporter, ssh, influxdb
	Name          string   `yaml:"name"`     // unique; empty: the type
	URL           string   `yaml:"url"`      // of the server without /api/v1 or /query, of the exporter's page, or ssh://HOST[:PORT]
	Every         Duration `yaml:"every"`    // between two pulls
	Timeout       Duration `yaml:"timeout"`  // of one answer
	Backfill      Duration `yaml:"backfill"` // how far the first pull goes back; not for an exporter
	Queries       []string `yaml:"queries"`  // not for an exporter; empty: those for what is usual
	Database      string   `yaml:"database"` // influxdb only; empty: collectd
	Droplet       string   `yaml:"droplet"`  // id, name or address: all of it is about this one; empty: found by labels
	DropletLabels []string `yaml:"droplet_labels"`
	Worker        string   `yaml:"worker"` // of what names none
	WorkerLabels  []string `yaml:"worker_labels"`
	Groupname     string   `yaml:"groupname"` // a pattern with the groups worker and pid
	User          string   `yaml:"user"`
	PasswordEnv   string   `yaml:"password_env"` // the variable, or NAME_FILE, that holds it
	TokenEnv      string   `yaml:"token_env"`
	CAFile        string   `yaml:"ca_file"`
	Insecure      bool     `yaml:"insecure"` // let a secret go over plain http
	KeyFile       string   `yaml:"key_file"` // ssh only, as the next two
	AgentSocket   string   `yaml:"agent_socket"`
	KnownHosts    string   `yaml:"known_hosts"`

	Password string         `yaml:"-"`
	Token    string         `yaml:"-"`
	CA       []byte         `yaml:"-"`
	Group    *regexp.Regexp `yaml:"-"`
}

// Alerts say whom to call beside Slack, and when.
type Alerts struct {
	Below        Duration       `yaml:"below"`      // call for a finding with less time left
	LostAfter    Duration       `yaml:"lost_after"` // call when Slack or a droplet was not heard for so long
	Webhook      Webhook        `yaml:"webhook"`
	PagerDuty    PagerDuty      `yaml:"pagerduty"`
	Alertmanager []Alertmanager `yaml:"alertmanager"` // each member of a cluster
}

// Webhook is where signed JSON is posted to.
type Webhook struct {
	URL       string `yaml:"url"`
	SecretEnv string `yaml:"secret_env"` // the variable, or NAME_FILE, that holds it

	Secret []byte `yaml:"-"`
}

// PagerDuty takes events for the service that a routing key names.
type PagerDuty struct {
	URL    string `yaml:"url"`     // empty: https://events.pagerduty.com
	KeyEnv string `yaml:"key_env"` // the variable, or NAME_FILE, that holds the key; empty: not used

	Key string `yaml:"-"`
}

// Alertmanager is one member of a cluster, or the only one.
type Alertmanager struct {
	URL         string `yaml:"url"` // without /api/v2
	User        string `yaml:"user"`
	PasswordEnv string `yaml:"password_env"`

	Password string `yaml:"-"`
}

// Secrets are read from the environment, or from the file that NAME_FILE
// names, and never from the configuration file.
type Secrets struct {
	ReaderToken   string // DIGITALOCEAN_ACCESS_TOKEN
	ExecutorToken string // DIGITALOCEAN_EXECUTOR_TOKEN
	SlackBot      string // SLACK_BOT_TOKEN
	SlackApp      string // SLACK_APP_TOKEN
	SlackSigning  string // SLACK_SIGNING_SECRET
	StoreDSN      string // DROPLEAK_STORE_DSN, replaces store.dsn
}

// defaults is what an empty file means.
func defaults() Config {
	return Config{
		Listen:        "127.0.0.1:8080",
		MetricsListen: "127.0.0.1:9464",
		DataDir:       "/var/lib/dropleak",
		Mode:          "live",
		Log:           Log{Level: "info", Format: "text"},
		DigitalOcean:  DigitalOcean{APIURL: "https://api.digitalocean.com", Tag: "dropleak"},
		Slack:         Slack{APIURL: "https://slack.com/api/", Mode: "socket"},
		History:       History{Retention: Duration(14 * 24 * time.Hour)},
		Schedule:      Schedule{Scan: "@every 5m", Report: Reports{{Cron: "0 9 * * *", TimeZone: "UTC"}}},
		Approvals:     Approvals{Mute: "approvers", Quorum: 1, AllowSelf: true, Expires: Duration(4 * time.Hour)},
		Snapshots:     Snapshots{Keep: 3, MaxAge: Duration(14 * 24 * time.Hour)},
		Alerts:        Alerts{Below: Duration(2 * time.Hour), LostAfter: Duration(10 * time.Minute)},
		TimeScale:     1,
	}
}

// StoreDSN returns where the store is: the environment's word, else the
// file's, else SQLite in the data directory.
func (c Config) StoreDSN() string {
	switch {
	case c.Secrets.StoreDSN != "":
		return c.Secrets.StoreDSN
	case c.Store.DSN != "":
		return c.Store.DSN
	}
	return "sqlite:" + c.DataDir
}

// Scale returns time_scale as the rest of the house uses it.
func (c Config) Scale() schedule.Scale { return schedule.Scale(c.TimeScale) }
