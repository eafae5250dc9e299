package history

import (
	"cmp"
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"github.com/dropleak/dropleak/detector/sample"
)

// A push's body is, for each series: its id (uvarint), the length of what
// follows (uvarint), and a chunk.

// noDroplet stands for the droplet of series that name none.
const noDroplet = "-"

// split makes one push for each droplet that series speak of. Series with id
// 0 were refused and are left out.
func split(sets []Set, ids []int64, series []sample.Series, now time.Time) []Push {
	by := map[string]*pushMaker{}
	var order []*pushMaker
	for i, s := range series {
		if ids[i] == 0 || len(s.Points) == 0 {
			continue
		}
		droplet := cmp.Or(sets[i].Droplet, noDroplet)
		m := by[droplet]
		if m == nil {
			m = &pushMaker{push: Push{Droplet: droplet, At: now.UnixMilli()}, seen: map[[2]string]time.Time{}}
			by[droplet] = m
			order = append(order, m)
		}
		m.add(sets[i], ids[i], sorted(s.Points))
	}
	pushes := make([]Push, 0, len(order))
	for _, m := range order {
		p := m.finish()
		p.Late = late(p.First, p.Last, now)
		pushes = append(pushes, p)
	}
	return pushes
}

// sorted returns points ascending strictly in time; of equal times the last
// one wins. Points in order already are returned as they are.
func sorted(pts []sample.Point) []sample.Point {
	inOrder := true
	for i := 1; i < len(pts); i++ {
		inOrder = inOrder && pts[i-1].At < pts[i].At
	}
	if inOrder {
		return pts
	}
	pts = slices.Clone(pts)
	slices.SortStableFunc(pts, func(a, b sample.Point) int { return cmp.Compare(a.At, b.At) })
	out := pts[:0]
	for i, p := range pts {
		if i+1 < len(pts) && pts[i+1].At == p.At {
			continue
		}
		out = append(out, p)
	}
	return out
}

type pushMaker struct {
	push Push
	buf  []byte
	seen map[[2]string]time.Time // worker, source: last sample
}

func (m *pushMaker) add(set Set, id int64, pts []sample.Point) {
	for part := range slices.Chunk(pts, maxPoints) {
		m.buf = encodeChunk(m.buf[:0], part)
		b := binary.AppendUvarint(m.push.Body, uint64(id))
		b = binary.AppendUvarint(b, uint64(len(m.buf)))
		m.push.Body = append(b, m.buf...)
	}
	first, last := pts[0].At, pts[len(pts)-1].At
	if m.push.First == 0 || first < m.push.First {
		m.push.First = first
	}
	m.push.Last = max(m.push.Last, last)
	if at, ok := lastSeen(pts); ok {
		m.see(set.Worker, set.source, at)
		m.see("", set.source, at)
	}
}

// lastSeen is when a series was last alive: a stale marker says that
// something is gone, not that it is there.
func lastSeen(pts []sample.Point) (time.Time, bool) {
	for _, p := range slices.Backward(pts) {
		if !sample.IsStale(p.V) {
			return time.UnixMilli(p.At).UTC(), true
		}
	}
	return time.Time{}, false
}

func (m *pushMaker) see(worker, source string, at time.Time) {
	key := [2]string{worker, source}
	if at.After(m.seen[key]) {
		m.seen[key] = at
	}
}

func (m *pushMaker) finish() Push {
	if m.push.Droplet == noDroplet {
		return m.push // nobody's silence can be told from such series
	}
	for key, at := range m.seen {
		m.push.Presence = append(m.push.Presence, Presence{DropletID: m.push.Droplet, Worker: key[0], Source: key[1], Last: at})
	}
	// One order for everybody, so that concurrent writers never deadlock.
	slices.SortFunc(m.push.Presence, func(a, b Presence) int {
		return cmp.Or(cmp.Compare(a.Worker, b.Worker), cmp.Compare(a.Source, b.Source))
	})
	return m.push
}

// by names who told what a push holds.
func (p *Push) by(source string) {
	for i, x := range p.Presence {
		if source != "" && x.Source == labelOf(source) {
			p.Presence[i].Source, p.Was = source, x.Source
		}
	}
}

// eachSeries calls use for every series of a push's body. The chunk is only
// valid within the call.
func eachSeries(body []byte, use func(id int64, chunk []byte) error) error {
	r := &reader{b: body}
	for len(r.b) > 0 {
		id := r.uvarint()
		chunk := r.take(r.uvarint())
		if r.bad || id == 0 {
			return fmt.Errorf("push: %w", ErrBroken)
		}
		if err := use(int64(id), chunk); err != nil {
			return err
		}
	}
	return nil
}

// mostRoom bounds the points that room is made for before they are read.
const mostRoom = 256

// gather lays the pushes over one another, in the order they came, as sorted
// points by series, in the room. Only ids in wanted are read; nil wants all.
func gather(pushes []Push, wanted map[int64]bool, r *room) (map[int64][]sample.Point, error) {
	g := gathered{wanted: wanted, by: map[int64]*seriesPoints{}}
	for i, p := range pushes {
		next := g.first // mostly, each push has the series of the one before in the same order
		err := eachSeries(p.Body, func(id int64, chunk []byte) (err error) {
			s := next
			if s == nil || s.id != id {
				s = g.of(id)
			}
			next = s.next
			if s.unwanted {
				return nil
			}
			if s.points == nil { // most series are in every push, with as many points
				s.points = r.pointRoom(min(pointsIn(chunk)*(len(pushes)-i), mostRoom))
			}
			s.points, err = decodeChunk(s.points, chunk)
			return err
		})
		if err != nil {
			return nil, fmt.Errorf("push %d of droplet %s: %w", p.Seq, p.Droplet, err)
		}
	}
	all := make(map[int64][]sample.Point, len(g.by))
	for id, s := range g.by {
		if s.points != nil {
			all[id] = sorted(s.points)
		}
	}
	return all, nil
}

// gathered are series in the order they were first met.
type gathered struct {
	wanted      map[int64]bool // nil: all
	by          map[int64]*seriesPoints
	first, last *seriesPoints
}

type seriesPoints struct {
	id       int64
	unwanted bool
	points   []sample.Point
	next     *seriesPoints
}

// of finds or begins a series.
func (g *gathered) of(id int64) *seriesPoints {
	s := g.by[id]
	if s != nil {
		return s
	}
	s = &seriesPoints{id: id, unwanted: g.wanted != nil && !g.wanted[id]}
	g.by[id] = s
	if g.first == nil {
		g.first = s
	} else {
		g.last.next = s
	}
	g.last = s
	return s
}

// overlay merges two sorted runs; of equal times b wins.
func overlay(a, b []sample.Point) []sample.Point {
	switch {
	case len(b) == 0:
		return a
	case len(a) == 0:
		return b
	case a[len(a)-1].At < b[0].At:
		return append(a, b...)
	}
	out := make([]sample.Point, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		switch {
		case a[0].At < b[0].At:
			out, a = append(out, a[0]), a[1:]
		case a[0].At > b[0].At:
			out, b = append(out, b[0]), b[1:]
		default:
			a = a[1:]
		}
	}
	return append(append(out, a...), b...)
}
