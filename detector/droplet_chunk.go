package detector

import (
	"slices"
	"time"
)

// DropletChunk is all that a verdict needs of a droplet's readings within one
// chunk. It can be kept like a [Chunk].
type DropletChunk struct {
	Total float64 // MemTotal that Used was reckoned with, bytes
	Chunk Chunk   // its first life, in slot "used", is used memory; the others bear their names as slots
}

// usedSlot names the life that holds used memory.
const usedSlot = "used"

// SummarizeDropletChunk folds the readings that fall into one chunk; those
// outside are ignored.
func SummarizeDropletChunk(d Droplet, index int64) DropletChunk {
	c := DropletChunk{Total: d.Total, Chunk: Chunk{Index: index}}
	add := func(slot string, ps []Point, f func(float64) float64) {
		begin := time.Unix(0, index*int64(ChunkWidth))
		var in []Point
		for _, p := range ps {
			if !p.At.Before(begin) && p.At.Before(begin.Add(ChunkWidth)) {
				in = append(in, p)
			}
		}
		if bs := summarise(pointReadings(in, time.Time{}, f)); len(bs) > 0 {
			c.Chunk.Lives = append(c.Chunk.Lives, ChunkLife{Slot: slot, Role: RoleUnknown, Metric: metrics[0], Blocks: bs})
		}
	}
	add(usedSlot, d.Available, func(v float64) float64 { return d.Total - v })
	for _, o := range d.Others {
		add("/"+o.Name, o.Memory, func(v float64) float64 { return v })
	}
	return c
}

// JoinDroplet puts chunks together. Where a droplet was resized, what was
// available before is reckoned with its present memory, as
// [SummarizeDroplet] does.
func JoinDroplet(id string, chunks []DropletChunk) DropletSummary {
	return (*Room)(nil).JoinDroplet(id, chunks)
}

// JoinDroplet is [JoinDroplet] with the summary's blocks in the room.
func (r *Room) JoinDroplet(id string, chunks []DropletChunk) DropletSummary {
	s := DropletSummary{ID: id}
	chunks = slices.Clone(chunks)
	slices.SortFunc(chunks, func(a, b DropletChunk) int { return before(a.Chunk.Index, b.Chunk.Index) })
	room := map[string]int{}
	for _, c := range chunks {
		if c.Total > 0 {
			s.Total = c.Total
		}
		for _, l := range c.Chunk.Lives {
			room[l.Slot] += len(l.Blocks)
		}
	}
	s.Used = r.blockRoom(room[usedSlot])[:0]
	at := map[string]int{}
	for _, c := range chunks {
		for _, l := range c.Chunk.Lives {
			if l.Slot == usedSlot {
				for _, b := range l.Blocks {
					b.Low += s.Total - c.Total
					s.Used = append(s.Used, b)
				}
				continue
			}
			i, known := at[l.Slot]
			if !known {
				i = len(s.Others)
				at[l.Slot] = i
				s.Others = append(s.Others, OtherSummary{l.Slot[min(1, len(l.Slot)):], r.blockRoom(room[l.Slot])[:0]})
			}
			s.Others[i].Blocks = append(s.Others[i].Blocks, l.Blocks...)
		}
	}
	return s
}
