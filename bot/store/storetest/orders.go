package storetest

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/hub"
	"github.com/dropleak/dropleak/bot/order"
	"github.com/dropleak/dropleak/bot/store"
)

// restart makes an order for the agent of droplet 42.
func restart(run string) order.Order {
	return order.Order{
		Run: run, Kind: order.Restart, Droplet: "42", Worker: "mailer", Way: order.Systemd,
		Unit:     order.Unit{Kind: order.SystemdUnit, Name: "mailer.service"},
		Expect:   order.Fingerprint{PID: 1, Start: noon, BootID: "b"},
		NotAfter: time.Now().Add(time.Minute).UTC().Truncate(time.Millisecond),
	}
}

func resultOf(o order.Order) order.Result {
	return order.Result{Run: o.Run, Kind: o.Kind, State: order.Done, BootID: "b",
		Old: o.Expect, New: order.Fingerprint{PID: 2, Start: noon.Add(time.Hour), BootID: "b"}, Began: noon, Ended: noon}
}

func (w *world) post(want int, path, secret string, body any) {
	w.t.Helper()
	b, err := json.Marshal(body)
	if err != nil {
		w.t.Fatal(err)
	}
	if rec := w.request("POST", path, secret, bytes.NewReader(b)); rec.Code != want {
		w.t.Errorf("POST %s: %d %s, want %d", path, rec.Code, rec.Body, want)
	}
}

func hubOrder(t *testing.T, dsn string) {
	w := newWorld(t, Open(t, dsn), hub.Options{})
	mine, other := w.agent("42"), w.agent("43")
	o := restart("run1")
	for range 2 {
		if err := w.hub.Place(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	if err := w.hub.Place(t.Context(), order.Order{Run: "run2"}); err == nil {
		t.Error("half an order was placed")
	}
	if rec := w.request("GET", order.PathOrders+"?wait=0s", other, nil); rec.Code != http.StatusNoContent {
		t.Errorf("another droplet's agent is told %d %s", rec.Code, rec.Body)
	}
	rec := w.request("GET", order.PathOrders+"?wait=1m", mine, nil)
	list, err := order.ReadOrders(rec.Body)
	if err != nil || len(list) != 1 || list[0] != o {
		t.Fatalf("orders %+v, %v; want %+v once", list, err, o)
	}
	claim, result := order.ClaimPath("run1"), order.ResultPath("run1")
	w.post(http.StatusConflict, result, mine, resultOf(o)) // before the claim
	w.post(http.StatusNotFound, claim, other, nil)
	w.post(http.StatusNotFound, order.ClaimPath("none"), mine, nil)
	w.post(http.StatusForbidden, claim, w.token(hub.Token{Kind: hub.Sender, Tag: "celery"}), nil)
	w.post(http.StatusNoContent, claim, mine, nil)
	w.post(http.StatusConflict, claim, mine, nil)
	if _, ok, err := w.hub.Result(t.Context(), "run1", order.Restart); ok || err != nil {
		t.Errorf("a result before there is one: %v, %v", ok, err)
	}
	w.post(http.StatusBadRequest, result, mine, map[string]string{"run": "run1"})
	w.post(http.StatusBadRequest, result, mine, resultOf(restart("run9")))
	w.post(http.StatusNoContent, result, mine, resultOf(o))
	w.post(http.StatusNoContent, result, mine, resultOf(o))
	second := resultOf(o)
	second.New.PID = 3
	w.post(http.StatusConflict, result, mine, second)
	ctx, stop := context.WithTimeout(t.Context(), 10*time.Second)
	defer stop()
	got, err := w.hub.Wait(ctx, "run1", order.Restart)
	if err != nil || got.New.PID != 2 {
		t.Errorf("result %+v, %v", got, err)
	}
	// Placing a whole restart again gives it to nobody; the start alone may
	// follow, once.
	start := o
	start.Phase = order.Start
	for i, again := range []order.Order{o, start, start} {
		if err := w.hub.Place(t.Context(), again); err != nil {
			t.Fatal(err)
		}
		rec := w.request("GET", order.PathOrders+"?wait=0s", mine, nil)
		if want := []int{204, 200, 204}[i]; rec.Code != want {
			t.Errorf("placed again (%d): %d, want %d", i, rec.Code, want)
		}
		if i == 1 {
			w.post(http.StatusNoContent, claim, mine, nil)
		}
	}
}

// hubClaimOnce lets many claim one order through two replicas.
func hubClaimOnce(t *testing.T, dsn string) {
	a := newWorld(t, Open(t, dsn), hub.Options{})
	s, err := store.Open(t.Context(), dsn, store.Options{Beside: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	b := newWorld(t, s, hub.Options{})
	secret := a.agent("42")
	if err := a.hub.Place(t.Context(), restart("run1")); err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	codes := make([]int, 10)
	for i := range codes {
		wg.Go(func() {
			codes[i] = []*world{a, b}[i%2].request("POST", order.ClaimPath("run1"), secret, nil).Code
		})
	}
	wg.Wait()
	won := 0
	for _, c := range codes {
		if c == http.StatusNoContent {
			won++
		} else if c != http.StatusConflict {
			t.Errorf("a claim got %d", c)
		}
	}
	if won != 1 {
		t.Errorf("%d of %d claims won, want 1: %v", won, len(codes), codes)
	}
}

func hubTooLate(t *testing.T, dsn string) {
	w := newWorld(t, Open(t, dsn), hub.Options{})
	secret := w.agent("42")
	late := restart("late")
	late.NotAfter = time.Now().Add(-time.Second)
	for _, o := range []order.Order{late, restart("taken_back")} {
		if err := w.hub.Place(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	for _, want := range []bool{true, false} {
		if ok, err := w.hub.Withdraw(t.Context(), "taken_back", order.Restart); ok != want || err != nil {
			t.Errorf("withdrawn: %v, %v; want %v", ok, err, want)
		}
	}
	if rec := w.request("GET", order.PathOrders+"?wait=1ms", secret, nil); rec.Code != http.StatusNoContent {
		t.Errorf("late and withdrawn orders are offered: %s", rec.Body)
	}
	w.post(http.StatusGone, order.ClaimPath("late"), secret, nil)
	w.post(http.StatusGone, order.ClaimPath("taken_back"), secret, nil)
	if _, err := w.hub.Order(t.Context(), "none", order.Restart); !errors.Is(err, hub.ErrNoOrder) {
		t.Errorf("an order nobody placed: %v", err)
	}
}

// hubLongPoll: an agent that waits gets an order as it is placed, here or at
// another replica.
func hubLongPoll(t *testing.T, dsn string) {
	a := newWorld(t, Open(t, dsn), hub.Options{})
	s, err := store.Open(t.Context(), dsn, store.Options{Beside: true})
	if err != nil {
		t.Fatal(err)
	}
	defer s.Close()
	b := newWorld(t, s, hub.Options{})
	ctx, stop := context.WithCancel(t.Context())
	var running sync.WaitGroup
	running.Go(func() { _ = a.hub.Run(ctx) })
	defer running.Wait()
	defer stop()
	secret := a.agent("42")
	for i, placer := range []*hub.Hub{a.hub, b.hub} {
		run := fmt.Sprint("run", i)
		got := make(chan string)
		go func() { got <- a.request("GET", order.PathOrders+"?wait=1m", secret, nil).Body.String() }()
		begun := time.Now()
		if err := placer.Place(t.Context(), restart(run)); err != nil {
			t.Fatal(err)
		}
		if body := <-got; !strings.Contains(body, run) || time.Since(begun) > 20*time.Second {
			t.Errorf("after %s the agent was told %q", time.Since(begun), body)
		}
		a.post(http.StatusNoContent, order.ClaimPath(run), secret, nil)
	}
}

// hubForgets: orders that only read go a day after their time, so that the
// table does not grow with every click; restarts stay.
func hubForgets(t *testing.T, dsn string) {
	w := newWorld(t, Open(t, dsn), hub.Options{})
	place := func(run string, kind order.Kind, ago time.Duration) {
		t.Helper()
		o := order.Order{Run: run, Kind: kind, Droplet: "42", Worker: "mailer", NotAfter: time.Now().Add(-ago)}
		if err := w.store.PlaceOrder(t.Context(), o); err != nil {
			t.Fatal(err)
		}
	}
	place("old", order.Inspect, 25*time.Hour)
	place("old", order.Evidence, 25*time.Hour)
	place("old", order.Restart, 25*time.Hour)
	place("late", order.Inspect, 23*time.Hour)
	place("new", order.Inspect, 0)
	for key, stays := range map[string]bool{"old.inspect": false, "old.evidence": false, "old": true, "late.inspect": true, "new.inspect": true} {
		if _, err := w.store.Order(t.Context(), key); stays && err != nil || !stays && !errors.Is(err, hub.ErrNoOrder) {
			t.Errorf("order %s stays %v: %v", key, stays, err)
		}
	}
}
