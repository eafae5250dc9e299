package history

import (
	"context"
	"fmt"
	"regexp"
	"slices"
	"time"

	"github.com/dropleak/dropleak/detector"
	"github.com/dropleak/dropleak/detector/sample"
)

// Coverage is how whole what one source told of one worker, or of a droplet's
// own memory, is over a span.
type Coverage struct {
	DropletID, Worker, Source string // as in [Told]
	Readings                  int
	Gaps                      []detector.Gap // stretches of over three times the usual step, and from the last reading to the end
}

// Told names what was heard of: a worker or, without one, a droplet's own
// memory, and by which source, as in [LabelSource]: what several senders tell
// of is one.
type Told struct{ DropletID, Worker, Source string }

// Told is what a presence is of.
func (p Presence) Told() Told { return Told{p.DropletID, p.Worker, labelOf(p.Source)} }

// Missed is how long the gaps are together.
func (c Coverage) Missed() (sum time.Duration) {
	for _, g := range c.Gaps {
		sum += g.To.Sub(g.From)
	}
	return sum
}

// Day reads how whole the day before a moment is of all that was heard of in
// it.
func (h *History) Day(ctx context.Context, seen []Presence, at time.Time) (map[Told]Coverage, error) {
	from := at.Add(-24 * time.Hour)
	out, looked := map[Told]Coverage{}, map[string]bool{}
	for _, p := range seen {
		if looked[p.DropletID] || p.Last.Before(from) {
			continue
		}
		looked[p.DropletID] = true
		all, err := h.Coverage(ctx, p.DropletID, from, at)
		if err != nil {
			return nil, fmt.Errorf("look for gaps of droplet %s: %w", p.DropletID, err)
		}
		for _, c := range all {
			out[Told{c.DropletID, c.Worker, c.Source}] = c
		}
	}
	return out, nil
}

var whole = regexp.MustCompile(`^dropleak_(process_memory_bytes|droplet_memory_available_bytes)$`)

// Coverage reads what was told of a droplet over a span, by every source.
func (h *History) Coverage(ctx context.Context, dropletID string, from, to time.Time) ([]Coverage, error) {
	series, err := h.Select(ctx, []Matcher{Is(labelDroplet, dropletID), {Name: sample.MetricName, Pattern: whole}}, from, to)
	if err != nil {
		return nil, err
	}
	times := map[[2]string][]int64{}
	for _, s := range series {
		key := [2]string{s.Get(labelWorker), s.Get(LabelSource)}
		for _, p := range s.Points {
			if sample.Measured(p.V) {
				times[key] = append(times[key], p.At)
			}
		}
	}
	var out []Coverage
	for key, ms := range times {
		slices.Sort(ms)
		ms = slices.Compact(ms)
		at := make([]time.Time, len(ms))
		for i, t := range ms {
			at[i] = time.UnixMilli(t).UTC()
		}
		out = append(out, Coverage{DropletID: dropletID, Worker: key[0], Source: key[1], Readings: len(at), Gaps: gaps(append(at, to))})
	}
	return out, nil
}
