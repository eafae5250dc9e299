package source

import (
	"math"
	"slices"
	"strings"

	"github.com/dropleak/dropleak/detector/sample"
)

// series makes ours of an answer: of what collectd wrote by the measurement's
// name, of all else by the names of its columns.
func (i *Influx) series(rows []influxRow) []sample.Series {
	var out []sample.Series
	var lists collectdLists
	for _, r := range rows {
		switch {
		case r.Tags["type"] != "" && (strings.HasPrefix(r.Name, "processes_") || strings.HasPrefix(r.Name, "memory_")):
			lists.add(r, r.tag(i.o.DropletTags...))
		default:
			out = append(out, i.columns(r)...)
		}
	}
	return sample.Merge(append(out, lists.series()...))
}

// collectdLists gathers value lists out of measurements that the server's
// collectd listener split, PLUGIN_SOURCE for each of a type's data sources.
type collectdLists struct {
	lists []sample.CollectdValues
	cpu   map[cpuKey]*sample.CollectdValues // of which user or system time is known
}

type cpuKey struct {
	host, instance string
	ms             int64
}

func (c *collectdLists) add(r influxRow, host string) {
	plugin, of, _ := strings.Cut(r.Name, "_")
	value := slices.Index(r.Columns, "value")
	for _, values := range r.Values {
		at, ok := r.at(values)
		if !ok || value < 0 || value >= len(values) {
			continue
		}
		x, ok := values[value].(float64)
		if !ok {
			continue
		}
		v := sample.CollectdValues{Host: host, Plugin: plugin, Instance: r.Tags["instance"], Type: r.Tags["type"], Part: r.Tags["type_instance"],
			At: at, Values: []float64{x}}
		if v.Type == "ps_cputime" {
			c.half(v, of, x)
			continue
		}
		c.lists = append(c.lists, v)
	}
}

// half keeps user or system time, which come apart.
func (c *collectdLists) half(v sample.CollectdValues, of string, x float64) {
	i := slices.Index([]string{"user", "syst"}, of)
	if i < 0 {
		return
	}
	if c.cpu == nil {
		c.cpu = map[cpuKey]*sample.CollectdValues{}
	}
	key := cpuKey{v.Host, v.Instance, sample.RoundCollectd(v.At)}
	if c.cpu[key] == nil {
		v.Values = []float64{sample.NaN, sample.NaN}
		c.cpu[key] = &v
	}
	c.cpu[key].Values[i] = x
}

// series makes ours of what was gathered.
func (c *collectdLists) series() (out []sample.Series) {
	for _, v := range c.cpu {
		c.lists = append(c.lists, *v)
	}
	// The parts of one reading of memory stand in different series.
	slices.SortStableFunc(c.lists, func(a, b sample.CollectdValues) int { return a.At.Compare(b.At) })
	var whole sample.Collectd
	for _, v := range c.lists {
		out = append(out, whole.Series(v)...)
	}
	return out
}

// influxColumn says what a column is: its name here, and what makes it so.
type influxColumn struct {
	name, kind string
	per        float64 // the column's unit for one of ours
}

// processColumns are columns about a process: telegraf's procstat, and what a
// query may call its own by AS.
var processColumns = map[string]influxColumn{
	"rss": {"dropleak_process_memory_bytes", "rss", 1}, "memory_rss": {"dropleak_process_memory_bytes", "rss", 1},
	"swap": {"dropleak_process_memory_bytes", "swap", 1}, "memory_swap": {"dropleak_process_memory_bytes", "swap", 1},
	"pss": {"dropleak_process_memory_bytes", "pss", 1}, "uss": {"dropleak_process_memory_bytes", "uss", 1},
	"start": {"dropleak_process_start_time_seconds", "", 1}, "created_at": {"dropleak_process_start_time_seconds", "", 1e9},
	"cpu": {"dropleak_process_cpu_seconds_total", "", 1},
}

// dropletColumns are columns about a droplet: telegraf's mem.
var dropletColumns = map[string]influxColumn{
	"available": {"dropleak_droplet_memory_available_bytes", "", 1}, "total": {"dropleak_droplet_memory_total_bytes", "", 1},
	"slab": {"dropleak_droplet_slab_bytes", "", 1}, "shared": {"dropleak_droplet_shmem_bytes", "", 1},
}

// columns makes series of a row's columns.
func (i *Influx) columns(r influxRow) (out []sample.Series) {
	host, worker, pid := r.tag(i.o.DropletTags...), r.tag(i.o.WorkerTags...), r.pid()
	for n, column := range r.Columns {
		labels := []sample.Label{{Name: "droplet", Value: host}}
		c, process := processColumns[column]
		if !process {
			var known bool
			if c, known = dropletColumns[column]; !known {
				continue
			}
		} else {
			labels = append(labels, sample.Label{Name: "worker", Value: worker}, sample.Label{Name: "slot", Value: pid}, sample.Label{Name: "role", Value: "unknown"})
		}
		labels = append(labels, sample.Label{Name: sample.MetricName, Value: c.name}, sample.Label{Name: "kind", Value: c.kind})
		out = append(out, sample.Series{Labels: tidied(labels), Points: r.points(n, c)})
	}
	if p := r.cpu(); len(p) > 0 {
		out = append(out, sample.Series{Points: p, Labels: tidied([]sample.Label{{Name: "droplet", Value: host}, {Name: "worker", Value: worker},
			{Name: "slot", Value: pid}, {Name: "role", Value: "unknown"}, {Name: sample.MetricName, Value: "dropleak_process_cpu_seconds_total"}})})
	}
	return slices.DeleteFunc(out, func(s sample.Series) bool { return len(s.Points) == 0 })
}

// points are the values of one column; memory of 0 bytes is a process that is
// not there.
func (r influxRow) points(column int, c influxColumn) (out []sample.Point) {
	for _, values := range r.Values {
		at, ok := r.at(values)
		if !ok || column >= len(values) {
			continue
		}
		x, ok := values[column].(float64)
		if !ok || x < 0 || x == 0 && c.kind == "rss" || math.IsInf(x, 0) {
			continue
		}
		out = append(out, sample.Point{At: at.UnixMilli(), V: x / c.per})
	}
	return out
}

// cpu adds user and system time where a row has both.
func (r influxRow) cpu() (out []sample.Point) {
	user, system := slices.Index(r.Columns, "cpu_time_user"), slices.Index(r.Columns, "cpu_time_system")
	if user < 0 || system < 0 {
		return nil
	}
	u, s := r.points(user, influxColumn{per: 1}), r.points(system, influxColumn{per: 1})
	for i := range u {
		if k, found := slices.BinarySearchFunc(s, u[i].At, func(p sample.Point, at int64) int { return int(p.At - at) }); found {
			out = append(out, sample.Point{At: u[i].At, V: u[i].V + s[k].V})
		}
	}
	return out
}

// tidied is a label list without empty values, by name.
func tidied(labels []sample.Label) []sample.Label {
	labels = slices.DeleteFunc(labels, func(l sample.Label) bool { return l.Value == "" })
	slices.SortFunc(labels, func(a, b sample.Label) int { return strings.Compare(a.Name, b.Name) })
	return labels
}
