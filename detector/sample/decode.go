package sample

import (
	"cmp"
	"slices"
	"time"
)

// Decode assembles passes back from series: one pass for each droplet and
// timestamp, ascending. Series under names this package does not speak come
// back as foreign, untouched. Stale markers and NaN are "nothing here".
func Decode(series []Series) (passes []Pass, foreign []Series) {
	var d decoder
	foreign = d.addAll(series)
	return d.finish(), foreign
}

// Known reports whether name is one of the names [Encode] writes.
func Known(name string) bool {
	if name == nameMemory || name == nameInfo || name == nameOther {
		return true
	}
	key := [2]string{name, ""}
	_, p := processByName[key]
	_, w := workerByName[key]
	_, d := dropletByName[key]
	return p || w || d
}

// decoder gathers series into streams. Points are only looked at once all
// series are known: what belongs together mostly comes at the same times, so
// records are found by walking and not by looking them up.
type decoder struct {
	by    map[string]*host // droplets
	order []*host
}

// host is one droplet in the making.
type host struct {
	name      string
	processes streams[Process]
	workers   streams[Worker]
	droplet   streams[Droplet]
	others    []other
}

// other is one process group outside Celery.
type other struct {
	name   string
	points []Point
}

// names are the labels that tell records apart.
type names struct{ droplet, worker, slot, role string }

// streams are the records of one kind by what names them.
type streams[T any] struct {
	by    map[names]*stream[T]
	order []*stream[T]
}

// stream is the records of one name, ascending in time.
type stream[T any] struct {
	names
	parts []part[T]
	times []int64 // ms
	recs  []T
}

// part is one series of a stream and the field it fills.
type part[T any] struct {
	points []Point
	set    func(*T, float64)
}

func (d *decoder) of(droplet string) *host {
	h := d.by[droplet]
	if h == nil {
		if d.by == nil {
			d.by = map[string]*host{}
		}
		h = &host{name: droplet}
		d.by[droplet] = h
		d.order = append(d.order, h)
	}
	return h
}

// addAll gives each series its place and returns the foreign ones.
func (d *decoder) addAll(series []Series) (foreign []Series) {
	for _, s := range series {
		if !d.add(s) {
			foreign = append(foreign, s)
		}
	}
	return foreign
}

// add gives one series its place; false: foreign.
func (d *decoder) add(s Series) bool {
	name, kind := s.Name(), s.Get("kind")
	key := [2]string{name, kind}
	n := names{droplet: s.Get("droplet")}
	h := d.of(n.droplet)
	if f, ok := processByName[key]; ok {
		n.worker, n.slot, n.role = s.Get("worker"), s.Get("slot"), s.Get("role")
		h.processes.add(n, s.Points, f.set)
	} else if f, ok := workerByName[key]; ok {
		n.worker = s.Get("worker")
		h.workers.add(n, s.Points, f.set)
	} else if f, ok := dropletByName[key]; ok {
		h.droplet.add(n, s.Points, f.set)
	} else if name == nameInfo {
		n.worker = s.Get("worker")
		var said Worker
		said.describe(s)
		h.workers.add(n, s.Points, func(w *Worker, _ float64) {
			w.Node, w.Pool, w.App, w.Unit, w.Manager = said.Node, said.Pool, said.App, said.Unit, said.Manager
		})
	} else if name == nameOther {
		h.others = append(h.others, other{s.Get("name"), measured(s.Points)})
	} else {
		return false
	}
	return true
}

func (w *Worker) describe(s Series) {
	w.Node, w.Pool, w.App = s.Get("node"), s.Get("pool"), s.Get("app")
	w.Unit, w.Manager = s.Get("unit"), s.Get("manager")
}

func (ss *streams[T]) add(n names, pts []Point, set func(*T, float64)) {
	s := ss.by[n]
	if s == nil {
		if ss.by == nil {
			ss.by = map[names]*stream[T]{}
		}
		s = &stream[T]{names: n}
		ss.by[n] = s
		ss.order = append(ss.order, s)
	}
	s.parts = append(s.parts, part[T]{measured(pts), set})
}

// measured returns points that hold something, in order of time; those of
// one time in the order they came.
func measured(pts []Point) []Point {
	ready := true
	for i, p := range pts {
		ready = ready && Measured(p.V) && (i == 0 || pts[i-1].At <= p.At)
	}
	if ready {
		return pts
	}
	out := make([]Point, 0, len(pts))
	for _, p := range pts {
		if Measured(p.V) {
			out = append(out, p)
		}
	}
	slices.SortStableFunc(out, func(a, b Point) int { return cmp.Compare(a.At, b.At) })
	return out
}

// fill makes the records; blank is one in which nothing was measured.
func (s *stream[T]) fill(room *[]T, blank func(n names, at time.Time) T) {
	s.times = s.union()
	s.recs = cut(room, len(s.times))
	for i, ms := range s.times {
		s.recs[i] = blank(s.names, time.UnixMilli(ms).UTC())
	}
	for _, p := range s.parts {
		i := 0
		for _, x := range p.points {
			i = walk(s.times, i, x.At)
			p.set(&s.recs[i], x.V)
		}
	}
}

// walk returns where at stands in times, from i on.
func walk(times []int64, i int, at int64) int {
	if i < len(times) && times[i] == at {
		return i
	}
	if i+1 < len(times) && times[i+1] == at {
		return i + 1
	}
	n, _ := slices.BinarySearch(times[i:], at)
	return i + n
}

// union lists the times of all parts, ascending.
func (s *stream[T]) union() []int64 {
	all := make([]int64, 0, len(s.parts[0].points))
	n := 0
	for k, p := range s.parts {
		if k > 0 && within(p.points, all[:n]) {
			continue
		}
		for _, x := range p.points {
			all = append(all, x.At)
		}
		if k == 0 {
			all = slices.Compact(all)
			n = len(all)
		}
	}
	if len(all) > n {
		slices.Sort(all)
	}
	return slices.Compact(all)
}

// within reports whether times has all the times of points, both ascending.
func within(pts []Point, times []int64) bool {
	i := 0
	for _, p := range pts {
		i = walk(times, i, p.At)
		if i == len(times) || times[i] != p.At {
			return false
		}
	}
	return true
}

// finish orders everything, so that equal input gives equal passes.
func (d *decoder) finish() []Pass {
	out := []Pass{}
	for _, h := range d.order {
		out = append(out, h.passes()...)
	}
	if len(d.order) > 1 {
		slices.SortFunc(out, func(a, b Pass) int {
			s, _ := a.At()
			t, _ := b.At()
			return cmp.Or(s.Compare(t), cmp.Compare(a.dropletName(), b.dropletName()))
		})
	}
	return out
}

// dropletName is the droplet that a pass is of.
func (p Pass) dropletName() string {
	switch {
	case len(p.Processes) > 0:
		return p.Processes[0].Droplet
	case len(p.Workers) > 0:
		return p.Workers[0].Droplet
	case p.Droplet != nil:
		return p.Droplet.Droplet
	}
	return p.Others[0].Droplet
}

// fill makes the records of all streams, in the room.
func (h *host) fill(r *Room) {
	h.processes.fill(&r.processes, func(n names, at time.Time) Process {
		return Process{At: at, Droplet: n.droplet, Worker: n.worker, Slot: n.slot, Role: n.role, RSS: NaN, PSS: NaN, USS: NaN, Swap: NaN, CPU: NaN}
	})
	h.workers.fill(&r.workers, func(n names, at time.Time) Worker {
		return Worker{At: at, Droplet: n.droplet, Worker: n.worker, Limit: NaN, High: NaN, Current: NaN, Pressure: NaN, OOMKills: NaN}
	})
	var droplets []Droplet
	h.droplet.fill(&droplets, func(n names, at time.Time) Droplet {
		return Droplet{At: at, Droplet: n.droplet, Available: NaN, Total: NaN, Shmem: NaN, Slab: NaN, SwapUsed: NaN, OOMKills: NaN}
	})
}

// passes lays the records of all streams out by time.
func (h *host) passes() []Pass {
	h.fill(new(Room))
	times := h.times()
	out := make([]Pass, len(times))
	h.processes.place(times, func(i int) *[]Process { return &out[i].Processes })
	h.workers.place(times, func(i int) *[]Worker { return &out[i].Workers })
	for _, s := range h.droplet.order {
		i := 0
		for k := range s.recs {
			i = walk(times, i, s.times[k])
			out[i].Droplet = &s.recs[k]
		}
	}
	h.placeOthers(times, out)
	return out
}

// fill makes the records of all streams and orders these as [Pass.Sort]
// orders their records.
func (ss *streams[T]) fill(room *[]T, blank func(n names, at time.Time) T) {
	for _, s := range ss.order {
		s.fill(room, blank)
	}
	slices.SortFunc(ss.order, func(a, b *stream[T]) int {
		return cmp.Or(cmp.Compare(a.worker, b.worker), cmp.Compare(rankOf(a.slot, a.role), rankOf(b.slot, b.role)),
			cmp.Compare(a.slot, b.slot), cmp.Compare(a.role, b.role))
	})
}

// times lists when anything was measured, ascending.
func (h *host) times() []int64 {
	var lists [][]int64
	for _, s := range h.processes.order {
		lists = append(lists, s.times)
	}
	for _, s := range h.workers.order {
		lists = append(lists, s.times)
	}
	for _, s := range h.droplet.order {
		lists = append(lists, s.times)
	}
	for _, o := range h.others {
		at := make([]int64, len(o.points))
		for i, p := range o.points {
			at[i] = p.At
		}
		lists = append(lists, at)
	}
	var all, last []int64
	for _, times := range lists {
		if !slices.Equal(times, last) {
			all = append(all, times...)
			last = times
		}
	}
	slices.Sort(all)
	return slices.Compact(all)
}

// place copies the records into their passes, which share one array.
func (ss *streams[T]) place(times []int64, in func(i int) *[]T) {
	count, total := make([]int, len(times)), 0
	for _, s := range ss.order {
		i := 0
		for _, at := range s.times {
			i = walk(times, i, at)
			count[i]++
		}
		total += len(s.times)
	}
	all := make([]T, total)
	for i, n := range count {
		if n > 0 {
			*in(i), all = all[:0:n], all[n:]
		}
	}
	for _, s := range ss.order {
		i := 0
		for k, at := range s.times {
			i = walk(times, i, at)
			to := in(i)
			*to = append(*to, s.recs[k])
		}
	}
}

func (h *host) placeOthers(times []int64, out []Pass) {
	for _, o := range h.others {
		i := 0
		for _, p := range o.points {
			i = walk(times, i, p.At)
			out[i].Others = append(out[i].Others, Other{At: time.UnixMilli(p.At).UTC(), Droplet: h.name, Name: o.name, Memory: p.V})
		}
	}
	for i := range out {
		out[i].sortOthers()
	}
}
