package chaos

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"sync"
	"time"

	"github.com/dropleak/dropleak/bot/history"
	"github.com/dropleak/dropleak/bot/order"
	"github.com/dropleak/dropleak/detector/sample"
)

// agent is a scripted agent on a droplet of its own, with one worker under a
// supervisor. It keeps its own book and trusts the service blindly.
type agent struct {
	w        *town
	id       int
	worker   string
	reboots  bool // its worker is restarted by rebooting the droplet
	stumbles bool // its supervisor's first stop is not followed by a start
	http     *http.Client
	secret   string

	mu      sync.Mutex
	boot    string
	since   time.Time // of the boot
	life    order.Fingerprint
	held    float64
	cpu     float64
	stopped bool
	spool   []sample.Pass
	book    []deed
}

// deed is something an agent did.
type deed struct {
	at  time.Time
	run string
	did string // "restart", or "start" after a restart that only stopped
}

// unit is what runs the worker.
func (a *agent) unit() order.Unit { return order.Unit{Kind: order.SupervisorProgram, Name: a.worker} }

// move gives the agent its token and its worker a life of an hour.
func (a *agent) move(secret string) {
	a.secret = secret
	a.http = &http.Client{Transport: identity{a, secret}, Timeout: 10 * time.Second}
	now := time.Now()
	a.boot, a.since = fmt.Sprintf("boot-%d-0", a.id), now.Add(-24*time.Hour)
	a.life = order.Fingerprint{PID: 1000, Start: now.Add(-time.Hour).Truncate(time.Second), BootID: a.boot}
	a.held = 900 * mib
	for i := 40; i > 0; i-- {
		a.sample(now.Add(-time.Duration(i) * time.Second))
	}
}

// identity says who asks, on every request.
type identity struct {
	a      *agent
	secret string
}

// RoundTrip implements [http.RoundTripper].
func (i identity) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	i.a.mu.Lock()
	boot := i.a.boot
	i.a.mu.Unlock()
	r.Header.Set("Authorization", "Bearer "+i.secret)
	r.Header.Set(order.HeaderDroplet, fmt.Sprint(i.a.id))
	r.Header.Set(order.HeaderMachine, fmt.Sprintf("machine-%d", i.a.id))
	r.Header.Set(order.HeaderBoot, boot)
	return http.DefaultTransport.RoundTrip(r)
}

// server is one of the services, dead or alive.
func (a *agent) server() string {
	return "http://" + a.w.replicas[a.w.roll(len(a.w.replicas))].listen
}

// sample puts one pass into the spool.
func (a *agent) sample(at time.Time) {
	a.mu.Lock()
	defer a.mu.Unlock()
	at = at.UTC().Truncate(time.Millisecond)
	id := fmt.Sprint(a.id)
	p := sample.Pass{Droplet: &sample.Droplet{At: at, Droplet: id, Available: 3000*mib - a.held, Total: 4096 * mib, Shmem: sample.NaN,
		Slab: sample.NaN, SwapUsed: 0, OOMKills: 0, Boot: a.since}}
	if !a.stopped {
		a.cpu += 0.4
		process := func(slot, role string, pid int, held, cpu float64) sample.Process {
			return sample.Process{At: at, Droplet: id, Worker: a.worker, Slot: slot, Role: role, PID: pid, Start: a.life.Start,
				RSS: held, PSS: sample.NaN, USS: sample.NaN, Swap: 0, CPU: cpu}
		}
		p.Processes = []sample.Process{process(sample.SlotMain, "parent", a.life.PID, 60*mib, 1), process("0", "child", a.life.PID+1, a.held, a.cpu)}
		p.Workers = []sample.Worker{{At: at, Droplet: id, Worker: a.worker, Node: a.worker, Pool: "prefork", App: "shop", Unit: a.worker,
			Manager: "supervisor", Limit: sample.NaN, High: sample.NaN, Current: sample.NaN, Pressure: sample.NaN, OOMKills: sample.NaN}}
	}
	a.spool = append(a.spool, p)
}

// ship samples and sends what the spool holds, oldest first, until ctx ends.
func (a *agent) ship(ctx context.Context) {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		a.sample(time.Now())
		for a.shipOne(ctx) {
		}
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
	}
}

// shipOne sends the oldest pass and reports whether it may go on.
func (a *agent) shipOne(ctx context.Context) bool {
	a.mu.Lock()
	if len(a.spool) == 0 {
		a.mu.Unlock()
		return false
	}
	p := a.spool[0]
	a.mu.Unlock()
	hub, err := history.NewRemote(a.server(), a.http)
	if err == nil {
		err = hub.Write(ctx, sample.Encode(p))
	}
	if err != nil {
		return false // the service is dead, or busy: later
	}
	a.mu.Lock()
	a.spool = a.spool[1:]
	a.mu.Unlock()
	return true
}

// serve asks for orders and carries them out until ctx ends.
func (a *agent) serve(ctx context.Context) {
	for ctx.Err() == nil {
		list, err := a.poll(ctx)
		if err != nil {
			pause(ctx, 100*time.Millisecond)
		}
		for _, o := range list {
			a.obey(ctx, o)
		}
	}
}

func (a *agent) poll(ctx context.Context) ([]order.Order, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, a.server()+order.PathOrders+"?wait=500ms", nil)
	if err != nil {
		return nil, err
	}
	resp, err := a.http.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	switch resp.StatusCode {
	case http.StatusOK:
		return order.ReadOrders(resp.Body)
	case http.StatusNoContent:
		return nil, nil
	}
	return nil, fmt.Errorf("orders: %s", resp.Status)
}

// post sends a body and returns the status; 0: nobody knows.
func (a *agent) post(ctx context.Context, path string, body any) int {
	raw, err := json.Marshal(body)
	if err != nil {
		a.w.t.Error(err)
		return http.StatusBadRequest
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, a.server()+path, bytes.NewReader(raw))
	if err != nil {
		return 0
	}
	resp, err := a.http.Do(req)
	if err != nil {
		return 0
	}
	resp.Body.Close()
	return resp.StatusCode
}

// obey takes one order from claim to delivered result, as the real agent
// does: a restart whose claim's answer was lost is not carried out, a start
// is.
func (a *agent) obey(ctx context.Context, o order.Order) {
	status, doubtful := 0, false
	for status == 0 && ctx.Err() == nil && time.Now().Before(o.NotAfter) {
		if status = a.post(ctx, order.ClaimPath(o.Key()), struct{}{}); status == 0 {
			doubtful = true
			pause(ctx, 100*time.Millisecond)
		}
	}
	switch {
	case status == http.StatusNoContent, doubtful && o.Phase == order.Start:
		a.w.at(claimed, nil)
		a.deliver(ctx, a.carry(o))
	case doubtful && o.Kind == order.Restart:
		a.deliver(ctx, a.refused(o, order.ClaimLost))
	}
}

// deliver sends a result until the service has it or will not take it.
func (a *agent) deliver(ctx context.Context, r order.Result) {
	if r.Kind == order.Restart {
		a.w.at(carried, nil)
	}
	for ctx.Err() == nil {
		status := a.post(ctx, order.ResultPath(r.Key()), r)
		if status != 0 && status < 500 {
			break
		}
		pause(ctx, 100*time.Millisecond)
	}
	if r.Kind == order.Restart {
		a.w.at(reported, nil)
	}
}

func (a *agent) result(o order.Order) order.Result {
	now := time.Now()
	return order.Result{Run: o.Run, Kind: o.Kind, State: order.Done, Old: a.life, BootID: a.boot, Began: now, Ended: now}
}

func (a *agent) refused(o order.Order, why order.Reason) order.Result {
	a.mu.Lock()
	defer a.mu.Unlock()
	r := a.result(o)
	r.State, r.Reason, r.Error = order.Refused, why, string(why)
	return r
}

// carry does what it is told.
func (a *agent) carry(o order.Order) order.Result {
	switch {
	case time.Now().After(o.NotAfter):
		return a.refused(o, order.Expired)
	case o.Kind == order.Restart && o.Phase != order.Start:
		return a.restart(o)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	r := a.result(o)
	switch {
	case o.Kind == order.Restart:
		a.book = append(a.book, deed{time.Now(), o.Run, "start"})
		a.live()
		r.New = a.life
	case a.stopped:
		r.State, r.Reason, r.Error = order.Refused, order.NotFound, "no such worker"
	case o.Kind == order.Inspect:
		r.Facts = &order.Facts{Fingerprint: a.life, Pool: "prefork", Unit: a.unit(), Allowed: true, Workers: []string{a.worker}, StopTimeout: 1,
			StopSignal: "TERM", KillMode: "process", AutoRestart: "true", Ways: []order.Way{order.Supervisor}}
	default:
		r.Evidence = &order.Findings{At: time.Now(), Complete: true, Processes: []order.ProcessFindings{}, Cgroup: map[string]float64{}}
	}
	return r
}

// restart stops the worker and starts it, unless it stumbles.
func (a *agent) restart(o order.Order) order.Result {
	a.mu.Lock()
	defer a.mu.Unlock()
	r := a.result(o)
	if !a.life.Same(o.Expect) || a.stopped {
		r.State, r.Reason, r.Error = order.Refused, order.Overtaken, "another life runs"
		return r
	}
	a.book = append(a.book, deed{time.Now(), o.Run, "restart"})
	if a.stumbles {
		a.stumbles, a.stopped = false, true
		r.State, r.Reason, r.Error = order.Failed, order.NotRunning, "stopped, and not started"
		return r
	}
	a.live()
	r.New, r.Ended = a.life, time.Now()
	return r
}

// live begins a new life. The lock is held.
func (a *agent) live() {
	a.stopped = false
	a.life = order.Fingerprint{PID: a.life.PID + 10, Start: time.Now(), BootID: a.boot}
	a.held, a.cpu = 100*mib, 0
}

// booted begins a new boot.
func (a *agent) booted() {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.since = time.Now()
	a.boot = fmt.Sprintf("boot-%d-%d", a.id, a.since.UnixNano())
	a.live()
}

// runs reports whether the worker runs.
func (a *agent) runs() bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return !a.stopped
}

// deeds is a copy of the book.
func (a *agent) deeds() []deed {
	a.mu.Lock()
	defer a.mu.Unlock()
	return append([]deed(nil), a.book...)
}

// pause waits, unless ctx ends.
func pause(ctx context.Context, d time.Duration) {
	ctx, cancel := context.WithTimeoutCause(ctx, d, errors.New("rested"))
	defer cancel()
	<-ctx.Done()
}
