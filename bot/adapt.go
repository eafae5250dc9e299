package bot

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dropleak/dropleak/bot/audit"
	"github.com/dropleak/dropleak/bot/chat"
	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/history"
	"github.com/dropleak/dropleak/bot/hub"
	"github.com/dropleak/dropleak/bot/order"
	"github.com/dropleak/dropleak/bot/remedy"
	"github.com/dropleak/dropleak/bot/report"
	"github.com/dropleak/dropleak/bot/restart"
	"github.com/dropleak/dropleak/bot/slackapp"
	"github.com/dropleak/dropleak/bot/watch"
	"github.com/dropleak/dropleak/detector/sample"
	"github.com/dropleak/dropleak/doclient"
)

// fleet lists our droplets as the watch knows them.
func (s *Service) fleet(ctx context.Context) (watch.Fleet, error) {
	f, err := s.source.Fleet(ctx)
	if err != nil {
		return watch.Fleet{}, err
	}
	out := watch.Fleet{Listed: f.Listed, Droplets: make([]watch.Droplet, len(f.Droplets))}
	for i, d := range f.Droplets {
		out.Droplets[i] = watch.Droplet{ID: strconv.FormatInt(d.ID, 10), Name: d.Name, Tags: d.Tags, Off: d.Status == "off"}
	}
	return out, nil
}

// droplet finds one of ours by id.
func (s *Service) droplet(ctx context.Context, id string) (watch.Droplet, error) {
	fleet, err := s.fleet(ctx)
	if err != nil {
		return watch.Droplet{}, err
	}
	i := slices.IndexFunc(fleet.Droplets, func(d watch.Droplet) bool { return d.ID == id })
	if i < 0 {
		return watch.Droplet{}, noWay("droplet %s is not tagged %s", id, s.d.Tag)
	}
	return fleet.Droplets[i], nil
}

// tags implements [remedy.Deps].Tags.
func (s *Service) tags(ctx context.Context, id int64) ([]string, error) {
	d, err := s.droplet(ctx, strconv.FormatInt(id, 10))
	return slices.Clone(d.Tags), err
}

// fleet answers the chat's questions about what is seen.
type fleet struct{ s *Service }

// Latest implements [chat.Fleet].
func (f fleet) Latest() (watch.Summary, bool) {
	if p := f.s.latest.Load(); p != nil {
		return *p, true
	}
	return watch.Summary{}, false
}

// Look implements [chat.Fleet].
func (f fleet) Look(ctx context.Context, dropletID string) (watch.View, error) {
	d, err := f.s.droplet(ctx, dropletID)
	if err != nil {
		return watch.View{}, err
	}
	return f.s.watch.Look(ctx, d, time.Now())
}

// rule is the operator's word about a worker.
func (s *Service) rule(d watch.Droplet, worker string) Rule {
	id, _ := strconv.ParseInt(d.ID, 10, 64)
	return s.d.Rule(id, d.Tags, worker)
}

func (s *Service) limit(d watch.Droplet, worker string) float64 { return s.rule(d, worker).Limit }

func (s *Service) threshold(d watch.Droplet, worker string, limit float64) float64 {
	if of := s.rule(d, worker).Threshold; of != nil {
		return of(limit)
	}
	return 0
}

func noWay(format string, args ...any) error { return &remedy.NoWay{Why: fmt.Sprintf(format, args...)} }

// choose says how a worker is restarted: as configured, else by the manager
// that the agent found it under. Not to know it just now is not to have no
// way: a run ends over the one and waits for the other.
func (s *Service) choose(sub finding.Subject) (remedy.Choice, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	d, err := s.droplet(ctx, sub.DropletID)
	if err != nil {
		return remedy.Choice{}, err
	}
	r := s.rule(d, sub.Worker)
	way, unit := r.Restart, r.Unit
	if way == "" {
		if way, err = s.manager(ctx, sub); err != nil {
			return remedy.Choice{}, err
		}
	}
	c := remedy.Choice{Way: restart.Way(way), ConfigHash: r.Hash}
	if c.Way == restart.SSH {
		kind, name, _ := strings.Cut(unit, ":")
		c.Unit = order.Unit{Kind: order.UnitKind(kind), Name: name}
	} else if unit != "" && !c.Way.WholeDroplet() {
		kind := order.SystemdUnit
		if way == string(restart.Supervisor) || way == string(restart.Celery) && !strings.HasSuffix(unit, ".service") {
			kind = order.SupervisorProgram
		}
		c.Unit = order.Unit{Kind: kind, Name: unit}
	}
	return c, nil
}

// policy says whether a worker may be restarted without a person.
func (s *Service) policy(sub finding.Subject) (remedy.Policy, error) {
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	d, err := s.droplet(ctx, sub.DropletID)
	if err != nil {
		return remedy.Policy{}, err
	}
	p := s.rule(d, sub.Worker).Policy
	p.Below = s.d.Scale.Real(p.Below)
	return p, nil
}

// manager is the one the agent last found a worker under.
func (s *Service) manager(ctx context.Context, sub finding.Subject) (string, error) {
	now := time.Now()
	infos, err := s.history.Select(ctx, []history.Matcher{history.Is(sample.MetricName, "dropleak_worker_info"),
		history.Is("droplet", sub.DropletID), history.Is("worker", sub.Worker)}, now.Add(-time.Hour), now)
	if err != nil {
		return "", err
	}
	slices.SortFunc(infos, func(a, b sample.Series) int {
		return cmp.Or(strings.Compare(a.Get(history.LabelSource), b.Get(history.LabelSource)), cmp.Compare(last(b), last(a))) // an agent's word first
	})
	for _, i := range infos {
		if source := i.Get(history.LabelSource); slices.ContainsFunc(s.shells, func(x shellOf) bool { return x.name == source }) {
			return string(restart.SSH), nil
		}
		switch m := i.Get("manager"); m {
		case "systemd", "supervisor":
			return m, nil
		case "":
		default:
			return "", noWay("its manager is %q, which dropleak cannot restart; name one under workers: in the configuration", m)
		}
	}
	return "", noWay("no agent has reported what runs it; name a way under workers: in the configuration")
}

func last(s sample.Series) int64 {
	if n := len(s.Points); n > 0 {
		return s.Points[n-1].At
	}
	return 0
}

// expect is the rule of thumb for a first snapshot: 70 s a GiB of used disk,
// the slow end of what a million of them took, or a minute a GiB of the whole
// disk where what it holds is not known.
func (s *Service) expect(ctx context.Context, id int64, used float64) time.Duration {
	if used > 0 {
		return s.d.Scale.Real(time.Duration(used / (1 << 30) * 70 * float64(time.Second)))
	}
	fleet, err := s.source.Fleet(ctx)
	if err != nil {
		return 0
	}
	i := slices.IndexFunc(fleet.Droplets, func(d doclient.Droplet) bool { return d.ID == id })
	if i < 0 {
		return 0
	}
	return s.d.Scale.Real(time.Duration(fleet.Droplets[i].DiskGiB) * time.Minute)
}

// orders are the hub's, as restarts place them.
type orders struct{ hub *hub.Hub }

// Place implements [restart.Orders].
func (o orders) Place(ctx context.Context, x order.Order) error { return o.hub.Place(ctx, x) }

// Result implements [restart.Orders].
func (o orders) Result(ctx context.Context, key string) (order.Result, bool, error) {
	run, kind := splitKey(key)
	return o.hub.Result(ctx, run, kind)
}

// Void implements [restart.Orders].
func (o orders) Void(ctx context.Context, key string) (bool, error) {
	run, kind := splitKey(key)
	if ok, err := o.hub.Withdraw(ctx, run, kind); ok || err != nil {
		return ok, err
	}
	// It may have been withdrawn before, by an owner that died of it.
	placed, err := o.hub.Order(ctx, run, kind)
	if errors.Is(err, hub.ErrNoOrder) {
		return true, nil
	}
	return placed.State == hub.Void, err
}

// splitKey is the inverse of [order.Key].
func splitKey(key string) (string, order.Kind) {
	if run, kind, ok := strings.Cut(key, "."); ok {
		return run, order.Kind(kind)
	}
	return key, order.Restart
}

// people are Slack's, as authority asks for them.
type people struct{ app *slackapp.App }

// Person implements [remedy.People].
func (p people) Person(ctx context.Context, user string) (remedy.Person, error) {
	u, err := p.app.User(ctx, user)
	if e, ok := errors.AsType[*slackapp.Error](err); ok && slices.Contains([]string{"user_not_found", "user_not_visible"}, e.Code) {
		return remedy.Person{}, fmt.Errorf("%w: %w", remedy.ErrNobody, err)
	}
	return remedy.Person{ID: u.ID, Team: u.Team, Bot: u.Bot, Deleted: u.Deleted, Guest: u.Guest, Stranger: u.Stranger}, err
}

// Members implements [remedy.People].
func (p people) Members(ctx context.Context, group string) ([]string, error) {
	return p.app.GroupMembers(ctx, group)
}

// inTag says whether a droplet carries a tag of the fleet.
func (s *Service) inTag(ctx context.Context, tag, dropletID string) (bool, error) {
	fleet, err := s.fleet(ctx)
	if err != nil {
		return false, err // not known is not "no": the sender tries again
	}
	return slices.ContainsFunc(fleet.Droplets, func(d watch.Droplet) bool { return d.ID == dropletID && slices.Contains(d.Tags, tag) }), nil
}

// clone opens a finding about a machine that uses another one's token.
func (s *Service) clone(ctx context.Context, c hub.Clone) {
	s.log.Warn("an agent's token is used by another machine", "token", c.Token.Name, "droplet", c.Token.Droplet, "why", c.Why)
	go func() {
		ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), 10*time.Second)
		defer cancel()
		now, name := time.Now(), ""
		if fleet, err := s.fleet(ctx); err == nil { // without it the id must do
			if i := slices.IndexFunc(fleet.Droplets, func(d watch.Droplet) bool { return d.ID == c.Token.Droplet }); i >= 0 {
				name = fleet.Droplets[i].Name
			}
		}
		f := finding.Finding{ID: watch.NewID(), State: finding.Open, Version: 1, Opened: now, Updated: now, LastSeen: now, Severity: finding.High,
			Subject: finding.Subject{Kind: finding.KindClone, DropletID: c.Token.Droplet, DropletName: name}, Summary: c.Why}
		if err := s.d.Store.OpenFinding(ctx, f); err != nil {
			if !errors.Is(err, finding.ErrConflict) { // that one is open already
				s.log.Error("open a finding about a clone; it tries again", "err", err)
			}
			return
		}
		if err := s.findingChanged(ctx, watch.Change{What: watch.Opened, Finding: f}); err != nil {
			s.log.Error("tell of a clone", "err", err)
		}
	}()
}

func (s *Service) findingChanged(ctx context.Context, c watch.Change) error {
	s.said.finding(s.log, c)
	err := s.chat.FindingChanged(ctx, c)
	if c.View == nil && !c.Finding.State.Final() {
		return err
	}
	return errors.Join(err, s.remedy.Heed(ctx, c.Finding))
}

// note writes down what a person did outside of a run.
func (s *Service) note(ctx context.Context, n chat.Note) error {
	_, err := s.d.Store.AppendAudit(ctx, audit.Entry{At: time.Now(), Who: n.Who, What: n.What, Subject: n.Subject,
		Why: n.Why, Before: n.Before, After: n.After})
	return err
}

func (s *Service) head(ctx context.Context) (string, error) {
	h, err := s.d.Store.AuditHead(ctx)
	return h.String(), err
}

// trouble names what does not answer, for the report.
func (s *Service) trouble() (out []string) {
	st := s.source.Status()
	if st.Err != nil {
		out = append(out, "DigitalOcean: "+st.Err.Error())
	}
	if st.Old {
		out = append(out, fmt.Sprintf("the list of droplets is %s old: droplets tagged since are not watched, and those gone since are missed",
			report.Duration(time.Since(st.Listed))))
	}
	if st.Droplets == 0 && !st.Listed.IsZero() {
		out = append(out, fmt.Sprintf("no droplet carries the tag %s: nothing is watched", s.d.Tag))
	}
	outages, err := s.outages(context.Background())
	if err != nil {
		out = append(out, "findings: "+err.Error())
	}
	for _, f := range s.feeds {
		silent, found := outages[f.Name()]
		if why := f.State().Error; why != "" && (!found || silent.State == finding.Muted) { // else a finding says so
			out = append(out, fmt.Sprintf("the source %s: %s", f.Name(), why))
		}
	}
	if told, err := s.alerts.Trouble(context.Background()); err != nil {
		out = append(out, "alerts: "+err.Error())
	} else {
		out = append(out, told...)
	}
	for _, id := range st.Missing {
		out = append(out, fmt.Sprintf("droplet %d has no memory metrics: install DigitalOcean's metrics agent on it", id))
	}
	return out
}
