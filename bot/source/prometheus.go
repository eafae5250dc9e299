package source

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
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
	o      PrometheusOptions
	api    promv1.API
	cursor string
	asked  map[string]bool // queries that are to have an answer: written by the operator, or answered once
}

// NewPrometheus returns a reader of the server.
func NewPrometheus(o PrometheusOptions) (*Prometheus, error) {
	asked := map[string]bool{}
	for _, q := range o.Queries {
		asked[q] = true
	}
	if len(o.Queries) == 0 {
		o.Queries = DefaultQueries() // nobody has all of these
	}
	if o.Backfill <= 0 {
		o.Backfill = 7 * 24 * time.Hour
	}
	if o.Step <= 0 {
		o.Step = time.Minute
	}
	c, err := api.NewClient(api.Config{Address: o.URL, Client: o.Client})
	if err != nil {
		return nil, fmt.Errorf("source %s: %w", o.Name, err)
	}
	h := fnv.New64a() // other queries begin anew
	h.Write([]byte(o.URL + "\x00" + strings.Join(o.Queries, "\x00")))
	return &Prometheus{o: o, asked: asked, api: promv1.NewAPI(c), cursor: fmt.Sprintf("prometheus/%s/%x", o.Name, h.Sum64())}, nil
}

// smallest is the window that is not cut any further.
const smallest = time.Minute

// Fetch implements [Fetcher]: oldest first, and what was taken is not asked
// for again.
func (p *Prometheus) Fetch(ctx context.Context, take func([]sample.Series) error) (missing []string, err error) {
	text, err := p.o.Cursors.Cursor(ctx, p.cursor)
	if err != nil {
		return nil, err
	}
	var have time.Time
	if ms, err := strconv.ParseInt(text, 10, 64); err == nil {
		have = time.UnixMilli(ms)
	}
	from, to := doclient.Window(have, time.Now(), overlap, p.o.Backfill)
	for _, span := range slices.Backward(doclient.Spans(from, to, chunk)) {
		if missing, err = p.span(ctx, span, take); err != nil {
			return missing, err
		}
		if err := p.o.Cursors.SetCursor(ctx, p.cursor, strconv.FormatInt(span.To.UnixMilli(), 10)); err != nil {
			return missing, err
		}
	}
	return missing, nil
}

// span reads all queries over one window, in halves where it is too much at
// once.
func (p *Prometheus) span(ctx context.Context, s doclient.Span, take func([]sample.Series) error) (missing []string, err error) {
	var all []sample.Series
	for _, q := range p.o.Queries {
		series, err := p.ask(ctx, q, s)
		if tooMuch(err) && s.To.Sub(s.From) > smallest {
			half := s.From.Add(s.To.Sub(s.From) / 2)
			before, err := p.span(ctx, doclient.Span{From: s.From, To: half}, take)
			if err != nil {
				return before, err
			}
			return p.span(ctx, doclient.Span{From: half, To: s.To}, take)
		}
		if err != nil {
			return nil, fmt.Errorf("query %s: %w", q, err)
		}
		if len(series) == 0 && p.asked[q] {
			missing = append(missing, q)
		}
		p.asked[q] = p.asked[q] || len(series) > 0
		all = append(all, series...)
	}
	return missing, take(all)
}

// tooMuch reports whether a smaller window may be answered.
func tooMuch(err error) bool {
	if errors.Is(err, ErrTooLarge) {
		return true
	}
	return err != nil && (strings.Contains(err.Error(), "too many samples") || strings.Contains(err.Error(), "-search.max"))
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
