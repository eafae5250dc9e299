package bot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/alert"
	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/remedy"
	"github.com/dropleak/dropleak/bot/store"
	"github.com/dropleak/dropleak/bot/testbed"
	"github.com/dropleak/dropleak/bot/workflow"
	"github.com/dropleak/dropleak/detector"
)

// running is a leak of mail on web-1 with some time left.
func running(id string, left time.Duration, change ...func(*finding.Finding)) finding.Finding {
	now := time.Now()
	f := finding.Finding{ID: id, State: finding.Open, Version: 1, Opened: now.Add(-time.Hour), Updated: now, LastSeen: now, Severity: finding.High,
		Subject: finding.Subject{Kind: finding.KindLeak, DropletID: "4711", DropletName: "web-1", Worker: "mail"},
		Verdict: detector.Verdict{Kind: detector.Leak, Reason: detector.ReasonLeak,
			Exhaustion: &detector.Exhaustion{Limit: detector.Limit{Bytes: 2 << 30, Source: "memory.max"}, Expected: now.Add(left)}}}
	for _, c := range change {
		c(&f)
	}
	return f
}

func silent(id string, kind finding.Kind, worker string, ago time.Duration) finding.Finding {
	return running(id, 0, func(f *finding.Finding) {
		f.Subject.Kind, f.Subject.Worker, f.Opened, f.Verdict, f.Summary = kind, worker, time.Now().Add(-ago), detector.Verdict{}, "it is silent"
	})
}

// outage is a source that is silent and leaves workers unwatched.
func outage(ago time.Duration) finding.Finding {
	f := silent("f1", finding.KindSource, "", ago)
	f.Subject = finding.Subject{Kind: finding.KindSource, Source: "prometheus-main"}
	f.Outage = &finding.Outage{Workers: 12, Droplets: 5, Trouble: "connection refused"}
	return f
}

// comes is an agent that was found silent hours ago, was heard of since, and
// is, or is not any more.
func comes(id string, heard, silent time.Duration) finding.Finding {
	f := running(id, 0)
	f.Subject.Kind, f.Subject.Worker, f.Verdict, f.Summary = finding.KindSilent, "", detector.Verdict{}, "it comes and goes"
	f.Opened, f.Began = time.Now().Add(-3*time.Hour), time.Now().Add(-silent)
	if heard > 0 {
		f.Heard = time.Now().Add(-heard)
	}
	return f
}

// ended is a run about a finding, as the store holds it.
func ended(t *testing.T, st *store.Store, id, about string, o remedy.Outcome, ago time.Duration) {
	t.Helper()
	at := time.Now().Add(-ago)
	data, err := json.Marshal(map[string]any{"run": id, "finding": about, "why": "it has no main process",
		"plan": remedy.Plan{DropletID: 4711, Droplet: "web-1", Worker: "mail"}})
	if err != nil {
		t.Fatal(err)
	}
	if err := st.CreateRun(t.Context(), workflow.Run{ID: id, Recipe: remedy.Recipe, Key: "4711/mail", Step: "verify", Data: data, Outcome: string(o),
		Created: at, Updated: at, Ended: at, Version: 1, Announced: 1}); err != nil {
		t.Fatal(err)
	}
}

// open has these findings stand in the store.
func open(fs ...finding.Finding) func(*testing.T, *store.Store) {
	return func(t *testing.T, st *store.Store) {
		for _, f := range fs {
			if err := st.OpenFinding(t.Context(), f); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// ran has runs about a finding end like this, the last one last.
func ran(left time.Duration, outcomes ...remedy.Outcome) func(*testing.T, *store.Store) {
	return func(t *testing.T, st *store.Store) {
		open(running("f1", left))(t, st)
		for i, o := range outcomes {
			ended(t, st, fmt.Sprint("r", i), "f1", o, time.Duration(len(outcomes)-i)*time.Minute)
		}
	}
}

// together is a finding about workers of a droplet that went missing so long ago.
func together(ago time.Duration) finding.Finding {
	f := silent("f1", finding.KindMissing, "", ago)
	f.Missing = &finding.Missing{Workers: []string{"mail", "video"}}
	return f
}

func TestWanted(t *testing.T) {
	member := func(id, droplet string, left time.Duration) finding.Finding {
		return running(id, left, func(f *finding.Finding) { f.Subject.DropletID, f.Incident = droplet, "f1" })
	}
	rung := func(t *testing.T, st *store.Store) {
		if err := st.PutDue(t.Context(), alert.Due{Endpoint: "x", Firing: true, Alert: alert.Alert{Key: "finding/f1"}}); err != nil {
			t.Fatal(err)
		}
	}
	for name, tt := range map[string]struct {
		have func(*testing.T, *store.Store)
		want string
	}{
		"nothing is wrong":      {open(), ""},
		"enough time":           {open(running("f1", 3*time.Hour)), ""},
		"too little":            {open(running("f1", 110*time.Minute)), "running_out finding/f1 error"},
		"hardly any":            {open(running("f1", 20*time.Minute)), "running_out finding/f1 critical"},
		"muted by a person":     {open(running("f1", time.Minute, func(f *finding.Finding) { f.State = finding.Muted })), ""},
		"closed":                {open(running("f1", time.Minute, func(f *finding.Finding) { f.State = finding.Resolved })), ""},
		"wavers while it rings": {func(t *testing.T, st *store.Store) { rung(t, st); open(running("f1", 150*time.Minute))(t, st) }, "running_out finding/f1 error"},
		"one incident":          {open(member("f1", "4711", 90*time.Minute), member("f2", "4712", 20*time.Minute), member("f3", "4713", 9*time.Hour)), "running_out finding/f1 critical"},
		"not running":           {ran(9*time.Hour, remedy.NotRunning), "failed_run finding/f1/run critical"},
		"failed":                {ran(9*time.Hour, remedy.Failed), "failed_run finding/f1/run error"},
		"then it went well":     {ran(9*time.Hour, remedy.NotRunning, remedy.FreedWorking), ""},
		"cancelled by people":   {ran(9*time.Hour, remedy.Cancelled), ""},
		"both":                  {ran(time.Minute, remedy.NotFreed), "failed_run finding/f1/run error, running_out finding/f1 critical"},
		"agent silent":          {open(silent("f1", finding.KindSilent, "", 11*time.Minute)), "lost_droplet finding/f1 error"},
		"agent silent just now": {open(silent("f1", finding.KindSilent, "", 9*time.Minute)), ""},
		"no metrics":            {open(silent("f1", finding.KindNoMetrics, "", time.Hour)), "lost_droplet finding/f1 error"},
		"a worker's metrics":    {open(silent("f1", finding.KindNoMetrics, "mail", time.Hour)), ""},
		"workers missing":       {open(together(11 * time.Minute)), "lost_droplet finding/f1 error"},
		"missing just now":      {open(together(9 * time.Minute)), ""},
		"heard of again":        {open(comes("f1", time.Minute, time.Hour)), ""},
		"heard while it rings":  {func(t *testing.T, st *store.Store) { rung(t, st); open(comes("f1", time.Minute, time.Hour))(t, st) }, "lost_droplet finding/f1 error"},
		"silent again":          {open(comes("f1", 0, 9*time.Minute)), ""},
		"silent again for long": {open(comes("f1", 0, 11*time.Minute)), "lost_droplet finding/f1 error"},
		"a source silent":       {open(outage(11 * time.Minute)), "lost_source finding/f1 error"},
		"a source removed": {open(func() finding.Finding {
			f := outage(time.Hour)
			f.Outage.Removed = true
			return f
		}()), ""},
		"a source silent just now": {open(outage(9 * time.Minute)), ""},
		"a worker silent":          {open(silent("f1", finding.KindSilent, "mail", time.Hour)), ""},
	} {
		t.Run(name, func(t *testing.T) {
			s, st := assembled(t, func(d *Deps) { d.Alerts = Alerts{Below: 2 * time.Hour, LostAfter: 10 * time.Minute} })
			tt.have(t, st)
			got, err := s.wanted(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			var words []string
			for _, a := range got {
				words = append(words, fmt.Sprintf("%s %s %s", a.Kind, a.Key, a.Severity))
				if a.Title == "" || a.Since.IsZero() {
					t.Errorf("%+v", a)
				}
			}
			slices.Sort(words)
			if all := strings.Join(words, ", "); all != tt.want {
				t.Errorf("wanted %q, want %q", all, tt.want)
			}
			if name == "one incident" && !strings.Contains(got[0].Title, "(one incident, 2 workers)") {
				t.Errorf("titled %q", got[0].Title)
			}
		})
	}
}

// hooks takes calls, and remembers them.
type hooks struct {
	mu    sync.Mutex
	calls []string // "alert.firing finding/f1"
}

func (h *hooks) ServeHTTP(_ http.ResponseWriter, r *http.Request) {
	var body struct {
		Type string `json:"type"`
		Data struct {
			Key string `json:"key"`
		} `json:"data"`
	}
	raw, err := io.ReadAll(r.Body)
	if err == nil && json.Unmarshal(raw, &body) == nil {
		h.mu.Lock()
		defer h.mu.Unlock()
		h.calls = append(h.calls, body.Type+" "+body.Data.Key)
	}
}

func (h *hooks) want(calls ...string) func() error {
	return func() error {
		h.mu.Lock()
		defer h.mu.Unlock()
		if !slices.Equal(h.calls, calls) {
			return fmt.Errorf("called %q, want %q", h.calls, calls)
		}
		return nil
	}
}

// severed cuts the whole way to Slack while it is on.
type severed struct {
	mu sync.Mutex
	on bool
}

func (c *severed) set(on bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.on = on
}

func (c *severed) RoundTrip(r *http.Request) (*http.Response, error) {
	c.mu.Lock()
	on := c.on
	c.mu.Unlock()
	if on {
		return nil, errors.New("no route to host")
	}
	return http.DefaultTransport.RoundTrip(r)
}

// TestLostSlack: while Slack does not answer somebody is called, once, and
// told when it is back.
func TestLostSlack(t *testing.T) {
	var h hooks
	srv := httptest.NewServer(&h)
	defer srv.Close()
	var cut severed
	s, _ := assembled(t, func(d *Deps) {
		d.Slack.HTTPClient = &http.Client{Transport: &cut}
		d.Scale = 600 // ten minutes are a second
		d.Alerts = Alerts{LostAfter: 10 * time.Minute, Endpoints: []alert.Endpoint{alert.Webhook{URL: srv.URL, Secret: []byte("0123456789abcdef")}}}
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.alerts.Run(ctx) }()
	defer func() {
		cancel()
		if err := <-done; err != nil {
			t.Error(err)
		}
	}()
	cut.set(true)
	testbed.Eventually(t, testbed.Patience, h.want("alert.firing slack"))
	cut.set(false)
	testbed.Eventually(t, testbed.Patience, h.want("alert.firing slack", "alert.resolved slack"))
}

// TestAlertsTellTheTimeOfTheReports: who is called reads plain text, which
// stands in the zone of the reports.
func TestAlertsTellTheTimeOfTheReports(t *testing.T) {
	zone := time.FixedZone("CET", 3600)
	s, st := assembled(t, func(d *Deps) { d.Zone, d.Alerts.LostAfter = zone, 10*time.Minute })
	f := outage(time.Hour)
	f.Began = f.Opened
	if err := st.OpenFinding(t.Context(), f); err != nil {
		t.Fatal(err)
	}
	due := time.Now().Add(-3 * time.Hour).Truncate(time.Second)
	if err := s.setOverdue(t.Context(), Report{Channel: "C0OPS"}, due.UTC().Format(time.RFC3339Nano)); err != nil {
		t.Fatal(err)
	}
	s.d.Reports = []Report{{Channel: "C0OPS"}}
	got, err := s.wanted(t.Context())
	if err != nil || len(got) != 2 {
		t.Fatalf("wanted %+v, %v", got, err)
	}
	if want := "since " + f.Began.In(zone).Format("2 Jan 15:04 CET") + ": 12 workers on 5 droplets are not watched."; !strings.Contains(got[0].Detail, want) || got[0].Source != "prometheus-main" {
		t.Errorf("%+v, want %s", got[0], want)
	}
	failed := remedy.View{Outcome: remedy.Unclear, Why: "nothing since 2026-11-22T12:05:00Z", State: "It ran when last looked at (2026-11-22T23:14:07Z)."}
	if a := failedRun(f, failed, zone); len(a) != 1 || a[0].Detail != "nothing since 22 Nov 13:05 CET It ran when last looked at (23 Nov 00:14:07 CET)." {
		t.Errorf("%+v", a)
	}
	if want := "since " + due.In(zone).Format("2 Jan 15:04 CET"); !strings.HasSuffix(got[1].Title, want) {
		t.Errorf("titled %q, want %s", got[1].Title, want)
	}
}

// TestAlertsOfRequests: a run that somebody asked for calls when it fails,
// though its request ended with it, for a day.
func TestAlertsOfRequests(t *testing.T) {
	s, st := assembled(t)
	for id, kind := range map[string]finding.Kind{"f-asked": finding.KindRequest, "f-leak": finding.KindLeak} {
		f := running(id, 0)
		f.Subject.Kind, f.State = kind, finding.Resolved
		if err := st.OpenFinding(t.Context(), f); err != nil {
			t.Fatal(err)
		}
	}
	for name, c := range map[string]struct {
		v    remedy.View
		want int
	}{
		"down":       {remedy.View{Finding: "f-asked", Outcome: remedy.NotRunning, Ended: time.Now().Add(-time.Hour)}, 1},
		"well":       {remedy.View{Finding: "f-asked", Outcome: remedy.FreedWorking, Ended: time.Now()}, 0},
		"long ago":   {remedy.View{Finding: "f-asked", Outcome: remedy.NotRunning, Ended: time.Now().Add(-25 * time.Hour)}, 0},
		"of a leak":  {remedy.View{Finding: "f-leak", Outcome: remedy.NotRunning, Ended: time.Now()}, 0},
		"of nothing": {remedy.View{Finding: "f-none", Outcome: remedy.NotRunning, Ended: time.Now()}, 0},
	} {
		got, err := s.failedRequests(t.Context(), map[string]remedy.View{"4711/mail": c.v})
		if err != nil || len(got) != c.want {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}
