package history

import (
	"context"
	"fmt"
	"maps"
	"math"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/dropleak/dropleak/detector"
	"github.com/dropleak/dropleak/detector/sample"
)

// Query says what to read.
type Query struct {
	DropletIDs []string // none: all that were ever heard of
	Worker     string   // "": all
	From, To   time.Time
	// Tasks asks for the executions too that were counted in Worker on one
	// droplet, and for nothing where none were.
	Tasks bool
}

// Workers assembles the workers of droplets over a time, by droplet and
// name. Where several sources speak of one worker, the one with the most
// samples is believed; sources are never mixed.
func (h *History) Workers(ctx context.Context, q Query) ([]detector.Worker, error) {
	if q.Tasks {
		return h.withTasks(ctx, q)
	}
	ids, err := h.droplets(ctx, q)
	if err != nil {
		return nil, err
	}
	var out []detector.Worker
	for _, id := range ids {
		bySource := map[string]*gathering{}
		err := h.eachSource(ctx, id, aboutWorkers, q, func(source string, s sample.Streams) {
			if bySource[source] == nil {
				bySource[source] = newGathering(q.Worker)
			}
			bySource[source].feed(s)
		})
		if err != nil {
			return nil, fmt.Errorf("read workers of droplet %s: %w", id, err)
		}
		out = append(out, finish(best(bySource))...)
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

// atOnce is how much time is held as records, which take far more room than
// series do.
const atOnce = 6 * time.Hour

// room is memory for the readings of one droplet after another.
type room struct {
	points  []sample.Point
	records sample.Room
}

// rooms lend them.
var rooms = sync.Pool{New: func() any { return new(room) }}

// pointRoom is room for n points and no more, empty.
func (r *room) pointRoom(n int) []sample.Point {
	if r == nil {
		return make([]sample.Point, 0, n)
	}
	if cap(r.points)-len(r.points) < n { // what was cut before keeps the old room
		r.points = make([]sample.Point, 0, max(n, 2*cap(r.points)))
	}
	from := len(r.points)
	r.points = r.points[:from+n]
	return r.points[from : from : from+n]
}

// eachSource hands the records of each source of one droplet to use, the
// agent's first, and those of a source in several calls, ascending. Records are good
// until use returns.
func (h *History) eachSource(ctx context.Context, id string, names *regexp.Regexp, q Query, use func(source string, s sample.Streams)) error {
	r := rooms.Get().(*room)
	r.points = r.points[:0]
	defer rooms.Put(r)
	return h.eachPart(ctx, id, names, q, r, func(source string, part []sample.Series) {
		for _, s := range r.records.Decode(part) { // one: all are of the droplet
			use(source, s)
		}
	})
}

// eachPart hands the series of each source of one droplet to use, in the same
// order. Their points are in the room.
func (h *History) eachPart(ctx context.Context, id string, names *regexp.Regexp, q Query, r *room, use func(source string, part []sample.Series)) error {
	series, err := h.selectInto(ctx, r, []Matcher{Is(labelDroplet, id), {Name: sample.MetricName, Pattern: names}}, q.From, q.To)
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
	for _, source := range sources {
		first, last := spanOf(by[source])
		for from := first; from <= last; from += atOnce.Milliseconds() {
			part := make([]sample.Series, 0, len(by[source]))
			for _, s := range by[source] {
				if s.Points = within(s.Points, from, from+atOnce.Milliseconds()-1); len(s.Points) > 0 {
					part = append(part, s)
				}
			}
			use(source, part)
		}
	}
	return nil
}

// spanOf is the first and the last time of series that all have points.
func spanOf(series []sample.Series) (first, last int64) {
	first = math.MaxInt64
	for _, s := range series {
		first, last = min(first, s.Points[0].At), max(last, s.Points[len(s.Points)-1].At)
	}
	return first, last
}

// gathering is the workers of one droplet in the making, by one source's
// word.
type gathering struct {
	only  string // the one worker wanted; "": all
	by    map[workerKey]*assembly
	boots []time.Time
}

func newGathering(only string) *gathering {
	return &gathering{only: only, by: map[workerKey]*assembly{}}
}

// feed takes streams that go on where those before them ended.
func (g *gathering) feed(s sample.Streams) {
	for ps := s.Processes; len(ps) > 0; {
		n := 1
		for n < len(ps) && ps[n][0].Worker == ps[0][0].Worker {
			n++
		}
		if a := g.of(s.Droplet, ps[0][0].Worker); a != nil {
			a.readAll(ps[:n])
		}
		ps = ps[n:]
	}
	for _, ws := range s.Workers {
		if a := g.of(s.Droplet, ws[0].Worker); a != nil {
			for i := range ws {
				a.describe(&ws[i])
			}
		}
	}
	for i := range s.Droplets {
		g.boots = booted(g.boots, s.Droplets[i].Boot)
	}
}

// of finds or begins a worker; nil where it is not wanted.
func (g *gathering) of(droplet, name string) *assembly {
	if g.only != "" && name != g.only {
		return nil
	}
	k := workerKey{droplet, name}
	if g.by[k] == nil {
		g.by[k] = newAssembly(k)
	}
	return g.by[k]
}

// best picks, for each worker, the source with the most samples.
func best(bySource map[string]*gathering) map[workerKey]*assembly {
	out := map[workerKey]*assembly{}
	for _, source := range slices.Sorted(maps.Keys(bySource)) {
		g := bySource[source]
		for k, a := range g.by {
			a.boots = g.boots
			if out[k] == nil || a.count() > out[k].count() {
				out[k] = a
			}
		}
	}
	return out
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
	err := h.eachPart(ctx, dropletID, aboutAll, q, nil, func(source string, part []sample.Series) {
		if source != "" {
			return
		}
		if passes, _ := sample.Decode(part); len(passes) > 0 {
			latest, found = passes[len(passes)-1], true
		}
	})
	if err != nil {
		return latest, false, fmt.Errorf("read latest pass of droplet %s: %w", dropletID, err)
	}
	return latest, found, nil
}
