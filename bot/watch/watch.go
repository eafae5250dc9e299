// Package watch is series in, verdict, correlation of droplet and workers,
// finding out.
package watch

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"runtime"
	"runtime/debug"
	"slices"
	"sync"
	"time"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/history"
	"github.com/dropleak/dropleak/bot/schedule"
	"github.com/dropleak/dropleak/detector"
)

// Series serves what was measured.
type Series interface {
	Workers(ctx context.Context, q history.Query) ([]detector.Worker, error)
	Droplets(ctx context.Context, q history.Query) ([]detector.Droplet, error)
	Seen(ctx context.Context) ([]history.Presence, error)
	// Held is how many tasks one worker held until their time at each pass, where they were counted.
	Held(ctx context.Context, dropletID, worker string, from, to time.Time) ([]detector.Point, error)
	// Coverage is how whole what each source told of a droplet is over a span.
	Coverage(ctx context.Context, dropletID string, from, to time.Time) ([]history.Coverage, error)
	// Digest is Workers and Droplets of one droplet, summarised.
	Digest(ctx context.Context, dropletID string, from, to time.Time) (history.Digest, error)
}

// Droplet is one of ours, by DigitalOcean's word.
type Droplet struct {
	ID   string // decimal
	Name string
	Tags []string
	Off  bool // it is not running
}

// Fleet is the droplets that are watched.
type Fleet struct {
	Droplets []Droplet
	Listed   time.Time // when DigitalOcean gave this list
}

// Options are what a Watch works with.
type Options struct {
	Series   Series
	Findings finding.Store
	// Fleet lists the droplets that are watched. The list may be an old one,
	// while there is none newer.
	Fleet func(context.Context) (Fleet, error)
	// Sources lists who is expected to tell of the droplets, beside their
	// agents; nil: whoever ever told.
	Sources func(context.Context) ([]Source, error)
	// Limit returns the configured memory limit of a worker in bytes, 0 for
	// none.
	Limit func(d Droplet, worker string) float64
	// Threshold returns what a worker that may use limit bytes (0: unknown)
	// may hold by its operator's word, in bytes; 0 for none.
	Threshold func(d Droplet, worker string, limit float64) float64
	// Changed is told of each finding that is new, worse, better or over. An
	// error is logged; what was not told is told again at the next scan.
	Changed func(context.Context, Change) error
	// Every is how far apart scans are about a time, in real time; nil: not
	// known. Between two that are farther apart nothing was heard.
	Every  func(at time.Time) time.Duration
	Window time.Duration // how far back is judged, in scaled time; 0: 7 days
	Scale  schedule.Scale
	Log    *slog.Logger
}

// Watch judges the fleet.
type Watch struct {
	o Options

	mu     sync.Mutex
	absent map[string]time.Time // places of findings, by the first list that lacked them
	untold map[string]Change    // by finding; Changed failed on them
}

// New returns a Watch; missing options get their defaults.
func New(o Options) *Watch {
	if o.Window <= 0 {
		o.Window = 7 * 24 * time.Hour
	}
	if o.Limit == nil {
		o.Limit = func(Droplet, string) float64 { return 0 }
	}
	if o.Threshold == nil {
		o.Threshold = func(Droplet, string, float64) float64 { return 0 }
	}
	if o.Every == nil {
		o.Every = func(time.Time) time.Duration { return 0 }
	}
	if o.Changed == nil {
		o.Changed = func(context.Context, Change) error { return nil }
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &Watch{o: o, absent: map[string]time.Time{}}
}

// What happened to a finding.
type What string

// The kinds of change. Opened is repeated until the finding has a message.
const (
	Opened   What = "opened"
	Worse    What = "worse"
	Seen     What = "seen" // still there; numbers refreshed
	Woken    What = "woken"
	Heard    What = "heard"  // of silence: it is heard of again, and may yet fall silent
	Hushed   What = "hushed" // silent again before it was over
	Resolved What = "resolved"
	Left     What = "left" // what it was about is no longer watched
)

// Change is one finding that changed, with the view that made it change.
type Change struct {
	What    What
	Finding finding.Finding
	View    *View // nil for findings about silence
}

// Summary is what one scan of the fleet saw.
type Summary struct {
	At      time.Time
	Views   []View
	Changes []Change
	Silent  []finding.Finding // live findings about what is silent now
}

// Workers counts the workers judged.
func (s Summary) Workers() (n int) {
	for _, v := range s.Views {
		n += len(v.Workers)
	}
	return n
}

// Leaking counts the workers that leak.
func (s Summary) Leaking() (n int) {
	for _, v := range s.Views {
		for _, verdict := range v.Verdicts {
			if verdict.Kind.Leaks() {
				n++
			}
		}
	}
	return n
}

// Scan judges every droplet of the fleet as of now and settles the findings.
// One droplet's trouble does not keep the others from being judged: what
// failed comes back joined.
func (w *Watch) Scan(ctx context.Context, at time.Time) (Summary, error) {
	fleet, err := w.o.Fleet(ctx)
	if err != nil {
		return Summary{}, fmt.Errorf("scan: list droplets: %w", err)
	}
	s, errs := w.survey(ctx, fleet, at)
	for _, v := range s.Views {
		changes, err := w.settle(ctx, v)
		errs = append(errs, err)
		s.Changes = append(s.Changes, changes...)
	}
	errs = append(errs, w.listen(ctx, fleet, &s))
	s.Changes, err = w.gather(ctx, s.Changes)
	errs = append(errs, err)
	w.tell(ctx, s.Changes)
	return s, errors.Join(errs...)
}

// listen settles the findings about what is silent and what has left.
func (w *Watch) listen(ctx context.Context, fleet Fleet, s *Summary) error {
	seen, err := w.o.Series.Seen(ctx)
	if err != nil {
		return fmt.Errorf("scan for silence: %w", err)
	}
	var sources []Source
	if w.o.Sources != nil {
		if sources, err = w.o.Sources(ctx); err != nil {
			return fmt.Errorf("scan for silence: list sources: %w", err)
		}
	}
	silent, changes, err := w.silence(ctx, fleet.Droplets, seen, sources, s.At)
	left, gone := w.departures(ctx, fleet, seen, sources, s.At)
	s.Silent, s.Changes = silent, slices.Concat(s.Changes, changes, left)
	return errors.Join(err, gone)
}

// Survey judges every droplet of the fleet as of now and settles nothing: for
// a replica that has to answer while another one scans.
func (w *Watch) Survey(ctx context.Context, at time.Time) (Summary, error) {
	fleet, err := w.o.Fleet(ctx)
	if err != nil {
		return Summary{}, fmt.Errorf("survey: list droplets: %w", err)
	}
	s, errs := w.survey(ctx, fleet, at)
	return s, errors.Join(errs...)
}

func (w *Watch) survey(ctx context.Context, fleet Fleet, at time.Time) (s Summary, errs []error) {
	s.At = at
	again, done := atEase(len(fleet.Droplets))
	defer done()
	for i, d := range fleet.Droplets {
		if i > 0 && i%paceEvery == 0 {
			again()
		}
		runtime.Gosched() // whoever waits for an answer goes first
		err := guarded(func() error {
			v, err := w.glance(ctx, d, at)
			if err == nil {
				s.Views = append(s.Views, v)
			}
			return err
		})
		if err != nil {
			errs = append(errs, fmt.Errorf("scan %s: %w", d.Name, err))
		}
	}
	return s, errs
}

// tell tells of changes, and again of those that could not be told before.
func (w *Watch) tell(ctx context.Context, changes []Change) {
	w.mu.Lock()
	late := w.untold
	w.untold = map[string]Change{}
	w.mu.Unlock()
	for i, c := range changes {
		if was, ok := late[c.Finding.ID]; ok && c.What == Seen {
			changes[i].What = was.What
		}
		delete(late, c.Finding.ID)
	}
	for _, c := range slices.Concat(slices.Collect(maps.Values(late)), changes) {
		err := guarded(func() error { return w.o.Changed(ctx, w.drawable(ctx, c)) })
		if err == nil {
			continue
		}
		w.o.Log.Error("tell of finding", "finding", c.Finding.ID, "subject", c.Finding.Subject.Title(), "err", err)
		c.View = nil // too large to keep
		w.mu.Lock()
		w.untold[c.Finding.ID] = c
		w.mu.Unlock()
	}
}

// drawable gives a change that has to be drawn a view with samples.
func (w *Watch) drawable(ctx context.Context, c Change) Change {
	if c.View == nil || !c.View.light || !c.Finding.Subject.Kind.OfWorker() || c.What == Seen && c.Finding.Picture != "" {
		return c
	}
	v, err := w.Look(ctx, c.View.Droplet, c.View.At)
	if err != nil {
		w.o.Log.Error("read samples to draw", "finding", c.Finding.ID, "subject", c.Finding.Subject.Title(), "err", err)
		return c
	}
	c.View = &v
	return c
}

// guarded keeps one droplet that makes the code panic from ending the service.
func guarded(do func() error) (err error) {
	defer func() {
		if p := recover(); p != nil {
			err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
		}
	}()
	return do()
}
