package remedy_test

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dropleak/dropleak/bot/audit"
	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/order"
	"github.com/dropleak/dropleak/bot/remedy"
	"github.com/dropleak/dropleak/bot/restart"
	"github.com/dropleak/dropleak/bot/store/storetest"
	"github.com/dropleak/dropleak/bot/workflow"
	"github.com/dropleak/dropleak/detector"
	"github.com/dropleak/dropleak/doclient"
)

const (
	team    = "T1"
	alice   = "U1" // approver by name
	bob     = "U2" // approver by group
	mallory = "U3" // nobody
	guest   = "U4" // a guest in the list
	robot   = "U5"
	other   = "U6" // of another team, in the list
	droplet = 42
)

var unit = order.Unit{Kind: order.SupervisorProgram, Name: "mail"}

// deed is something that truly happened out there.
type deed struct {
	at   time.Time
	what string // snapshot, restart, reboot
	run  string
	old  order.Fingerprint
	gone time.Duration // how long the other worker of the queue had been missing
}

// world is everything outside the process: DigitalOcean, the agents, the
// people, the channel. It outlives crashes.
type world struct {
	mu      sync.Mutex
	store   storetest.Memory
	db      workflow.Store               // store, unless a test has a real one
	life    map[string]order.Fingerprint // by worker
	boot    string
	pids    int
	actions []doclient.Action
	snaps   []doclient.Snapshot
	names   map[int64]string // action → snapshot name
	orders  map[string]order.Order
	claimed map[string]bool
	void    map[string]bool
	results map[string]order.Result
	deeds   []deed

	findings map[string]finding.Finding
	refusals []audit.Entry
	views    []remedy.View // as the channel showed them

	evidenceTakes time.Duration
	snapshotTakes time.Duration
	snapshotEnds  string            // status; empty: completed
	agentAway     bool              // the agent does not answer, nor claim orders
	agentLeaves   bool              // it reports, and is away
	agentDies     bool              // it claims an order and is never heard of again
	agentSays     *order.Result     // instead of restarting
	pool          int               // after a restart
	recovery      detector.Recovery // of the new life
	working       remedy.Working
	dies          bool // the new main process does not stay
	choice        remedy.Choice
	disk          float64 // used, as the agent measures it
	quiet         func(time.Time) time.Time
	policy        remedy.Policy
	leased        map[string]string // run → the lease that let it go
	policed       bool              // a policy was ever on
	groupErr      error
	left          bool       // bob left the group
	unit          order.Unit // that mail runs in, where it is another; see the variable
	observer      *process
	checked       map[string]string // run → what the laws were last checked on
	looked        order.Fingerprint // what the agent saw last
	rebooting     string            // the run whose droplet restart is expected
	skew          time.Duration     // of the droplet's clock
	minute        time.Duration     // between two passes of the agent
	lose          bool              // DigitalOcean no longer knows any action
	noChoice      error             // instead of choice
	beside        []string          // other workers of the unit
	keeps         bool              // another worker of the queue must be up
	peerAway      time.Time         // since when it is not; zero: it is up
	peerGone      bool              // and it does not come back by itself
}

// missing is how long the other worker of the queue has been away.
func (w *world) missing() time.Duration {
	if w.peerAway.IsZero() {
		return 0
	}
	return time.Since(w.peerAway)
}

// peers are all workers, as the service is told.
func (w *world) peers(context.Context) ([]remedy.Peer, error) {
	w.mu.Lock()
	defer w.mu.Unlock()
	other := peer("43", "mail2", "")
	if !w.peerAway.IsZero() {
		other.Missing = "not seen"
	}
	return []remedy.Peer{peer(fmt.Sprint(droplet), "mail", ""), peer(fmt.Sprint(droplet), "web", ""), other}, nil
}

func newWorld() *world {
	w := &world{life: map[string]order.Fingerprint{}, boot: "boot-1", pids: 100, names: map[int64]string{},
		orders: map[string]order.Order{}, claimed: map[string]bool{}, void: map[string]bool{}, results: map[string]order.Result{},
		findings: map[string]finding.Finding{}, snapshotTakes: 10 * time.Minute, minute: time.Minute, pool: 4,
		recovery: detector.DidRecover, working: remedy.Advancing,
		choice: remedy.Choice{Way: restart.Supervisor, Unit: unit, ConfigHash: "h1"}}
	w.db = &w.store
	for _, name := range []string{"mail", "web"} {
		w.newLife(name)
	}
	return w
}

func (w *world) newLife(worker string) order.Fingerprint {
	w.pids++
	w.life[worker] = order.Fingerprint{PID: w.pids, Start: time.Now().Add(w.skew), BootID: w.boot}
	return w.life[worker]
}

func (w *world) finding(worker string) finding.Finding {
	w.mu.Lock()
	defer w.mu.Unlock()
	f := finding.Finding{ID: "f-" + worker, Version: 1, State: finding.Open,
		Subject: finding.Subject{Kind: finding.KindLeak, DropletID: fmt.Sprint(droplet), DropletName: "web-1", Worker: worker}}
	if _, ok := w.findings[f.ID]; !ok {
		w.findings[f.ID] = f
	}
	return w.findings[f.ID]
}

// count returns how often something was done.
func (w *world) count(what string) int {
	w.mu.Lock()
	defer w.mu.Unlock()
	n := 0
	for _, d := range w.deeds {
		if d.what == what {
			n++
		}
	}
	return n
}

// fault is what befalls one crossing of the process's border.
type fault int

const (
	none        fault = iota
	crashBefore       // the process dies; nothing crossed
	crashAfter        // it crossed; the process dies without knowing
	lostBefore        // the request is lost
	lostAfter         // the answer is lost
	refused           // DigitalOcean says 403
	stall             // the process freezes before, and others work meanwhile
)

var (
	errDead = errors.New("this process is dead")
	errLost = errors.New("connection reset by peer")
)

// process is one instance of the service in a world.
type process struct {
	w      *world
	name   string
	dead   atomic.Bool
	frozen atomic.Bool
	// choose decides what befalls a crossing; nil: nothing ever does.
	choose    func(crossing string) fault
	meanwhile func() // what others do while this process is frozen
	taking    string // the run that last asked for places
	s         *remedy.Service
}

// cross lets a call over the border of the process, faults and all.
func (p *process) cross(what string, do func() error) error {
	if p.dead.Load() {
		return errDead
	}
	f := none
	if p.choose != nil && !p.frozen.Load() {
		f = p.choose(what)
	}
	switch f {
	case crashBefore:
		p.dead.Store(true)
		return errDead
	case lostBefore:
		return errLost
	case refused:
		return &doclient.Error{Status: http.StatusForbidden, Message: "no"}
	case stall:
		p.frozen.Store(true)
		p.meanwhile()
		p.frozen.Store(false)
		if p.dead.Load() {
			return errDead
		}
	}
	err := do()
	switch f {
	case crashAfter:
		p.dead.Store(true)
		return errDead
	case lostAfter:
		return errLost
	}
	return err
}

func (w *world) start(name string, change func(*remedy.Config, *remedy.Deps)) *process {
	p := &process{w: w, name: name}
	cl := &cloud{p}
	d := remedy.Deps{
		Store: &flowStore{w.db, p}, Audit: (*auditLog)(w), Findings: (*findings)(w), People: (*people)(w),
		Watcher: (*watcher)(w), Looker: &looker{p}, Cloud: cl, Shelf: cl,
		Ways: restart.Ways{restart.Supervisor: restart.Agent{Orders: &orders{p}}, restart.Reboot: restart.Droplet{API: cl}},
		Choose: func(finding.Subject) (remedy.Choice, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.choice, w.noChoice
		},
		Policy: func(finding.Subject) (remedy.Policy, error) {
			w.mu.Lock()
			defer w.mu.Unlock()
			return w.policy, nil
		},
		Announce: func(_ context.Context, v remedy.View) error {
			return p.cross("announce", func() error {
				w.mu.Lock()
				defer w.mu.Unlock()
				w.views = append(w.views, v)
				return nil
			})
		},
	}
	c := remedy.Config{Approvers: []string{alice, "<!subteam^S1|@ops>", guest, robot, other}, Team: team, Owner: name, AllowSelf: true, Quiet: w.quiet}
	if change != nil {
		change(&c, &d)
	}
	p.s = remedy.New(d, c)
	return p
}

// flowStore is the store as one process reaches it. Reads cross unharmed
// while the process lives: a fault there changes nothing anybody could see.
type flowStore struct {
	workflow.Store
	p *process
}

func (s *flowStore) CreateRun(ctx context.Context, r workflow.Run, e ...workflow.Entry) error {
	return s.p.cross("store create", func() error { return s.Store.CreateRun(ctx, r, e...) })
}

func (s *flowStore) DecideRun(ctx context.Context, id string, gv int64, gate json.RawMessage, now time.Time, e ...workflow.Entry) error {
	return s.p.cross("store decide", func() error { return s.Store.DecideRun(ctx, id, gv, gate, now, e...) })
}

func (s *flowStore) AmendRun(ctx context.Context, id string, gv int64, gate json.RawMessage, e ...workflow.Entry) error {
	return s.p.cross("store amend", func() error { return s.Store.AmendRun(ctx, id, gv, gate, e...) })
}

func (s *flowStore) RetellRun(ctx context.Context, id string) error {
	return s.p.cross("store retell", func() error { return s.Store.RetellRun(ctx, id) })
}

func (s *flowStore) ClaimRun(ctx context.Context, owner string, now time.Time, lease time.Duration) (r workflow.Run, err error) {
	err = s.p.cross("store claim", func() error { r, err = s.Store.ClaimRun(ctx, owner, now, lease); return err })
	return r, err
}

func (s *flowStore) RenewRun(ctx context.Context, id string, token int64, lease time.Duration) error {
	if s.p.frozen.Load() || s.p.dead.Load() {
		return errDead
	}
	return s.Store.RenewRun(ctx, id, token, lease)
}

func (s *flowStore) SaveRun(ctx context.Context, r workflow.Run, changed bool, e ...workflow.Entry) (out workflow.Run, err error) {
	err = s.p.cross("store save "+r.Step, func() error { out, err = s.Store.SaveRun(ctx, r, changed, e...); return err })
	return out, err
}

func (s *flowStore) TakeSlots(ctx context.Context, id string, token int64, slots []workflow.Slot) (full []workflow.Slot, err error) {
	s.p.taking = id
	err = s.p.cross("store take", func() error { full, err = s.Store.TakeSlots(ctx, id, token, slots); return err })
	return full, err
}

func (s *flowStore) ReturnSlots(ctx context.Context, id string, token int64, but string) error {
	return s.p.cross("store return", func() error { return s.Store.ReturnSlots(ctx, id, token, but) })
}

func (s *flowStore) PlanAct(ctx context.Context, a workflow.Act, token int64, e ...workflow.Entry) error {
	return s.p.cross("store plan "+a.Name, func() error { return s.Store.PlanAct(ctx, a, token, e...) })
}

func (s *flowStore) MoveAct(ctx context.Context, a workflow.Act, from workflow.ActState, token, gv int64, e ...workflow.Entry) error {
	return s.p.cross(fmt.Sprintf("store %s %s", a.State, a.Name), func() error { return s.Store.MoveAct(ctx, a, from, token, gv, e...) })
}

// cloud is DigitalOcean.
type cloud struct{ p *process }

func (c *cloud) act(kind, name string) (a doclient.Action, err error) {
	err = c.p.cross("call "+kind, func() error {
		w := c.p.w
		w.mu.Lock()
		defer w.mu.Unlock()
		w.settle()
		for _, b := range w.actions {
			if b.Status == doclient.InProgress {
				return &doclient.Error{Status: http.StatusUnprocessableEntity, Message: "Droplet already has a pending event."}
			}
		}
		a = doclient.Action{ID: int64(1000 + len(w.actions)), DropletID: droplet, Type: kind, Status: doclient.InProgress, StartedAt: time.Now()}
		w.actions = append(w.actions, a)
		w.names[a.ID] = name
		run := name[strings.LastIndex(name, "-")+1:]
		what := kind
		if kind == doclient.TypeReboot {
			run, what = w.rebooting, "restart"
		}
		// DigitalOcean compares no fingerprint: what a reboot ends is what was
		// there at the last look.
		w.deeds = append(w.deeds, deed{time.Now(), what, run, w.looked, w.missing()})
		return nil
	})
	return a, err
}

func (c *cloud) Snapshot(_ context.Context, _ int64, name string) (doclient.Action, error) {
	return c.act(doclient.TypeSnapshot, name)
}
func (c *cloud) Reboot(context.Context, int64) (doclient.Action, error) {
	return c.act(doclient.TypeReboot, "")
}
func (c *cloud) PowerCycle(context.Context, int64) (doclient.Action, error) {
	return c.act(doclient.TypePowerCycle, "")
}

// lock runs f on the world, as something that happens out there.
func (w *world) lock(f func()) {
	w.mu.Lock()
	defer w.mu.Unlock()
	f()
}

// settle brings actions up to now.
func (w *world) settle() {
	for i, a := range w.actions {
		if a.Status != doclient.InProgress || time.Since(a.StartedAt) < w.snapshotTakes {
			continue
		}
		a.Status, a.CompletedAt = doclient.Completed, time.Now()
		if w.snapshotEnds != "" {
			a.Status = w.snapshotEnds
		}
		w.actions[i] = a
		if a.Status == doclient.Completed && a.Type == doclient.TypeSnapshot {
			w.snaps = append(w.snaps, doclient.Snapshot{ID: fmt.Sprint(a.ID), DropletID: droplet, Name: w.names[a.ID], SizeGB: 11, CreatedAt: a.StartedAt})
		}
		if a.Status == doclient.Completed && a.Type == doclient.TypeReboot {
			w.boot = fmt.Sprintf("boot-%d", len(w.actions)+1)
			for worker := range w.life {
				w.newLife(worker)
			}
		}
	}
}

func (c *cloud) Action(_ context.Context, id int64) (a doclient.Action, err error) {
	err = c.p.cross("call action", func() error {
		c.p.w.mu.Lock()
		defer c.p.w.mu.Unlock()
		c.p.w.settle()
		i := slices.IndexFunc(c.p.w.actions, func(a doclient.Action) bool { return a.ID == id })
		if i < 0 || c.p.w.lose {
			return doclient.ErrNotFound
		}
		a = c.p.w.actions[i]
		return nil
	})
	return a, err
}

func (c *cloud) FindActions(_ context.Context, _ int64, kind string, since time.Time) (out []doclient.Action, err error) {
	err = c.p.cross("call find actions", func() error {
		c.p.w.mu.Lock()
		defer c.p.w.mu.Unlock()
		c.p.w.settle()
		for _, a := range c.p.w.actions {
			if a.Type == kind && !a.StartedAt.Before(since.Add(-doclient.Slack)) {
				out = append(out, a)
			}
		}
		return nil
	})
	return out, err
}

func (c *cloud) SnapshotByName(_ context.Context, _ int64, name string) (s doclient.Snapshot, err error) {
	err = c.p.cross("call snapshot by name", func() error {
		c.p.w.mu.Lock()
		defer c.p.w.mu.Unlock()
		c.p.w.settle()
		i := slices.IndexFunc(c.p.w.snaps, func(s doclient.Snapshot) bool { return s.Name == name })
		if i < 0 {
			return doclient.ErrNotFound
		}
		s = c.p.w.snaps[i]
		return nil
	})
	return s, err
}

// Snapshots lists what stands.
func (c *cloud) Snapshots(context.Context, int64) (out []doclient.Snapshot, err error) {
	err = c.p.cross("call snapshots", func() error {
		c.p.w.lock(func() { c.p.w.settle(); out = slices.Clone(c.p.w.snaps) })
		return nil
	})
	return out, err
}

func (c *cloud) DeleteSnapshot(_ context.Context, s doclient.Snapshot) error {
	return c.p.cross("call delete", func() error {
		c.p.w.mu.Lock()
		defer c.p.w.mu.Unlock()
		i := slices.IndexFunc(c.p.w.snaps, func(x doclient.Snapshot) bool { return x.ID == s.ID && x.Name == s.Name })
		if i < 0 {
			return doclient.ErrNotFound
		}
		c.p.w.snaps = slices.Delete(c.p.w.snaps, i, i+1)
		return nil
	})
}

// orders is the hub and the agent behind it: an order placed is claimed at
// once unless the agent is away, carried out once, and answered.
type orders struct{ p *process }

func (o *orders) Place(_ context.Context, ord order.Order) error {
	return o.p.cross("call place restart", func() error {
		w := o.p.w
		w.mu.Lock()
		defer w.mu.Unlock()
		if _, known := w.orders[ord.Key()]; !known {
			w.orders[ord.Key()] = ord
		}
		if ord.Phase == order.Start {
			w.orders[ord.Key()], w.claimed[ord.Key()] = ord, false
			delete(w.results, ord.Key())
		}
		w.agent()
		return nil
	})
}

// agent carries out what is up, as the real one does: once, and only for the
// life that is expected.
func (w *world) agent() {
	for key, o := range w.orders {
		if w.agentAway || w.claimed[key] || time.Now().After(o.NotAfter) {
			continue
		}
		w.claimed[key] = true
		if w.agentDies {
			continue
		}
		old := w.life[o.Worker]
		if o.Phase == order.Start {
			w.started(key, o)
			continue
		}
		r := order.Result{Run: o.Run, Kind: o.Kind, State: order.Done, Old: old, BootID: w.boot}
		if !old.Same(o.Expect) {
			r.State, r.Reason, r.Error = order.Refused, order.Overtaken, "another life runs"
		} else if w.agentSays != nil {
			r.State, r.Reason, r.Error = w.agentSays.State, w.agentSays.Reason, w.agentSays.Error
			if r.Reason == order.NotRunning {
				w.deeds = append(w.deeds, deed{time.Now(), "restart", o.Run, old, w.missing()})
			}
		} else {
			w.deeds = append(w.deeds, deed{time.Now(), "restart", o.Run, old, w.missing()})
			r.New = w.newLife(o.Worker)
		}
		w.results[key] = r
		w.agentAway = w.agentAway || w.agentLeaves
	}
}

// started is the agent's answer to an order to start.
func (w *world) started(key string, o order.Order) {
	w.deeds = append(w.deeds, deed{time.Now(), "start", o.Run, o.Expect, w.missing()})
	r := order.Result{Run: o.Run, Kind: o.Kind, State: order.Failed, Reason: order.NotRunning, Error: "exits at once"}
	if !w.dies {
		r = order.Result{Run: o.Run, Kind: o.Kind, State: order.Done, New: w.newLife(o.Worker)}
	}
	w.results[key] = r
}

func (o *orders) Result(_ context.Context, key string) (r order.Result, ok bool, err error) {
	err = o.p.cross("call result", func() error {
		o.p.w.mu.Lock()
		defer o.p.w.mu.Unlock()
		o.p.w.agent()
		r, ok = o.p.w.results[key]
		return nil
	})
	return r, ok, err
}

func (o *orders) Void(_ context.Context, key string) (void bool, err error) {
	err = o.p.cross("call void", func() error {
		o.p.w.mu.Lock()
		defer o.p.w.mu.Unlock()
		void = !o.p.w.claimed[key] || o.p.w.void[key]
		o.p.w.claimed[key], o.p.w.void[key] = true, void
		return nil
	})
	return void, err
}

// looker is the agent's eyes.
type looker struct{ p *process }

func (l *looker) Inspect(_ context.Context, t restart.Target, _ string) (f order.Facts, err error) {
	err = l.p.cross("call inspect", func() error {
		l.p.w.mu.Lock()
		defer l.p.w.mu.Unlock()
		l.p.w.settle()
		if l.p.w.agentAway {
			return restart.ErrSilent
		}
		l.p.w.looked = l.p.w.life[t.Worker]
		f = order.Facts{Fingerprint: l.p.w.life[t.Worker], Unit: cmp.Or(l.p.w.unit, unit), Allowed: true, Workers: append([]string{t.Worker}, l.p.w.beside...), StopTimeout: 10, DiskUsed: l.p.w.disk}
		return nil
	})
	return f, err
}

func (l *looker) Evidence(ctx context.Context, _ restart.Target) (f order.Findings, err error) {
	err = l.p.cross("call evidence", func() error {
		look, stop := context.WithTimeout(ctx, l.p.w.evidenceTakes)
		defer stop()
		if <-look.Done(); ctx.Err() != nil {
			return restart.ErrSilent
		}
		f.Complete = true
		return nil
	})
	return f, err
}

// watcher measures.
type watcher world

func (x *watcher) Measure(_ context.Context, _, worker string) (remedy.Numbers, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return remedy.Numbers{At: time.Now(), Bytes: 2e9, Metric: "pss+swap", PID: x.life[worker].PID, Processes: 4}, nil
}

func (x *watcher) NewLife(_ context.Context, _, worker string, old order.Fingerprint, _ remedy.Numbers, restarted time.Time) (remedy.Life, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	now := x.life[worker]
	// Samples bear the droplet's time; what began before the restart is not new.
	passes := int(time.Now().Add(x.skew).Sub(restarted) / x.minute)
	fresh := !now.Same(old) && !now.Start.Before(restarted.Add(-order.SameStart))
	l := remedy.Life{Passes: passes, Seen: passes > 0 && fresh, Lives: 1, Pool: x.pool, Working: x.working,
		Now: remedy.Numbers{Bytes: 2e8, Metric: "pss+swap", PID: now.PID, Start: now.Start, Processes: x.pool}, Recovery: detector.TooEarly}
	if passes >= 3 {
		l.Recovery = x.recovery
	}
	if x.dies {
		l.Absent = passes
	}
	return l, nil
}

type people world

func (x *people) Person(_ context.Context, id string) (remedy.Person, error) {
	return remedy.Person{ID: id, Team: map[bool]string{true: "T2", false: team}[id == other], Guest: id == guest, Bot: id == robot}, nil
}

func (x *people) Members(_ context.Context, group string) ([]string, error) {
	if x.groupErr != nil {
		return nil, x.groupErr
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.left {
		return nil, nil
	}
	return map[string][]string{"S1": {bob}}[group], nil
}

type auditLog world

func (x *auditLog) AppendAudit(_ context.Context, e audit.Entry) (audit.Entry, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	x.refusals = append(x.refusals, e)
	return e, nil
}
func (x *auditLog) AuditHead(context.Context) (audit.Head, error) { return audit.Head{}, nil }
func (x *auditLog) AuditEntries(context.Context, audit.Filter) ([]audit.Entry, error) {
	return nil, nil
}

type findings world

func (x *findings) OpenFinding(context.Context, finding.Finding) error { return nil }
func (x *findings) Finding(_ context.Context, id string) (finding.Finding, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	f, ok := x.findings[id]
	if !ok {
		return f, finding.ErrNotFound
	}
	return f, nil
}
func (x *findings) LiveFinding(_ context.Context, key string) (finding.Finding, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, f := range x.findings {
		if f.Subject.Key() == key && !f.State.Final() {
			return f, nil
		}
	}
	return finding.Finding{}, finding.ErrNotFound
}
func (x *findings) Findings(_ context.Context, q finding.Filter) (out []finding.Finding, _ error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	for _, f := range x.findings {
		if q.Incident != "" && f.Incident == q.Incident && !(q.Live && f.State.Final()) {
			out = append(out, f)
		}
	}
	return out, nil
}
func (x *findings) UpdateFinding(_ context.Context, f finding.Finding) error {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.findings[f.ID].Version != f.Version {
		return finding.ErrConflict
	}
	f.Version++
	x.findings[f.ID] = f
	return nil
}
