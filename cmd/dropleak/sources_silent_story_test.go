package main

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os/exec"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/testbed"
)

// rung keeps what a webhook is told: "alert.firing lost_source".
type rung struct {
	mu    sync.Mutex
	calls []string
}

func (r *rung) ServeHTTP(_ http.ResponseWriter, req *http.Request) {
	var body struct {
		Type string
		Data struct{ Kind, Source string }
	}
	raw, err := io.ReadAll(req.Body)
	if err == nil && json.Unmarshal(raw, &body) == nil {
		r.mu.Lock()
		defer r.mu.Unlock()
		r.calls = append(r.calls, strings.TrimSpace(body.Type+" "+body.Data.Kind+" "+body.Data.Source))
	}
}

func (r *rung) told(want ...string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	if !slices.Equal(r.calls, want) {
		return fmt.Errorf("the webhook was told %q, want %q", r.calls, want)
	}
	return nil
}

// sleeping is a process that looks like a Celery worker of the name and does
// nothing.
func sleeping(t *testing.T, node string) {
	t.Helper()
	testbed.Start(t, "sleeping", testbed.Folder(t), exec.Command("/usr/bin/python3", "-c", "import time; time.sleep(3600)", "celery", "-A", "app", "worker", "-n", node))
}

// TestSilentSourceStory: a real Prometheus that tells of three workers is
// stopped. That is one finding and one alert, and no word of each worker; once
// it is back and was heard for a while, both are over by themselves.
func TestSilentSourceStory(t *testing.T) {
	if apart(t) {
		return
	}
	w := newTown(t, 35)
	w.dropletFollows(func() []int { return nil })
	for _, node := range []string{"mail@web-1", "video@web-1", "beat@web-1"} {
		sleeping(t, node)
	}
	exporter := testbed.ProcessExporter(t, passages(t, "prometheus.md", "process-exporter"))
	prom := testbed.PrometheusWith(t, strings.Replace(fmt.Sprintf("global: {scrape_interval: 1s}\n%s", passages(t, "prometheus.md", "prometheus")), "127.0.0.1:9256", exporter.Addr, 1))
	var calls rung
	hook := httptest.NewServer(&calls)
	t.Cleanup(hook.Close)
	w.env = append(w.env, "HOOK_SECRET=0123456789abcdef")
	w.append(fmt.Sprintf("alerts: {lost_after: 20m, webhook: {url: %q, secret_env: HOOK_SECRET}}\n", hook.URL))
	w.append(fmt.Sprintf("sources:\n- {type: prometheus, name: prometheus-main, url: %q, every: 1m}\n", prom.URL))
	w.serve()
	testbed.Eventually(t, testbed.Patience, func() error { return w.heardSteadily(3, "prometheus-main") })
	prom.Stop()
	m := w.await(60*time.Second, "the source is missed", "source prometheus-main does not answer", "3 workers on 1 droplet are not watched")
	testbed.Eventually(t, testbed.Patience, func() error { return calls.told("alert.firing lost_source prometheus-main") })
	if said := w.run("sources", "--config", w.config); !strings.Contains(said, "prometheus-main: Nothing from the source prometheus-main since ") {
		t.Errorf("sources says\n%s", said)
	}
	w.only("source", "open")
	prom.StartAgain(t)
	w.await(testbed.Patience, "it is heard of", "source prometheus-main is heard of again")
	w.await(2*testbed.Patience, "it is over", "resolved: it is heard of again")
	testbed.Eventually(t, testbed.Patience, func() error {
		return calls.told("alert.firing lost_source prometheus-main", "alert.resolved lost_source prometheus-main")
	})
	w.only("source", "resolved")
	for _, other := range w.slack.Messages(channel) {
		if other.TS != m.TS && !strings.Contains(other.PlainText(), "workers watched") {
			t.Errorf("there is a message beside that of the source and the reports:\n%s", other.PlainText())
		}
	}
}

// heardSteadily wants so many workers heard of by a source, more than once.
func (w *town) heardSteadily(n int, source string) error {
	w.t.Helper()
	var told []struct {
		Worker, Source string
		Interval       *float64 `json:"interval_seconds"`
	}
	said := w.run("sources", "--config", w.config, "--json")
	if err := json.Unmarshal([]byte(said), &told); err != nil {
		return err
	}
	for _, x := range told {
		if x.Worker != "" && x.Source == source && x.Interval != nil {
			n--
		}
	}
	if n > 0 {
		return fmt.Errorf("%d workers are missing of\n%s", n, said)
	}
	return nil
}

// only wants one finding that ever was.
func (w *town) only(kind, state string) {
	w.t.Helper()
	var found []struct{ Kind, State, Worker string }
	if err := json.Unmarshal([]byte(w.run("findings", "--config", w.config, "--all", "--json")), &found); err != nil {
		w.t.Fatal(err)
	}
	if len(found) != 1 || found[0].Kind != kind || found[0].State != state {
		w.t.Errorf("findings are %+v, want one of kind %s, %s", found, kind, state)
	}
}
