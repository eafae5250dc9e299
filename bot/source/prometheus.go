package source

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"time"

	"github.com/prometheus/client_golang/api"
	promv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"

	"github.com/dropleak/dropleak/detector/sample"
	"github.com/dropleak/dropleak/doclient"
)

// DefaultQueries are for the client libraries' own metrics, process-exporter
// and node_exporter. The server's own memory is left out.
func DefaultQueries() []string {
	const own = `{job!~"prometheus|victoria-?metrics"}`
	return []string{
		"process_resident_memory_bytes" + own, "process_start_time_seconds" + own, "process_cpu_seconds_total" + own,
		`namedprocess_namegroup_memory_bytes{memtype=~"resident|proportionalResident|swapped"}`,
		"namedprocess_namegroup_oldest_start_time_seconds",
		`{__name__=~"node_memory_(MemAvailable|MemTotal|Shmem|Slab)_bytes|node_vmstat_oom_kill|node_boot_time_seconds"}`,
	}
}

// PrometheusOptions are what a Prometheus is read with.
type PrometheusOptions struct {
	Name     string // of the source: its cursor's
	URL      string // without /api/v1
	Client   *http.Client
	Queries  []string      // default [DefaultQueries]
	Backfill time.Duration // how far back the first pull goes; default 7 days
	Step     time.Duration // at which an expression is worked out; default a minute
	Cursors  Cursors
}

// Prometheus reads a Prometheus-compatible server's HTTP API, only what is
// newer than what was read. A query that only names series gives the samples
// as they were scraped; an expression is worked out every step, where the
// server itself carries a value over up to five minutes of silence.
type Prometheus struct {
	queried
	o   PrometheusOptions
	api promv1.API
}

// NewPrometheus returns a reader of the server.
func NewPrometheus(o PrometheusOptions) (*Prometheus, error) {
	if o.Step <= 0 {
		o.Step = time.Minute
	}
	c, err := api.NewClient(api.Config{Address: o.URL, Client: o.Client})
	if err != nil {
		return nil, fmt.Errorf("source %s: %w", o.Name, err)
	}
	p := &Prometheus{o: o, api: promv1.NewAPI(c)}
	p.queried = newQueried("prometheus/"+o.Name, o.URL, o.Queries, DefaultQueries(), o.Backfill, o.Cursors, p.ask)
	return p, nil
}

// plain is a query that only names series.
var plain = regexp.MustCompile(`^\s*[a-zA-Z_:][a-zA-Z0-9_:]*\s*(\{[^{}]*\})?\s*$|^\s*\{[^{}]*\}\s*$`)

func (p *Prometheus) ask(ctx context.Context, q string, s doclient.Span) ([]sample.Series, error) {
	var v model.Value
	var err error
	if plain.MatchString(q) {
		// A range does not hold its own beginning on newer servers.
		v, _, _, err = p.api.Query(ctx, fmt.Sprintf("%s[%dms]", q, s.To.Sub(s.From).Milliseconds()+1), s.To)
	} else {
		at := s.From.Truncate(p.o.Step) // the same moments at each overlap
		v, _, _, err = p.api.QueryRange(ctx, q, promv1.Range{Start: at, End: s.To, Step: p.o.Step})
	}
	if err != nil {
		return nil, plainly(err)
	}
	m, ok := v.(model.Matrix)
	if !ok {
		return nil, fmt.Errorf("the answer is a %s", v.Type())
	}
	return fromMatrix(m), nil
}

// plainly is an error without the long URL of the request.
func plainly(err error) error {
	var u *url.Error
	if errors.As(err, &u) {
		return u.Err
	}
	return err
}

func fromMatrix(m model.Matrix) []sample.Series {
	out := make([]sample.Series, 0, len(m))
	for _, stream := range m {
		s := sample.Series{Points: make([]sample.Point, 0, len(stream.Values))}
		for name, value := range stream.Metric {
			s.Labels = append(s.Labels, sample.Label{Name: string(name), Value: string(value)})
		}
		for _, v := range stream.Values {
			if x := float64(v.Value); finite(x) {
				s.Points = append(s.Points, sample.Point{At: int64(v.Timestamp), V: x})
			}
		}
		if len(s.Points) > 0 {
			out = append(out, s)
		}
	}
	return out
}
