package chat_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"sync"
	"time"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/order"
	"github.com/dropleak/dropleak/bot/remedy"
	"github.com/dropleak/dropleak/bot/restart"
	"github.com/dropleak/dropleak/bot/watch"
	"github.com/dropleak/dropleak/bot/workflow"
	"github.com/dropleak/dropleak/detector"
	"github.com/dropleak/dropleak/doclient"
)

var all = workflow.Filter{Limit: 20}

const mib = 1 << 20

// droplets pretends to be everything out there: DigitalOcean, the agent, and
// what is measured.
type droplets struct {
	inside   *order.Heap // what the probe says
	mu       sync.Mutex
	names    []string // workers, the first of which leaks
	pid      int
	started  time.Time
	others   map[int64]order.Fingerprint // lives on other droplets than the first
	actions  []doclient.Action
	snaps    []doclient.Snapshot
	titles   map[int64]string
	restarts []string // runs
	away     bool
	unset    bool // no way to restart is configured
	recovery detector.Recovery
	scanned  bool
	more     []string // ids of further droplets, without workers
	hangs    bool     // a look never comes back
	down     bool     // what is restarted does not come back

	tells time.Time // when growth of the new life can be told; zero: that of the old one was not known either
}

func newDroplets() *droplets {
	return &droplets{names: []string{"mail", "web", "web-slow"}, pid: 100, started: time.Now().Add(-72 * time.Hour),
		titles: map[int64]string{}, others: map[int64]order.Fingerprint{}, recovery: detector.DidRecover, scanned: true}
}

func (x *droplets) lock() func() { x.mu.Lock(); return x.mu.Unlock }

func (x *droplets) chosen() (remedy.Choice, error) {
	defer x.lock()()
	if x.unset {
		return remedy.Choice{}, &remedy.NoWay{Why: "no rule names it"}
	}
	return remedy.Choice{Way: restart.Supervisor, Unit: unit, ConfigHash: "h1"}, nil
}

// view is a droplet with one worker that leaks and others that do not.
func (x *droplets) view() watch.View {
	defer x.lock()()
	now := time.Now()
	v := watch.View{At: now, Droplet: watch.Droplet{ID: "42", Name: "web-1", Tags: []string{"celery"}}}
	for i, name := range x.names {
		w := detector.Worker{Name: name, Droplet: "42", Pool: detector.PoolPrefork, Limit: detector.Limit{Bytes: 2048 * mib, Source: "memory.max"}}
		life := detector.Life{PID: x.pid + i, Start: x.started, Role: detector.RoleParent, Slot: "main"}
		for h := 48.0; h >= 0; h -= 0.25 {
			rss := 300.0 * mib
			if i == 0 {
				rss = (1500 - 44*h/2) * mib
			}
			life.Samples = append(life.Samples, detector.Sample{At: now.Add(-time.Duration(h * float64(time.Hour))),
				RSS: rss, PSS: math.NaN(), USS: math.NaN(), Swap: 0, CPU: math.NaN()})
		}
		w.Lives = []detector.Life{life}
		v.Workers = append(v.Workers, w)
		v.Verdicts = append(v.Verdicts, verdict(now, i == 0))
	}
	return v
}

func verdict(now time.Time, leaks bool) detector.Verdict {
	if !leaks {
		return detector.Verdict{Kind: detector.Healthy, Reason: detector.ReasonFlat, Confidence: 0.97, Metric: "rss+swap",
			Footprint: 300 * mib, Evidence: []string{"level for 48 h"}}
	}
	onset := now.Add(-40 * time.Hour)
	return detector.Verdict{Kind: detector.Leak, Reason: detector.ReasonLeak, Confidence: 0.98, Metric: "rss+swap",
		Rate: &detector.Interval{Low: 40 * mib, Value: 44 * mib, High: 49 * mib}, Onset: &onset, Footprint: 1500 * mib,
		Exhaustion: &detector.Exhaustion{Limit: detector.Limit{Bytes: 2048 * mib, Source: "memory.max"},
			Earliest: now.Add(9 * time.Hour), Expected: now.Add(11 * time.Hour), Latest: now.Add(14 * time.Hour)},
		Evidence:  []string{"grew in 39 of 40 hours", "the parent process holds most of it"},
		Processes: []detector.ProcessVerdict{{PID: 100, Role: detector.RoleParent, Kind: detector.Leak, Reason: detector.ReasonLeakingParent}}}
}

// leak is the finding about a worker of a view.
func leak(v watch.View, worker string) finding.Finding {
	f := finding.Finding{ID: watch.NewID(), State: finding.Open, Version: 1, Opened: v.At, Updated: v.At, LastSeen: v.At,
		Subject: finding.Subject{Kind: finding.KindLeak, DropletID: v.Droplet.ID, DropletName: v.Droplet.Name, Worker: worker},
		Verdict: verdict(v.At, true), Share: 0.92, Worst: 44 * mib}
	f.Severity = finding.Grade(f.Verdict.Exhaustion, 0, v.At)
	return f
}

// Latest implements chat.Fleet.
func (x *droplets) Latest() (watch.Summary, bool) {
	x.mu.Lock()
	scanned := x.scanned
	x.mu.Unlock()
	if !scanned {
		return watch.Summary{}, false
	}
	v := x.view()
	views := []watch.View{v}
	for _, id := range x.more {
		views = append(views, watch.View{At: v.At, Droplet: watch.Droplet{ID: id, Name: "web-" + id}})
	}
	return watch.Summary{At: v.At, Views: views}, true
}

// Look implements chat.Fleet.
func (x *droplets) Look(ctx context.Context, _ string) (watch.View, error) {
	x.mu.Lock()
	hangs := x.hangs
	x.mu.Unlock()
	if hangs {
		<-ctx.Done()
		return watch.View{}, ctx.Err()
	}
	return x.view(), nil
}

// print is the life of the worker on a droplet; those of the first are the
// fake's own.
func (x *droplets) print(droplet int64) order.Fingerprint {
	if l, ok := x.others[droplet]; ok {
		return l
	}
	if droplet != 42 {
		x.others[droplet] = order.Fingerprint{PID: 100, Start: time.Now().Add(-72 * time.Hour), BootID: "boot-1"}
		return x.others[droplet]
	}
	return order.Fingerprint{PID: x.pid, Start: x.started, BootID: "boot-1"}
}

// renew starts the worker on a droplet anew.
func (x *droplets) renew(droplet int64) {
	l := x.print(droplet)
	if droplet == 42 {
		x.pid, x.started = x.pid+1000, time.Now()
		return
	}
	x.others[droplet] = order.Fingerprint{PID: l.PID + 1000, Start: time.Now(), BootID: l.BootID}
}

// number reads a droplet's id.
func number(id string) (n int64) {
	_, _ = fmt.Sscan(id, &n)
	return n
}

// Inspect implements remedy.Looker.
func (x *droplets) Inspect(_ context.Context, t restart.Target, _ string) (order.Facts, error) {
	defer x.lock()()
	if x.away {
		return order.Facts{}, restart.ErrSilent
	}
	return order.Facts{Fingerprint: x.print(t.DropletID), Unit: unit, Allowed: true, Workers: []string{t.Worker, "beat"}, StopTimeout: 10}, nil
}

// Evidence implements remedy.Looker.
func (x *droplets) Evidence(context.Context, restart.Target) (order.Findings, error) {
	defer x.lock()()
	return order.Findings{Complete: true, Heap: x.inside, Processes: []order.ProcessFindings{{PID: 100, Role: "parent", Threads: 3,
		Memory: map[string]int64{"heap": 1200 * mib, "anonymous": 90 * mib}, Files: map[string]int{"file": 8, "socket": 31}}}}, nil
}

// Snapshot implements remedy.Cloud; it takes nine minutes.
func (x *droplets) Snapshot(_ context.Context, id int64, name string) (doclient.Action, error) {
	defer x.lock()()
	a := doclient.Action{ID: int64(1000 + len(x.actions)), DropletID: id, Type: doclient.TypeSnapshot, Status: doclient.InProgress, StartedAt: time.Now()}
	x.actions, x.titles[a.ID] = append(x.actions, a), name
	return a, nil
}

func (x *droplets) settle() {
	for i, a := range x.actions {
		if a.Status == doclient.InProgress && time.Since(a.StartedAt) >= 9*time.Minute {
			x.actions[i].Status, x.actions[i].CompletedAt = doclient.Completed, time.Now()
			x.snaps = append(x.snaps, doclient.Snapshot{ID: fmt.Sprint(a.ID), DropletID: a.DropletID, Name: x.titles[a.ID], SizeGB: 11.2, CreatedAt: a.StartedAt})
		}
	}
}

// Action implements remedy.Cloud.
func (x *droplets) Action(_ context.Context, id int64) (doclient.Action, error) {
	defer x.lock()()
	x.settle()
	for _, a := range x.actions {
		if a.ID == id {
			return a, nil
		}
	}
	return doclient.Action{}, doclient.ErrNotFound
}

// FindActions implements remedy.Cloud.
func (x *droplets) FindActions(context.Context, int64, string, time.Time) ([]doclient.Action, error) {
	defer x.lock()()
	x.settle()
	return slices.Clone(x.actions), nil
}

// SnapshotByName implements remedy.Cloud.
func (x *droplets) SnapshotByName(_ context.Context, _ int64, name string) (doclient.Snapshot, error) {
	defer x.lock()()
	x.settle()
	for _, s := range x.snaps {
		if s.Name == name {
			return s, nil
		}
	}
	return doclient.Snapshot{}, doclient.ErrNotFound
}

// Measure implements remedy.Watcher.
func (x *droplets) Measure(_ context.Context, droplet, _ string) (remedy.Numbers, error) {
	defer x.lock()()
	l := x.print(number(droplet))
	n := remedy.Numbers{At: time.Now(), Bytes: 1500 * mib, Metric: "pss+swap", PID: l.PID, Start: l.Start, Processes: 4}
	if rate := 44.0 * mib; !x.tells.IsZero() {
		n.Rate = &rate
	}
	return n, nil
}

// NewLife implements remedy.Watcher.
func (x *droplets) NewLife(_ context.Context, droplet, _ string, old order.Fingerprint, _ remedy.Numbers, at time.Time) (remedy.Life, error) {
	defer x.lock()()
	passes := int(time.Since(at) / time.Minute)
	life := x.print(number(droplet))
	l := remedy.Life{Passes: passes, Seen: passes > 0, Lives: 1, Pool: 4, Working: remedy.Advancing, Recovery: detector.TooEarly, Tells: x.tells,
		Now: remedy.Numbers{Bytes: 210 * mib, Metric: "pss+swap", PID: life.PID, Start: life.Start, Processes: 4}}
	if passes >= 3 {
		l.Recovery = x.recovery
	}
	if x.down {
		l.Seen, l.Absent = false, passes
	}
	return l, nil
}

// Repeatable and what follows implement restart.Restarter: an agent that does
// at once what it is told.
func (x *droplets) Repeatable() bool { return true }

func (x *droplets) Order(_ context.Context, t restart.Target) (json.RawMessage, error) {
	defer x.lock()()
	if !slices.Contains(x.restarts, t.Run) {
		x.restarts = append(x.restarts, t.Run)
		x.renew(t.DropletID)
	}
	return json.Marshal(t.Run)
}

func (x *droplets) Observe(context.Context, restart.Target, time.Time) ([]restart.Sighting, error) {
	return nil, nil
}

func (x *droplets) Result(_ context.Context, t restart.Target, _ json.RawMessage) (restart.Result, bool, error) {
	defer x.lock()()
	return restart.Result{State: order.Done, Old: t.Expect, New: x.print(t.DropletID), Ended: time.Now()}, true, nil
}

func (x *droplets) Void(context.Context, restart.Target) (bool, error) { return false, nil }

func (x *droplets) Start(context.Context, restart.Target) error { return nil }

func (x *droplets) counted() (snapshots, restarts int) {
	defer x.lock()()
	return len(x.actions), len(x.restarts)
}

// Snapshots implements remedy.Shelf.
func (x *droplets) Snapshots(context.Context, int64) ([]doclient.Snapshot, error) {
	defer x.lock()()
	return slices.Clone(x.snaps), nil
}

// DeleteSnapshot implements remedy.Shelf.
func (x *droplets) DeleteSnapshot(_ context.Context, s doclient.Snapshot) error {
	defer x.lock()()
	x.snaps = slices.DeleteFunc(x.snaps, func(y doclient.Snapshot) bool { return y.ID == s.ID })
	return nil
}
