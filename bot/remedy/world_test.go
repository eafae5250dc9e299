package remedy_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
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
	agentDid      bool              // before it died it carried the order out
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
	checked       map[string]string            // run → what the laws were last checked on
	doers         map[int64]string             // action → the run that asked for it
	looked        map[string]order.Fingerprint // run → what any process saw last of its worker
	promised      map[string]promise
	pressed       map[string][]press // run → what the approvers pressed on it; nil: not written down
	quorum        int
	policyOff     time.Time
	granted       *remedy.Terms   // of the lease; nil: not written down
	unsent        map[string]bool // runs whose order had not left when their lease was revoked
	skew          time.Duration   // of the droplet's clock
	minute        time.Duration   // between two passes of the agent
	lose          bool            // DigitalOcean no longer knows any action
	noChoice      error           // instead of choice
	beside        []string        // other workers of the unit
	keeps         bool            // another worker of the queue must be up
	peerAway      time.Time       // since when it is not; zero: it is up
	peerGone      bool            // and it does not come back by itself
}

// promise is what a run is about, as it was when the laws first saw it.
type promise struct {
	life order.Fingerprint
	unit order.Unit
	way  restart.Way
	hash string
}

func (p promise) same(q promise) bool {
	return p.life.Same(q.life) && p.life.BootID == q.life.BootID && p.unit == q.unit && p.way == q.way && p.hash == q.hash
}

// press is what somebody wanted of a run.
type press struct {
	by   string
	kind remedy.Kind
}

// approvers counts the people who may and wanted one of these of a run.
func (w *world) approvers(run string, kinds ...remedy.Kind) int {
	who := map[string]bool{}
	for _, x := range w.pressed[run] {
		if (x.by == alice || x.by == bob) && slices.Contains(kinds, x.kind) {
			who[x.by] = true
		}
	}
	return len(who)
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
	w := &world{life: map[string]order.Fingerprint{}, boot: "boot-1", pids: 100, names: map[int64]string{}, doers: map[int64]string{},
		looked: map[string]order.Fingerprint{}, promised: map[string]promise{}, unsent: map[string]bool{},
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
	meanwhile func()                       // what others do while this process is frozen
	taking    string                       // the run that last asked for places
	doing     string                       // the run it last claimed
	looked    map[string]order.Fingerprint // run → what it saw last of its worker
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
	p := &process{w: w, name: name, looked: map[string]order.Fingerprint{}}
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
	s.p.w.lock(func() { s.p.doing = r.ID })
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
