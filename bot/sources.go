package bot

import (
	"fmt"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dropleak/dropleak/bot/report"
)

// pulled says of each pulled source how it stands, for the App Home. Times
// are of the last ten minutes that began, so that a page that is looked at is
// not made anew at each pull.
func (s *Service) pulled() (out []string) {
	for _, f := range s.feeds {
		st := f.State()
		line := fmt.Sprintf("%s: every %s, ", f.Name(), report.Duration(f.Every()))
		if st.Newest.IsZero() {
			line += "no sample yet, "
		} else {
			line += "newest sample of " + st.Newest.UTC().Truncate(10*time.Minute).Format("2 Jan 15:04 UTC") + " or after, "
		}
		switch lacks := st.Lacks(); {
		case st.Error != "":
			line += "does not answer"
		case lacks == 0:
			line += "nothing missing"
		default:
			line += fmt.Sprintf("%d missing: see dropleak sources", lacks)
		}
		out = append(out, line)
	}
	return out
}

// feedMetrics are the pulled sources on the metrics page.
type feedMetrics struct{ s *Service }

var (
	feedAnswered = feedDesc("last_answer_timestamp_seconds", "When a pulled source last answered; 0: never since the start.")
	feedNewest   = feedDesc("newest_sample_timestamp_seconds", "The newest sample of a pulled source that was kept; 0: none since the start.")
	feedLacks    = feedDesc("missing", "What a pulled source lacks: queries without data, hosts that are no droplet of ours, series without a worker, an answer.")
)

func feedDesc(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("dropleak_source_"+name, help, []string{"source"}, nil)
}

// Describe implements [prometheus.Collector].
func (feedMetrics) Describe(out chan<- *prometheus.Desc) {
	out <- feedAnswered
	out <- feedNewest
	out <- feedLacks
}

// Collect implements [prometheus.Collector].
func (m feedMetrics) Collect(out chan<- prometheus.Metric) {
	for _, f := range m.s.feeds {
		st := f.State()
		lacks := st.Lacks()
		if st.Error != "" {
			lacks++
		}
		for desc, v := range map[*prometheus.Desc]float64{feedAnswered: stamp(st.Answered), feedNewest: stamp(st.Newest), feedLacks: float64(lacks)} {
			out <- prometheus.MustNewConstMetric(desc, prometheus.GaugeValue, v, f.Name())
		}
	}
}
