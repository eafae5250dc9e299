package history

import (
	"context"
	"fmt"
	"math"
	"regexp"
	"slices"
	"time"

	"github.com/dropleak/dropleak/detector"
	"github.com/dropleak/dropleak/detector/sample"
)

// Query says what to read.
type Query struct {
	DropletIDs []string // none: all that were ever heard of
	Worker     string   // "": all
	From, To   time.Time
}

// Workers assembles the workers of droplets over a time, by droplet and
// name. Where several sources speak of one worker, the one with the most
// samples is believed; sources are never mixed.
func (h *History) Workers(ctx context.Context, q Query) ([]detector.Worker, error) {
	ids, err := h.droplets(ctx, q)
	if err != nil {
		return nil, err
	}
	var out []detector.Worker
	for _, id := range ids {
		best := map[workerKey]*assembly{}
		err := h.eachSource(ctx, id, aboutWorkers, q, func(_ string, passes []sample.Pass) {
			for k, a := range assemblePasses(passes, q.Worker) {
				if best[k] == nil || a.count() > best[k].count() {
					best[k] = a
				}
			}
		})
		if err != nil {
			return nil, fmt.Errorf("read workers of droplet %s: %w", id, err)
		}
		out = append(out, finish(best)...)
	}
	return out, nil
}

// droplets lists the droplets a query is about.
func (h *History) droplets(ctx context.Context, q Query) ([]string, error) {
	if len(q.DropletIDs) > 0 {
		return q.DropletIDs, nil
	}
	seen, err := h.Seen(ctx)
	if err != nil {
		return nil, err
	}
	var ids []string
	for _, p := range seen {
		ids = append(ids, p.DropletID)
	}
	slices.Sort(ids)
	return slices.Compact(ids), nil
}

var (
	aboutWorkers = regexp.MustCompile(`^dropleak_(process|worker)_|^dropleak_droplet_boot_time_seconds$`)
	aboutDroplet = regexp.MustCompile(`^dropleak_(droplet|other)_`)
)

// eachSource hands the passes of each source of one droplet to use, the
// agent's first.
func (h *History) eachSource(ctx context.Context, id string, names *regexp.Regexp, q Query, use func(source string, passes []sample.Pass)) error {
	series, err := h.Select(ctx, []Matcher{Is(labelDroplet, id), {Name: sample.MetricName, Pattern: names}}, q.From, q.To)
	if err != nil {
		return err
	}
	by := map[string][]sample.Series{}
	for _, s := range series {
		by[s.Get(LabelSource)] = append(by[s.Get(LabelSource)], s)
	}
	sources := make([]string, 0, len(by))
	for s := range by {
		sources = append(sources, s)
	}
	slices.Sort(sources)
	for _, s := range sources {
		passes, _ := sample.Decode(by[s])
		use(s, passes)
	}
	return nil
}

// assemblePasses makes the workers of ascending passes of one droplet.
func assemblePasses(passes []sample.Pass, worker string) map[workerKey]*assembly {
	by := map[workerKey]*assembly{}
	var boots []time.Time
	get := func(droplet, name string) *assembly {
		if worker != "" && name != worker {
			return nil
		}
		k := workerKey{droplet, name}
		if by[k] == nil {
			by[k] = newAssembly(k)
		}
		return by[k]
	}
	for i := range passes {
		p := &passes[i]
		for j := range p.Processes {
			if a := get(p.Processes[j].Droplet, p.Processes[j].Worker); a != nil {
				a.read(&p.Processes[j])
			}
		}
		for j := range p.Workers {
			if a := get(p.Workers[j].Droplet, p.Workers[j].Worker); a != nil {
				a.describe(&p.Workers[j])
			}
		}
		if p.Droplet != nil {
			boots = booted(boots, p.Droplet.Boot)
		}
	}
	for _, a := range by {
		a.boots = boots
	}
	return by
}

// booted adds a boot unless it is the last one, seen through a clock that
// was set since.
func booted(boots []time.Time, at time.Time) []time.Time {
	const set = 30 * time.Second
	if at.IsZero() || len(boots) > 0 && at.Sub(boots[len(boots)-1]).Abs() <= set {
		return boots
	}
	return append(boots, at)
}

// count is how many samples were read.
func (a *assembly) count() (n int) {
	for _, l := range a.order {
		n += len(l.Samples)
	}
	return n
}

// Latest returns the newest pass of a droplet's agent since a time; false
// when there is none.
func (h *History) Latest(ctx context.Context, dropletID string, since time.Time) (sample.Pass, bool, error) {
	var latest sample.Pass
	found := false
	q := Query{From: since, To: time.UnixMilli(math.MaxInt64 / 4)}
	all := regexp.MustCompile(`^dropleak_`)
	err := h.eachSource(ctx, dropletID, all, q, func(source string, passes []sample.Pass) {
		if source == "" && len(passes) > 0 {
			latest, found = passes[len(passes)-1], true
		}
	})
	if err != nil {
		return latest, false, fmt.Errorf("read latest pass of droplet %s: %w", dropletID, err)
	}
	return latest, found, nil
}
