package sample

import (
	"math"
	"time"
)

// Names of the series that identify rather than measure.
const (
	nameMemory = "dropleak_process_memory_bytes"
	nameInfo   = "dropleak_worker_info"
	nameOther  = "dropleak_other_memory_bytes"
)

// field ties one series name (and, for memory, its kind) to the place of its
// value in a record. The tables below are the whole vocabulary; encoder and
// decoder both walk them, so they cannot disagree.
type field[T any] struct {
	name, kind string
	get        func(*T) float64 // NaN: not measured, nothing is sent
	set        func(*T, float64)
}

// number is a field kept in the record as it travels.
func number[T any](name, kind string, at func(*T) *float64) field[T] {
	return field[T]{name, kind,
		func(r *T) float64 { return *at(r) },
		func(r *T, v float64) { *at(r) = v }}
}

// moment is a time that travels as seconds since the epoch.
func moment[T any](name string, at func(*T) *time.Time) field[T] {
	return field[T]{name, "",
		func(r *T) float64 { return seconds(*at(r)) },
		func(r *T, v float64) { *at(r) = fromSeconds(v) }}
}

var processFields = []field[Process]{
	number(nameMemory, "rss", func(p *Process) *float64 { return &p.RSS }),
	number(nameMemory, "pss", func(p *Process) *float64 { return &p.PSS }),
	number(nameMemory, "uss", func(p *Process) *float64 { return &p.USS }),
	number(nameMemory, "swap", func(p *Process) *float64 { return &p.Swap }),
	moment("dropleak_process_start_time_seconds", func(p *Process) *time.Time { return &p.Start }),
	{"dropleak_process_pid", "", pidOf, func(p *Process, v float64) { p.PID = pidFrom(v) }},
	number("dropleak_process_cpu_seconds_total", "", func(p *Process) *float64 { return &p.CPU }),
}

var workerFields = []field[Worker]{
	number("dropleak_worker_memory_limit_bytes", "", func(w *Worker) *float64 { return &w.Limit }),
	number("dropleak_worker_memory_high_bytes", "", func(w *Worker) *float64 { return &w.High }),
	number("dropleak_worker_memory_current_bytes", "", func(w *Worker) *float64 { return &w.Current }),
	number("dropleak_worker_memory_pressure_ratio", "", func(w *Worker) *float64 { return &w.Pressure }),
	number("dropleak_worker_oom_kills_total", "", func(w *Worker) *float64 { return &w.OOMKills }),
}

var dropletFields = []field[Droplet]{
	number("dropleak_droplet_memory_available_bytes", "", func(d *Droplet) *float64 { return &d.Available }),
	number("dropleak_droplet_memory_total_bytes", "", func(d *Droplet) *float64 { return &d.Total }),
	number("dropleak_droplet_shmem_bytes", "", func(d *Droplet) *float64 { return &d.Shmem }),
	number("dropleak_droplet_slab_bytes", "", func(d *Droplet) *float64 { return &d.Slab }),
	number("dropleak_droplet_swap_used_bytes", "", func(d *Droplet) *float64 { return &d.SwapUsed }),
	number("dropleak_droplet_oom_kills_total", "", func(d *Droplet) *float64 { return &d.OOMKills }),
	moment("dropleak_droplet_boot_time_seconds", func(d *Droplet) *time.Time { return &d.Boot }),
}

// lookup indexes a table by name and kind.
func lookup[T any](fields []field[T]) map[[2]string]field[T] {
	m := make(map[[2]string]field[T], len(fields))
	for _, f := range fields {
		m[[2]string{f.name, f.kind}] = f
	}
	return m
}

var (
	processByName = lookup(processFields)
	workerByName  = lookup(workerFields)
	dropletByName = lookup(dropletFields)
)

func pidOf(p *Process) float64 {
	if p.PID == 0 {
		return NaN
	}
	return float64(p.PID)
}

// pidFrom takes what may be a pid, and 0 for anything else that was sent.
func pidFrom(v float64) int {
	if v >= 1 && v <= math.MaxInt32 {
		return int(v)
	}
	return 0
}

// seconds keeps milliseconds: finer digits of a start time are noise that
// would only cost bytes in the store.
func seconds(t time.Time) float64 {
	if t.IsZero() {
		return NaN
	}
	return float64(t.UnixMilli()) / 1e3
}

// fromSeconds takes a moment from 1970 to the year 9999, and "unknown" for
// anything else that was sent: no JSON can hold it.
func fromSeconds(s float64) time.Time {
	if !(s >= 0 && s < 253402300800) {
		return time.Time{}
	}
	return time.UnixMilli(int64(math.Round(s * 1e3))).UTC()
}
