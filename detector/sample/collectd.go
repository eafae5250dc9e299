package sample

import (
	"math"
	"sync"
	"time"
)

// SlotGroup is the slot of a reading that is the sum over all processes of a
// name, as collectd's processes plugin has it.
const SlotGroup = "group"

// CollectdValues is a value list of collectd: what a plugin read of one thing
// at a moment, as csv files, write_http and InfluxDB hand it on.
type CollectdValues struct {
	Host, Plugin, Instance, Type, Part string // Part is the type's instance
	At                                 time.Time
	Values                             []float64 // in the order of the type's data sources; NaN: not known
}

// Collectd makes our series of collectd's value lists: of the plugin
// processes the resident memory and CPU time of each group, of the plugin
// memory the host's. The zero value is ready for use, also by several
// goroutines.
type Collectd struct {
	mu    sync.Mutex
	held  map[hostMoment]map[string]float64
	order []hostMoment // of held, oldest first, with those that left
}

// hostMoment is one reading of a host's memory.
type hostMoment struct {
	host string
	ms   int64
}

// maxHeld is how many readings of memory may wait for their missing parts.
const maxHeld = 1024

// collectdParts are all that the plugin memory tells on Linux, a value list
// for each.
var collectdParts = []string{"used", "free", "buffered", "cached", "slab_recl", "slab_unrecl"}

// Series returns what a value list says under our names, the droplet being
// the host; nothing where it is of no use. The parts of a host's memory may
// come in any order and apart: the last to come brings the whole.
func (c *Collectd) Series(v CollectdValues) []Series {
	at := RoundCollectd(v.At)
	switch {
	case len(v.Values) == 0 || math.IsNaN(v.Values[0]) || v.Host == "" || at <= 0:
		return nil
	case v.Plugin == "processes" && v.Instance != "" && v.Type == "ps_rss":
		if v.Values[0] <= 0 {
			return nil // nobody of that name is there
		}
		return []Series{group(v, nameMemory, "rss", at, v.Values[0])}
	case v.Plugin == "processes" && v.Instance != "" && v.Type == "ps_cputime" && len(v.Values) == 2 && Measured(v.Values[1]):
		return []Series{group(v, "dropleak_process_cpu_seconds_total", "", at, (v.Values[0]+v.Values[1])/1e6)}
	case v.Plugin == "memory" && v.Type == "memory":
		return c.memory(v, at)
	}
	return nil
}

// RoundCollectd is the moment of a reading, milliseconds since 1970: what
// collectd reads in one go is stamped milliseconds apart.
func RoundCollectd(at time.Time) int64 { return (at.UnixMilli() + 500) / 1000 * 1000 }

func group(v CollectdValues, name, kind string, at int64, value float64) Series {
	return Series{Labels: labels(MetricName, name, "kind", kind, "droplet", v.Host, "worker", v.Instance, "slot", SlotGroup, "role", "unknown"),
		Points: []Point{{At: at, V: value}}}
}

func (c *Collectd) memory(v CollectdValues, at int64) []Series {
	parts := c.gather(v, at)
	if parts == nil {
		return nil
	}
	d, _, ok := CollectdMemory(parts)
	if !ok {
		return nil
	}
	d.Droplet, d.At = v.Host, time.UnixMilli(at).UTC()
	return Encode(Pass{Droplet: &d})
}

// gather holds a part until all are there.
func (c *Collectd) gather(v CollectdValues, at int64) map[string]float64 {
	key := hostMoment{v.Host, at}
	c.mu.Lock()
	defer c.mu.Unlock()
	parts := c.held[key]
	if parts == nil {
		if c.held == nil {
			c.held = map[hostMoment]map[string]float64{}
		}
		parts = map[string]float64{}
		c.held[key], c.order = parts, append(c.order, key)
	}
	for len(c.order) > maxHeld {
		delete(c.held, c.order[0])
		c.order = c.order[1:]
	}
	for _, name := range collectdParts {
		if name == v.Part {
			parts[name] = v.Values[0]
		}
	}
	if len(parts) < len(collectdParts) {
		return nil
	}
	delete(c.held, key)
	return parts
}

// CollectdMemory makes a host's memory of the parts that the plugin memory
// tells, bytes by name; false where they do not suffice. What is available is
// estimated where the plugin does not tell it: free and what the kernel can
// give back, which counts shared memory as if it were a cache.
func CollectdMemory(parts map[string]float64) (d Droplet, estimated, ok bool) {
	d = Droplet{Available: NaN, Total: NaN, Shmem: NaN, Slab: NaN, SwapUsed: NaN, OOMKills: NaN}
	free, ok := parts["free"]
	used, ok2 := parts["used"]
	if !ok || !ok2 {
		return d, false, false
	}
	d.Total = used + free + parts["buffered"] + parts["cached"] + parts["slab_recl"] + parts["slab_unrecl"]
	if slab, ok := parts["slab_unrecl"]; ok {
		d.Slab = slab + parts["slab_recl"]
	}
	if available, ok := parts["available"]; ok {
		d.Available = available
		return d, false, true
	}
	d.Available = free + parts["buffered"] + parts["cached"] + parts["slab_recl"]
	return d, true, true
}
