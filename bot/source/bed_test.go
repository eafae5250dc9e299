package source_test

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/dropleak/dropleak/bot/history"
	"github.com/dropleak/dropleak/bot/schedule"
	"github.com/dropleak/dropleak/bot/source"
	"github.com/dropleak/dropleak/detector/sample"
	"github.com/dropleak/dropleak/doclient"
	"github.com/dropleak/dropleak/doclient/dosim"
)

const token = "dop_v1_0123456789abcdef"

// shelf keeps what was pulled, and the cursors.
type shelf struct {
	mu      sync.Mutex
	points  map[string]map[int64]float64 // by name/droplet, then time in ms
	writes  int
	cursors map[string]string
	err     error         // of writing
	reach   time.Duration // older points are refused with all that comes along; 0: none are
}

func (s *shelf) Write(_ context.Context, series []sample.Series) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.err != nil {
		return s.err
	}
	s.writes++
	for _, x := range series {
		if x.Get("source") != "digitalocean" {
			return errors.New("a series without its source")
		}
		if s.reach > 0 && time.Since(time.UnixMilli(x.Points[0].At)) > s.reach {
			return history.ErrBadSeries
		}
		key := x.Name() + "/" + x.Get("droplet")
		if s.points[key] == nil {
			s.points[key] = map[int64]float64{}
		}
		for _, p := range x.Points {
			s.points[key][p.At] = p.V
		}
	}
	return nil
}

func (s *shelf) Cursor(_ context.Context, name string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.cursors[name], nil
}

func (s *shelf) SetCursor(_ context.Context, name, at string) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.cursors[name] = at
	return nil
}

// available returns the times held of a droplet, ascending.
func (s *shelf) available(id int) (at []time.Time) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for ms := range s.points["dropleak_droplet_memory_available_bytes/"+strconv.Itoa(id)] {
		at = append(at, time.UnixMilli(ms))
	}
	slices.SortFunc(at, time.Time.Compare)
	return at
}

// bed is a source on a simulated DigitalOcean, without a socket.
type bed struct {
	t     *testing.T
	cloud *dosim.Sim
	shelf *shelf
	*source.DigitalOcean
}

func newBed(t *testing.T, change ...func(*source.DigitalOceanOptions)) *bed {
	b := &bed{t: t, cloud: dosim.New(dosim.Options{}).Kind(), shelf: &shelf{points: map[string]map[int64]float64{}, cursors: map[string]string{}}}
	b.cloud.AddToken(token, dosim.ReaderScopes...)
	b.again(change...)
	t.Cleanup(func() {
		for _, e := range b.cloud.Unmodelled() {
			t.Errorf("dosim does not model a request of ours: %s", e.Detail)
		}
	})
	return b
}

// again is a new process on the same shelf.
func (b *bed) again(change ...func(*source.DigitalOceanOptions)) {
	b.t.Helper()
	reader, err := doclient.NewReader(doclient.Options{Token: doclient.StaticToken(token), Transport: b.cloud.Transport()})
	if err != nil {
		b.t.Fatal(err)
	}
	o := source.DigitalOceanOptions{Cloud: reader, Tag: "dropleak", Sink: b.shelf, Cursors: b.shelf, Log: slog.New(slog.DiscardHandler)}
	for _, c := range change {
		c(&o)
	}
	b.DigitalOcean = source.NewDigitalOcean(o)
}

func (b *bed) droplet(id int, change ...func(*dosim.Droplet)) {
	d := dosim.Droplet{ID: id, Tags: []string{"dropleak"}}
	for _, c := range change {
		c(&d)
	}
	b.cloud.AddDroplet(d)
}

func (b *bed) pull() {
	b.t.Helper()
	if err := b.Pull(b.t.Context()); err != nil {
		b.t.Fatal(err)
	}
}

// asked returns the windows asked of a droplet's available memory so far.
func (b *bed) asked(id int) (spans []doclient.Span) {
	for _, e := range b.cloud.Requests("GET", "/v2/monitoring/metrics/droplet/memory_available") {
		_, query, _ := strings.Cut(e.Path, "?")
		var s doclient.Span
		var host string
		for part := range strings.SplitSeq(query, "&") {
			name, value, _ := strings.Cut(part, "=")
			n, _ := strconv.ParseInt(value, 10, 64)
			switch name {
			case "host_id":
				host = value
			case "start":
				s.From = time.Unix(n, 0)
			case "end":
				s.To = time.Unix(n, 0)
			}
		}
		if host == strconv.Itoa(id) {
			spans = append(spans, s)
		}
	}
	return spans
}

func bubble(t *testing.T, f func(t *testing.T)) {
	t.Helper()
	synctest.Test(t, f)
}

func scaleOf(n float64) schedule.Scale { return schedule.Scale(n) }

func (s *shelf) written() int {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.writes
}
