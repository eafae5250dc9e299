package sample

import "regexp"

// The names of other people's exporters, as far as they say something of
// memory. Files and the network bring the same ones.

// GroupMemory is process-exporter's memory of a group of processes, by
// memtype.
const GroupMemory = "namedprocess_namegroup_memory_bytes"

// Memtypes are process-exporter's memtypes that are memory in use, with our
// kinds.
var Memtypes = map[string]string{"resident": "rss", "proportionalResident": "pss", "swapped": "swap"}

// NodeNames are node_exporter's names, with ours.
var NodeNames = map[string]string{
	"node_memory_MemAvailable_bytes": "dropleak_droplet_memory_available_bytes",
	"node_memory_MemTotal_bytes":     "dropleak_droplet_memory_total_bytes",
	"node_memory_Shmem_bytes":        "dropleak_droplet_shmem_bytes",
	"node_memory_Slab_bytes":         "dropleak_droplet_slab_bytes",
	"node_vmstat_oom_kill":           "dropleak_droplet_oom_kills_total",
	"node_boot_time_seconds":         "dropleak_droplet_boot_time_seconds",
}

// Groupname is what people make of process-exporter's templates for several
// workers: a name, and a pid where one was added.
var Groupname = regexp.MustCompile(`^(?P<worker>.*?)(?:[;:/ -](?P<pid>[0-9]+))?$`)

// Grouped returns the worker that a group's name speaks of, and the pid if it
// tells one, by the groups "worker" and "pid" of a pattern. A name that the
// pattern does not match is the worker's.
func Grouped(pattern *regexp.Regexp, name string) (worker, pid string) {
	worker = name
	found := pattern.FindStringSubmatch(name)
	for i, group := range pattern.SubexpNames() {
		switch {
		case found == nil || found[i] == "":
		case group == "worker":
			worker = found[i]
		case group == "pid":
			pid = found[i]
		}
	}
	return worker, pid
}
