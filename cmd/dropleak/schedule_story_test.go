package main

import (
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/schedule"
	"github.com/dropleak/dropleak/bot/store"
	"github.com/dropleak/dropleak/bot/testbed"
)

// holding is Slack behind a wire that holds posts back while told to.
type holding struct {
	slack http.Handler
	held  chan struct{} // a post that Slack never gets
	on    chan struct{} // closed: posts go through
}

func (h *holding) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if path.Base(r.URL.Path) == "chat.postMessage" {
		select {
		case <-h.on:
		default:
			h.held <- struct{}{}
			<-h.on
			return // nothing of it has arrived
		}
	}
	h.slack.ServeHTTP(w, r)
}

// TestReportOfAKilledService: a service that is killed with -9 between the claim
// of a scheduled report and its post has it caught up by the next one, once.
func TestReportOfAKilledService(t *testing.T) {
	t.Parallel()
	w := newTown(t, 16)
	sim, err := url.Parse(w.slack.APIURL())
	if err != nil {
		t.Fatal(err)
	}
	wire := &holding{slack: httputil.NewSingleHostReverseProxy(&url.URL{Scheme: sim.Scheme, Host: sim.Host}), held: make(chan struct{}, 9), on: make(chan struct{})}
	front := httptest.NewServer(wire)
	t.Cleanup(front.Close)
	w.config = w.configured("held", w.slack.APIURL(), front.URL+sim.Path, `report: "@every 12h"`, `report: "@yearly"`)

	w.serve()
	w.service.Stop()
	w.due(time.Now())
	w.serve()
	select {
	case <-wire.held:
	case <-time.After(testbed.Patience):
		t.Fatalf("no report is posted:\n%s", w.service.Log())
	}
	w.service.Kill()
	<-w.service.Exited()
	if f := w.fire(); f.Due.IsZero() {
		t.Fatalf("nothing was claimed when it was killed: %+v", f)
	}
	close(wire.on)
	if n := len(w.slack.Messages(channel)); n != 0 {
		t.Fatalf("%d messages before the next start", n)
	}

	w.serve() // the claim of the dead lapses within a minute
	w.await(testbed.Patience, "caught up", "no droplet carries the tag dropleak")
	w.service.Stop()
	if f := w.fire(); !f.Due.IsZero() || !f.Until.IsZero() {
		t.Errorf("the fire is not settled: %+v", f)
	}
	w.serve()
	w.service.Stop()
	if n := len(w.slack.Messages(channel)); n != 1 {
		t.Errorf("%d reports, want one\n%s", n, w.state())
	}
}

// due makes the first report due.
func (w *town) due(at time.Time) {
	w.t.Helper()
	f := w.fire(func(f *schedule.Fire) { f.Next = at })
	if !f.Due.IsZero() {
		w.t.Fatalf("a report is under way: %+v", f)
	}
}

// fire is what the store of a stopped service knows of its first report.
func (w *town) fire(change ...func(*schedule.Fire)) schedule.Fire {
	w.t.Helper()
	st, err := store.Open(w.t.Context(), "sqlite:"+filepath.Join(w.dir, "data"), store.Options{})
	if err != nil {
		w.t.Fatal(err)
	}
	defer st.Close()
	f, err := st.Fire(w.t.Context(), "report/0")
	if err != nil || !strings.Contains(f.Spec, "@yearly") {
		w.t.Fatalf("the report's row is %+v, %v", f, err)
	}
	to := f
	for _, c := range change {
		c(&to)
	}
	if won, err := st.MoveFire(w.t.Context(), "report/0", f, to); err != nil || !won {
		w.t.Fatal(won, err)
	}
	return to
}
