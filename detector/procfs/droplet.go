package procfs

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"time"

	"github.com/dropleak/dropleak/detector/sample"
)

// readDroplet reads what the machine as a whole has.
func (r *Reader) readDroplet(at, boot time.Time) (*sample.Droplet, error) {
	raw, err := r.read("meminfo")
	if err != nil {
		return nil, fmt.Errorf("read meminfo: %w", err)
	}
	d := parseMeminfo(raw)
	d.At, d.Boot = at, boot
	if !sample.Measured(d.Total) || !sample.Measured(d.Available) {
		return nil, fmt.Errorf("read meminfo: no MemTotal and MemAvailable")
	}
	if raw, err := r.read("vmstat"); err == nil {
		d.OOMKills = parseOOMKills(raw)
	}
	return d, nil
}

func parseMeminfo(raw []byte) *sample.Droplet {
	d := &sample.Droplet{Available: nan, Total: nan, Shmem: nan, Slab: nan, SwapUsed: nan, OOMKills: nan}
	total, free := nan, nan
	keyed(raw, func(key string, v float64) {
		switch key {
		case "MemTotal":
			d.Total = v
		case "MemAvailable":
			d.Available = v
		case "Shmem":
			d.Shmem = v
		case "Slab":
			d.Slab = v
		case "SwapTotal":
			total = v
		case "SwapFree":
			free = v
		}
	})
	d.SwapUsed = max(total-free, 0)
	return d
}

// parseOOMKills reads the counter from vmstat; kernels before 4.13 lack it.
func parseOOMKills(raw []byte) float64 {
	if i := bytes.Index(raw, []byte("\noom_kill ")); i >= 0 {
		if v, ok := flat(raw[i+1:])["oom_kill"]; ok {
			return v
		}
	}
	return nan
}

// largestOthers is how many names outside Celery a pass carries.
const largestOthers = 10

// others sums the processes outside Celery by name and keeps the largest.
func (r *Reader) others(at time.Time, rest []process, swapUsed bool) []sample.Other {
	sum := map[string]float64{}
	for _, p := range rest {
		if p.rss <= 0 {
			continue // a kernel thread
		}
		name := p.comm
		switch p.program {
		case beat:
			name = "celery beat"
		case flower:
			name = "celery flower"
		}
		sum[name] += float64(p.rss) * r.page
		if swapUsed {
			if raw, err := r.readOf(p.pid, "status"); err == nil {
				if s := parseStatus(raw); sample.Measured(s.swap) {
					sum[name] += s.swap
				}
			}
		}
	}
	var out []sample.Other
	for name, v := range sum {
		out = append(out, sample.Other{At: at, Name: name, Memory: v})
	}
	slices.SortFunc(out, func(a, b sample.Other) int {
		return cmp.Or(cmp.Compare(b.Memory, a.Memory), cmp.Compare(a.Name, b.Name))
	})
	return out[:min(len(out), largestOthers)]
}
