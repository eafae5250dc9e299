package history

import (
	"testing"
	"time"

	"github.com/dropleak/dropleak/detector/sample"
)

// TestCrowd: whoever sends more points of one series than a chunk may hold
// must not make the droplet's history unreadable, for good.
func TestCrowd(t *testing.T) {
	start := int64(t0 - t0%rawSpan)
	many := line(start, 1, maxPoints+1, func(i int) float64 { return float64(i) })
	s := sample.Series{Points: many}
	pushes := split([]Set{{Droplet: "42"}}, []int64{7}, []sample.Series{s}, time.UnixMilli(t0))
	got, err := gather(pushes, nil, nil)
	if err != nil || !same(got[7], many) {
		t.Fatalf("a large push came back as %d points of %d: %v", len(got[7]), len(many), err)
	}
	half := len(many) / 2
	key := ChunkKey{Series: 7, Start: start}
	first, err := amend(key, nil, many[:half])
	if err != nil {
		t.Fatal(err)
	}
	both, err := amend(key, first.Body, many[half:])
	if err != nil {
		t.Fatal(err)
	}
	pts, err := decodeChunk(nil, both.Body)
	if err != nil || len(pts) < maxPoints/2 || len(pts) > maxPoints {
		t.Fatalf("a crowded chunk came back as %d points: %v", len(pts), err)
	}
	if last := many[len(many)-1]; pts[len(pts)-1] != last || both.Last != last.At {
		t.Errorf("the newest point is %v, chunk's last %d, want %v", pts[len(pts)-1], both.Last, last)
	}
}
