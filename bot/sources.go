package bot

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/history"
	"github.com/dropleak/dropleak/bot/hub"
	"github.com/dropleak/dropleak/bot/report"
	"github.com/dropleak/dropleak/bot/source"
	"github.com/dropleak/dropleak/bot/watch"
)

// How the App Home tells of sources. Times are of the last span that began,
// so that a page that is looked at is not made anew at each sample.
const (
	homeSpan = 10 * time.Minute
	homeTold = 10 // workers and droplets that are told of one by one
)

// homeTelling is what the App Home tells of sources within one span.
type homeTelling struct {
	sync.Mutex
	at    time.Time
	lines []string
}

// sources says of each pulled source, and of workers and droplets that were
// heard of, what `dropleak sources` does.
func (s *Service) sources() []string {
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	out := s.pulled()
	told, err := s.told(ctx, time.Now())
	if err != nil {
		s.log.Error("sources not told in the App Home", "error", err)
	}
	return append(out, told...)
}

// expected lists who is to tell of the fleet beside the agents: what the
// configuration names, and whoever holds a good token of a sender.
func (s *Service) expected(ctx context.Context) ([]watch.Source, error) {
	st := s.source.Status()
	out := []watch.Source{{Name: history.SourceDigitalOcean, Since: s.started, Asked: st.Asked, Answered: st.Pulled}}
	if st.Err != nil {
		out[0].Trouble = brief(st.Err.Error())
	}
	for _, f := range s.feeds {
		st, err := s.stands(ctx, f)
		if err != nil {
			return nil, err
		}
		out = append(out, watch.Source{Name: f.Name(), Since: s.started, Asked: st.Asked, Answered: st.Answered, Trouble: brief(st.Error)})
	}
	tokens, err := s.d.Store.Tokens(ctx)
	if err != nil {
		return nil, err
	}
	return append(out, sendersOf(tokens)...), nil
}

// sendersOf are those who hold good tokens of senders, by their names: two
// tokens of one name are one sender, as while one takes the other's place.
// What nobody sent under a name yet is still told of without.
func sendersOf(tokens []hub.Token) (out []watch.Source) {
	sent := map[string]time.Time{}
	for _, t := range tokens {
		if t.Kind == hub.Sender && t.Revoked.IsZero() {
			sent[t.Name] = latest(sent[t.Name], t.Seen.At)
		}
	}
	if len(sent) == 0 {
		return nil
	}
	for _, way := range hub.SenderSources {
		out = append(out, watch.Source{Name: way, Sends: true})
		for _, name := range slices.Sorted(maps.Keys(sent)) {
			out = append(out, watch.Source{Name: hub.SourceOf(way, name), Sends: true, Answered: sent[name]})
		}
	}
	return out
}

// stands is how a pulled source stands by what any replica knows of it, also
// from before the start: all of them are to come to the same scan.
func (s *Service) stands(ctx context.Context, f *source.Feed) (source.FeedState, error) {
	kept, _, err := source.StateOf(ctx, s.d.Store, f.Name())
	if own := f.State(); err == nil && own.Asked.After(kept.Asked) { // it could not be kept
		own.Answered = latest(own.Answered, kept.Answered)
		return own, nil
	}
	return kept, err
}

// brief is the first line of an error, for a sentence to hold.
func brief(trouble string) string {
	first, _, _ := strings.Cut(trouble, "\n")
	return report.Plain(first, 200)
}

func latest(a, b time.Time) time.Time {
	if b.After(a) {
		return b
	}
	return a
}

// pulled says of each pulled source how it stands.
func (s *Service) pulled() (out []string) {
	for _, f := range s.feeds {
		st := f.State()
		line := f.Name() + ": " + steadily(f.Every(), st.Newest, s.d.Zone) + ", "
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

// steadily says how often samples come, and when the newest was.
func steadily(every time.Duration, newest time.Time, zone *time.Location) string {
	said := "no sample yet"
	if !newest.IsZero() {
		said = "newest sample of " + report.Moment(newest.Truncate(homeSpan), zone) + " or after"
	}
	if every <= 0 {
		return said
	}
	return "every " + report.Duration(every) + ", " + said
}

// told says how whatever was heard of within a day is told of: what is silent
// first. It is looked up once for each span; the gaps, of the day before, only
// of what is named.
func (s *Service) told(ctx context.Context, at time.Time) ([]string, error) {
	s.home.Lock()
	defer s.home.Unlock()
	if span := at.Truncate(homeSpan); !span.Equal(s.home.at) {
		lines, err := s.toldAt(ctx, at)
		if err != nil {
			return nil, err
		}
		s.home.at, s.home.lines = span, lines
	}
	return s.home.lines, nil
}

func (s *Service) toldAt(ctx context.Context, at time.Time) (out []string, err error) {
	all, err := s.d.Store.Presences(ctx)
	if err != nil {
		return nil, err
	}
	by := map[history.Told]bool{} // sources that tell of a worker: their droplet needs no line of its own
	for _, p := range all {
		own := p.Told()
		own.Worker = ""
		by[own] = by[own] || p.Worker != ""
	}
	seen := slices.DeleteFunc(all, func(p history.Presence) bool {
		return at.Sub(p.Last) > 24*time.Hour || p.Worker == "" && by[p.Told()]
	})
	silent := func(p history.Presence) int {
		if at.Sub(p.Last) > max(3*p.Interval, homeSpan) {
			return 0
		}
		return 1
	}
	slices.SortFunc(seen, func(a, b history.Presence) int {
		return cmp.Or(silent(a)-silent(b), cmp.Compare(a.DropletID, b.DropletID), cmp.Compare(a.Worker, b.Worker), cmp.Compare(a.Source, b.Source))
	})
	named := seen[:min(len(seen), homeTold)]
	day, err := s.history.Day(ctx, named, at)
	if err != nil {
		return nil, err
	}
	for _, p := range named {
		out = append(out, s.toldOf(p, silent(p) == 0, day))
	}
	if more := len(seen) - len(named); more > 0 {
		out = append(out, fmt.Sprintf("and %d more: see dropleak sources", more))
	}
	return out, nil
}

// toldOf is the line of one worker or droplet.
func (s *Service) toldOf(p history.Presence, silent bool, day map[history.Told]history.Coverage) string {
	who := s.called(p.DropletID)
	if p.Worker != "" {
		who = p.Worker + " on " + who
	}
	line := who + " by " + cmp.Or(p.Source, "agent") + ": " + steadily(p.Interval, p.Last, s.d.Zone)
	if silent {
		line += ", silent since"
	}
	switch c, ok := day[p.Told()]; {
	case !ok:
	case len(c.Gaps) == 0:
		line += ", no gaps in a day"
	default:
		line += fmt.Sprintf(", gaps in a day: %d, %s", len(c.Gaps), report.Duration(c.Missed()))
	}
	return line
}

// called is a droplet's name as of the newest scan, else its id.
func (s *Service) called(id string) string {
	if sum := s.latest.Load(); sum != nil {
		for _, v := range sum.Views {
			if v.Droplet.ID == id && v.Droplet.Name != "" {
				return v.Droplet.Name
			}
		}
	}
	return id
}

// feedMetrics are the pulled sources on the metrics page.
type feedMetrics struct{ s *Service }

var (
	feedAnswered  = feedDesc("last_answer_timestamp_seconds", "When a pulled source last answered; 0: never since the start.")
	feedNewest    = feedDesc("newest_sample_timestamp_seconds", "The newest sample of a pulled source that was kept; 0: none since the start.")
	feedUnwatched = feedDesc("unwatched_workers", "Workers that nobody tells of while a source that told of them is silent.")
	feedSilent    = feedDesc("silent", "1 while there is a finding that a source is silent and leaves workers or droplets unwatched.")
	feedLacks     = feedDesc("missing", "What a pulled source lacks: queries without data, hosts that are no droplet of ours, series without a worker, an answer.")
)

func feedDesc(name, help string) *prometheus.Desc {
	return prometheus.NewDesc("dropleak_source_"+name, help, []string{"source"}, nil)
}

// Describe implements [prometheus.Collector].
func (feedMetrics) Describe(out chan<- *prometheus.Desc) {
	out <- feedAnswered
	out <- feedNewest
	out <- feedLacks
	out <- feedSilent
	out <- feedUnwatched
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
	m.collectSilent(out)
}

// collectSilent tells of every source that is expected to tell.
func (m feedMetrics) collectSilent(out chan<- prometheus.Metric) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	sources, err := m.s.expected(ctx)
	outages, oerr := m.s.outages(ctx)
	if err := errors.Join(err, oerr); err != nil {
		m.s.log.Error("silent sources are not on the metrics page", "err", err)
		return
	}
	for _, x := range sources {
		silent, workers := 0.0, 0.0
		f, found := outages[x.Name]
		switch {
		case found:
			silent, workers = 1, float64(f.Outage.Workers)
		case x.Sends && x.Answered.IsZero():
			continue // nothing was sent under this name
		}
		out <- prometheus.MustNewConstMetric(feedSilent, prometheus.GaugeValue, silent, x.Name)
		out <- prometheus.MustNewConstMetric(feedUnwatched, prometheus.GaugeValue, workers, x.Name)
	}
}

// outages are the findings about sources that are silent now, by source.
func (s *Service) outages(ctx context.Context) (map[string]finding.Finding, error) {
	live, err := s.d.Store.Findings(ctx, finding.Filter{Live: true})
	if err != nil {
		return nil, err
	}
	out := map[string]finding.Finding{}
	for _, f := range live {
		if f.Subject.Kind == finding.KindSource && f.Heard.IsZero() && f.Outage != nil {
			out[f.Subject.Source] = f
		}
	}
	return out, nil
}
