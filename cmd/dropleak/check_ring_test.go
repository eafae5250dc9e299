package main

import (
	"bytes"
	"errors"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"

	"github.com/dropleak/dropleak/configs"
)

// Every endpoint of alerts is called twice, with a trial and its end, and one
// that refuses is named.
func TestCheckRings(t *testing.T) {
	var calls atomic.Int64
	good := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { calls.Add(1) }))
	defer good.Close()
	bad := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		http.Error(w, "Invalid Routing Key", http.StatusBadRequest)
	}))
	defer bad.Close()
	var c configs.Config
	c.Alerts.Webhook = configs.Webhook{URL: good.URL, Secret: []byte("0123456789abcdef")}
	c.Alerts.Alertmanager = []configs.Alertmanager{{URL: good.URL}}
	var out bytes.Buffer
	if err := ask(t.Context(), &out, rings(c)); err != nil || calls.Load() != 4 || strings.Count(out.String(), "ok    alerts to") != 2 {
		t.Errorf("%d calls, %v:\n%s", calls.Load(), err, out.String())
	}
	c.Alerts.PagerDuty = configs.PagerDuty{URL: bad.URL, KeyEnv: "K", Key: "not-to-be-printed"}
	out.Reset()
	err := ask(t.Context(), &out, rings(c))
	var exit exitError
	if !errors.As(err, &exit) || exit.code != 1 || !strings.Contains(out.String(), "FAIL  alerts to pagerduty: answered 400: Invalid Routing Key") ||
		strings.Contains(out.String(), "not-to-be-printed") {
		t.Errorf("%v:\n%s", err, out.String())
	}
}
