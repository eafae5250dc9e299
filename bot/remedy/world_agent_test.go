package remedy_test

import (
	"cmp"
	"context"
	"time"

	"github.com/dropleak/dropleak/bot/order"
	"github.com/dropleak/dropleak/bot/remedy"
	"github.com/dropleak/dropleak/bot/restart"
	"github.com/dropleak/dropleak/detector"
)

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
		old := w.life[o.Worker]
		if w.agentDies {
			if w.agentDid && old.Same(o.Expect) {
				w.deeds = append(w.deeds, deed{time.Now(), "restart", o.Run, old, w.missing()})
				w.newLife(o.Worker)
			}
			continue
		}
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
		l.p.looked[t.Run], l.p.w.looked[t.Run] = l.p.w.life[t.Worker], l.p.w.life[t.Worker]
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
