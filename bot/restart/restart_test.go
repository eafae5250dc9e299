package restart

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dropleak/dropleak/bot/order"
	"github.com/dropleak/dropleak/doclient"
	"github.com/google/go-cmp/cmp"
)

var noon = time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC)

func target() Target {
	return Target{Run: "r1", DropletID: 42, Worker: "mail", Unit: order.Unit{Kind: order.SupervisorProgram, Name: "mail"},
		Way: Supervisor, Expect: order.Fingerprint{PID: 7, Start: noon, BootID: "b"}, NotAfter: noon.Add(time.Minute)}
}

// hub is a place for orders, with results put in by hand.
type hub struct {
	orders  []order.Order
	results map[string]order.Result
	err     error
	voided  []string
	mu      sync.Mutex // of results, which an agent sends while one waits
}

func (h *hub) answer(key string, r order.Result) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.results[key] = r
}

func (h *hub) Place(_ context.Context, o order.Order) error {
	h.orders = append(h.orders, o)
	return h.err
}
func (h *hub) Result(_ context.Context, key string) (order.Result, bool, error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	r, ok := h.results[key]
	return r, ok, nil
}
func (h *hub) Void(_ context.Context, key string) (bool, error) {
	h.voided = append(h.voided, key)
	return true, nil
}

func TestAgentOrder(t *testing.T) {
	h := &hub{results: map[string]order.Result{}}
	a := Agent{Orders: h}
	for range 2 {
		receipt, err := a.Order(t.Context(), target())
		if err != nil || string(receipt) != `"r1"` {
			t.Fatalf("receipt %s, %v", receipt, err)
		}
	}
	want := order.Order{Run: "r1", Kind: order.Restart, Droplet: "42", Worker: "mail", Unit: target().Unit, Way: order.Supervisor,
		Phase: order.Whole, Expect: target().Expect, NotAfter: target().NotAfter}
	if d := cmp.Diff([]order.Order{want, want}, h.orders); d != "" {
		t.Errorf("orders (-want +got):\n%s", d)
	}
	if _, done, err := a.Result(t.Context(), target(), nil); done || err != nil {
		t.Errorf("done before there is a result: %v", err)
	}
	h.results["r1"] = order.Result{State: order.Failed, Reason: order.NotRunning, Error: "stopped", Old: target().Expect, Ended: noon}
	r, done, err := a.Result(t.Context(), target(), nil)
	if d := cmp.Diff(Result{State: order.Failed, Reason: order.NotRunning, Why: "stopped", Old: target().Expect, Ended: noon}, r); !done || err != nil || d != "" {
		t.Errorf("result done %v, %v (-want +got):\n%s", done, err, d)
	}
	if void, err := a.Void(t.Context(), target()); !void || err != nil || h.voided[0] != "r1" {
		t.Errorf("void %v of %q, %v", void, h.voided, err)
	}
}

// TestAgentOrderRefused: an order that no agent would believe never leaves;
// one that may have been placed is not called refused.
func TestAgentOrderRefused(t *testing.T) {
	h := &hub{}
	bad := target()
	bad.Expect = order.Fingerprint{}
	_, err := Agent{Orders: h}.Order(t.Context(), bad)
	var no *Refusal
	if !errors.As(err, &no) || no.Busy || len(h.orders) != 0 {
		t.Errorf("order without a fingerprint: %v, %d placed", err, len(h.orders))
	}
	h.err = errors.New("commit: connection reset")
	if _, err := (Agent{Orders: h}).Order(t.Context(), target()); err == nil || errors.As(err, &no) && errors.Is(err, no) {
		t.Errorf("an order whose fate is unknown: %v", err)
	}
}

func TestAsk(t *testing.T) {
	for _, c := range []struct {
		name   string
		result *order.Result
		want   string
	}{
		{"answered", &order.Result{State: order.Done, Facts: &order.Facts{Pool: "prefork"}}, ""},
		{"refused", &order.Result{State: order.Refused, Error: "no such worker"}, "inspecting mail: the agent answered refused: no such worker"},
		{"silent", nil, "inspecting mail: the agent did not answer in time"},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				h := &hub{results: map[string]order.Result{}}
				ctx, cancel := context.WithTimeout(t.Context(), 10*time.Second)
				defer cancel()
				if c.result != nil {
					time.AfterFunc(time.Second, func() { h.answer("r1-click.inspect", *c.result) })
				}
				f, err := Agent{Orders: h}.Inspect(ctx, target(), "click")
				if c.want == "" && (err != nil || f.Pool != "prefork") || c.want != "" && (err == nil || err.Error() != c.want) {
					t.Errorf("facts %+v, %v; want error %q", f, err, c.want)
				}
				if h.orders[0].NotAfter.IsZero() {
					t.Error("the question never expires")
				}
			})
		})
	}
}

// droplets is DigitalOcean's part.
type droplets struct {
	err     error
	asked   []string
	actions []doclient.Action
}

func (d *droplets) give(kind string) (doclient.Action, error) {
	d.asked = append(d.asked, kind)
	return doclient.Action{ID: 5}, d.err
}
func (d *droplets) Reboot(context.Context, int64) (doclient.Action, error) { return d.give("reboot") }
func (d *droplets) PowerCycle(context.Context, int64) (doclient.Action, error) {
	return d.give("power_cycle")
}
func (d *droplets) Action(_ context.Context, id int64) (doclient.Action, error) {
	return d.actions[id], nil
}
func (d *droplets) FindActions(_ context.Context, _ int64, kind string, _ time.Time) ([]doclient.Action, error) {
	var out []doclient.Action
	for _, a := range d.actions {
		if a.Type == kind {
			out = append(out, a)
		}
	}
	return out, nil
}

func TestDropletOrder(t *testing.T) {
	for _, c := range []struct {
		name       string
		err        error
		sure, busy bool
	}{
		{"taken", nil, false, false},
		{"busy", &doclient.Error{Status: http.StatusUnprocessableEntity, Message: "Droplet already has a pending event."}, true, true},
		{"rate limit", &doclient.Error{Status: http.StatusTooManyRequests}, true, true},
		{"forbidden", &doclient.Error{Status: http.StatusForbidden}, true, false},
		{"server error", &doclient.Error{Status: http.StatusBadGateway}, false, false},
		{"lost", errors.New("connection reset"), false, false},
	} {
		api := &droplets{err: c.err}
		tg := target()
		tg.Way = PowerCycle
		receipt, err := Droplet{api}.Order(t.Context(), tg)
		var no *Refusal
		sure := errors.As(err, &no)
		if (err == nil) != (c.err == nil) || sure != c.sure || sure && no.Busy != c.busy || err == nil && string(receipt) != "5" {
			t.Errorf("%s: receipt %s, %v", c.name, receipt, err)
		}
		if d := cmp.Diff([]string{"power_cycle"}, api.asked); d != "" {
			t.Errorf("%s: asked %q", c.name, api.asked)
		}
	}
}

func TestDropletResult(t *testing.T) {
	api := &droplets{actions: []doclient.Action{{ID: 0, Type: "reboot", Status: doclient.InProgress},
		{ID: 1, Type: "reboot", Status: doclient.Completed, CompletedAt: noon}, {ID: 2, Type: "snapshot", Status: doclient.Errored}}}
	d := Droplet{api}
	for id, want := range []order.State{"", order.Done, order.Failed} {
		raw, err := json.Marshal(id)
		if err != nil {
			t.Fatal(err)
		}
		r, done, err := d.Result(t.Context(), target(), raw)
		if err != nil || done != (want != "") || r.State != want || want == order.Failed && r.Why == "" {
			t.Errorf("action %d: %+v, %v, %v", id, r, done, err)
		}
	}
	tg := target()
	tg.Way = Reboot
	seen, err := d.Observe(t.Context(), tg, noon)
	if err != nil || len(seen) != 2 || seen[0].Certain || string(seen[1].Receipt) != "1" {
		t.Errorf("traces %+v, %v", seen, err)
	}
	if _, _, err := d.Result(t.Context(), target(), json.RawMessage(`"x"`)); err == nil {
		t.Error("a receipt of another kind was read")
	}
}

func TestWays(t *testing.T) {
	w := Ways{Reboot: Droplet{}}
	if _, err := w.For(Reboot); err != nil {
		t.Error(err)
	}
	if _, err := w.For(SSH); err == nil {
		t.Error("a way that is not there was found")
	}
	if !Reboot.WholeDroplet() || !PowerCycle.WholeDroplet() || Supervisor.WholeDroplet() {
		t.Error("whole droplets: reboot and power_cycle, no other")
	}
	if (Droplet{}).Repeatable() || !(Agent{}).Repeatable() {
		t.Error("an agent's order may be repeated, DigitalOcean's never")
	}
}
