package history

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"sort"
	"sync"
	"time"

	"github.com/dropleak/dropleak/detector"
	"github.com/dropleak/dropleak/detector/sample"
)

const (
	chunkSpan = int64(detector.ChunkWidth / time.Millisecond)
	// digestLag is how long after its end a chunk is kept at the earliest:
	// long enough that no writer's clock still takes it for running.
	digestLag = 30 * time.Minute
	// digestFor is how long digests are kept.
	digestFor = 15 * 24 * time.Hour
	// readAtOnce is how many chunks of samples are in memory at a time.
	readAtOnce = 4
)

// late lists the starts of the chunks that were over when samples from first
// to last (ms) came, for their digests to be made anew.
func late(first, last int64, now time.Time) (starts []int64) {
	from := max(first, now.Add(-digestFor).UnixMilli())
	for start := from - from%chunkSpan; start <= last && start+chunkSpan <= now.UnixMilli(); start += chunkSpan {
		starts = append(starts, start)
	}
	return starts
}

// Digest is a droplet over a time, with its samples summarised.
type Digest struct {
	Workers   []WorkerDigest // by name
	Host      detector.DropletSummary
	Available float64 // newest reading of the droplet's available memory, bytes; 0: none

	room *detector.Room // of the summaries' blocks
}

// Release ends the use of the digest: its summaries are no longer good, and
// the next digest is made in their room. Who never calls it leaves them to be
// collected as garbage.
func (d *Digest) Release() {
	if d.room != nil {
		d.room.Reset()
		blockRooms.Put(d.room)
	}
	*d = Digest{}
}

// blockRooms lend room for the blocks of one droplet: seven MB where it has
// sixteen workers, which a scan would else have collected ten thousand times.
var blockRooms = sync.Pool{New: func() any { return new(detector.Room) }}

// WorkerDigest is one worker. Recent has, of its samples, those of the last
// half hour and possibly more, of its events the OOM kills, and no pressure;
// of that the summary tells the last hour.
type WorkerDigest struct {
	Summary detector.Summary
	Recent  detector.Worker
}

// Digest summarises one droplet from the beginning of the chunk that holds
// from up to to. It says what [History.Workers] and [History.Droplets] and
// the detector's summaries of them say, but reads only samples that it has
// not read before, or that came late.
func (h *History) Digest(ctx context.Context, dropletID string, from, to time.Time) (Digest, error) {
	g := digesting{h: h, id: dropletID, to: to.UnixMilli(), stretches: map[int64]*stretch{}, room: blockRooms.Get().(*detector.Room)}
	first, last := from.UnixMilli()/chunkSpan*chunkSpan, g.to/chunkSpan*chunkSpan
	missing, versions, err := g.kept(ctx, first, last)
	if err != nil {
		return Digest{}, fmt.Errorf("digest droplet %s: %w", dropletID, err)
	}
	var made []KeptDigest
	for _, run := range runsOf(missing) {
		if err := g.read(ctx, run); err != nil {
			return Digest{}, fmt.Errorf("digest droplet %s: %w", dropletID, err)
		}
		for _, start := range run {
			if h.o.Remote == nil && start+chunkSpan <= min(g.to, time.Now().UnixMilli())-digestLag.Milliseconds() {
				made = append(made, KeptDigest{Start: start, Version: versions[start], Body: g.stretches[start].append(nil)})
			}
		}
	}
	if len(made) > 0 {
		if err := h.store.PutDigests(ctx, dropletID, made); err != nil {
			return Digest{}, fmt.Errorf("digest droplet %s: %w", dropletID, err)
		}
	}
	d, err := g.join()
	if err != nil {
		return Digest{}, fmt.Errorf("digest droplet %s: %w", dropletID, err)
	}
	return d, nil
}

// digesting is a Digest under way.
type digesting struct {
	h         *History
	id        string
	to        int64
	stretches map[int64]*stretch         // by start
	recent    map[string]detector.Worker // by source and name: the last run's samples
	room      *detector.Room
	scratch   []sample.Point
}

// kept reads what was kept and lists the starts of what was not, ascending.
func (g *digesting) kept(ctx context.Context, first, last int64) (missing []int64, versions map[int64]int64, err error) {
	versions = map[int64]int64{}
	if g.h.o.Remote == nil {
		ds, err := g.h.store.DigestsIn(ctx, g.id, first, last)
		if err != nil {
			return nil, nil, err
		}
		for _, d := range ds {
			versions[d.Start] = d.Version
			if s, err := parseStretch(d.Body, g.room); err == nil { // else it is made anew
				g.stretches[d.Start] = s
			}
		}
	}
	for start := first; start <= last; start += chunkSpan {
		if g.stretches[start] == nil || start == last {
			missing = append(missing, start)
		}
	}
	return missing, versions, nil
}

// runsOf cuts ascending starts into runs without a gap, the last one as long
// as may be.
func runsOf(starts []int64) (runs [][]int64) {
	for end := len(starts); end > 0; {
		i := end - 1
		for i > 0 && starts[i-1]+chunkSpan == starts[i] && end-i < readAtOnce {
			i--
		}
		runs = append(runs, starts[i:end])
		end = i
	}
	slices.Reverse(runs)
	return runs
}

var (
	// aboutAll is what a pass is made of; counts of tasks are not.
	aboutAll = regexp.MustCompile(`^dropleak_(process|worker|droplet|other)_`)
	// aboutDigest is what a digest is made of: what of a pass says something of
	// leaks.
	aboutDigest = regexp.MustCompile(`^dropleak_(process_|worker_(info|memory_limit|memory_high|memory_pressure|oom)|droplet_(memory|oom|boot)|other_)`)
)

// read makes the stretches of a run out of samples.
func (g *digesting) read(ctx context.Context, run []int64) error {
	until := min(run[len(run)-1]+chunkSpan-1, g.to)
	q := Query{From: time.UnixMilli(run[0]), To: time.UnixMilli(until)}
	workers, hosts := map[string]*gathering{}, map[string]*host{}
	err := g.h.eachSource(ctx, g.id, aboutDigest, q, func(source string, s sample.Streams) {
		if workers[source] == nil {
			workers[source], hosts[source] = newGathering(""), newHost(g.id)
		}
		workers[source].feed(s)
		hosts[source].feed(s)
	})
	if err != nil {
		return err
	}
	for _, start := range run {
		g.stretches[start] = &stretch{}
	}
	g.recent = map[string]detector.Worker{}
	for _, source := range slices.Sorted(maps.Keys(workers)) {
		for _, start := range run {
			s := g.stretches[start]
			s.sources = append(s.sources, sourcePart{source: source, host: hosts[source].part(start)})
		}
		by := workers[source].by
		for _, k := range slices.SortedFunc(maps.Keys(by), workerKey.compare) {
			w, seen := by[k].finish()
			for _, start := range run {
				s := g.stretches[start]
				last := &s.sources[len(s.sources)-1]
				last.workers = append(last.workers, by[k].part(w, start))
			}
			if seen {
				g.recent[source+"\x00"+w.Name] = w
			}
		}
	}
	return nil
}

// part is what an assembly holds of one chunk; w is the assembly finished.
func (a *assembly) part(w detector.Worker, start int64) workerPart {
	p := workerPart{name: w.Name, pool: string(w.Pool), app: w.App, unit: w.Unit, manager: w.Manager, limit: w.Limit.Bytes, high: w.High, kills: within(a.counts, start, start+chunkSpan-1)}
	var pressure []sample.Point
	for _, x := range w.Pressure {
		if at := x.At.UnixMilli(); at >= start && at < start+chunkSpan {
			pressure = append(pressure, sample.Point{At: at, V: x.V})
		}
	}
	p.pressure = encodeChunk(nil, pressure)
	begin, end := time.UnixMilli(start), time.UnixMilli(start+chunkSpan)
	part := w
	part.Lives = nil
	for _, l := range w.Lives {
		i := sort.Search(len(l.Samples), func(i int) bool { return !l.Samples[i].At.Before(begin) })
		j := sort.Search(len(l.Samples), func(i int) bool { return !l.Samples[i].At.Before(end) })
		if l.Samples = l.Samples[i:j]; len(l.Samples) > 0 {
			part.Lives = append(part.Lives, l)
			p.count += len(l.Samples)
		}
	}
	p.chunk = detector.SummarizeChunk(part, start/chunkSpan, detector.Options{})
	return p
}

// part is what a host holds of one chunk.
func (h *host) part(start int64) hostPart {
	p := hostPart{chunk: detector.SummarizeDropletChunk(h.d, start/chunkSpan)}
	for _, x := range h.d.Available {
		if at := x.At.UnixMilli(); at >= start && at < start+chunkSpan {
			p.available = x.V
		}
	}
	return p
}

// join puts the stretches together.
func (g *digesting) join() (Digest, error) {
	d := Digest{room: g.room}
	order := slices.Sorted(maps.Keys(g.stretches))
	hosts, workers := map[string][]*hostPart{}, map[string]map[string][]*workerPart{} // by source; by name and source
	for _, start := range order {
		for i := range g.stretches[start].sources {
			s := &g.stretches[start].sources[i]
			hosts[s.source] = append(hosts[s.source], &s.host)
			for k := range s.workers {
				w := &s.workers[k]
				if workers[w.name] == nil {
					workers[w.name] = map[string][]*workerPart{}
				}
				workers[w.name][s.source] = append(workers[w.name][s.source], w)
			}
		}
	}
	d.host(g.id, hosts)
	for _, name := range slices.Sorted(maps.Keys(workers)) {
		w, seen, err := g.worker(name, workers[name])
		if err != nil {
			return d, fmt.Errorf("worker %s: %w", name, err)
		}
		if seen {
			d.Workers = append(d.Workers, w)
		}
	}
	return d, nil
}

// worker believes the source with the most samples; false where no process
// was read.
func (g *digesting) worker(name string, bySource map[string][]*workerPart) (d WorkerDigest, seen bool, err error) {
	most, best := 0, ""
	for _, source := range slices.Sorted(maps.Keys(bySource)) {
		n := 0
		for _, p := range bySource[source] {
			n += p.count
		}
		if n > most {
			most, best = n, source
		}
	}
	w := detector.Worker{Name: name, Droplet: g.id}
	chunks := make([]detector.Chunk, 0, len(bySource[best]))
	kills := sample.NaN
	for _, p := range bySource[best] {
		w.Pool = cmp.Or(detector.Pool(p.pool), w.Pool)
		w.App, w.Unit, w.Manager = cmp.Or(p.app, w.App), cmp.Or(p.unit, w.Unit), cmp.Or(p.manager, w.Manager)
		if p.limit > 0 {
			w.Limit = detector.Limit{Bytes: p.limit, Source: "memory.max"}
		}
		w.High = cmp.Or(p.high, w.High)
		for _, x := range p.kills {
			w.Events = append(w.Events, killed(&kills, x.V, time.UnixMilli(x.At).UTC())...)
		}
		chunks = append(chunks, p.chunk)
	}
	s := g.room.Join(w, chunks)
	if s.Pressure, err = g.latePressure(bySource[best], s.Newest()); err != nil {
		return d, false, err
	}
	w.Lives = g.recent[best+"\x00"+name].Lives
	return WorkerDigest{Summary: s, Recent: w}, most > 0, nil
}

// latePressure is a worker's pressure in the hour before its last reading: no
// verdict looks further back.
func (g *digesting) latePressure(parts []*workerPart, last time.Time) (out []detector.Point, err error) {
	const back, slack = time.Hour, time.Minute
	from, to := last.Add(-back-slack).UnixMilli(), last.Add(slack).UnixMilli()
	for _, p := range parts {
		if start := p.chunk.Index * chunkSpan; start > to || start+chunkSpan <= from {
			continue
		}
		if g.scratch, err = decodeChunk(g.scratch[:0], p.pressure); err != nil {
			return nil, fmt.Errorf("its pressure: %w", err)
		}
		late := within(g.scratch, from, to)
		out = slices.Grow(out, len(late))
		for _, x := range late {
			out = append(out, detector.Point{At: time.UnixMilli(x.At).UTC(), V: x.V})
		}
	}
	return out, nil
}

// host believes sources as [History.Droplets] does.
func (d *Digest) host(id string, bySource map[string][]*hostPart) {
	for i, source := range slices.Sorted(maps.Keys(bySource)) {
		var chunks []detector.DropletChunk
		available := 0.0
		for _, p := range bySource[source] {
			chunks = append(chunks, p.chunk)
			available = cmp.Or(p.available, available)
		}
		s := d.room.JoinDroplet(id, chunks)
		if i == 0 {
			d.Host, d.Available = s, available
			continue
		}
		if len(d.Host.Others) == 0 {
			d.Host.Others = s.Others
		}
		if usedSpan(s) > 2*usedSpan(d.Host) {
			d.Host.Used, d.Host.Total, d.Available = s.Used, s.Total, available
		}
	}
}

// usedSpan is the time a droplet's memory was measured over.
func usedSpan(s detector.DropletSummary) time.Duration {
	if len(s.Used) == 0 {
		return 0
	}
	return time.Duration(s.Used[len(s.Used)-1].Last - s.Used[0].First)
}
