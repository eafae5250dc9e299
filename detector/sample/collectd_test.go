package sample

import (
	"math"
	"strconv"
	"testing"
	"time"
)

// Parts of readings that never become whole are forgotten, oldest first, so
// that nobody fills the memory with them.
func TestCollectdForgets(t *testing.T) {
	at := time.Unix(1790000000, 0)
	part := func(host int, name string) CollectdValues {
		return CollectdValues{Host: strconv.Itoa(host), Plugin: "memory", Type: "memory", Part: name, At: at, Values: []float64{1 << 20}}
	}
	var c Collectd
	for host := range 2 * maxHeld {
		for _, name := range collectdParts[1:] {
			if got := c.Series(part(host, name)); got != nil {
				t.Fatalf("five of six parts give %v", got)
			}
		}
	}
	if len(c.held) != maxHeld || len(c.order) != maxHeld {
		t.Errorf("%d readings wait, %d in order", len(c.held), len(c.order))
	}
	if got := c.Series(part(0, "used")); got != nil {
		t.Errorf("the oldest is still there: %v", got)
	}
	if got := c.Series(part(2*maxHeld-1, "used")); len(got) != 3 {
		t.Errorf("the newest is not there: %v", got)
	}
}

// Without a part that tells what is available it is estimated.
func TestCollectdMemory(t *testing.T) {
	parts := map[string]float64{"used": 600, "free": 100, "cached": 200}
	d, estimated, ok := CollectdMemory(parts)
	if !ok || !estimated || d.Total != 900 || d.Available != 300 || !math.IsNaN(d.Slab) {
		t.Errorf("%+v, %t, %t", d, estimated, ok)
	}
	parts["available"] = 250
	if d, estimated, _ = CollectdMemory(parts); estimated || d.Available != 250 {
		t.Errorf("%+v, %t", d, estimated)
	}
	delete(parts, "used")
	if _, _, ok = CollectdMemory(parts); ok {
		t.Error("it has a total without what is used")
	}
}
