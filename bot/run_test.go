package bot

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/http/httptest"
	"net/url"
	"path"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/schedule"
	"github.com/dropleak/dropleak/bot/source"
	"github.com/dropleak/dropleak/bot/store"
	"github.com/dropleak/dropleak/bot/testbed"
	"github.com/dropleak/dropleak/bot/watch"
	"github.com/dropleak/dropleak/bot/workflow"
	"github.com/dropleak/dropleak/doclient"
)

// line is the way to Slack: it may be cut, for some calls or for good.
type line struct {
	mu    sync.Mutex
	cut   int // calls of the method that fail from now on; below 0: all of them
	calls map[string]int
}

func (l *line) RoundTrip(r *http.Request) (*http.Response, error) {
	l.mu.Lock()
	method := path.Base(r.URL.Path)
	if l.calls == nil {
		l.calls = map[string]int{}
	}
	l.calls[method]++
	broken := l.cut != 0 && method == "chat.postMessage"
	if broken && l.cut > 0 {
		l.cut--
	}
	l.mu.Unlock()
	if broken {
		return nil, errors.New("read: connection reset by peer")
	}
	return http.DefaultTransport.RoundTrip(r)
}

func (l *line) count(method string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.calls[method]
}

// stuck is a DigitalOcean that answers when it is let go.
type stuck struct {
	source.Cloud
	asked, free chan struct{}
}

func (c stuck) Droplets(context.Context, string) ([]doclient.Droplet, error) {
	c.asked <- struct{}{}
	<-c.free
	return nil, errors.New("let go")
}

// While what is in hand is finished, nothing more may be sent here.
func TestNotReadyWhileDraining(t *testing.T) {
	cloud := stuck{asked: make(chan struct{}, 9), free: make(chan struct{})}
	s, _ := assembled(t, func(d *Deps) { cloud.Cloud = d.Reader; d.Reader = cloud })
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	<-cloud.asked
	testbed.Eventually(t, testbed.Patience, func() error {
		if code, _ := ready(t, s); code != http.StatusOK {
			return errors.New("not ready")
		}
		return nil
	})
	cancel()
	testbed.Eventually(t, testbed.Patience, func() error {
		if code, _ := ready(t, s); code != http.StatusServiceUnavailable {
			return errors.New("ready, while it drains")
		}
		return nil
	})
	select {
	case err := <-done:
		t.Fatalf("it ended before what was in hand: %v", err)
	default:
	}
	close(cloud.free)
	if err := <-done; err != nil {
		t.Errorf("it ended with %v", err)
	}
}

// propose stores a finding that has no message yet and a live run about it.
func propose(t *testing.T, st *store.Store) {
	t.Helper()
	f := finding.Finding{ID: "f1", State: finding.Open, Version: 1, Opened: time.Now(), Updated: time.Now(),
		Subject: finding.Subject{Kind: finding.KindLeak, DropletID: "4711", DropletName: "web-1", Worker: "mailer"}}
	raw, err := json.Marshal(map[string]any{"run": "r1", "finding": "f1", "expires": time.Now().Add(time.Hour)})
	if err != nil {
		t.Fatal(err)
	}
	run := workflow.Run{ID: "r1", Recipe: "remedy", Key: "4711/mailer", Step: "ask", Data: raw, Created: time.Now(), Updated: time.Now()}
	if err := errors.Join(st.OpenFinding(t.Context(), f), st.CreateRun(t.Context(), run)); err != nil {
		t.Fatal(err)
	}
}

// A message that cannot be shown at the start is no reason not to start.
func TestStartsWithoutSlack(t *testing.T) {
	wire := &line{cut: -1}
	s, st := assembled(t, func(d *Deps) { d.Slack.HTTPClient = &http.Client{Transport: wire} })
	propose(t, st)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	testbed.Eventually(t, testbed.Patience, func() error {
		if code, _ := ready(t, s); code != http.StatusOK || wire.count("chat.postMessage") == 0 {
			return errors.New("not ready, or it has not tried")
		}
		return nil
	})
	cancel()
	if err := <-done; err != nil {
		t.Errorf("it ended with %v", err)
	}
}

// metric is the value of a metric without labels.
func metric(t *testing.T, s *Service, name string) string {
	t.Helper()
	rec := httptest.NewRecorder()
	s.Metrics().ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
	for text := range strings.Lines(rec.Body.String()) {
		if rest, ok := strings.CutPrefix(text, name+" "); ok {
			return strings.TrimSpace(rest)
		}
	}
	t.Fatalf("no metric %s in\n%s", name, rec.Body)
	return ""
}

// Slack's last contact is told by /readyz and as a metric, and moves on when
// Slack answers.
func TestLastContactIsTold(t *testing.T) {
	s, _ := assembled(t)
	began := time.Now()
	if err := s.report(t.Context(), Report{}, time.Time{}); err != nil {
		t.Fatal(err)
	}
	_, body := ready(t, s)
	v, err := strconv.ParseFloat(metric(t, s, "dropleak_slack_last_contact_timestamp_seconds"), 64)
	if err != nil || body.Slack.LastContact.Before(began) || math.Abs(v-float64(body.Slack.LastContact.UnixMilli())/1000) > 0.002 {
		t.Errorf("readyz says %v, the metric %v (%v), it began %v", body.Slack.LastContact, v, err, began)
	}
}

// posts remembers to which channels was posted.
type posts struct {
	mu       sync.Mutex
	channels map[string]int
}

func (p *posts) RoundTrip(r *http.Request) (*http.Response, error) {
	if path.Base(r.URL.Path) == "chat.postMessage" {
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return nil, err
		}
		form, err := url.ParseQuery(string(body))
		if err != nil {
			return nil, err
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		p.mu.Lock()
		p.channels[form.Get("channel")]++
		p.mu.Unlock()
	}
	return http.DefaultTransport.RoundTrip(r)
}

// Several reports are posted, each by its own schedule into its own channel.
func TestSeveralReports(t *testing.T) {
	often, err := schedule.Parse("@every 1s", time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	yearly, err := schedule.Parse("@yearly", time.UTC)
	if err != nil {
		t.Fatal(err)
	}
	wire := &posts{channels: map[string]int{}}
	s, _ := assembled(t, func(d *Deps) {
		d.Slack.HTTPClient, d.Scan = &http.Client{Transport: wire}, yearly
		d.Reports = []Report{{Spec: often}, {Spec: often, Channel: "C0DEPLOYS", Tag: "web"}, {Spec: yearly, Channel: "C0NEVER"}}
	})
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.runSchedule(ctx) }()
	testbed.Eventually(t, testbed.Patience, func() error {
		wire.mu.Lock()
		defer wire.mu.Unlock()
		if wire.channels["C0OPS"] < 2 || wire.channels["C0DEPLOYS"] < 2 {
			return fmt.Errorf("posted %v", wire.channels)
		}
		return nil
	})
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	if n := wire.channels["C0NEVER"]; n > 0 {
		t.Errorf("%d reports before they were due", n)
	}
}

// A fleet without a droplet was looked at, and the report says what is wrong.
func TestEmptyFleet(t *testing.T) {
	s, _ := assembled(t, func(d *Deps) { d.Tag = "elsewhere" })
	if err := s.Scan(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, scanned := (fleet{s}).Latest(); !scanned {
		t.Error("it says that the fleet was not scanned")
	}
	if said := strings.Join(s.trouble(), "; "); !strings.Contains(said, "no droplet carries the tag elsewhere") {
		t.Errorf("trouble: %q", said)
	}
}

// A replica that loses the race for each scan still answers from what is so.
func TestSurveyBesideAnotherReplica(t *testing.T) {
	spec, err := schedule.Parse("@every 5m", nil)
	if err != nil {
		t.Fatal(err)
	}
	s, _ := assembled(t, func(d *Deps) { d.Scan = spec })
	at := func(after time.Duration) *watch.Summary {
		t.Helper()
		if err := s.survey(t.Context(), s.started.Add(after)); err != nil {
			t.Fatal(err)
		}
		return s.latest.Load()
	}
	if at(9*time.Minute) != nil {
		t.Error("it looked before two scans were due")
	}
	first := at(11 * time.Minute)
	if first == nil || len(first.Views) != 1 {
		t.Fatalf("two scans fell to another replica, and it saw %+v", first)
	}
	if at(12*time.Minute) != first || at(22*time.Minute) == first {
		t.Error("it looks too often, or not again")
	}
}
