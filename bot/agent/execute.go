package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/dropleak/dropleak/bot/agent/manager"
	"github.com/dropleak/dropleak/bot/order"
	"github.com/dropleak/dropleak/detector/procfs"
)

// The limit that no stolen service can talk the agent out of.
const (
	perHour  = 3
	seeAgain = 90 * time.Second // how long a new main process may take to show
)

// unitManager is what the agent needs of a manager of either kind.
type unitManager interface {
	State(ctx context.Context, unit string) (manager.State, error)
	Start(ctx context.Context, unit string) error
	Terminate(ctx context.Context, unit string) error
}

// jobManager restarts in one job; halfManager knows only the halves.
type jobManager interface {
	unitManager
	Restart(ctx context.Context, unit string) error
	Close()
}

type halfManager interface {
	unitManager
	Stop(ctx context.Context, unit string) error
}

// managers opens the manager behind a kind of unit.
type managers interface {
	systemd(ctx context.Context) (jobManager, error)
	supervisor(p place) (halfManager, error)
}

// executor carries out orders, each at most once.
type executor struct {
	journal *journal
	wire    *orders
	allow   []order.Unit
	id      *identity
	now     func() time.Time // the service's, for not_after
	log     *slog.Logger
	man     managers
	kill    func(pid int, sig syscall.Signal) error
	every   time.Duration // between two looks at /proc
	fresh   func() *procfs.Reader
	disk    func() (used float64, err error)
	heap    *heap // nil: no probe

	mu     sync.Mutex
	reader *procfs.Reader
	units  map[string]*sync.Mutex // one restart of a unit at a time
	busy   map[string]bool        // orders in hand
}

// refusal is an order not carried out: nothing was touched.
type refusal struct {
	reason order.Reason
	text   string
}

func (r *refusal) Error() string { return r.text }

func refuse(reason order.Reason, format string, args ...any) error {
	return &refusal{reason, fmt.Sprintf(format, args...)}
}

// handle takes one order from claim to delivered result.
func (x *executor) handle(ctx context.Context, o order.Order) {
	key := o.Key()
	if !x.take(key) {
		return
	}
	defer x.release(key)
	if e, known := x.journal.get(key); known && e.Step != released && !owes(e, o) {
		// Handed out twice: the act is not repeated, its result may be.
		if e.Step == ended || e.Step == delivered {
			x.deliver(ctx, *e.Result)
		}
		return
	}
	if o.Kind != order.Restart {
		if ours, err := x.wire.claim(ctx, key); err != nil || !ours {
			x.log.Warn("order not claimed", "order", key, "error", err)
			return
		}
		r := x.look(ctx, o)
		x.deliver(ctx, r)
		if o.Kind == order.Inspect && r.State == order.Done {
			x.prepare(ctx, o.Worker)
		}
		return
	}
	if err := x.journal.write(entry{Key: key, At: x.now(), Step: claiming, Order: &o}); err != nil {
		x.log.Error("order not claimed", "error", err)
		return
	}
	x.claimAndRestart(ctx, o, false)
}

// owes reports whether o asks for the start that the run's restart, which has
// ended, did not bring about. Both have the run's key.
func owes(e entry, o order.Order) bool {
	over := e.Step == ended || e.Step == delivered
	return over && o.Phase == order.Start && e.Order != nil && e.Order.Phase != order.Start
}

// take marks an order as in hand; false: it is already.
func (x *executor) take(key string) bool {
	x.mu.Lock()
	defer x.mu.Unlock()
	if x.busy[key] {
		return false
	}
	if x.busy == nil {
		x.busy = map[string]bool{}
	}
	x.busy[key] = true
	return true
}

func (x *executor) release(key string) {
	x.mu.Lock()
	defer x.mu.Unlock()
	delete(x.busy, key)
}

// claimAndRestart claims a restart and carries it out. doubtful: a claim was
// sent before and its answer never seen, so a "claimed before" may be our own.
func (x *executor) claimAndRestart(ctx context.Context, o order.Order, doubtful bool) {
	ours, err := x.claim(ctx, o, &doubtful)
	switch {
	case ctx.Err() != nil:
		return // asked again at the next start
	case err == nil && ours, doubtful && o.Phase == order.Start:
		// A start stops nothing, and may be repeated: in doubt it is done,
		// because the worker is down.
		x.log.Info("order claimed", "order", o.Key(), "worker", o.Worker, "unit", o.Unit.String())
		if err := x.journal.write(entry{Key: o.Key(), At: x.now(), Step: claimed}); err != nil {
			x.log.Error("order claimed and left alone", "error", err)
			return
		}
		x.finish(ctx, x.restart(ctx, o))
	case doubtful:
		// The service may think that the order is ours.
		x.finish(ctx, x.result(o, refuse(order.ClaimLost, "the claim's answer was lost, and the order not carried out")))
	default:
		x.log.Warn("order not claimed", "order", o.Key(), "error", err)
		if err := x.journal.write(entry{Key: o.Key(), At: x.now(), Step: released}); err != nil {
			x.log.Error("order stays open in the journal", "error", err)
		}
	}
}

// claim asks until the service answers, for as long as the order is good. An
// answer that is neither yes nor "claimed before" is an error: the order is
// nobody's and may be offered again.
func (x *executor) claim(ctx context.Context, o order.Order, doubtful *bool) (bool, error) {
	wait := 500 * time.Millisecond
	for {
		ours, err := x.wire.claim(ctx, o.Key())
		if err == nil || errors.Is(err, errStatus) || x.now().After(o.NotAfter) || ctx.Err() != nil {
			return ours, err
		}
		*doubtful = true
		sleep(ctx, wait)
		wait = min(2*wait, 10*time.Second)
	}
}

// result fills in what every result has.
func (x *executor) result(o order.Order, err error) order.Result {
	r := order.Result{Run: o.Run, Kind: o.Kind, State: order.Done, Old: o.Expect, BootID: x.id.boot, Began: x.now(), Ended: x.now()}
	if err == nil {
		return r
	}
	r.State, r.Reason, r.Error = order.Failed, order.ManagerError, err.Error()
	if no := (*refusal)(nil); errors.As(err, &no) {
		r.State, r.Reason = order.Refused, no.reason
	}
	switch {
	case errors.Is(err, manager.ErrNotStarted), errors.Is(err, errNotSeen):
		r.Reason = order.NotRunning
	case errors.Is(err, manager.ErrNoUnit):
		r.Reason = order.NotFound
	}
	r.Error = r.Error[:min(len(r.Error), 4000)]
	return r
}

// finish journals a restart's result and delivers it.
func (x *executor) finish(ctx context.Context, r order.Result) {
	if r.Run == "" {
		return // cut short by shutdown: resumed at the next start
	}
	if err := x.journal.write(entry{Key: r.Key(), At: x.now(), Step: ended, Result: &r}); err != nil {
		x.log.Error("result not journalled", "error", err)
	}
	x.log.Info("order ended", "order", r.Key(), "state", string(r.State), "error", r.Error, "old_pid", r.Old.PID, "new_pid", r.New.PID)
	x.deliver(ctx, r)
}

func (x *executor) deliver(ctx context.Context, r order.Result) {
	if err := x.wire.deliver(ctx, r); err != nil {
		if ctx.Err() == nil {
			x.log.Error("result not delivered", "error", err)
		} else {
			return // tried again at the next start
		}
	}
	if r.Kind != order.Restart {
		return
	}
	if err := x.journal.write(entry{Key: r.Key(), At: x.now(), Step: delivered}); err != nil {
		x.log.Error("delivery not journalled", "error", err)
	}
}

// restart checks everything that forbids a restart, then begins it.
func (x *executor) restart(ctx context.Context, o order.Order) order.Result {
	unlock := x.lockUnit(o.Unit)
	defer unlock()
	began := x.now()
	node, err := x.permit(o)
	var r order.Result
	ctx, cancel := linger(ctx)
	defer cancel()
	if err == nil {
		r, err = x.act(ctx, o, node)
	}
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return order.Result{}
	}
	res := x.result(o, err)
	res.Began, res.New, res.Stopped = began, r.New, r.Stopped
	return res
}

// grace is how long an act goes on after the agent was told to stop, so that
// a worker is not left between stop and start until the agent is back. The
// shipped unit's TimeoutStopSec is longer.
const grace = time.Minute

// linger returns a context that ends a grace period after ctx.
func linger(ctx context.Context) (context.Context, context.CancelFunc) {
	on, cancel := context.WithCancel(context.WithoutCancel(ctx))
	stop := context.AfterFunc(ctx, func() {
		t := time.AfterFunc(grace, cancel)
		context.AfterFunc(on, func() { t.Stop() })
	})
	return on, func() { stop(); cancel() }
}

func (x *executor) lockUnit(u order.Unit) func() {
	x.mu.Lock()
	if x.units == nil {
		x.units = map[string]*sync.Mutex{}
	}
	m := x.units[u.String()]
	if m == nil {
		m = &sync.Mutex{}
		x.units[u.String()] = m
	}
	x.mu.Unlock()
	m.Lock()
	return m.Unlock
}

// permit is every check that can be made without asking a manager.
func (x *executor) permit(o order.Order) (procfs.Node, error) {
	switch mine := x.id.dropletID(); {
	case mine != "" && o.Droplet != mine:
		return procfs.Node{}, refuse(order.WrongDroplet, "the order is for droplet %s, this is %s", o.Droplet, mine)
	case x.now().After(o.NotAfter):
		return procfs.Node{}, refuse(order.Expired, "the order was good until %s", o.NotAfter.UTC().Format(time.RFC3339))
	case !slices.Contains(x.allow, o.Unit):
		return procfs.Node{}, refuse(order.NotAllowed, "unit %s is not allowed here; start the agent with --allow %s", o.Unit, o.Unit)
	case o.Phase != order.Start && x.journal.acts(o.Unit, x.now().Add(-time.Hour)) >= perHour: // what was stopped is started, however often
		return procfs.Node{}, refuse(order.TooOften, "unit %s was restarted %d times within the hour", o.Unit, perHour)
	}
	if o.Phase == order.Start {
		return procfs.Node{}, nil // the worker is down; there is nothing to compare
	}
	node, err := x.find(o.Worker)
	if err != nil {
		return procfs.Node{}, err
	}
	if now := x.fingerprint(node); !now.Same(o.Expect) {
		return procfs.Node{}, refuse(order.Overtaken, "worker %s runs as pid %d since %s, not as pid %d since %s", o.Worker,
			now.PID, now.Start.UTC().Format(time.RFC3339), o.Expect.PID, o.Expect.Start.UTC().Format(time.RFC3339))
	}
	if is := unitOf(node); is != (order.Unit{}) && is != o.Unit {
		return procfs.Node{}, refuse(order.Unsupported, "worker %s runs in unit %s, not in %s", o.Worker, is, o.Unit)
	}
	if node.Manager == "container" && o.Way == order.Celery {
		return procfs.Node{}, refuse(order.Unsupported, "worker %s runs in a container; name the unit that runs the container", o.Worker)
	}
	return node, nil
}

func (x *executor) nodes() ([]procfs.Node, error) {
	x.mu.Lock()
	defer x.mu.Unlock()
	return x.reader.Nodes(time.Now())
}

func (x *executor) find(worker string) (procfs.Node, error) {
	nodes, err := x.nodes()
	if err != nil {
		return procfs.Node{}, fmt.Errorf("look for worker %s: %w", worker, err)
	}
	for _, n := range nodes {
		if n.Worker == worker {
			return n, nil
		}
	}
	return procfs.Node{}, refuse(order.NotFound, "no worker %s runs on this droplet", worker)
}

func (x *executor) fingerprint(n procfs.Node) order.Fingerprint {
	m := n.Main()
	return order.Fingerprint{PID: m.PID, Start: m.Start, BootID: x.id.boot}
}

var errNotSeen = errors.New("no new main process was seen")

// awaitNew waits for a main process of the worker that is not the old one.
func (x *executor) awaitNew(ctx context.Context, o order.Order) (order.Fingerprint, error) {
	ctx, cancel := context.WithTimeout(ctx, seeAgain)
	defer cancel()
	for {
		if n, err := x.find(o.Worker); err == nil {
			if f := x.fingerprint(n); !f.Same(o.Expect) {
				return f, nil
			}
		}
		sleep(ctx, x.every)
		if errors.Is(ctx.Err(), context.DeadlineExceeded) {
			return order.Fingerprint{}, fmt.Errorf("worker %s: %w within %s", o.Worker, errNotSeen, seeAgain)
		}
		if ctx.Err() != nil {
			return order.Fingerprint{}, ctx.Err()
		}
	}
}
