package history

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dropleak/dropleak/detector/sample"
	"github.com/klauspost/compress/snappy"
	"github.com/prometheus/client_golang/api"
	promv1 "github.com/prometheus/client_golang/api/prometheus/v1"
	"github.com/prometheus/common/model"
	"google.golang.org/protobuf/encoding/protowire"
)

// Remote is a Prometheus-compatible server that keeps the samples in place
// of the store: Prometheus with its remote-write receiver, VictoriaMetrics,
// Mimir or Thanos. Its own retention holds.
type Remote struct {
	write string
	query promv1.API
	http  *http.Client
}

// NewRemote returns the server at base, a URL without /api/v1. A user and a
// password in it are sent along. client may be nil.
func NewRemote(base string, client *http.Client) (*Remote, error) {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("history server: not an http or https URL")
	}
	if client == nil {
		client = &http.Client{Timeout: time.Minute}
	}
	c, err := api.NewClient(api.Config{Address: base, Client: client})
	if err != nil {
		return nil, fmt.Errorf("history server %s: %w", u.Redacted(), err)
	}
	return &Remote{write: u.JoinPath("api/v1/write").String(), query: promv1.NewAPI(c), http: client}, nil
}

// Write sends series on and returns once the server took them. What it will
// never take is [ErrBadSeries].
func (r *Remote) Write(ctx context.Context, series []sample.Series) error {
	body := snappy.Encode(nil, encodeV1(series))
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, r.write, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("forward samples: %w", err)
	}
	req.Header.Set("Content-Type", "application/x-protobuf")
	req.Header.Set("Content-Encoding", "snappy")
	req.Header.Set("X-Prometheus-Remote-Write-Version", "0.1.0")
	res, err := r.http.Do(req)
	if err != nil {
		return fmt.Errorf("forward samples: %w", err)
	}
	defer res.Body.Close()
	if res.StatusCode/100 == 2 {
		return nil
	}
	text, err := io.ReadAll(io.LimitReader(res.Body, 200))
	if err != nil {
		return fmt.Errorf("forward samples: %s: %w", res.Status, err)
	}
	err = fmt.Errorf("forward samples: the history server said %s: %q", res.Status, strings.TrimSpace(string(text)))
	if hopeless(res.StatusCode, string(text)) {
		return fmt.Errorf("%w: %w", err, ErrBadSeries)
	}
	return err
}

// hopeless reports whether the server will never take what it refused.
// Prometheus up to 2.42 at least says of samples that are too old that it
// were its own fault.
func hopeless(status int, text string) bool {
	return status == http.StatusBadRequest ||
		status == http.StatusInternalServerError && strings.Contains(text, "too old sample")
}

// encodeV1 writes a prometheus.WriteRequest: version 1 is what every server
// takes.
func encodeV1(series []sample.Series) (out []byte) {
	field := func(b []byte, num protowire.Number, v []byte) []byte {
		return protowire.AppendBytes(protowire.AppendTag(b, num, protowire.BytesType), v)
	}
	var one, inner []byte
	for _, s := range series {
		one = one[:0]
		labels := slices.Clone(s.Labels)
		slices.SortFunc(labels, compareLabels)
		for _, l := range labels {
			inner = field(field(inner[:0], 1, []byte(l.Name)), 2, []byte(l.Value))
			one = field(one, 1, inner)
		}
		for _, p := range sorted(s.Points) {
			inner = protowire.AppendFixed64(protowire.AppendTag(inner[:0], 1, protowire.Fixed64Type), math.Float64bits(p.V))
			inner = protowire.AppendVarint(protowire.AppendTag(inner, 2, protowire.VarintType), uint64(p.At))
			one = field(one, 2, inner)
		}
		out = field(out, 1, one)
	}
	return out
}

// Select is [History.Select] on the server. Its answers lack stale markers:
// a series that ended just ends.
func (r *Remote) Select(ctx context.Context, matchers []Matcher, from, to time.Time) ([]sample.Series, error) {
	// A range does not hold its own beginning on newer servers.
	span := to.Sub(from) + time.Millisecond
	query := fmt.Sprintf("{%s}[%dms]", selector(matchers), span.Milliseconds())
	v, _, _, err := r.query.Query(ctx, query, to)
	if err != nil {
		return nil, fmt.Errorf("query history server: %w", err)
	}
	m, ok := v.(model.Matrix)
	if !ok {
		return nil, fmt.Errorf("query history server: it answered with a %s", v.Type())
	}
	out := make([]sample.Series, 0, len(m))
	for _, stream := range m {
		s := sample.Series{Points: make([]sample.Point, 0, len(stream.Values))}
		for name, value := range stream.Metric {
			s.Labels = append(s.Labels, sample.Label{Name: string(name), Value: string(value)})
		}
		slices.SortFunc(s.Labels, compareLabels)
		for _, p := range stream.Values {
			s.Points = append(s.Points, sample.Point{At: int64(p.Timestamp), V: float64(p.Value)})
		}
		if s.Points = within(s.Points, from.UnixMilli(), to.UnixMilli()); len(s.Points) > 0 {
			out = append(out, s)
		}
	}
	slices.SortFunc(out, func(a, b sample.Series) int { return slices.CompareFunc(a.Labels, b.Labels, compareLabels) })
	return out, nil
}

// selector writes matchers in PromQL, whose patterns are anchored. Only our
// own names are asked for: the server may hold much else.
func selector(matchers []Matcher) string {
	parts := []string{`__name__=~"dropleak_.*"`}
	for _, m := range matchers {
		op, value := "=", m.Value
		if m.Not {
			op = "!="
		}
		if m.Pattern != nil {
			op, value = "=~", ".*(?:"+m.Pattern.String()+").*"
			if m.Not {
				op = "!~"
			}
		}
		parts = append(parts, m.Name+op+strconv.Quote(value))
	}
	return strings.Join(parts, ",")
}
