package bot

import (
	"context"
	"encoding/json"
	"math"
	"net/http"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/dropleak/dropleak/bot/slackapp"
)

// Handler serves agents, Slack and health checks.
func (s *Service) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.Handle("/api/", s.hub.Handler())
	mux.Handle("/agent/", s.hub.Handler())
	mux.Handle("/slack/", s.slack.HTTPHandler())
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok\n")) })
	mux.HandleFunc("GET /readyz", s.readyz)
	return mux
}

// readiness is the body of /readyz.
type readiness struct {
	Ready        bool              `json:"ready"`
	Store        string            `json:"store"`
	Slack        slackapp.Status   `json:"slack"`
	DigitalOcean digitalOceanState `json:"digitalocean"`
	Scanned      *time.Time        `json:"scanned"`
}

type digitalOceanState struct {
	Droplets int       `json:"droplets"`
	Listed   time.Time `json:"listed,omitzero"` // when their list was had
	Missing  []int64   `json:"without_metrics"`
	Pulled   time.Time `json:"pulled,omitzero"`
	Error    string    `json:"error,omitempty"`
}

// readyz answers 503 only when the store cannot be reached, cannot be written
// for want of room, or the service starts or drains; how Slack and DigitalOcean stand is in the body.
func (s *Service) readyz(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithTimeout(r.Context(), 2*time.Second)
	defer cancel()
	body := readiness{Ready: s.ready.Load(), Store: "ok", Slack: s.slack.Status()}
	if err := s.d.Store.Ping(ctx); err != nil {
		body.Ready, body.Store = false, err.Error()
	}
	st := s.source.Status()
	body.DigitalOcean = digitalOceanState{Droplets: st.Droplets, Listed: st.Listed, Missing: append([]int64{}, st.Missing...), Pulled: st.Pulled}
	if st.Err != nil {
		body.DigitalOcean.Error = st.Err.Error()
	}
	if sum := s.latest.Load(); sum != nil {
		body.Scanned = &sum.At
	}
	w.Header().Set("Content-Type", "application/json")
	if !body.Ready {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	_ = json.NewEncoder(w).Encode(body)
}

// Metrics serves /metrics.
func (s *Service) Metrics() http.Handler {
	reg := prometheus.NewRegistry()
	gauge := func(name, help string, value func() float64) {
		reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Namespace: "dropleak", Name: name, Help: help}, value))
	}
	reg.MustRegister(collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}))
	gauge("start_time_seconds", "When the service started.", func() float64 { return float64(s.started.Unix()) })
	gauge("workers_judged", "Workers judged since the start, each scan counted.", func() float64 { return float64(s.scanned.Load()) })
	gauge("last_scan_timestamp_seconds", "When the fleet was last judged.", func() float64 {
		if sum := s.latest.Load(); sum != nil {
			return float64(sum.At.Unix())
		}
		return 0
	})
	gauge("workers", "Workers seen at the last scan.", func() float64 {
		if sum := s.latest.Load(); sum != nil {
			return float64(sum.Workers())
		}
		return 0
	})
	gauge("slack_last_contact_timestamp_seconds", "When Slack was last heard.", func() float64 { return stamp(s.slack.LastContact()) })
	reg.MustRegister(prometheus.NewCounterFunc(prometheus.CounterOpts{Namespace: "dropleak", Name: "slack_stepped_down_total",
		Help: "Messages that Slack took in a plainer layout only, since the start."}, func() float64 { return float64(s.slack.Status().SteppedDown.Messages) }))
	gauge("reports_overdue", "Scheduled reports that Slack has not taken for an hour.", func() float64 {
		overdue, err := s.overdue(context.Background())
		if err != nil {
			return math.NaN()
		}
		return float64(len(overdue))
	})
	gauge("alerts_untold", "Alerts that an endpoint has not taken yet.", func() float64 { return float64(s.alerts.Untold(context.Background())) })
	gauge("digitalocean_last_pull_timestamp_seconds", "When every droplet was last pulled without an error.", func() float64 { return stamp(s.source.Status().Pulled) })
	gauge("digitalocean_droplets", "Droplets with the tag.", func() float64 { return float64(s.source.Status().Droplets) })
	gauge("workers_leaking", "Workers that leaked by the last scan.", func() float64 {
		if sum := s.latest.Load(); sum != nil {
			return float64(sum.Leaking())
		}
		return 0
	})
	reg.MustRegister(feedMetrics{s})
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", promhttp.HandlerFor(reg, promhttp.HandlerOpts{}))
	return mux
}

func stamp(t time.Time) float64 {
	if t.IsZero() {
		return 0
	}
	return float64(t.UnixMilli()) / 1000
}
