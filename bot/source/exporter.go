package source

import (
	"context"
	"fmt"
	"math"
	"net/http"
	"net/url"
	"time"

	dto "github.com/prometheus/client_model/go"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"

	"github.com/dropleak/dropleak/detector/sample"
)

// Exporter scrapes one page of metrics itself, where there is no Prometheus.
type Exporter struct {
	page   string
	host   string
	client *http.Client
}

// NewExporter returns a reader of the page at the URL.
func NewExporter(page string, client *http.Client) (*Exporter, error) {
	u, err := url.Parse(page)
	if err != nil {
		return nil, fmt.Errorf("exporter: %w", err)
	}
	return &Exporter{page: page, host: u.Host, client: client}, nil
}

// Fetch implements [Fetcher]: the samples are of the moment they are asked
// for, unless they say another.
func (e *Exporter) Fetch(ctx context.Context, take func([]sample.Series) error) (missing []string, err error) {
	at := time.Now()
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, e.page, nil)
	if err != nil {
		return nil, fmt.Errorf("scrape: %w", err)
	}
	req.Header.Set("Accept", "text/plain;version=0.0.4")
	resp, err := e.client.Do(req)
	if err != nil {
		return nil, fmt.Errorf("scrape: %w", plainly(err))
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("scrape: the exporter said %s", resp.Status)
	}
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(resp.Body)
	if err != nil {
		return nil, fmt.Errorf("scrape: %w", err)
	}
	return nil, take(fromFamilies(families, e.host, at.UnixMilli()))
}

// fromFamilies makes series of one point each.
func fromFamilies(families map[string]*dto.MetricFamily, instance string, at int64) []sample.Series {
	var out []sample.Series
	for name, family := range families {
		for _, m := range family.GetMetric() {
			v, ok := single(m)
			if !ok || !finite(v) {
				continue
			}
			s := sample.Series{Points: []sample.Point{{At: at, V: v}}, Labels: []sample.Label{
				{Name: sample.MetricName, Value: name}, {Name: "instance", Value: instance}}}
			if m.GetTimestampMs() > 0 {
				s.Points[0].At = m.GetTimestampMs()
			}
			for _, l := range m.GetLabel() {
				if l.GetName() != "instance" {
					s.Labels = append(s.Labels, sample.Label{Name: l.GetName(), Value: l.GetValue()})
				}
			}
			out = append(out, s)
		}
	}
	return out
}

// single is the value of a metric that has one.
func single(m *dto.Metric) (float64, bool) {
	switch {
	case m.Gauge != nil:
		return m.Gauge.GetValue(), true
	case m.Counter != nil:
		return m.Counter.GetValue(), true
	case m.Untyped != nil:
		return m.Untyped.GetValue(), true
	}
	return 0, false
}

func finite(v float64) bool { return !math.IsNaN(v) && !math.IsInf(v, 0) }
