package bot

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/history"
	"github.com/dropleak/dropleak/bot/hub"
	"github.com/dropleak/dropleak/bot/source"
	"github.com/dropleak/dropleak/bot/watch"
	"github.com/dropleak/dropleak/detector/sample"
)

// TestSourcesInTheHome: what is silent comes first; the newest sample, the
// rate and the gaps of the last day are those that `dropleak sources` reads.
func TestSourcesInTheHome(t *testing.T) {
	s, _ := assembled(t)
	at := time.Date(2026, 11, 28, 12, 34, 0, 0, time.UTC)
	told := func(worker, source string, minutes ...int) {
		t.Helper()
		labels := []sample.Label{{Name: sample.MetricName, Value: "dropleak_process_memory_bytes"}, {Name: "droplet", Value: "4711"},
			{Name: "kind", Value: "rss"}, {Name: "slot", Value: "main"}}
		if source != "" {
			labels = append(labels, sample.Label{Name: history.LabelSource, Value: source})
		}
		labels = append(labels, sample.Label{Name: "worker", Value: worker})
		for _, m := range minutes {
			one := sample.Series{Labels: labels, Points: []sample.Point{{At: at.Add(-time.Duration(m) * time.Minute).UnixMilli(), V: 1}}}
			if err := s.history.Write(t.Context(), []sample.Series{one}); err != nil {
				t.Fatal(err)
			}
		}
	}
	told("mail", "", 10, 8, 6, 4, 2, 0)
	told("video", "ssh", 66, 65, 64, 63, 62)
	told("holed", "prometheus", 64, 62, 60, 58, 8, 6, 4, 2, 0)
	told("long ago", "", 2000, 1999)
	got, err := s.told(t.Context(), at)
	if err != nil {
		t.Fatal(err)
	}
	want := []string{
		"video on 4711 by ssh: every 60 s, newest sample of 28 Nov 11:30 UTC or after, silent since, gaps in a day: 1, 62 min",
		"holed on 4711 by prometheus: every 2 min, newest sample of 28 Nov 12:30 UTC or after, gaps in a day: 1, 50 min",
		"mail on 4711 by agent: every 2 min, newest sample of 28 Nov 12:30 UTC or after, no gaps in a day",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("told (-want +got):\n%s", diff)
	}

	// Of a large fleet it names some and counts the rest, and looks again with the next span.
	for n := range homeTold {
		told(fmt.Sprintf("w%d", n), "", 3, 2, 1, 0)
	}
	if again, err := s.told(t.Context(), at.Add(time.Minute)); err != nil || len(again) != len(want) {
		t.Errorf("looked up again within the span: %q, %v", again, err)
	}
	later, err := s.told(t.Context(), at.Add(homeSpan))
	if err != nil || len(later) != homeTold+1 || later[homeTold] != "and 3 more: see dropleak sources" {
		t.Errorf("of %d: %q, %v", homeTold+3, later, err)
	}
}

// TestExpectedSources: DigitalOcean, what the configuration has the service
// pull, and senders while one of them holds a good token.
func TestExpectedSources(t *testing.T) {
	page := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(page.Close)
	s, st := assembled(t, func(d *Deps) {
		d.Pulls = []Pull{{Type: "exporter", Name: "memory", URL: page.URL, Access: source.Access{}, Every: time.Minute, Droplet: "4711"}}
	})
	expect := func(want ...string) []watch.Source {
		t.Helper()
		got, err := s.expected(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		var names []string
		for _, x := range got {
			names = append(names, x.Name)
		}
		if !slices.Equal(names, want) {
			t.Errorf("expects %q, want %q", names, want)
		}
		return got
	}
	if got := expect("digitalocean", "memory"); !got[0].Asked.IsZero() || !got[1].Asked.IsZero() {
		t.Errorf("before anybody was asked: %+v", got)
	}
	if err := s.source.Pull(t.Context()); err != nil {
		t.Fatal(err)
	}
	if err := s.feeds[0].Pull(t.Context()); err == nil {
		t.Fatal("the exporter answers")
	}
	if got := expect("digitalocean", "memory"); got[0].Since != s.started || got[1].Since != s.started || got[0].Answered.IsZero() || !got[1].Answered.IsZero() || got[1].Asked.IsZero() || !strings.Contains(got[1].Trouble, "404") {
		t.Errorf("asked: %+v", got)
	}
	create := func(name string, seen time.Time) (id string) {
		t.Helper()
		made, _, err := hub.Create(t.Context(), st, hub.Token{Name: name, Kind: hub.Sender, Tag: "dropleak"})
		if err == nil && !seen.IsZero() {
			err = st.TouchToken(t.Context(), made.ID, hub.Seen{At: seen})
		}
		if err != nil {
			t.Fatal(err)
		}
		return made.ID
	}
	revoke := func(ids ...string) {
		t.Helper()
		for _, id := range ids {
			if err := st.RevokeToken(t.Context(), id, time.Now()); err != nil {
				t.Fatal(err)
			}
		}
	}
	now := time.Now().UTC().Truncate(time.Millisecond)
	old, renewed, west := create("east", now.Add(-time.Hour)), create("east", now), create("west", time.Time{})
	got := expect("digitalocean", "memory", "sender", "sender/east", "sender/west", "collectd", "collectd/east", "collectd/west")
	for i, x := range got[2:] {
		if sent := []time.Time{{}, now, {}}[i%3]; !x.Sends || !x.Answered.Equal(sent) {
			t.Errorf("%+v sent %v, want %v", x, x.Answered, sent)
		}
	}
	revoke(old, west)
	expect("digitalocean", "memory", "sender", "sender/east", "collectd", "collectd/east") // its other token is good
	revoke(renewed)
	expect("digitalocean", "memory")
}

// TestExpectedByAnyReplica: a source stands as whoever reached it last knows,
// another replica or this one before its start; to ask in vain beside it
// forgets nothing.
func TestExpectedByAnyReplica(t *testing.T) {
	page := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(page.Close)
	s, st := assembled(t, func(d *Deps) {
		d.Pulls = []Pull{{Type: "exporter", Name: "memory", URL: page.URL, Access: source.Access{}, Every: time.Minute, Droplet: "4711"}}
	})
	answered := time.Now().Add(-time.Minute).UTC().Truncate(time.Second)
	text := fmt.Sprintf(`{"asked":%q,"answered":%[1]q,"newest":%[1]q}`, answered.Format(time.RFC3339))
	if err := st.SetCursor(t.Context(), "source/memory", text); err != nil {
		t.Fatal(err)
	}
	stands := func(asked bool, trouble string) {
		t.Helper()
		all, err := s.expected(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		got := all[1]
		if !got.Answered.Equal(answered) || got.Asked.After(answered) != asked || !strings.Contains(got.Trouble, trouble) || (got.Trouble == "") != (trouble == "") {
			t.Errorf("%+v", got)
		}
	}
	stands(false, "")
	if err := s.feeds[0].Pull(t.Context()); err == nil {
		t.Fatal("the exporter answers")
	}
	stands(true, "404")
	kept, _, err := source.StateOf(t.Context(), st, "memory")
	if err != nil || !kept.Newest.Equal(answered) || !s.feeds[0].State().Answered.IsZero() {
		t.Errorf("kept %+v, %v; here %+v", kept, err, s.feeds[0].State())
	}
}

// TestASilentSourceIsToldOnce: the report's trouble leaves it to the finding,
// and the metrics page says what it costs.
func TestASilentSourceIsToldOnce(t *testing.T) {
	page := httptest.NewServer(http.NotFoundHandler())
	t.Cleanup(page.Close)
	s, st := assembled(t, func(d *Deps) {
		d.Pulls = []Pull{{Type: "exporter", Name: "prometheus-main", URL: page.URL, Access: source.Access{}, Every: time.Minute, Droplet: "4711"}}
	})
	if err := s.feeds[0].Pull(t.Context()); err == nil {
		t.Fatal("the exporter answers")
	}
	shows := func(silent, workers int, trouble bool) {
		t.Helper()
		rec := httptest.NewRecorder()
		s.Metrics().ServeHTTP(rec, httptest.NewRequest("GET", "/metrics", nil))
		for _, line := range []string{fmt.Sprintf("dropleak_source_silent{source=\"prometheus-main\"} %d\n", silent),
			fmt.Sprintf("dropleak_source_unwatched_workers{source=\"prometheus-main\"} %d\n", workers), "dropleak_source_silent{source=\"digitalocean\"} 0\n"} {
			if !strings.Contains(rec.Body.String(), line) {
				t.Errorf("the metrics page lacks %s", line)
			}
		}
		if got := strings.Contains(strings.Join(s.trouble(), "\n"), "the source prometheus-main"); got != trouble {
			t.Errorf("among the report's trouble: %v", got)
		}
	}
	shows(0, 0, true)
	if err := st.OpenFinding(t.Context(), outage(time.Hour)); err != nil {
		t.Fatal(err)
	}
	shows(1, 12, false)
	_, err := finding.Change(t.Context(), st, "f1", func(f *finding.Finding) error { f.State = finding.Muted; return nil })
	if err != nil {
		t.Fatal(err)
	}
	shows(1, 12, true) // nothing else says so
}
