package source

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/dropleak/dropleak/bot/history"
	"github.com/dropleak/dropleak/bot/schedule"
	"github.com/dropleak/dropleak/detector/sample"
)

// Fetcher gets what is new from somewhere. It hands on what it got in one or
// several calls of take, in the names of whoever measured it, and says what
// it asked for in vain.
type Fetcher interface {
	Fetch(ctx context.Context, take func([]sample.Series) error) (missing []string, err error)
}

// FeedOptions are what a feed works with.
type FeedOptions struct {
	Name    string // unique; what history calls the source
	Fetch   Fetcher
	Every   time.Duration // in scaled time; default a minute
	Droplet string        // id, name or address of the droplet that all of it is about; "" to find out
	Labels  []string      // that may name the droplet, before those that are looked at anyway
	// Worker is for series that name none: a client library's own metrics, as
	// the program itself shows them.
	Worker string
	// Translate makes our series of foreign ones.
	Translate func([]sample.Series) (ours, others []sample.Series)
	// Locate finds a droplet of ours by its id, name or address; "" for none.
	Locate func(ctx context.Context, name string) (dropletID string, err error)
	Sink   Sink
	State  Cursors
	Scale  schedule.Scale
	Log    *slog.Logger
}

// Feed is a source that is asked again and again.
type Feed struct {
	o FeedOptions

	mu    sync.Mutex
	state FeedState
	said  string                    // of the state, when it was last told in the log
	known map[string]map[int64]bool // by series, what was written within the overlap
	lost  map[string]bool           // instances of this pull that belong to no droplet of ours
	bare  map[string]bool           // instances of this pull that name no worker
	ids   map[string]string         // droplets located in this pull
	ahead bool                      // this pull told of times to come
}

// NewFeed returns a feed that has not asked yet.
func NewFeed(o FeedOptions) *Feed {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	o.Every = cmp.Or(o.Every, time.Minute)
	return &Feed{o: o, known: map[string]map[int64]bool{}}
}

// Run pulls until ctx ends.
func (f *Feed) Run(ctx context.Context) {
	for ctx.Err() == nil {
		start := time.Now()
		err := f.Pull(ctx) // kept in the state, and told when it changes
		if err != nil && ctx.Err() == nil {
			f.o.Log.Debug("pull", "source", f.o.Name, "err", err)
		}
		select {
		case <-ctx.Done():
		case <-time.After(max(f.o.Scale.Real(f.o.Every), time.Second) - time.Since(start)):
		}
	}
}

// Pull asks once and keeps what is new.
func (f *Feed) Pull(ctx context.Context) error {
	f.lost, f.bare, f.ids, f.ahead = map[string]bool{}, map[string]bool{}, map[string]string{}, false
	samples, newest := 0, time.Time{}
	known := 0
	missing, err := f.o.Fetch.Fetch(ctx, func(series []sample.Series) error {
		series = f.translated(series)
		known += len(series)
		n, last, err := f.take(ctx, series)
		samples += n
		if last.After(newest) {
			newest = last
		}
		return err
	})
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if err == nil && known == 0 && len(missing) == 0 {
		missing = []string{"any metric that is known here"}
	}
	if f.ahead {
		missing = append(missing, fmt.Sprintf("the present: some samples are more than %v ahead of this machine's clock, and were left out", mostAhead))
	}
	return errors.Join(err, f.stand(ctx, samples, newest, missing, err))
}

// translated is what of a batch can be read, in our names.
func (f *Feed) translated(series []sample.Series) []sample.Series {
	series = withoutExporters(series)
	for i := range series {
		series[i].Labels = f.dressed(series[i])
	}
	ours, _ := f.o.Translate(series)
	return ours
}

// withoutExporters leaves out the memory of the exporters themselves, which
// each of them shows beside what it measures: they are no workers.
func withoutExporters(series []sample.Series) []sample.Series {
	measures := map[string]bool{}
	for _, s := range series {
		if strings.HasPrefix(s.Name(), "namedprocess_") || strings.HasPrefix(s.Name(), "node_") {
			measures[s.Get("instance")] = true
		}
	}
	return slices.DeleteFunc(series, func(s sample.Series) bool {
		return strings.HasPrefix(s.Name(), "process_") && measures[s.Get("instance")]
	})
}

// take keeps one batch and returns how many samples were new, and the newest.
func (f *Feed) take(ctx context.Context, series []sample.Series) (int, time.Time, error) {
	n, newest := 0, int64(0)
	out := make([]sample.Series, 0, len(series))
	for _, s := range series {
		s, err := f.placed(ctx, s)
		if err != nil {
			return 0, time.Time{}, err
		}
		if s.Points = f.fresh(s); len(s.Points) > 0 {
			out = append(out, s)
			n, newest = n+len(s.Points), max(newest, s.Points[len(s.Points)-1].At)
		}
	}
	if len(out) == 0 {
		return 0, time.Time{}, nil
	}
	err := f.o.Sink.Write(ctx, out)
	if errors.Is(err, history.ErrBadSeries) {
		// A history kept elsewhere may take nothing that old: it never will.
		f.o.Log.Warn("history refuses samples for good", "source", f.o.Name, "samples", n, "err", err)
		err, n = nil, 0
	}
	if err != nil {
		return 0, time.Time{}, fmt.Errorf("keep samples of %s: %w", f.o.Name, err)
	}
	f.remember(out, time.Now().Add(-2*overlap).UnixMilli())
	return n, time.UnixMilli(newest), nil
}

// dressed gives a series the labels that its droplet and worker are found by.
func (f *Feed) dressed(s sample.Series) []sample.Label {
	out := slices.DeleteFunc(slices.Clone(s.Labels), func(l sample.Label) bool { return l.Name == "droplet" })
	droplet := f.o.Droplet
	for _, name := range append(slices.Clone(f.o.Labels), "droplet", "droplet_id", "instance") {
		droplet = cmp.Or(droplet, s.Get(name))
	}
	out = append(out, sample.Label{Name: "droplet", Value: droplet})
	if f.o.Worker != "" && s.Get("worker") == "" {
		out = append(out, sample.Label{Name: "worker", Value: f.o.Worker})
	}
	if s.Name() == "" { // what an expression came to
		out = append(out, sample.Label{Name: sample.MetricName, Value: "process_resident_memory_bytes"})
	}
	return out
}

// placed puts one of our series under its droplet and this source's name. One
// that belongs to nobody of ours, or to no worker, has no points left.
func (f *Feed) placed(ctx context.Context, s sample.Series) (sample.Series, error) {
	name := s.Get("droplet")
	id, err := f.locate(ctx, name)
	if err != nil {
		return s, err
	}
	switch {
	case id == "":
		f.lost[name] = true
		s.Points = nil
	case strings.HasPrefix(s.Name(), "dropleak_process_") && s.Get("worker") == "":
		f.bare[name] = true
		s.Points = nil
	}
	labels := slices.DeleteFunc(slices.Clone(s.Labels), func(l sample.Label) bool {
		return slices.Contains([]string{"droplet", "instance", "job", history.LabelSource}, l.Name)
	})
	s.Labels = append(labels, sample.Label{Name: "droplet", Value: id}, sample.Label{Name: history.LabelSource, Value: f.o.Name})
	return s, nil
}

// locate finds a droplet by id, name or address, or by HOST:PORT of any of
// these, asking once a pull.
func (f *Feed) locate(ctx context.Context, name string) (string, error) {
	if id, ok := f.ids[name]; ok {
		return id, nil
	}
	id, err := f.o.Locate(ctx, name)
	if host, _, bad := net.SplitHostPort(name); err == nil && id == "" && bad == nil {
		id, err = f.o.Locate(ctx, host)
	}
	if err != nil {
		return "", fmt.Errorf("find the droplet of %s: %w", name, err)
	}
	f.ids[name] = id
	return id, nil
}

// mostAhead is how far a sample's clock may be ahead of ours, as at the hub:
// one of next year would be a worker's newest until then.
const mostAhead = 10 * time.Minute

// fresh returns the points that were not written yet: windows overlap.
func (f *Feed) fresh(s sample.Series) []sample.Point {
	written, latest := f.known[s.Key()], time.Now().Add(mostAhead).UnixMilli()
	return slices.DeleteFunc(slices.Clone(s.Points), func(p sample.Point) bool {
		f.ahead = f.ahead || p.At > latest
		return p.At > latest || written[p.At]
	})
}

// remember notes what was written since a time.
func (f *Feed) remember(series []sample.Series, since int64) {
	for _, s := range series {
		if s.Points[len(s.Points)-1].At < since {
			continue
		}
		written := f.known[s.Key()]
		if written == nil {
			written = map[int64]bool{}
			f.known[s.Key()] = written
		}
		for _, p := range s.Points {
			if p.At >= since {
				written[p.At] = true
			}
		}
	}
}

// forget drops what is older than any window reaches back.
func (f *Feed) forget(before int64) {
	for key, written := range f.known {
		for at := range written {
			if at < before {
				delete(written, at)
			}
		}
		if len(written) == 0 {
			delete(f.known, key)
		}
	}
}
