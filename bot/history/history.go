// Package history keeps and serves series.
//
// A push is stored as it came, one row for each droplet in it, and is
// acknowledged once that row is committed. Later, droplet by droplet and in
// small transactions, such rows are folded into chunks: two hours of one
// series, compressed to a few bytes a sample. What is older than the raw
// retention becomes the low, median and high of five minutes. Reading lays
// rows not yet folded over the chunks, so a sample is there once it was
// acknowledged, whatever its age, and the last word on a moment wins.
package history

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
	"unicode/utf8"

	"github.com/dropleak/dropleak/detector/sample"
)

// Options say how long samples are kept. Zero fields have the default.
type Options struct {
	Raw    time.Duration // raw samples; default 14 days
	Coarse time.Duration // five-minute low, median and high; default 90 days
	// Hold is how long pushes wait to be folded, at most; default 2 hours.
	// Droplets are spread over the second half of it.
	Hold time.Duration
	// MaxSeries bounds what one owner may create; default 2,000.
	MaxSeries int
	// Remote, if set, keeps the samples instead of the store, which then
	// only remembers who was heard of when.
	Remote *Remote
	Log    *slog.Logger
}

func (o Options) withDefaults() Options {
	const day = 24 * time.Hour
	if o.Raw <= 0 {
		o.Raw = 14 * day
	}
	if o.Coarse <= 0 {
		o.Coarse = 90 * day
	}
	if o.Hold <= 0 {
		o.Hold = 2 * time.Hour
	}
	if o.MaxSeries <= 0 {
		o.MaxSeries = 2000
	}
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	return o
}

// History keeps series in a [Store]. Its methods may be called by many
// goroutines; several replicas may share one store.
type History struct {
	store Store
	o     Options
	mu    sync.Mutex
	known idCache
}

// New returns the history kept in s.
func New(s Store, o Options) *History {
	return &History{store: s, o: o.withDefaults()}
}

// ErrBadSeries is wrapped by what [History.Write] says of series that cannot
// be kept: no name, labels that repeat or are not text, a time before 1970.
var ErrBadSeries = errors.New("bad series")

// LimitError says that an owner may create no more series. The samples of
// its other series were stored.
type LimitError struct {
	Limit   int
	Refused int // series not stored
	Stored  int // samples stored
}

func (e *LimitError) Error() string {
	return fmt.Sprintf("%d series refused: the limit of %d is reached", e.Refused, e.Limit)
}

// Write stores series on behalf of the service itself. It returns once they
// are committed.
func (h *History) Write(ctx context.Context, series []sample.Series) error {
	return h.WriteAs(ctx, Owner{}, series)
}

// Owner is who writes.
type Owner struct {
	ID string // a token's id; "": the service itself
	// Source is who is remembered to have told, beside what [LabelSource] says
	// of the samples: of two that send the same series either may fall silent.
	// It is that label, a slash and a name; "": the label alone.
	Source string
}

// labelOf is the [LabelSource] of what a source told.
func labelOf(source string) string {
	label, _, _ := strings.Cut(source, "/")
	return label
}

// WriteAs stores series for an owner, who may create
// [Options.MaxSeries] of them; past that it stores the series that exist and
// returns a [*LimitError]. Bad series are refused with all that came along.
func (h *History) WriteAs(ctx context.Context, owner Owner, series []sample.Series) error {
	sets := make([]Set, len(series))
	for i, s := range series {
		set, err := newSet(s)
		if err != nil {
			return fmt.Errorf("write history: series %d: %w", i+1, err)
		}
		sets[i] = set
	}
	ids, refused, err := h.intern(ctx, owner.ID, sets)
	if err != nil {
		return fmt.Errorf("write history: %w", err)
	}
	pushes, kept := split(sets, ids, series, time.Now()), taken(series, ids)
	for i := range pushes {
		pushes[i].by(owner.Source)
	}
	if h.o.Remote != nil {
		if err := h.o.Remote.Write(ctx, kept); err != nil {
			return fmt.Errorf("write history: %w", err)
		}
		for i := range pushes {
			pushes[i].Body = nil
		}
	}
	if len(pushes) > 0 {
		if err := h.store.AppendPushes(ctx, pushes); err != nil {
			return fmt.Errorf("write history: %w", err)
		}
	}
	if refused > 0 {
		err := &LimitError{Limit: h.o.MaxSeries, Refused: refused}
		for _, s := range kept {
			err.Stored += len(s.Points)
		}
		return err
	}
	return nil
}

// taken is series without those that were refused.
func taken(series []sample.Series, ids []int64) []sample.Series {
	var out []sample.Series
	for i, s := range series {
		if ids[i] != 0 {
			out = append(out, s)
		}
	}
	return out
}

// newSet checks the labels and times of a series and makes its canonical
// form.
func newSet(s sample.Series) (Set, error) {
	ls := slices.Clone(s.Labels)
	slices.SortFunc(ls, func(a, b sample.Label) int { return strings.Compare(a.Name, b.Name) })
	ls = slices.DeleteFunc(ls, func(l sample.Label) bool { return l.Value == "" })
	pairs := make([][2]string, len(ls))
	size := 0
	for i, l := range ls {
		switch {
		case l.Name == "" || !text(l.Name) || !text(l.Value):
			return Set{}, fmt.Errorf("label %q: not text: %w", l.Name, ErrBadSeries)
		case i > 0 && ls[i-1].Name == l.Name:
			return Set{}, fmt.Errorf("label %q comes twice: %w", l.Name, ErrBadSeries)
		}
		pairs[i] = [2]string{l.Name, l.Value}
		size += len(l.Name) + len(l.Value)
	}
	for _, p := range s.Points {
		if p.At <= 0 {
			return Set{}, fmt.Errorf("time %d ms: %w", p.At, ErrBadSeries)
		}
	}
	switch {
	case s.Name() == "":
		return Set{}, fmt.Errorf("no name: %w", ErrBadSeries)
	case size > maxLabelBytes:
		return Set{}, fmt.Errorf("labels of %d bytes, at most %d: %w", size, maxLabelBytes, ErrBadSeries)
	}
	b, err := json.Marshal(pairs)
	if err != nil {
		return Set{}, err
	}
	return Set{Labels: string(b), Name: s.Name(), Droplet: s.Get(labelDroplet), Worker: s.Get(labelWorker), source: s.Get(LabelSource)}, nil
}

const (
	maxLabelBytes = 4096
	labelDroplet  = "droplet"
	labelWorker   = "worker"
	// LabelSource says that a series did not come from an agent, for example
	// source="digitalocean", so that two sources of one name never mix.
	LabelSource = "source"
	// SourceImport marks what was imported from files: it ends where the
	// files end, and its silence means nothing.
	SourceImport = "import"
	// SourceDigitalOcean marks DigitalOcean's own metrics.
	SourceDigitalOcean = "digitalocean"
)

// text reports whether both engines can keep s as text.
func text(s string) bool { return utf8.ValidString(s) && !strings.ContainsRune(s, 0) }

// intern finds the ids of sets, 0 for those the owner may not create.
func (h *History) intern(ctx context.Context, owner string, sets []Set) (ids []int64, refused int, err error) {
	now := time.Now()
	ids = make([]int64, len(sets))
	var missing []Set
	var where []int
	h.mu.Lock()
	h.known.turn(now)
	for i, s := range sets {
		if ids[i] = h.known.get(s.Labels); ids[i] == 0 {
			missing, where = append(missing, s), append(where, i)
		}
	}
	h.mu.Unlock()
	if len(missing) == 0 {
		return ids, 0, nil
	}
	limit := h.o.MaxSeries
	if owner == "" {
		limit = 0
	}
	found, err := h.store.InternSeries(ctx, owner, limit, missing)
	if err != nil {
		return nil, 0, err
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	for i, id := range found {
		ids[where[i]] = id
		if id == 0 {
			refused++
			continue
		}
		h.known.put(missing[i].Labels, id)
	}
	return ids, refused, nil
}

// idCache remembers the ids of series written of late. Every half day it is
// emptied, so that each living series is interned again and the sweep of the
// dead ones never takes one that is written.
type idCache struct {
	ids   map[string]int64
	until time.Time
}

const cacheFor, cacheMax = 12 * time.Hour, 500_000

func (c *idCache) turn(now time.Time) {
	if c.ids == nil || now.After(c.until) || len(c.ids) > cacheMax {
		c.ids, c.until = make(map[string]int64), now.Add(cacheFor)
	}
}
func (c *idCache) get(labels string) int64     { return c.ids[labels] }
func (c *idCache) put(labels string, id int64) { c.ids[labels] = id }
