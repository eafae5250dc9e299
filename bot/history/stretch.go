package history

import (
	"encoding/binary"
	"fmt"
	"math"

	"github.com/dropleak/dropleak/detector"
	"github.com/dropleak/dropleak/detector/sample"
)

// stretch is what was learnt of one chunk of a droplet's samples, by source.
// Its body is, behind a version: the sources, each with its name, its host
// and its workers; numbers as in a push, texts with their length.
type stretch struct{ sources []sourcePart }

type sourcePart struct {
	source  string
	host    hostPart
	workers []workerPart
}

type hostPart struct {
	available float64 // newest, 0: none
	chunk     detector.DropletChunk
}

type workerPart struct {
	name, pool  string
	app, unit   string
	manager     string
	count       int // samples
	limit, high float64
	pressure    []byte // points as a chunk: few of them are ever looked at
	kills       []sample.Point
	chunk       detector.Chunk
}

// stretchVersion 2 tells app, unit and manager; one of before is made anew.
const stretchVersion = 2

func (s *stretch) append(b []byte) []byte {
	b = binary.AppendUvarint(append(b, stretchVersion), uint64(len(s.sources)))
	for i := range s.sources {
		p := &s.sources[i]
		b = appendText(b, p.source)
		b = appendNumber(appendNumber(b, p.host.available), p.host.chunk.Total)
		b = p.host.chunk.Chunk.Append(b)
		b = binary.AppendUvarint(b, uint64(len(p.workers)))
		for j := range p.workers {
			b = p.workers[j].append(b)
		}
	}
	return b
}

func (w *workerPart) append(b []byte) []byte {
	for _, t := range []string{w.name, w.pool, w.app, w.unit, w.manager} {
		b = appendText(b, t)
	}
	b = binary.AppendUvarint(b, uint64(w.count))
	b = appendNumber(appendNumber(b, w.limit), w.high)
	b = appendText(b, string(w.pressure))
	b = appendText(b, string(encodeChunk(nil, w.kills)))
	return w.chunk.Append(b)
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

func appendNumber(b []byte, v float64) []byte {
	return binary.LittleEndian.AppendUint64(b, math.Float64bits(v))
}

// parseStretch reads what append wrote. The chunks' blocks are in the room.
func parseStretch(b []byte, room *detector.Room) (*stretch, error) {
	r := &stretchReader{reader: reader{b: b}, room: room}
	if r.byte() != stretchVersion {
		return nil, fmt.Errorf("digest of another version: %w", ErrBroken)
	}
	s := &stretch{}
	for n := r.uvarint(); n > 0 && !r.bad; n-- {
		p := sourcePart{source: r.text()}
		p.host.available, p.host.chunk.Total = r.number(), r.number()
		p.host.chunk.Chunk = r.chunk()
		m := r.uvarint()
		for p.workers = make([]workerPart, 0, min(m, mostRoom)); m > 0 && !r.bad; m-- {
			p.workers = append(p.workers, r.worker())
		}
		s.sources = append(s.sources, p)
	}
	if r.bad || len(r.b) > 0 {
		return nil, fmt.Errorf("digest of %d bytes: %w", len(b), ErrBroken)
	}
	return s, nil
}

type stretchReader struct {
	reader
	room *detector.Room
}

func (r *stretchReader) text() string { return string(r.take(r.uvarint())) }

func (r *stretchReader) number() float64 {
	b := r.take(8)
	if r.bad {
		return 0
	}
	return math.Float64frombits(binary.LittleEndian.Uint64(b))
}

func (r *stretchReader) points() []sample.Point {
	pts, err := decodeChunk(nil, r.take(r.uvarint()))
	r.bad = r.bad || err != nil
	return pts
}

func (r *stretchReader) chunk() detector.Chunk {
	if r.bad {
		return detector.Chunk{}
	}
	c, rest, err := r.room.ParseChunk(r.b)
	r.b, r.bad = rest, err != nil
	return c
}

func (r *stretchReader) worker() workerPart {
	w := workerPart{name: r.text(), pool: r.text(), app: r.text(), unit: r.text(), manager: r.text(), count: int(r.uvarint())}
	w.limit, w.high = r.number(), r.number()
	w.pressure, w.kills = r.take(r.uvarint()), r.points()
	w.chunk = r.chunk()
	return w
}
