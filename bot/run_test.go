package bot

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"path"
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

// A scheduled report is tried again while Slack is away, for an hour.
func TestReportIsTriedAgain(t *testing.T) {
	wire := &line{cut: 2}
	s, _ := assembled(t, func(d *Deps) { d.Slack.HTTPClient = &http.Client{Transport: wire}; d.Scale = 1000 })
	if err := s.report(t.Context(), Report{}, time.Time{}); err != nil || wire.count("chat.postMessage") != 3 {
		t.Errorf("posted after %d tries, %v", wire.count("chat.postMessage"), err)
	}
	wire.cut, s.d.Scale = -1, 36000
	if err := s.report(t.Context(), Report{}, time.Time{}); err == nil {
		t.Error("no error from a report that was never posted")
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
