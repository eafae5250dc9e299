package alert_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/alert"
	"github.com/dropleak/dropleak/bot/testbed"
)

// pager is whom a real Alertmanager notifies.
type pager struct {
	mu    sync.Mutex
	notes []note
}

type note struct {
	Status string            `json:"status"`
	Labels map[string]string `json:"commonLabels"`
	Notes  map[string]string `json:"commonAnnotations"`
}

func (p *pager) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	var n note
	if json.NewDecoder(r.Body).Decode(&n) == nil {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.notes = append(p.notes, n)
	}
}

func (p *pager) heard(n int) (last note, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.notes) < n {
		return last, fmt.Errorf("%d notifications, want %d", len(p.notes), n)
	}
	return p.notes[n-1], nil
}

// TestRealAlertmanager: Debian's Alertmanager takes what is sent, notifies once
// of trouble that is told again and again, and once of its end.
func TestRealAlertmanager(t *testing.T) {
	t.Parallel()
	var p pager
	hook := httptest.NewServer(&p)
	defer hook.Close()
	am := testbed.Alertmanager(t, `route: {receiver: oncall, group_by: [alertname, key], group_wait: 100ms, group_interval: 300ms, repeat_interval: 1h}
receivers: [{name: oncall, webhook_configs: [{url: "`+hook.URL+`", send_resolved: true}]}]
`)
	e := alert.Alertmanager{URL: am.URL}
	d := alert.Due{Firing: true, Changed: time.Now(), Version: 1, Alert: alert.Alert{Key: "finding/f1", Kind: alert.RunningOut, Severity: alert.Critical,
		Title: "mail on web-1 runs out of memory in 20 min", Since: time.Now().Add(-time.Hour), Droplet: "web-1", Worker: "mail"}}
	send := func() {
		t.Helper()
		if err := e.Send(t.Context(), d); err != nil {
			t.Fatal(err)
		}
	}
	send()
	wait := func(n int) (got note) {
		t.Helper()
		testbed.Eventually(t, testbed.Patience, func() (err error) { got, err = p.heard(n); return err })
		return got
	}
	got := wait(1)
	if got.Status != "firing" || got.Labels["alertname"] != "DropleakRunningOut" || got.Labels["severity"] != "critical" || got.Labels["worker"] != "mail" ||
		got.Notes["summary"] != d.Alert.Title {
		t.Errorf("notified %+v", got)
	}
	for range 3 {
		send()
	}
	d.Firing, d.Changed = false, time.Now()
	send()
	if got = wait(2); got.Status != "resolved" {
		t.Errorf("the second notification is %+v", got)
	}
}
