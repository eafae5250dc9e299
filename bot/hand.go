package bot

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"time"

	"github.com/dropleak/dropleak/bot/history"
	"github.com/dropleak/dropleak/bot/remedy"
	"github.com/dropleak/dropleak/detector/sample"
)

// everTold is how far back a probe's word shows that there is one.
const everTold = 24 * time.Hour

// onHand implements [remedy.Deps].OnHand from what agents shipped.
func (s *Service) onHand(ctx context.Context, dropletID int64, workers []string) (remedy.OnHand, error) {
	droplet, now := strconv.FormatInt(dropletID, 10), time.Now()
	if len(workers) == 0 {
		seen, err := s.history.Select(ctx, []history.Matcher{history.Is(sample.MetricName, "dropleak_worker_info"), history.Is("droplet", droplet)}, now.Add(-recent), now)
		if err != nil {
			return remedy.OnHand{}, fmt.Errorf("listing the workers of droplet %s: %w", droplet, err)
		}
		names := map[string]bool{}
		for _, one := range seen {
			names[one.Get("worker")] = true
		}
		workers = slices.Sorted(maps.Keys(names))
	}
	var sum remedy.OnHand
	for _, w := range workers {
		counts, err := s.history.OnHand(ctx, droplet, w, now.Add(-everTold), now)
		if err != nil {
			return remedy.OnHand{}, err
		}
		addHand(&sum, w, counts, now)
	}
	return sum, nil
}

// addHand adds one worker's newest count, or says that there is none of late.
func addHand(sum *remedy.OnHand, worker string, counts []sample.OnHand, now time.Time) {
	if len(counts) == 0 {
		sum.Untold = append(sum.Untold, worker)
		return
	}
	c := counts[len(counts)-1]
	if now.Sub(c.At) > recent {
		sum.Silent = append(sum.Silent, worker)
		return
	}
	if sum.At.IsZero() || c.At.Before(sum.At) {
		sum.At = c.At
	}
	sum.Running, sum.Late = sum.Running+int(c.Running), sum.Late+int(c.Late)
	sum.Reserved, sum.ETA = sum.Reserved+int(c.Reserved), sum.ETA+int(c.ETA)
}
