// Package bot is the assembled service: it puts the rooms together, serves
// their paths and runs their loops.
package bot

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dropleak/dropleak/bot/alert"
	"github.com/dropleak/dropleak/bot/audit"
	"github.com/dropleak/dropleak/bot/chat"
	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/history"
	"github.com/dropleak/dropleak/bot/hub"
	"github.com/dropleak/dropleak/bot/remedy"
	"github.com/dropleak/dropleak/bot/restart"
	"github.com/dropleak/dropleak/bot/schedule"
	"github.com/dropleak/dropleak/bot/slackapp"
	"github.com/dropleak/dropleak/bot/source"
	"github.com/dropleak/dropleak/bot/watch"
	"github.com/dropleak/dropleak/bot/workflow"
)

// Store is everything the service must not forget.
type Store interface {
	workflow.Store
	audit.Log
	finding.Store
	schedule.Store
	hub.Store
	history.Store
	chat.Inbox
	alert.Store
	source.Cursors
	Ping(ctx context.Context) error
}

// Executor is DigitalOcean as far as runs act on it.
type Executor interface {
	remedy.Cloud
	remedy.Shelf
	restart.Droplets
}

// Rule says how a worker is restarted. The zero Rule leaves it to what the
// agent found.
type Rule struct {
	Restart string  // systemd, supervisor, celery, ssh, reboot, power_cycle; "" as found
	Unit    string  // "" as found
	Limit   float64 // bytes; 0 as found
	// Threshold is what a worker that may use limit bytes (0: unknown) may
	// hold before somebody is asked, in bytes, 0 for none; nil: none.
	Threshold func(limit float64) float64
	Policy    remedy.Policy // by which dropleak restarts it by itself; zero: never
	Hash      string        // of the configuration keys it came from
}

// Report is one scheduled report.
type Report struct {
	Spec         schedule.Spec
	Channel, Tag string // "" the usual channel, all droplets
}

// Deps are what the service is put together of, and what its operator asked
// for.
type Deps struct {
	Store    Store
	Reader   source.Cloud
	Executor Executor // nil in a rehearsal without its token
	Slack    slackapp.Options
	Channel  string
	Tag      string // of the droplets that are watched and touched

	Pulls   []Pull // sources beside DigitalOcean and agents
	Scan    schedule.Spec
	Reports []Report
	Rule    func(dropletID int64, tags []string, worker string) Rule

	Approvers   []string
	Quorum      int
	AllowSelf   bool
	AnyoneMutes bool // every full member may mute a finding; else approvers only
	Expires     time.Duration
	Escalation  string         // whom to call when nobody answers; a Slack id or empty
	Quiet       schedule.Quiet // when "in the quiet window" acts
	Keep        int            // of dropleak's own snapshots, for each droplet; 0: any number
	MaxAge      time.Duration  // of those; 0: any
	Limits      remedy.Limits  // on how many runs act at a time
	Alerts      Alerts         // whom to call beside Slack
	Zone        *time.Location // of times where Slack does not show them in the reader's own: charts, alerts; nil: UTC
	Rehearse    bool
	OwnDroplet  int64 // the droplet the service runs on; 0 elsewhere or unknown
	Retention   time.Duration
	Remote      *history.Remote // keeps the samples in the store's place; nil: the store keeps them
	Scale       schedule.Scale
	Lease       time.Duration // of runs; 0: the default
	Owner       string        // unique among processes
	Log         *slog.Logger
}

// Service is dropleak, assembled.
type Service struct {
	d       Deps
	log     *slog.Logger
	history *history.History
	hub     *hub.Hub
	source  *source.DigitalOcean
	feeds   []*source.Feed
	shells  []shellOf
	watch   *watch.Watch
	remedy  *remedy.Service
	chat    *chat.Chat
	slack   *slackapp.App
	alerts  *alert.Desk
	said    logged
	started time.Time
	ours    string // the workspace
	home    homeTelling
	latest  atomic.Pointer[watch.Summary]
	posted  sync.Map     // cursors of reports that stand in Slack, which the store still calls overdue
	scanned atomic.Int64 // workers judged since the start
	ready   atomic.Bool
}

// New puts the service together. It asks Slack who it is, and remembers the
// answer for a start at which Slack does not answer.
func New(ctx context.Context, d Deps) (*Service, error) {
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	if d.Rule == nil {
		d.Rule = func(int64, []string, string) Rule { return Rule{} }
	}
	if d.Executor == nil && !d.Rehearse {
		return nil, errors.New("assemble service: no executor, and this is no rehearsal")
	}
	s := &Service{d: d, log: d.Log, started: time.Now()}
	s.history = history.New(d.Store, history.Options{Raw: d.Retention, Remote: d.Remote, Log: d.Log})
	s.source = source.NewDigitalOcean(source.DigitalOceanOptions{Cloud: d.Reader, Tag: d.Tag, Sink: s.history,
		Cursors: d.Store, Scale: d.Scale, Log: d.Log})
	s.hub = hub.New(d.Store, s.history, hub.Options{InTag: s.inTag, Locate: s.locateIn, OnClone: s.clone, Log: d.Log})
	s.watch = watch.New(watch.Options{Series: s.history, Findings: d.Store, Fleet: s.fleet, Sources: s.expected, Limit: s.limit, Threshold: s.threshold,
		Changed: s.findingChanged, Every: s.scanEvery, Scale: d.Scale, Log: d.Log})
	if err := s.assembleFeeds(); err != nil {
		return nil, err
	}
	if err := s.assembleSlack(ctx); err != nil {
		return nil, err
	}
	s.assembleAlerts()
	return s, nil
}

// assembleSlack makes the parts that speak with people; remedy and chat know
// each other through functions.
func (s *Service) assembleSlack(ctx context.Context) error {
	o := s.d.Slack
	o.Logger, o.Handler = s.log, receiver{s}
	known := refusals{s.d.Store, s.d.Scale, s.log}
	o.Accepts, o.OnDegrade = known.accepts, known.degraded
	app, err := slackapp.New(o)
	if err != nil {
		return fmt.Errorf("assemble service: %w", err)
	}
	s.slack = app
	team, err := s.team(ctx)
	if err != nil {
		return err
	}
	s.ours = team
	s.remedy = remedy.New(s.remedyDeps(), s.remedyConfig(team))
	var wire chat.Slack = app
	if s.d.Rehearse {
		wire = chat.Rehearsing(app)
	}
	s.chat = chat.New(chat.Options{Slack: wire, Inbox: s.d.Store, Findings: s.d.Store, Remedy: s.remedy, Standing: s.remedy, Rolling: s.remedy, Fleet: fleet{s},
		Person: app.User, Team: team, Audit: s.note, Head: s.head, Cursors: s.d.Store, Trouble: s.trouble, Sources: s.sources, Channel: s.d.Channel, Escalation: s.d.Escalation, AnyoneMutes: s.d.AnyoneMutes,
		Zone: s.d.Zone, Scale: s.d.Scale, Owner: s.d.Owner, Log: s.log})
	return nil
}

// receiver hands Slack's requests to the chat, which is made after the app.
type receiver struct{ s *Service }

// Receive implements [slackapp.Handler].
func (r receiver) Receive(ctx context.Context, in slackapp.Envelope) (slackapp.Ack, error) {
	return r.s.chat.Receive(ctx, in)
}

// teamCursor is where the workspace's id is remembered.
const teamCursor = "slack/team"

// team learns which workspace is ours: only its people may decide anything.
// Nobody is listened to meanwhile, so a start that knows it from the last one
// waits less.
func (s *Service) team(ctx context.Context) (string, error) {
	s.log.Info("asking Slack who we are", "at", s.d.Slack.APIURL)
	known, kerr := s.d.Store.Cursor(ctx, teamCursor)
	within := 30 * time.Second
	if kerr == nil && known != "" {
		within = 10 * time.Second
	}
	asked, cancel := context.WithTimeout(ctx, within)
	defer cancel()
	id, err := s.slack.AuthTest(asked)
	if err == nil {
		return id.TeamID, s.d.Store.SetCursor(ctx, teamCursor, id.TeamID)
	}
	if said, ok := errors.AsType[*slackapp.Error](err); ok && slackapp.RefusesToken(said.Code) {
		err = fmt.Errorf("%w; that is about SLACK_BOT_TOKEN", err)
	}
	if kerr != nil || known == "" {
		return "", fmt.Errorf("ask Slack who we are: %w", err)
	}
	s.log.Warn("Slack does not answer who we are; going on as the workspace of the last start", "team", known, "err", err)
	return known, nil
}

func (s *Service) remedyConfig(team string) remedy.Config {
	d := s.d
	scale := max(float64(d.Scale), 1)
	return remedy.Config{Approvers: d.Approvers, Team: team, Quorum: d.Quorum, AllowSelf: d.AllowSelf,
		Expires: d.Scale.Real(d.Expires), Limits: d.Limits, Rehearse: d.Rehearse, OwnDroplet: d.OwnDroplet, Owner: d.Owner,
		Quiet: d.Quiet.Start, Stretch: d.Scale.Stretch, Shrink: d.Scale.Shrink, Keep: d.Keep, MaxAge: d.Scale.Real(d.MaxAge),
		Pace:   remedy.Pace{}.Scale(scale),
		Engine: workflow.Options{Lease: d.Lease}.Scale(scale)}
}

func (s *Service) remedyDeps() remedy.Deps {
	orders := orders{s.hub}
	agent := restart.Agent{Orders: orders}
	ways := restart.Ways{restart.Systemd: agent, restart.Supervisor: agent, restart.Celery: agent}
	look := looker{s: s, agent: agent, shell: restart.Shell{Far: s.far}}
	if len(s.shells) > 0 {
		ways[restart.SSH] = look.shell
	}
	deps := remedy.Deps{Store: s.d.Store, Audit: s.d.Store, Findings: s.d.Store, People: people{s.slack},
		Watcher: measure{s}, Looker: look, Ways: ways, Choose: s.choose, Policy: s.policy, Expect: s.expect, Tags: s.tags, Peers: s.peers, OnHand: s.onHand, Log: s.log,
		Announce: func(ctx context.Context, v remedy.View) error {
			s.said.run(s.log, v)
			return s.chat.RunChanged(ctx, v)
		},
		Rolled: func(ctx context.Context, v remedy.RolloutView) error { return s.chat.RolloutChanged(ctx, v) }}
	if s.d.Executor != nil {
		deps.Cloud, deps.Shelf = s.d.Executor, s.d.Executor
		ways[restart.Reboot], ways[restart.PowerCycle] = restart.Droplet{API: s.d.Executor}, restart.Droplet{API: s.d.Executor}
	}
	return deps
}
