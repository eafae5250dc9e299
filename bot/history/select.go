package history

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/dropleak/dropleak/detector/sample"
)

// Matcher is a condition on one label. A label that is not there is "".
type Matcher struct {
	Name    string
	Value   string
	Pattern *regexp.Regexp // if set, instead of Value; not anchored
	Not     bool
}

// Is matches a label's exact value.
func Is(name, value string) Matcher { return Matcher{Name: name, Value: value} }

func (m Matcher) matches(s sample.Series) bool {
	v := s.Get(m.Name)
	if m.Pattern != nil {
		return m.Pattern.MatchString(v) != m.Not
	}
	return (v == m.Value) != m.Not
}

// Select returns the series that match all matchers and have samples within
// from..to (both included), those samples ascending. Where raw samples are
// gone, the medians of five minutes stand for them, at the start of each.
// The order of the series is by their labels.
func (h *History) Select(ctx context.Context, matchers []Matcher, from, to time.Time) ([]sample.Series, error) {
	return h.selectInto(ctx, nil, matchers, from, to)
}

// selectInto is Select with the points in the room, where there is one.
func (h *History) selectInto(ctx context.Context, r *room, matchers []Matcher, from, to time.Time) ([]sample.Series, error) {
	if h.o.Remote != nil {
		return h.o.Remote.Select(ctx, matchers, from, to)
	}
	sel, err := h.find(ctx, matchers)
	if err != nil {
		return nil, fmt.Errorf("read history: %w", err)
	}
	if len(sel.series) == 0 {
		return nil, nil
	}
	sel.room, sel.scope.Raw = r, !from.Before(h.rawFrom(time.Now()))
	if err := sel.load(ctx, h.store, from.UnixMilli(), to.UnixMilli()); err != nil {
		return nil, fmt.Errorf("read history: %w", err)
	}
	return sel.result(), nil
}

// rawFrom is since when no chunk can have been made coarse, the retention of
// raw samples having always been a day or what it is now. (Those that a clock
// days ahead made coarse are not seen by a scan until they are a day old.)
func (h *History) rawFrom(now time.Time) time.Time {
	const day = time.Duration(coarseSpan) * time.Millisecond
	return now.Add(-min(h.o.Raw, day)).UTC().Truncate(day)
}

// selection is a Select under way.
type selection struct {
	scope  Scope
	series map[int64]*sample.Series
	room   *room
}

// find lists the series that match.
func (h *History) find(ctx context.Context, matchers []Matcher) (*selection, error) {
	sel := &selection{series: map[int64]*sample.Series{}}
	for _, m := range matchers {
		if m.Pattern != nil || m.Not {
			continue
		}
		switch m.Name {
		case labelDroplet:
			sel.scope.Droplet = m.Value
		case sample.MetricName:
			sel.scope.Name = m.Value
		}
	}
	entries, err := h.store.SeriesIn(ctx, sel.scope)
	if err != nil {
		return nil, err
	}
	for _, e := range entries {
		s, err := e.series()
		if err != nil {
			return nil, err
		}
		if !slices.ContainsFunc(matchers, func(m Matcher) bool { return !m.matches(s) }) {
			sel.series[e.ID] = &s
		}
	}
	return sel, nil
}

// series returns the entry's labels as a series without points.
func (e Entry) series() (sample.Series, error) {
	if ls, ok := plainLabels(e.Labels); ok {
		return sample.Series{Labels: ls}, nil
	}
	var pairs [][2]string
	if err := json.Unmarshal([]byte(e.Labels), &pairs); err != nil {
		return sample.Series{}, fmt.Errorf("labels of series %d: %w", e.ID, err)
	}
	s := sample.Series{Labels: make([]sample.Label, len(pairs))}
	for i, p := range pairs {
		s.Labels[i] = sample.Label{Name: p[0], Value: p[1]}
	}
	return s, nil
}

// plainLabels reads labels of ASCII without escapes, as nearly all are, as
// [newSet] writes them. What is written otherwise is left to the JSON decoder,
// which takes twenty times as long; a scan reads a hundred and more a droplet.
func plainLabels(list string) ([]sample.Label, bool) {
	for i := range len(list) {
		if c := list[i]; c < ' ' || c > '~' || c == '\\' {
			return nil, false
		}
	}
	list, opened := strings.CutPrefix(list, `[["`)
	list, closed := strings.CutSuffix(list, `"]]`)
	if !opened || !closed {
		return nil, false
	}
	ls := make([]sample.Label, 0, strings.Count(list, `"],["`)+1)
	for pair := range strings.SplitSeq(list, `"],["`) {
		name, value, ok := strings.Cut(pair, `","`)
		if !ok || strings.Contains(name, `"`) || strings.Contains(value, `"`) {
			return nil, false
		}
		ls = append(ls, sample.Label{Name: name, Value: value})
	}
	return ls, true
}

// load fills the points in. Reading chunks before pushes would miss what is folded in
// between; so pushes are read first, and what is in both is laid over itself.
func (sel *selection) load(ctx context.Context, r Reader, from, to int64) error {
	pushes, err := r.PushesIn(ctx, sel.scope.Droplet, from, to)
	if err != nil {
		return err
	}
	chunks, err := r.ChunksIn(ctx, sel.scope, from, to)
	if err != nil {
		return err
	}
	wanted := make(map[int64]bool, len(sel.series))
	for id := range sel.series {
		wanted[id] = true
	}
	recent, err := gather(pushes, wanted, sel.room)
	if err != nil {
		return err
	}
	coarse := map[int64][]sample.Point{}
	for i, c := range chunks {
		s := sel.series[c.Series]
		if s == nil {
			continue
		}
		if s.Points == nil {
			s.Points = sel.room.pointRoom(rawPoints(chunks[i:]) + len(recent[c.Series]))
		}
		if err := c.into(s, coarse); err != nil {
			return fmt.Errorf("series %d: %w", c.Series, err)
		}
	}
	for id, s := range sel.series {
		s.Points = within(overlay(overlay(coarse[id], s.Points), recent[id]), from, to)
	}
	return nil
}

// rawPoints is how many points the raw ones among the first chunks hold, as far
// as they are of one series.
func rawPoints(chunks []Chunk) (n int) {
	for _, c := range chunks {
		if c.Series != chunks[0].Series {
			break
		}
		if c.Resolution == Raw {
			n += pointsIn(c.Body)
		}
	}
	return n
}

// into appends the chunk's points to the series, or to its coarse ones.
func (c Chunk) into(s *sample.Series, coarse map[int64][]sample.Point) error {
	var err error
	if c.Resolution == Raw {
		s.Points, err = decodeChunk(s.Points, c.Body)
		return err
	}
	t, err := decodeThree(c.Body)
	if err == nil {
		coarse[c.Series] = append(coarse[c.Series], t.median...)
	}
	return err
}

// within cuts sorted points to from..to.
func within(pts []sample.Point, from, to int64) []sample.Point {
	a := sort.Search(len(pts), func(i int) bool { return pts[i].At >= from })
	b := sort.Search(len(pts), func(i int) bool { return pts[i].At > to })
	return pts[a:max(a, b)]
}

// result lists the series that have points, by labels.
func (sel *selection) result() []sample.Series {
	out := make([]sample.Series, 0, len(sel.series))
	for _, s := range sel.series {
		if len(s.Points) > 0 {
			out = append(out, *s)
		}
	}
	slices.SortFunc(out, func(a, b sample.Series) int {
		return slices.CompareFunc(a.Labels, b.Labels, compareLabels)
	})
	return out
}

func compareLabels(a, b sample.Label) int {
	return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Value, b.Value))
}

// Seen lists when each droplet and worker was last heard of. Who was there
// and is not for three intervals is silent, not healthy.
func (h *History) Seen(ctx context.Context) ([]Presence, error) {
	ps, err := h.store.Presences(ctx)
	if err != nil {
		return nil, fmt.Errorf("read history: %w", err)
	}
	return ps, nil
}
