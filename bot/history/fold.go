package history

import (
	"context"
	"errors"
	"fmt"
	"hash/fnv"
	"slices"
	"time"

	"github.com/dropleak/dropleak/detector/sample"
)

// foldBatch is how many chunks one transaction rewrites: few enough that an
// intake waiting behind it does not notice.
const foldBatch = 200

const foldEvery = 15 * time.Second

// Run folds and sweeps until ctx ends.
func (h *History) Run(ctx context.Context) error {
	fold := time.NewTicker(foldEvery)
	defer fold.Stop()
	sweep := time.NewTicker(time.Hour)
	defer sweep.Stop()
	for {
		var err error
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-fold.C:
			err = h.Fold(ctx)
		case <-sweep.C:
			err = h.Retain(ctx)
		}
		if err != nil && ctx.Err() == nil {
			h.o.Log.Error("history will be tidied later", "err", err)
		}
	}
}

// Fold folds the pushes of every droplet whose turn it is.
func (h *History) Fold(ctx context.Context) error {
	now := time.Now()
	due, err := h.store.DuePushes(ctx, now.Add(-h.o.Hold/2).UnixMilli())
	if err != nil {
		return fmt.Errorf("fold history: %w", err)
	}
	var errs []error
	for _, d := range due {
		if h.turn(d).After(now) {
			continue
		}
		if err := h.foldDroplet(ctx, d); err != nil && !errors.Is(err, ErrTaken) {
			errs = append(errs, fmt.Errorf("fold history of droplet %s: %w", d.Droplet, err))
		}
	}
	return errors.Join(errs...)
}

// turn is when a droplet is folded: between half of Hold and all of it after
// its oldest push, so that droplets that start together are not folded
// together.
func (h *History) turn(d Due) time.Time {
	f := fnv.New32a()
	f.Write([]byte(d.Droplet))
	spread := time.Duration(f.Sum32()%1000) * (h.o.Hold / 2) / 1000
	return time.UnixMilli(d.Oldest).Add(h.o.Hold/2 + spread)
}

// foldDroplet folds all that waits. Doing it twice, or half and then all of
// it, comes to the same: chunks take in points they already hold. So the
// pushes are dropped last, and a crash in between costs nothing.
func (h *History) foldDroplet(ctx context.Context, d Due) error {
	pushes, err := h.store.PushesIn(ctx, d.Droplet, 0, 1<<62)
	if err != nil {
		return err
	}
	points, err := gather(pushes, nil, nil)
	if err != nil {
		return err
	}
	keys, parts := windows(points)
	for len(keys) > 0 {
		n := min(foldBatch, len(keys))
		err := h.store.AmendChunks(ctx, &d, keys[:n], func(i int, old []byte) (Chunk, error) {
			return amend(keys[i], old, parts[i])
		})
		if err != nil {
			return err
		}
		keys, parts = keys[n:], parts[n:]
	}
	seqs := make([]int64, len(pushes))
	for i, p := range pushes {
		seqs[i] = p.Seq
	}
	return h.store.DropPushes(ctx, &d, seqs)
}

// windows cuts each series' points into the chunks they belong to.
func windows(points map[int64][]sample.Point) (keys []ChunkKey, parts [][]sample.Point) {
	ids := make([]int64, 0, len(points))
	for id := range points {
		ids = append(ids, id)
	}
	slices.Sort(ids)
	for _, id := range ids {
		pts := points[id]
		for len(pts) > 0 {
			start := pts[0].At - pts[0].At%rawSpan
			n := 0
			for n < len(pts) && pts[n].At < start+rawSpan {
				n++
			}
			keys = append(keys, ChunkKey{Series: id, Resolution: Raw, Start: start})
			parts = append(parts, pts[:n])
			pts = pts[n:]
		}
	}
	return keys, parts
}

// amend lays points over what a raw chunk holds.
func amend(key ChunkKey, old []byte, pts []sample.Point) (Chunk, error) {
	if old != nil {
		was, err := decodeChunk(nil, old)
		if err != nil {
			return Chunk{}, fmt.Errorf("chunk %v: %w", key, err)
		}
		pts = overlay(was, pts)
	}
	pts = thin(pts)
	return Chunk{ChunkKey: key, Last: pts[len(pts)-1].At, Body: encodeChunk(nil, pts)}, nil
}

// thin leaves out every other point, but never the last, until a chunk can
// hold them: nobody measures memory every few milliseconds, and a chunk that
// holds too much could not be read again.
func thin(pts []sample.Point) []sample.Point {
	for len(pts) > maxPoints {
		kept := make([]sample.Point, 0, len(pts)/2+1)
		for i := (len(pts) - 1) % 2; i < len(pts); i += 2 {
			kept = append(kept, pts[i])
		}
		pts = kept
	}
	return pts
}

// Retain makes raw samples coarse once they are older than the raw
// retention, and deletes what is older than the coarse one.
func (h *History) Retain(ctx context.Context) error {
	now := time.Now()
	// Whole days of UTC, as coarse chunks are.
	raw := now.Add(-h.o.Raw).UnixMilli()
	raw -= raw % coarseSpan
	gone := now.Add(-h.o.Coarse).UnixMilli()
	var errs []error
	for id := int64(0); ; {
		ids, err := h.store.SeriesAfter(ctx, id, 500)
		if err != nil {
			return fmt.Errorf("sweep history: %w", err)
		}
		if len(ids) == 0 {
			break
		}
		for _, id = range ids {
			err := h.store.CoarsenSeries(ctx, id, raw, coarsenDays)
			if err == nil {
				err = h.store.SweepSeries(ctx, id, gone)
			}
			if err != nil {
				errs = append(errs, fmt.Errorf("sweep history of series %d: %w", id, err))
			}
			if ctx.Err() != nil {
				return ctx.Err()
			}
		}
	}
	if err := h.store.SweepPresence(ctx, gone); err != nil {
		errs = append(errs, fmt.Errorf("sweep history: %w", err))
	}
	if err := h.store.SweepDigests(ctx, now.Add(-digestFor).UnixMilli()); err != nil {
		errs = append(errs, fmt.Errorf("sweep history: %w", err))
	}
	return errors.Join(errs...)
}

// coarsenDays makes one coarse chunk a day out of raw chunks and the coarse
// ones that already stand.
func coarsenDays(raw, coarse []Chunk) ([]Chunk, error) {
	days := map[int64][]sample.Point{}
	for _, c := range raw {
		day := c.Start - c.Start%coarseSpan
		var err error
		if days[day], err = decodeChunk(days[day], c.Body); err != nil {
			return nil, err
		}
	}
	stands := map[int64]Chunk{}
	for _, c := range coarse {
		stands[c.Start] = c
	}
	var out []Chunk
	for day, pts := range days {
		t := coarsen(sorted(pts))
		if c, ok := stands[day]; ok {
			was, err := decodeThree(c.Body)
			if err != nil {
				return nil, err
			}
			t = was.join(t)
		}
		out = append(out, Chunk{
			ChunkKey: ChunkKey{Series: raw[0].Series, Resolution: Coarse, Start: day},
			Last:     t.median[len(t.median)-1].At,
			Body:     t.encode(),
		})
	}
	return out, nil
}
