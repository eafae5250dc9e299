// Package source pulls samples from DigitalOcean, Prometheus, exporters, SSH,
// InfluxDB.
package source

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strconv"
	"sync"
	"time"

	"github.com/dropleak/dropleak/bot/history"
	"github.com/dropleak/dropleak/bot/schedule"
	"github.com/dropleak/dropleak/detector/sample"
	"github.com/dropleak/dropleak/doclient"
)

// Cloud is what is read of DigitalOcean.
type Cloud interface {
	Droplets(ctx context.Context, tag string) ([]doclient.Droplet, error)
	Memory(ctx context.Context, id int64, from, to time.Time) (doclient.Memory, error)
	Interval(droplets int) time.Duration
}

// Sink keeps what was pulled.
type Sink interface {
	Write(ctx context.Context, series []sample.Series) error
}

// Cursors remember how far each droplet was pulled.
type Cursors interface {
	Cursor(ctx context.Context, name string) (string, error)
	SetCursor(ctx context.Context, name, at string) error
}

const (
	backfill = 14 * 24 * time.Hour // as far as DigitalOcean's API is known to reach
	chunk    = 6 * time.Hour       // a backfill asks for windows of this length
	overlap  = 10 * time.Minute    // points arrive late and out of step
)

// DigitalOceanOptions are what a DigitalOcean source works with.
type DigitalOceanOptions struct {
	Cloud   Cloud
	Tag     string
	Sink    Sink
	Cursors Cursors
	Scale   schedule.Scale
	Log     *slog.Logger
}

// DigitalOcean pulls the memory of every droplet with a tag, only what is
// newer than what is held.
type DigitalOcean struct {
	o DigitalOceanOptions

	listing chan struct{} // holds one token while somebody asks for the list
	kept    Fleet         // the list as the cursors have it; whoever asks for the list has it

	mu      sync.Mutex
	fleet   Fleet
	listErr error          // of the last list
	missing map[int64]bool // droplets that gave no data at the last pull
	err     error          // of the last pull
	asked   time.Time      // when the last pull ended
	pulled  time.Time      // when the last pull that worked ended
}

// NewDigitalOcean returns a source that has not pulled anything yet.
func NewDigitalOcean(o DigitalOceanOptions) *DigitalOcean {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return &DigitalOcean{o: o, missing: map[int64]bool{}, listing: make(chan struct{}, 1)}
}

// Status is how the source stands.
type Status struct {
	Droplets int
	Listed   time.Time // when DigitalOcean gave the list of droplets that serves; zero before any
	Old      bool      // that list is an older one, because the last one could not be had
	Missing  []int64   // droplets without memory metrics, ascending
	Asked    time.Time // when every droplet was last asked about, in vain or not; zero: not since the start
	Pulled   time.Time // when every droplet was last pulled without an error
	Err      error     // of the last pull, or of the last list
}

// Status returns how the source stands.
func (d *DigitalOcean) Status() Status {
	d.mu.Lock()
	defer d.mu.Unlock()
	s := Status{Droplets: len(d.fleet.Droplets), Listed: d.fleet.Listed, Old: d.listErr != nil && !d.fleet.Listed.IsZero(),
		Asked: d.asked, Pulled: d.pulled, Err: cmp.Or(d.err, d.listErr)}
	for _, droplet := range d.fleet.Droplets { // those that lost the tag are forgotten
		if d.missing[droplet.ID] {
			s.Missing = append(s.Missing, droplet.ID)
		}
	}
	slices.Sort(s.Missing)
	return s
}

// Run pulls the fleet again and again until ctx ends, as often as points
// appear and the rate budget allows.
func (d *DigitalOcean) Run(ctx context.Context) {
	for ctx.Err() == nil {
		start := time.Now()
		if err := d.Pull(ctx); err != nil && ctx.Err() == nil {
			d.o.Log.Error("pull memory from DigitalOcean", "err", err)
		}
		d.mu.Lock()
		n := len(d.fleet.Droplets)
		d.mu.Unlock()
		wait := max(d.o.Scale.Real(d.o.Cloud.Interval(n)), time.Second) - time.Since(start)
		select {
		case <-ctx.Done():
		case <-time.After(wait):
		}
	}
}

// Pull pulls every droplet once. One droplet's trouble does not keep the
// others from being pulled.
func (d *DigitalOcean) Pull(ctx context.Context) error {
	fleet, err := d.Fleet(ctx)
	var errs []error
	if err != nil {
		errs = append(errs, err)
	}
	for _, droplet := range fleet.Droplets {
		if ctx.Err() != nil {
			break
		}
		err := d.pull(ctx, droplet.ID)
		gone := errors.Is(err, doclient.ErrNoData)
		d.mu.Lock()
		if gone {
			d.missing[droplet.ID] = true
		} else if err == nil {
			delete(d.missing, droplet.ID)
		}
		d.mu.Unlock()
		if err != nil && !gone {
			errs = append(errs, fmt.Errorf("droplet %s: %w", droplet.Name, err))
		}
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	err = errors.Join(errs...)
	d.mu.Lock()
	defer d.mu.Unlock()
	d.asked = time.Now()
	if d.err = err; err == nil {
		d.pulled = d.asked
	}
	return err
}

// pull asks for what is newer than what is held of one droplet. The first
// time it goes back as far as the API does, newest window first, and stops at
// the first empty one; later, an empty window is stepped over.
func (d *DigitalOcean) pull(ctx context.Context, id int64) error {
	name := "digitalocean/" + strconv.FormatInt(id, 10)
	text, err := d.o.Cursors.Cursor(ctx, name)
	if err != nil {
		return err
	}
	var have time.Time
	if at, err := strconv.ParseInt(text, 10, 64); err == nil {
		have = time.UnixMilli(at)
	}
	from, to := doclient.Window(have, time.Now(), overlap, backfill)
	newest := have
	for i, span := range doclient.Spans(from, to, chunk) {
		m, err := d.o.Cloud.Memory(ctx, id, span.From, span.To)
		if errors.Is(err, doclient.ErrNoData) && i > 0 {
			if have.IsZero() {
				break
			}
			continue // the droplet was off; there is more before that
		}
		if err != nil {
			return err
		}
		all, err := d.keep(ctx, m)
		if errors.Is(err, history.ErrBadSeries) && i > 0 {
			break // nothing this old is taken
		}
		if err != nil {
			return err
		}
		if last := m.Available[len(m.Available)-1].At; last.After(newest) {
			newest = last
		}
		if !all {
			break
		}
	}
	// Only now: a backfill that broke off must begin again, not count as done.
	return d.o.Cursors.SetCursor(ctx, name, strconv.FormatInt(newest.UnixMilli(), 10))
}

// keep writes what was pulled. A history kept elsewhere may take nothing that
// is older than some hours or minutes, and refuses all that comes along: then
// the newer half is tried, and all is false.
func (d *DigitalOcean) keep(ctx context.Context, m doclient.Memory) (all bool, err error) {
	for all = true; ; all = false {
		err := d.o.Sink.Write(ctx, seriesOf(m))
		if !errors.Is(err, history.ErrBadSeries) || len(m.Available) == 1 {
			return all, err
		}
		m.Available = m.Available[len(m.Available)/2:]
	}
}

// seriesOf names DigitalOcean's numbers as everybody else's.
func seriesOf(m doclient.Memory) []sample.Series {
	one := func(name string, samples []doclient.Sample) sample.Series {
		s := sample.Series{Labels: []sample.Label{{Name: "__name__", Value: name},
			{Name: "droplet", Value: strconv.FormatInt(m.DropletID, 10)},
			{Name: history.LabelSource, Value: history.SourceDigitalOcean}}}
		for _, x := range samples {
			s.Points = append(s.Points, sample.Point{At: x.At.UnixMilli(), V: float64(x.Bytes)})
		}
		return s
	}
	out := []sample.Series{one("dropleak_droplet_memory_available_bytes", m.Available)}
	// A total that was fetched with earlier points has been kept with them.
	total := slices.DeleteFunc(slices.Clone(m.Total), func(x doclient.Sample) bool { return x.At.Before(m.Available[0].At) })
	if len(total) > 0 {
		out = append(out, one("dropleak_droplet_memory_total_bytes", total))
	}
	return out
}
