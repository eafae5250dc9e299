package agent

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"syscall"
	"time"

	"github.com/dropleak/dropleak/bot/agent/manager"
	"github.com/dropleak/dropleak/bot/order"
	"github.com/dropleak/dropleak/detector/procfs"
)

// look carries out an order that only reads.
func (x *executor) look(ctx context.Context, o order.Order) order.Result {
	began := x.now()
	nodes, err := x.nodes()
	if err != nil {
		return x.result(o, fmt.Errorf("look for worker %s: %w", o.Worker, err))
	}
	i := slices.IndexFunc(nodes, func(n procfs.Node) bool { return n.Worker == o.Worker })
	if i < 0 {
		return x.result(o, refuse(order.NotFound, "no worker %s runs on this droplet", o.Worker))
	}
	r := x.result(o, nil)
	r.Began, r.Old = began, x.fingerprint(nodes[i])
	if o.Kind == order.Inspect {
		r.Facts = x.facts(ctx, o, nodes[i], nodes)
	} else {
		r.Evidence = x.evidence(ctx, nodes[i], o.NotAfter.Sub(x.now()))
	}
	r.Ended = x.now()
	return r
}

// facts says what a restart would mean. The unit the order names counts more
// than the one found: the operator may restart a container by its unit.
func (x *executor) facts(ctx context.Context, o order.Order, n procfs.Node, all []procfs.Node) *order.Facts {
	f := &order.Facts{Fingerprint: x.fingerprint(n), Pool: n.Pool, Unit: unitOf(n), Workers: []string{n.Worker},
		StopTimeout: manager.Unknown.Seconds(), Ways: []order.Way{}, Refused: map[order.Way]string{}}
	if o.Unit != (order.Unit{}) {
		f.Unit = o.Unit
	}
	f.Nodes = []order.Node{nodeOf(n)}
	for _, other := range all {
		if other.Worker != n.Worker && n.Unit != "" && other.Unit == n.Unit && other.Manager == n.Manager {
			f.Workers = append(f.Workers, other.Worker)
			f.Nodes = append(f.Nodes, nodeOf(other))
		}
	}
	if used, err := x.disk(); err != nil {
		x.log.Warn("used disk not known", "error", err)
	} else {
		f.DiskUsed = used
	}
	if f.Unit == (order.Unit{}) {
		why := "no manager of this worker was found: nothing would start it again"
		if n.Manager == "container" {
			why = "not supported: the worker runs in a container; configure the unit that runs the container"
		}
		for _, w := range []order.Way{order.Systemd, order.Supervisor, order.Celery} {
			f.Refused[w] = why
		}
		return f
	}
	f.Allowed = slices.Contains(x.allow, f.Unit)
	x.ask(ctx, f, n)
	return f
}

// nodeOf is what people hear of a node before it is restarted.
func nodeOf(n procfs.Node) order.Node {
	out := order.Node{Worker: n.Worker, App: n.App, Pool: n.Pool, Beat: n.Beat}
	for _, m := range n.Members {
		if m.Role == "child" {
			out.Processes++
		}
	}
	return out
}

// diskUsed is what the root file system holds: a snapshot copies that much.
func diskUsed() (float64, error) {
	var st syscall.Statfs_t
	if err := syscall.Statfs("/", &st); err != nil {
		return 0, fmt.Errorf("measure the root file system: %w", err)
	}
	return float64(st.Blocks-st.Bfree) * float64(st.Bsize), nil
}

func unitOf(n procfs.Node) order.Unit {
	switch n.Manager {
	case "systemd":
		return order.Unit{Kind: order.SystemdUnit, Name: n.Unit}
	case "supervisor":
		return order.Unit{Kind: order.SupervisorProgram, Name: n.Unit}
	}
	return order.Unit{}
}

// ask fills in what the manager says and which ways that leaves.
func (x *executor) ask(ctx context.Context, f *order.Facts, n procfs.Node) {
	own, foreign := order.Systemd, order.Supervisor
	if f.Unit.Kind == order.SupervisorProgram {
		own, foreign = foreign, own
	}
	f.Refused[foreign] = fmt.Sprintf("the worker's unit is %s", f.Unit)
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	st, err := x.state(ctx, f.Unit, place{n.SupervisorURL, n.SupervisorConfig})
	switch {
	case err != nil:
		f.Refused[own], f.Refused[order.Celery] = err.Error(), err.Error()
		return
	case !f.Allowed:
		why := fmt.Sprintf("unit %s is not allowed on this droplet; start the agent with --allow %s", f.Unit, f.Unit)
		f.Refused[own], f.Refused[order.Celery] = why, why
	default:
		f.Ways = append(f.Ways, own)
		if st.StartsAgain && n.Manager != "container" {
			f.Ways = append(f.Ways, order.Celery)
		} else if !st.StartsAgain {
			f.Refused[order.Celery] = "needs " + st.Change
		} else {
			f.Refused[order.Celery] = "not supported: the worker runs in a container"
		}
	}
	f.StopTimeout, f.StopSignal, f.KillMode, f.AutoRestart = st.StopTimeout.Seconds(), st.StopSignal, st.KillMode, st.AutoRestart
	if st.StopTimeout == manager.Unknown {
		f.StopTimeout = -1
	}
}

func (x *executor) state(ctx context.Context, u order.Unit, p place) (manager.State, error) {
	m, closeIt, err := x.manager(ctx, u, p)
	if err != nil {
		return manager.State{}, err
	}
	defer closeIt()
	return m.State(ctx, u.Name)
}

// evidenceTime is the longest that reading what a worker holds may take. What
// the probe says has its own bound.
const evidenceTime = 10 * time.Second

// held is what the worker's processes hold, and what of it could not be read.
type held struct {
	processes []procfs.Holdings
	cgroup    map[string]float64
	notes     []string
}

// evidence reads what a worker holds, and has its probe say what grew. Whoever
// asked waits for so long.
func (x *executor) evidence(ctx context.Context, n procfs.Node, wait time.Duration) *order.Findings {
	began := time.Now()
	told := make(chan *order.Heap, 1)
	go func() { told <- x.heap.ask(ctx, n, wait-heapSpare) }()
	within, cancel := context.WithTimeout(ctx, min(wait-heapSpare, evidenceTime))
	defer cancel()
	got := x.hold(within, n)
	out := &order.Findings{At: x.now(), Took: time.Since(began).Seconds(), Complete: len(got.notes) == 0, Cgroup: got.cgroup, Notes: got.notes}
	for _, h := range got.processes {
		out.Processes = append(out.Processes, order.ProcessFindings{PID: h.PID, Role: h.Role, Memory: h.Memory, Files: h.Files,
			Sockets: h.Sockets, Threads: h.Threads, Mappings: h.Mappings})
	}
	out.Heap = <-told
	out.Took = time.Since(began).Seconds()
	return out
}

// hold reads beside the rest of the agent. The kernel keeps whoever reads
// smaps waiting while the process's memory is locked, for as long as that
// lasts, and a worker that is throttled may lock it for long; then the read is
// left behind. The reader is its own too: the map of a large process is large.
func (x *executor) hold(ctx context.Context, n procfs.Node) held {
	done := make(chan held, 1)
	own := x.fresh()
	go func() {
		var h held
		h.processes, h.cgroup, h.notes = own.Hold(ctx, n)
		done <- h
	}()
	select {
	case h := <-done:
		return h
	case <-ctx.Done():
	}
	late := time.NewTimer(100 * time.Millisecond) // for the process it was at
	defer late.Stop()
	select {
	case h := <-done:
		return h
	case <-late.C:
		return held{notes: []string{"time was up while the kernel kept a process's memory locked; nothing of it could be read"}}
	}
}

// resume takes up what the agent was at when it died. Acts are not repeated;
// what became of them is looked up, and a start that is owed is done.
func (x *executor) resume(ctx context.Context, e entry) {
	if e.Order == nil {
		x.log.Error("journal names an order without holding it", "order", e.Key)
		return
	}
	x.log.Info("taking up an order from before", "order", e.Key, "step", string(e.Step))
	o := *e.Order
	if !x.take(e.Key) {
		return
	}
	defer x.release(e.Key)
	switch e.Step {
	case claiming:
		x.claimAndRestart(ctx, o, true)
	case claimed:
		x.finish(ctx, x.restart(ctx, o))
	case ended:
		if e.Result != nil {
			x.deliver(ctx, *e.Result)
		}
	default:
		x.finish(ctx, x.complete(ctx, e))
	}
}

// complete ends a restart that was begun by a former life of this agent.
func (x *executor) complete(ctx context.Context, e entry) order.Result {
	o := *e.Order
	unlock := x.lockUnit(o.Unit)
	defer unlock()
	p := place{}
	if e.Place != nil {
		p = *e.Place
	}
	ctx, cancel := linger(ctx)
	defer cancel()
	died := errors.New("the agent died in the act")
	var r order.Result
	var err error
	switch {
	case e.Step == stopped:
		r, err = x.startHalf(ctx, o, p)
	case o.Way == order.Celery:
		r, err = x.awaitWarm(ctx, o)
	default:
		r, err = x.afterStop(ctx, o, p, died)
	}
	if errors.Is(err, context.Canceled) && ctx.Err() != nil {
		return order.Result{}
	}
	res := x.result(o, err)
	res.Began, res.New, res.Stopped = e.Acted, r.New, r.Stopped
	return res
}
