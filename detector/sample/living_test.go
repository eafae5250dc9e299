package sample

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestLiving(t *testing.T) {
	one := func(name, kind, slot string, points ...Point) Series {
		return Series{Labels: labels("__name__", name, "worker", "mail", "slot", slot, "kind", kind), Points: points}
	}
	const memory, start = "dropleak_process_memory_bytes", "dropleak_process_start_time_seconds"
	got := Living([]Series{
		one(memory, "rss", "7", Point{1, 100}, Point{2, 0}, Point{3, StaleMarker()}),
		one(memory, "swap", "7", Point{1, 0}, Point{2, 0}, Point{4, 0}),
		one(start, "", "7", Point{1, 50}, Point{2, 50}, Point{4, 50}),
		one(memory, "rss", "8", Point{1, 0}, Point{2, 0}),
		one(memory, "pss", "8", Point{1, 0}),
		one("dropleak_droplet_memory_available_bytes", "", "", Point{1, 0}),
	})
	var is []string
	for _, s := range got {
		for _, p := range s.Points {
			is = append(is, fmt.Sprintf("%s %s %s %d", s.Name()[9:], s.Get("kind"), s.Get("slot"), p.At))
		}
	}
	want := []string{"process_memory_bytes rss 7 1", "process_memory_bytes rss 7 3",
		"process_memory_bytes swap 7 1", "process_memory_bytes swap 7 4", // of 4 its memory may come in another write
		"process_start_time_seconds  7 1", "droplet_memory_available_bytes   1"}
	if d := cmp.Diff(want, is); d != "" {
		t.Errorf("(-want +got):\n%s", d)
	}
}
