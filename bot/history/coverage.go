package history

import (
	"context"
	"regexp"
	"slices"
	"time"

	"github.com/dropleak/dropleak/detector"
	"github.com/dropleak/dropleak/detector/sample"
)

// Coverage is how whole what one source told of one worker, or of a droplet's
// own memory, is over a span.
type Coverage struct {
	DropletID, Worker, Source string // as in [Presence]
	Readings                  int
	Gaps                      []detector.Gap // stretches of over three times the usual step, and from the last reading to the end
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
