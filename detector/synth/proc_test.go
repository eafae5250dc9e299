package synth

import (
	"math"
	"testing"

	"github.com/dropleak/dropleak/detector"
)

// TestPSSAddsUp holds what PSS means: over the processes of a node it adds up
// to every page once, however many share it.
func TestPSSAddsUp(t *testing.T) {
	parent := &proc{role: detector.RoleParent, base: 100}
	kids := []*proc{
		{role: detector.RoleChild, base: 5, inherited: 100, shared: 60},
		{role: detector.RoleChild, base: 7, inherited: 100, shared: 80},
		{role: detector.RoleChild, base: 1, inherited: 90, shared: 60},
	}
	rs := measure(parent, kids, 12, 0)
	sum := 0.0
	for _, r := range rs {
		sum += r.pss
	}
	// parent's pages, the libraries, and what the children copied or made
	if want := 100.0 + 12 + (5 + 40) + (7 + 20) + (1 + 30); math.Abs(sum-want) > 1e-9 {
		t.Errorf("PSS adds up to %v, want %v", sum, want)
	}
	if r := rs[0]; r.rss != 112 || r.uss != 20 {
		t.Errorf("parent: RSS %v, USS %v, want 112 and 20", r.rss, r.uss)
	}
	// 60 bytes shared by four, 20 by two, the library by four
	if r := rs[2]; math.Abs(r.pss-(27+60.0/4+20.0/2+12.0/4)) > 1e-9 || r.rss != 12+80+27 {
		t.Errorf("second child: PSS %v, RSS %v", r.pss, r.rss)
	}
}

func TestSwapMovesMemoryAndKeepsTheFootprint(t *testing.T) {
	p := &proc{role: detector.RoleParent, base: 100, swapped: 0.25}
	r := measure(p, nil, 10, 0)[0]
	if r.swap != 25 || r.rss != 85 || r.uss != 85 || r.rss+r.swap != 110 {
		t.Errorf("read %+v of 110 bytes with a quarter of its own out", r)
	}
}

func TestFreedHeapStaysUntilTrimmed(t *testing.T) {
	for _, c := range []struct {
		give float64
		want float64
	}{{0, 50}, {1, 10}} {
		pl := &plan{family: Family{Name: "t"}}
		held := &step{size: 50}
		p := &proc{causes: []cause{held}, streams: nil, trims: pl.stream("x")}
		p.streams = append(p.streams, pl.stream("y"))
		p.step(moment{calls: 1}, c.give)
		held.size = 10
		p.step(moment{calls: 1}, c.give)
		if p.resident != c.want {
			t.Errorf("give %v: %v resident after freeing 40 of 50, want %v", c.give, p.resident, c.want)
		}
	}
}
