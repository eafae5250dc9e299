package bot

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/order"
	"github.com/dropleak/dropleak/bot/remedy"
	"github.com/dropleak/dropleak/bot/slackapp"
	"github.com/dropleak/dropleak/bot/slacksim"
	"github.com/dropleak/dropleak/bot/source"
	"github.com/dropleak/dropleak/bot/store"
	"github.com/dropleak/dropleak/bot/testbed"
	"github.com/dropleak/dropleak/detector/sample"
	"github.com/dropleak/dropleak/doclient"
	"github.com/dropleak/dropleak/doclient/dosim"
)

// assembled is a service with both simulators that does not run yet, and its
// store.
func assembled(t *testing.T, change ...func(*Deps)) (*Service, *store.Store) {
	t.Helper()
	cloud := dosim.New(dosim.Options{}).Kind()
	cloud.AddToken("dop_v1_reader", dosim.ReaderScopes...)
	cloud.AddDroplet(dosim.Droplet{ID: 4711, Name: "web-1", Tags: []string{"dropleak", "web"}})
	reader, err := doclient.NewReader(doclient.Options{Token: doclient.StaticToken("dop_v1_reader"), Transport: cloud.Transport(),
		Pace: doclient.Pace{PerSecond: 1000, Burst: 1000}})
	if err != nil {
		t.Fatal(err)
	}
	slack := slacksim.New(slacksim.Options{}).Kind()
	if err := slack.Start("127.0.0.1:0"); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { slack.Close() })
	st, err := store.Open(t.Context(), "sqlite:"+t.TempDir(), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { st.Close() })
	d := Deps{Store: st, Reader: reader, Rehearse: true, Channel: "C0OPS", Tag: "dropleak", Owner: "test",
		Slack: slackapp.Options{BotToken: "xoxb-sim", AppToken: "xapp-sim", APIURL: slack.APIURL()}}
	for _, c := range change {
		c(&d)
	}
	s, err := New(t.Context(), d)
	if err != nil {
		t.Fatal(err)
	}
	return s, st
}

func TestNewNeedsAnExecutor(t *testing.T) {
	if _, err := New(t.Context(), Deps{}); err == nil || !strings.Contains(err.Error(), "executor") {
		t.Errorf("error %v", err)
	}
}

func ready(t *testing.T, s *Service) (int, readiness) {
	t.Helper()
	rec := httptest.NewRecorder()
	s.Handler().ServeHTTP(rec, httptest.NewRequest("GET", "/readyz", nil))
	var body readiness
	if err := json.Unmarshal(rec.Body.Bytes(), &body); err != nil {
		t.Fatal(err)
	}
	return rec.Code, body
}

// 503 only before it runs, while it drains, and when the store is away.
func TestReadyz(t *testing.T) {
	s, st := assembled(t)
	if code, body := ready(t, s); code != http.StatusServiceUnavailable || body.Ready || body.Store != "ok" {
		t.Errorf("before it runs: %d %+v", code, body)
	}
	s.ready.Store(true)
	if err := s.source.Pull(t.Context()); err != nil {
		t.Fatal(err)
	}
	code, body := ready(t, s)
	if code != http.StatusOK || !body.Ready || body.DigitalOcean.Droplets != 1 || body.DigitalOcean.Missing == nil || body.Scanned != nil {
		t.Errorf("while it runs, without a socket to Slack: %d %+v", code, body)
	}
	if err := s.Scan(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, body := ready(t, s); body.Scanned == nil {
		t.Error("the scan is not told")
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	if code, body := ready(t, s); code != http.StatusServiceUnavailable || body.Ready || body.Store == "ok" {
		t.Errorf("without the store: %d %+v", code, body)
	}
	rec := httptest.NewRecorder()
	s.Handler().ServeHTTP(rec, httptest.NewRequest("GET", "/healthz", nil))
	if rec.Code != http.StatusOK {
		t.Errorf("healthz without the store: %d", rec.Code)
	}
}

// A service that starts while DigitalOcean is away judges the droplets it knew
// before, and says how old their list is.
func TestScanAfterARestartWithoutDigitalOcean(t *testing.T) {
	s, st := assembled(t)
	if err := s.Scan(t.Context()); err != nil {
		t.Fatal(err)
	}
	away, _ := assembled(t, func(d *Deps) { d.Store, d.Reader = st, noCloud{} })
	if err := away.Scan(t.Context()); err != nil {
		t.Fatal(err)
	}
	sum := away.latest.Load()
	if sum == nil || len(sum.Views) != 1 || sum.Views[0].Droplet.Name != "web-1" || len(sum.Views[0].Droplet.Tags) != 2 {
		t.Fatalf("it judged %+v", sum)
	}
	if said := strings.Join(away.trouble(), "\n"); !strings.Contains(said, "the list of droplets is") || !strings.Contains(said, "no route") {
		t.Errorf("its trouble is %q", said)
	}
	if said := s.trouble(); len(said) > 0 {
		t.Errorf("while DigitalOcean answers: %q", said)
	}
	if _, body := ready(t, away); body.DigitalOcean.Listed.IsZero() || body.DigitalOcean.Droplets != 1 {
		t.Errorf("readyz says %+v", body.DigitalOcean)
	}
}

// noCloud is a DigitalOcean that does not answer.
type noCloud struct{ source.Cloud }

func (noCloud) Droplets(context.Context, string) ([]doclient.Droplet, error) {
	return nil, errors.New("no route to host")
}

func TestRunDrains(t *testing.T) {
	s, _ := assembled(t)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	testbed.Eventually(t, testbed.Patience, func() error {
		if !s.ready.Load() {
			return errors.New("not ready")
		}
		return nil
	})
	cancel()
	if err := <-done; err != nil {
		t.Errorf("it ended with %v", err)
	}
	if code, _ := ready(t, s); code != http.StatusServiceUnavailable {
		t.Errorf("after it drained: %d", code)
	}
}

// The operator's word goes first, then what the agent found; otherwise an
// error says what to write into the configuration.
func TestChoose(t *testing.T) {
	tests := []struct {
		name    string
		rule    Rule
		manager string // as the agent found it; "" none
		droplet string
		want    string // way and unit
		err     string
	}{
		{"a rule", Rule{Restart: "systemd", Unit: "mail.service", Hash: "h"}, "supervisor", "4711", "systemd systemd:mail.service", ""},
		{"a rule for supervisor", Rule{Restart: "supervisor", Unit: "mail"}, "", "4711", "supervisor supervisor:mail", ""},
		{"celery's own shutdown under systemd", Rule{Restart: "celery", Unit: "mail.service"}, "", "4711", "celery systemd:mail.service", ""},
		{"celery's own shutdown under supervisor", Rule{Restart: "celery", Unit: "mail"}, "", "4711", "celery supervisor:mail", ""},
		{"a whole droplet has no unit", Rule{Restart: "reboot", Unit: "mail.service"}, "", "4711", "reboot ", ""},
		{"only a unit", Rule{Unit: "mail"}, "supervisor", "4711", "supervisor supervisor:mail", ""},
		{"as found under systemd", Rule{}, "systemd", "4711", "systemd ", ""},
		{"as found under supervisor", Rule{}, "supervisor", "4711", "supervisor ", ""},
		{"in a container", Rule{}, "container", "4711", "", `"container", which dropleak cannot restart`},
		{"never found", Rule{}, "", "4711", "", "no agent has reported what runs it; name a way under workers:"},
		{"not ours", Rule{}, "systemd", "99", "", "droplet 99 is not tagged dropleak"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			s, _ := assembled(t, func(d *Deps) {
				d.Rule = func(id int64, tags []string, worker string) Rule {
					if id != 4711 || len(tags) != 2 || worker != "mailer" {
						t.Errorf("asked for %d %v %s", id, tags, worker)
					}
					return tt.rule
				}
			})
			if tt.manager != "" {
				at := time.Now().Add(-time.Minute)
				info := sample.Pass{Workers: []sample.Worker{{At: at, Droplet: tt.droplet, Worker: "mailer", Manager: tt.manager,
					Limit: sample.NaN, High: sample.NaN, Current: sample.NaN, Pressure: sample.NaN, OOMKills: sample.NaN}}}
				if err := s.history.Write(t.Context(), sample.Encode(info)); err != nil {
					t.Fatal(err)
				}
			}
			c, err := s.choose(finding.Subject{Kind: finding.KindLeak, DropletID: tt.droplet, Worker: "mailer"})
			if tt.err != "" {
				var none *remedy.NoWay
				if !errors.As(err, &none) || !strings.Contains(err.Error(), tt.err) {
					t.Errorf("error %v, want no way: %q", err, tt.err)
				}
				return
			}
			got := string(c.Way) + " "
			if c.Unit != (order.Unit{}) {
				got = fmt.Sprintf("%s %s:%s", c.Way, c.Unit.Kind, c.Unit.Name)
			}
			if err != nil || got != tt.want || c.ConfigHash != tt.rule.Hash {
				t.Errorf("chose %q (%+v), %v; want %q", got, c, err, tt.want)
			}
		})
	}
}

// Not to know how a worker is restarted is not to have no way: a run waits.
func TestChooseCannotTell(t *testing.T) {
	s, st := assembled(t)
	if _, err := s.source.Fleet(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := st.Close(); err != nil {
		t.Fatal(err)
	}
	_, err := s.choose(finding.Subject{Kind: finding.KindLeak, DropletID: "4711", Worker: "mailer"})
	var none *remedy.NoWay
	if err == nil || errors.As(err, &none) {
		t.Errorf("without the store it says %v", err)
	}
}
