package bot

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/hub"
	"github.com/dropleak/dropleak/bot/order"
	"github.com/dropleak/dropleak/bot/testbed"
	"github.com/dropleak/dropleak/detector/sample"
)

// pretend is a droplet that does not exist: a worker whose pool process leaks,
// and an agent that tells of it and carries out orders over the service's own
// wire. One second counts as scale.
type pretend struct {
	t      testing.TB
	s      *Service
	url    string // of the service
	secret string // of the agent's token
	scale  float64

	mu        sync.Mutex
	main      order.Fingerprint
	restarted []time.Time
}

const (
	pretendDroplet = 4711
	mib            = 1 << 20
	leaks          = 44 * mib // bytes per scaled hour
	boot           = "b00t"
)

var mailUnit = order.Unit{Kind: order.SupervisorProgram, Name: "mail"}

// newPretend makes the droplet's token and its past: forty scaled hours of a
// leak, a sample a second.
func newPretend(t testing.TB, s *Service, scale float64) *pretend {
	t.Helper()
	p := &pretend{t: t, s: s, scale: scale}
	past := time.Duration(40 * float64(time.Hour) / scale)
	now := time.Now().Truncate(time.Second)
	p.main = order.Fingerprint{PID: 100, Start: now.Add(-past).UTC(), BootID: boot}
	_, secret, err := hub.Create(t.Context(), s.d.Store, hub.Token{Name: "web-1", Kind: hub.Agent, Droplet: strconv.Itoa(pretendDroplet)})
	if err != nil {
		t.Fatal(err)
	}
	p.secret = secret
	for at := p.main.Start; at.Before(now); at = at.Add(time.Second) {
		p.sample(at)
	}
	return p
}

// sample writes one pass of the worker as it is: its memory follows from how
// long its life has lasted.
func (p *pretend) sample(at time.Time) {
	p.mu.Lock()
	main := p.main
	p.mu.Unlock()
	id := strconv.Itoa(pretendDroplet)
	age := at.Sub(main.Start).Seconds()
	leaked := age * p.scale / 3600 * leaks
	process := func(slot, role string, pid, parent int, held, cpu float64) sample.Process {
		return sample.Process{At: at, Droplet: id, Worker: "mail", Slot: slot, Role: role, PID: pid, PPID: parent, Start: main.Start,
			RSS: held, PSS: held, USS: held, Swap: 0, CPU: cpu}
	}
	pass := sample.Pass{
		Processes: []sample.Process{process(sample.SlotMain, "parent", main.PID, 1, 90*mib, 1),
			process("0", "child", main.PID+1, main.PID, 80*mib+leaked, 1+age/2), process("1", "child", main.PID+2, main.PID, 80*mib, 1+age/2)},
		Workers: []sample.Worker{{At: at, Droplet: id, Worker: "mail", Node: "mail@web-1", Pool: "prefork", App: "shop", Unit: mailUnit.Name, Manager: "supervisor",
			Limit: 2560 * mib, High: sample.NaN, Current: sample.NaN, Pressure: sample.NaN, OOMKills: 0}},
		Droplet: &sample.Droplet{At: at, Droplet: id, Available: 3500*mib - leaked, Total: 4096 * mib, Shmem: sample.NaN, Slab: sample.NaN,
			SwapUsed: sample.NaN, OOMKills: 0, Boot: main.Start.Add(-time.Hour)},
	}
	testbed.Eventually(p.t, testbed.Patience, func() error { // a busy store: an agent keeps its pass, too
		err := p.s.history.Write(p.t.Context(), sample.Encode(pass))
		if p.t.Context().Err() != nil {
			return nil
		}
		return err
	})
}

// run samples once a second and carries out orders until ctx ends.
func (p *pretend) run(ctx context.Context) {
	var wg sync.WaitGroup
	wg.Go(func() {
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-ctx.Done():
				return
			case at := <-tick.C:
				p.sample(at.Truncate(time.Second))
			}
		}
	})
	wg.Go(func() {
		for ctx.Err() == nil {
			if err := p.poll(ctx); err != nil && ctx.Err() == nil {
				p.t.Errorf("the agent: %v", err)
				return
			}
		}
	})
	wg.Wait()
}

// poll waits for orders and carries them out.
func (p *pretend) poll(ctx context.Context) error {
	resp, err := p.ask(ctx, http.MethodGet, order.PathOrders+"?wait=5s", nil)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	if resp.StatusCode == http.StatusNoContent || resp.StatusCode == http.StatusServiceUnavailable {
		return nil
	}
	list, err := order.ReadOrders(resp.Body)
	if err != nil {
		return fmt.Errorf("status %d: %w", resp.StatusCode, err)
	}
	for _, o := range list {
		claim, err := p.ask(ctx, http.MethodPost, order.ClaimPath(o.Key()), nil)
		if err != nil {
			return err
		}
		claim.Body.Close()
		if claim.StatusCode != http.StatusNoContent {
			continue // it ran out or was taken back meanwhile
		}
		body, err := json.Marshal(p.carryOut(o))
		if err != nil {
			return err
		}
		if err := p.tell(ctx, o, body); err != nil {
			return err
		}
	}
	return nil
}

// tell brings a result, as often as the service asks for.
func (p *pretend) tell(ctx context.Context, o order.Order, body []byte) error {
	for {
		done, err := p.ask(ctx, http.MethodPost, order.ResultPath(o.Key()), body)
		if err != nil {
			return err
		}
		done.Body.Close()
		switch done.StatusCode {
		case http.StatusNoContent:
			return nil
		case http.StatusServiceUnavailable:
			select { // it is told to come again
			case <-ctx.Done():
				return nil
			case <-time.After(time.Second):
			}
		default:
			return fmt.Errorf("result of %s: status %d", o.Key(), done.StatusCode)
		}
	}
}

func (p *pretend) ask(ctx context.Context, method, path string, body []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, p.url+path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	req.Header.Set("Authorization", "Bearer "+p.secret)
	req.Header.Set(order.HeaderDroplet, strconv.Itoa(pretendDroplet))
	req.Header.Set(order.HeaderMachine, "m4ch1ne")
	req.Header.Set(order.HeaderBoot, boot)
	return http.DefaultClient.Do(req)
}

// carryOut answers an order; a restart gives the worker another life.
func (p *pretend) carryOut(o order.Order) order.Result {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := time.Now().UTC()
	r := order.Result{Run: o.Run, Kind: o.Kind, State: order.Done, Began: now, Ended: now, BootID: boot, Old: p.main}
	switch o.Kind {
	case order.Inspect:
		r.Facts = &order.Facts{Fingerprint: p.main, Pool: "prefork", Unit: mailUnit, Allowed: true, Workers: []string{"mail"}, StopTimeout: 10,
			AutoRestart: "true", Ways: []order.Way{order.Supervisor}}
	case order.Evidence:
		r.Evidence = &order.Findings{At: now, Complete: true, Processes: []order.ProcessFindings{{PID: p.main.PID + 1, Role: "child",
			Memory: map[string]int64{"heap": 1700 * mib, "anonymous": 60 * mib}, Files: map[string]int{"file": 9, "socket": 3}, Threads: 1}}}
	case order.Restart:
		p.restarted = append(p.restarted, now)
		p.main = order.Fingerprint{PID: p.main.PID + 1000, Start: now, BootID: boot}
		r.New, r.Stopped = p.main, now
	}
	return r
}
