// Package remedy is the recipe of a run: authority, evidence, snapshot,
// restart, verify.
//
// A run is proposed for one worker and announced. Nothing happens until
// enough people who may decide have said so at the gate. Then evidence is
// gathered, the droplet is snapshotted under a name of the run's own, the
// target is looked at once more, the worker is restarted, and the new life is
// watched until it is known whether memory was freed and whether it works.
// docs/run.md draws the states; a test compares the drawing with this code.
//
// Nothing here decides by itself to be rougher than it was allowed to be: a
// step that cannot go on ends the run with a true sentence for a person.
package remedy

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"strconv"
	"strings"
	"time"

	"github.com/dropleak/dropleak/bot/audit"
	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/order"
	"github.com/dropleak/dropleak/bot/restart"
	"github.com/dropleak/dropleak/bot/workflow"
	"github.com/dropleak/dropleak/doclient"
)

// Recipe is the name of this recipe among the store's runs.
const Recipe = "remedy"

// Looker looks at a worker through its manager, changing nothing.
type Looker interface {
	Inspect(ctx context.Context, t restart.Target, look string) (order.Facts, error)
	Evidence(ctx context.Context, t restart.Target) (order.Findings, error)
}

// Cloud is what DigitalOcean is asked for snapshots.
type Cloud interface {
	Snapshot(ctx context.Context, dropletID int64, name string) (doclient.Action, error)
	Action(ctx context.Context, id int64) (doclient.Action, error)
	FindActions(ctx context.Context, dropletID int64, kind string, since time.Time) ([]doclient.Action, error)
	SnapshotByName(ctx context.Context, dropletID int64, name string) (doclient.Snapshot, error)
}

// Deps is what a service needs of others. All but Expect, Ended and Log are
// required.
type Deps struct {
	Store    workflow.Store
	Audit    audit.Log
	Findings finding.Store
	People   People
	Watcher  Watcher
	Looker   Looker
	Cloud    Cloud
	Shelf    Shelf // nil: snapshots are never deleted
	Ways     restart.Ways
	// Choose says how the configuration wants a worker restarted. A [*NoWay]
	// says that it does not; any other error, that this cannot be told now.
	Choose func(finding.Subject) (Choice, error)
	// Policy says whether dropleak may restart a worker by itself; nil: never.
	Policy func(finding.Subject) (Policy, error)
	// Announce shows a view and returns nil when that was accepted; a Passing
	// one need not be. It is called by one owner at a time, at least once for
	// each change, and again until it returns nil.
	Announce func(ctx context.Context, v View) error
	// Rolled shows a rolling restart, as Announce shows a run; nil: nobody
	// watches.
	Rolled func(ctx context.Context, v RolloutView) error
	// Expect is the rule of thumb for how long a droplet's first snapshot
	// takes; used is what its disk holds, in bytes, 0 where that is not known.
	// Nil or zero: not known.
	Expect func(ctx context.Context, dropletID int64, used float64) time.Duration
	// Tags are those of a droplet. Needed with Limits.Tags.
	Tags func(ctx context.Context, dropletID int64) ([]string, error)
	// Peers are all workers of the fleet, those that are missing too. Needed
	// with Limits.Queues.
	Peers func(context.Context) ([]Peer, error)
	// OnHand counts the tasks that workers of a droplet have on hand, all of
	// its workers where none are named; nil: nobody counts them.
	OnHand func(ctx context.Context, dropletID int64, workers []string) (OnHand, error)
	Log    *slog.Logger
}

// Config is what the operator asked for.
type Config struct {
	Approvers []string      // ids of users and of user groups
	Team      string        // the only workspace whose people may decide
	Quorum    int           // people needed; 0: 1
	AllowSelf bool          // may whoever asked for the run approve it
	Expires   time.Duration // of the question; 0: 24 h
	// Quiet returns when the next quiet window begins at or after a moment; nil
	// or zero: there is none.
	Quiet func(time.Time) time.Time
	// Shrink is the inverse of Stretch.
	Shrink func(t, at time.Time) time.Time
	// Stretch maps a moment to the time of verdicts told at another; nil: they
	// are the same.
	Stretch     func(t, at time.Time) time.Time
	SkipReasons []string      // to choose from when a snapshot is skipped; nil: DefaultSkipReasons
	Limits      Limits        // on how many runs act at a time
	Keep        int           // snapshots that stay for each droplet; 0: any number
	MaxAge      time.Duration // of a snapshot; 0: any
	Rehearse    bool          // carry nothing out
	OwnDroplet  int64         // the droplet dropleak runs on: never rebooted
	Owner       string        // unique among processes
	Pace        Pace
	Engine      workflow.Options // Owner and Log are filled in
}

// Pace is how long things may take. Zero fields take the production value.
type Pace struct {
	Look         time.Duration // 10 s: a look at the target
	Evidence     time.Duration // 30 s at most: gathering evidence
	Line         time.Duration // 5 s: between looks at whose turn it is
	Poll         time.Duration // 10 s: between looks at a snapshot
	Snapshot     time.Duration // 4 h: a snapshot, from order to listing
	Recheck      time.Duration // 5 min: to see the target again before the restart
	Fresh        time.Duration // 30 s: how old that look may be when the order leaves
	Order        time.Duration // 5 min: how long a restart order is good for
	Watch        time.Duration // 2 s: between looks at a restart
	Carry        time.Duration // 15 min: a claimed restart, until nobody knows
	VerifyEvery  time.Duration // 15 s
	Verify       time.Duration // 15 min: to become sure of the new life
	GroupsMemory time.Duration // 5 min: members of user groups are remembered
	Hold         time.Duration // 30 s: between looks at a worker that a lease keeps
	Rest         time.Duration // 6 h: between two tries of a policy after one that was overtaken
	Queue        time.Duration // 1 h: right before the restart, for others of its queue to be up
}

// DefaultSkipReasons are offered when the configuration names none.
var DefaultSkipReasons = []string{
	"Memory runs out before a snapshot can finish",
	"A recent snapshot or backup is good enough",
	"The droplet holds no state",
	"Snapshots of this droplet fail",
}

// Scale divides by n what people wait for (one second counts as n).
func (p Pace) Scale(n float64) Pace {
	p = p.defaults()
	if n <= 1 {
		return p
	}
	for _, d := range p.all() {
		*d = max(time.Duration(float64(*d)/n), 20*time.Millisecond)
	}
	// The other side of these is a real agent or a real API, on a machine that may be busy.
	p.Look, p.Fresh, p.Order = max(p.Look, 10*time.Second), max(p.Fresh, 30*time.Second), max(p.Order, time.Minute)
	p.Recheck, p.Carry = max(p.Recheck, time.Minute), max(p.Carry, time.Minute)
	p.Poll = max(p.Poll, 250*time.Millisecond)
	p.Snapshot = max(p.Snapshot, 5*time.Minute) // the lease of an owner that died is real time too
	p.Evidence, p.Verify, p.VerifyEvery = max(p.Evidence, 30*time.Second), max(p.Verify, 5*time.Minute), max(p.VerifyEvery, time.Second)
	return p
}

func (p *Pace) all() []*time.Duration {
	return []*time.Duration{&p.Look, &p.Evidence, &p.Line, &p.Poll, &p.Snapshot, &p.Recheck, &p.Fresh, &p.Order,
		&p.Watch, &p.Carry, &p.VerifyEvery, &p.Verify, &p.GroupsMemory, &p.Hold, &p.Rest, &p.Queue}
}

func (p Pace) defaults() Pace {
	production := []time.Duration{10 * time.Second, 30 * time.Second, 5 * time.Second, 10 * time.Second, 4 * time.Hour,
		5 * time.Minute, 30 * time.Second, 5 * time.Minute, 2 * time.Second, 15 * time.Minute, 15 * time.Second,
		15 * time.Minute, 5 * time.Minute, 30 * time.Second, 6 * time.Hour, time.Hour}
	for i, d := range p.all() {
		if *d == 0 {
			*d = production[i]
		}
	}
	return p
}

// Service proposes runs, takes decisions and carries runs out.
type Service struct {
	d      Deps
	c      Config
	shelf  Shelf // to look at only
	auth   *authority
	engine *workflow.Engine
	log    *slog.Logger
}

// New returns a service; Run makes it work.
func New(d Deps, c Config) *Service {
	c.Pace = c.Pace.defaults()
	c.Quorum = max(c.Quorum, 1)
	if c.Expires == 0 {
		c.Expires = 24 * time.Hour
	}
	if c.SkipReasons == nil {
		c.SkipReasons = DefaultSkipReasons
	}
	shelf := d.Shelf
	if c.Rehearse {
		d.Shelf = nil // deleting is carrying out, too
	}
	if d.Log == nil {
		d.Log = slog.New(slog.DiscardHandler)
	}
	s := &Service{d: d, c: c, log: d.Log, shelf: shelf,
		auth: &authority{people: d.People, team: c.Team, approvers: c.Approvers, remember: c.Pace.GroupsMemory}}
	c.Engine.Owner, c.Engine.Log = c.Owner, d.Log
	s.engine = workflow.New(d.Store, c.Engine, s.recipe(), s.tidy(), s.leases(), s.rollouts())
	return s
}

// Run carries runs out until ctx ends.
func (s *Service) Run(ctx context.Context) error { return s.engine.Run(ctx) }

// Once drives one due run until it rests, and reports whether there was one.
func (s *Service) Once(ctx context.Context) (bool, error) { return s.engine.Once(ctx) }

// Propose starts a run for a finding, or returns the live one of its worker.
// by is the Slack id of whoever asked, or empty for a scheduled report. A finding
// that is a request is stored only once it can be put: nothing need be undone. A
// [*Refusal] says that nothing can be offered, and why.
func (s *Service) Propose(ctx context.Context, f finding.Finding, by string) (View, error) {
	key := runKey(f.Subject)
	if live, err := s.live(ctx, key); err != nil || live != nil {
		v, err := s.viewOf(ctx, live, err)
		if err == nil && v.Only && by != "" {
			err = refuse(Decided, "Another question or run about this worker stands. It takes a snapshot alone; answer or cancel it first.")
		}
		return v, err
	}
	d, err := s.draft(ctx, f, by)
	if err != nil {
		return View{}, err
	}
	if d.Finding, err = s.carrier(ctx, f, d.Run); err != nil {
		return View{}, err
	}
	raw, err := json.Marshal(d)
	if err != nil {
		return View{}, fmt.Errorf("writing down the plan for %s: %w", f.Subject.Title(), err)
	}
	r := workflow.Run{ID: d.Run, Recipe: Recipe, Key: key, Data: raw}
	err = s.engine.Start(ctx, r, workflow.Entry{At: time.Now(), Who: who(by), What: "proposal", Run: r.ID,
		Subject: d.Plan.Title(), Why: "finding " + d.Finding, After: string(d.Plan.Way) + " " + d.Plan.Unit.String()})
	if errors.Is(err, workflow.ErrExists) {
		live, err := s.live(ctx, key) // somebody proposed it in the same moment
		return s.viewOf(ctx, live, err)
	}
	if err != nil {
		return View{}, err
	}
	return s.View(ctx, r.ID)
}

// draft looks at the target and plans.
func (s *Service) draft(ctx context.Context, f finding.Finding, by string) (data, error) {
	d, err := s.aim(ctx, f, by)
	if err != nil {
		return data{}, err
	}
	return s.complete(ctx, d, f)
}

// aim looks at the target, and refuses what would not work.
func (s *Service) aim(ctx context.Context, f finding.Finding, by string) (data, error) {
	id, err := strconv.ParseInt(f.Subject.DropletID, 10, 64)
	if err != nil || f.Subject.Worker == "" {
		return data{}, refuse(CannotTell, "A restart needs a worker on a droplet; this is about %s.", f.Subject.Title())
	}
	choice, err := s.d.Choose(f.Subject)
	var none *NoWay
	switch {
	case errors.As(err, &none):
		return data{}, refuse(CannotTell, "No way to restart %s is configured: %v.", f.Subject.Title(), none)
	case err != nil:
		return data{}, refuse(CannotTell, "How to restart %s cannot be told just now, so no restart is offered: %v.", f.Subject.Title(), err)
	}
	if _, err := s.d.Ways.For(choice.Way); err != nil {
		return data{}, refuse(CannotTell, "%s cannot be restarted: %v.", f.Subject.Title(), err)
	}
	if choice.Way.WholeDroplet() && id == s.c.OwnDroplet {
		return data{}, refuse(CannotTell, "Dropleak does not reboot the droplet it runs on.")
	}
	d := data{Run: newID(), Finding: f.ID, By: by, Asked: time.Now(), Expires: time.Now().Add(s.c.Expires), Rehearsal: s.c.Rehearse,
		Plan: Plan{DropletID: id, Droplet: f.Subject.DropletName, Worker: f.Subject.Worker, Way: choice.Way, Unit: choice.Unit, ConfigHash: choice.ConfigHash}}
	d.SnapshotName = snapshotName(d.Plan.Worker, d.Run)
	ctx, cancel := context.WithTimeout(ctx, s.c.Pace.Look)
	defer cancel()
	facts, err := s.d.Looker.Inspect(ctx, d.Plan.target(d.Run, time.Time{}), "plan")
	if err != nil {
		return data{}, refuse(CannotTell, "%s could not be looked at, so no restart can be offered: %v.", f.Subject.Title(), err)
	}
	return s.aimed(d, facts)
}

// aimed fills in what the look told.
func (s *Service) aimed(d data, facts order.Facts) (data, error) {
	d.Facts, d.Plan.Life = facts, facts.Fingerprint
	if d.Plan.Unit == (order.Unit{}) {
		d.Plan.Unit = facts.Unit
	}
	if why, refused := facts.Refused[order.Way(d.Plan.Way)]; refused {
		return data{}, refuse(CannotTell, "%s cannot be restarted by %s: %s.", d.Plan.Title(), d.Plan.Way, why)
	}
	if !d.Plan.Way.WholeDroplet() && facts.Unit != d.Plan.Unit {
		return data{}, refuse(CannotTell, "%s is configured as unit %s but runs in %s.", d.Plan.Title(), d.Plan.Unit, facts.Unit)
	}
	return d, nil
}

// complete fills in what the question tells besides.
func (s *Service) complete(ctx context.Context, d data, f finding.Finding) (data, error) {
	before, err := s.d.Watcher.Measure(ctx, f.Subject.DropletID, f.Subject.Worker)
	if err != nil {
		return data{}, fmt.Errorf("measuring %s: %w", d.Plan.Title(), err)
	}
	d.Before = before
	d.Exhausts = s.forecast(f)
	if err := s.carryOn(ctx, &d, f); err != nil {
		return data{}, err
	}
	if d.Card, err = s.card(ctx, d); err != nil {
		return data{}, err
	}
	d.Expected = d.Card.Snapshot.Takes
	return d, nil
}

// View returns what a run looks like now.
func (s *Service) View(ctx context.Context, id string) (View, error) {
	r, err := s.d.Store.Run(ctx, id)
	return s.viewOf(ctx, &r, err)
}

// Retell has the run's owner show its message once more: only who owns the
// run writes there, so that no old words come last.
func (s *Service) Retell(ctx context.Context, run string) error {
	if err := s.d.Store.RetellRun(ctx, run); err != nil {
		return fmt.Errorf("asking for the message of run %s to be shown again: %w", run, err)
	}
	s.engine.Wake()
	return nil
}

// Views lists what runs look like now, newest first.
func (s *Service) Views(ctx context.Context, f workflow.Filter) ([]View, error) {
	f.Recipe = Recipe
	runs, err := s.d.Store.Runs(ctx, f)
	if err != nil {
		return nil, fmt.Errorf("listing runs: %w", err)
	}
	var out []View
	for i := range runs {
		v, err := s.viewOf(ctx, &runs[i], nil)
		if err != nil {
			return nil, err
		}
		out = append(out, v)
	}
	return out, nil
}

func (s *Service) live(ctx context.Context, key string) (*workflow.Run, error) {
	runs, err := s.d.Store.Runs(ctx, workflow.Filter{Live: true, Recipe: Recipe, Key: key, Limit: 1})
	if err != nil || len(runs) == 0 {
		return nil, err
	}
	return &runs[0], nil
}

// runKey allows one live run for each worker of a droplet.
func runKey(sub finding.Subject) string { return sub.DropletID + "/" + sub.Worker }

// newID is not to be guessed, and fits a snapshot's name and a button.
func newID() string {
	var b [10]byte
	rand.Read(b[:])
	return strings.ToLower(base32.StdEncoding.EncodeToString(b[:]))
}

// who names the actor of a journal line.
func who(by string) string {
	if by == "" {
		return workflow.Self
	}
	return by
}
