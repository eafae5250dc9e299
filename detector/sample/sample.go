// Package sample is the one record of a process's memory at a moment that
// agent, files and bot share, and its codecs.
package sample

import (
	"math"
	"time"
)

// Process is one reading of one process in one pass. Memory in bytes, CPU in
// seconds since the process started; what was not measured is NaN.
type Process struct {
	At                  time.Time // identical for all records of one pass
	Droplet             string
	Worker              string
	Slot                string // "main" for the parent, else decimal from 0; "" unknown
	Role                string // parent, child, other, unknown
	PID, PPID           int    // 0 unknown
	Start               time.Time
	RSS, PSS, USS, Swap float64
	CPU                 float64
}

// Worker is what one pass learns of a Celery node as a whole. Sizes in
// bytes; NaN (or "") where unknown.
type Worker struct {
	At       time.Time
	Droplet  string
	Worker   string
	Node     string  // name@host as Celery has it; the host left out where it is random
	Pool     string  // prefork, solo, threads, eventlet, gevent
	App      string  // the -A argument
	Unit     string  // systemd unit or supervisor program; "" unknown
	Manager  string  // systemd, supervisor, container, none
	Limit    float64 // the smallest memory limit of its cgroup and all ancestors
	High     float64 // the smallest MemoryHigh
	Current  float64 // the cgroup's own count
	Pressure float64 // PSI "some" avg60, 0..1
	OOMKills float64 // counter
}

// Droplet is what one pass learns of the host. Sizes in bytes.
type Droplet struct {
	At               time.Time
	Droplet          string
	Available, Total float64
	Shmem, Slab      float64
	SwapUsed         float64
	OOMKills         float64 // /proc/vmstat counter
	Boot             time.Time
}

// Other is one of the largest processes outside Celery, by name.
type Other struct {
	At      time.Time
	Droplet string
	Name    string  // comm, never the command line
	Memory  float64 // RSS + swap, bytes, summed over processes of that name
}

// Pass is one complete reading of a droplet: every process of every worker
// at one timestamp, or the worker is not in it.
type Pass struct {
	Processes []Process
	Workers   []Worker
	Droplet   *Droplet
	Others    []Other
}

// NaN is "not measured".
var NaN = math.NaN()

// Measured reports whether v was measured.
func Measured(v float64) bool { return !math.IsNaN(v) }
