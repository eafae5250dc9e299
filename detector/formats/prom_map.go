package formats

import (
	"cmp"
	"errors"
	"fmt"
	"math"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/dropleak/dropleak/detector/sample"
)

// series collects points by their labels; only names that say something of
// memory are kept.
type series struct {
	by     map[string]*sample.Series
	order  []*sample.Series
	points int
}

func newSeries() *series { return &series{by: map[string]*sample.Series{}} }

// maxPoints bounds what one source may hold: about a gigabyte once judged.
const maxPoints = 20_000_000

var errTooMuch = errors.New("the source holds more samples than are read at once")

func (s *series) add(labels []sample.Label, ms int64, v float64) error {
	if math.IsNaN(v) || math.IsInf(v, 0) {
		return nil // nothing there, or a stale marker
	}
	if s.points >= maxPoints {
		return errTooMuch
	}
	s.points++
	slices.SortFunc(labels, func(a, b sample.Label) int { return cmp.Compare(a.Name, b.Name) })
	one := sample.Series{Labels: labels}
	key := one.Key()
	if s.by[key] == nil {
		s.by[key] = &one
		s.order = append(s.order, &one)
	}
	s.by[key].Points = append(s.by[key].Points, sample.Point{At: ms, V: v})
	return nil
}

// The foreign names that are read.
const (
	clientRSS   = "process_resident_memory_bytes"
	clientStart = "process_start_time_seconds"
	clientCPU   = "process_cpu_seconds_total"
	groupStart  = "namedprocess_namegroup_oldest_start_time_seconds"
	groupCPU    = "namedprocess_namegroup_cpu_seconds_total"
)

func wanted(labels []sample.Label) bool {
	s := sample.Series{Labels: labels}
	name := s.Name()
	switch name {
	case clientRSS, clientStart, clientCPU, groupStart, "":
		return true
	case groupCPU:
		return s.Get("mode") == "user"
	case sample.GroupMemory:
		return sample.Memtypes[s.Get("memtype")] != ""
	}
	return sample.NodeNames[name] != "" || sample.Known(name)
}

// mapper turns foreign series into ours, so that one decoder reads them all.
type mapper struct {
	worker  string // where no label names one
	group   *regexp.Regexp
	pids    map[string]int  // by slot
	members map[string]bool // slots of which memory is known
	bare    bool            // a series without a name was taken for memory
}

// into turns what was collected into samples.
func (s *series) into(r *Reading, worker string, o Options) {
	m := mapper{worker: worker, group: o.Groupname, pids: map[string]int{}, members: map[string]bool{}}
	if m.group == nil {
		m.group = sample.Groupname
	}
	ours := make([]sample.Series, 0, len(s.order))
	for _, one := range s.order {
		if t, ok := m.translate(*one); ok {
			ours = append(ours, t)
		}
	}
	if m.bare {
		r.note(0, "series without a name are taken for resident memory")
	}
	passes, _ := sample.Decode(ours)
	for _, p := range passes {
		for _, one := range p.Processes {
			if pid, ok := m.pids[one.Slot]; ok && one.PID == 0 {
				one.PID, one.Slot = pid, "" // the slot only held it together with its pid
			}
			if measured(one) {
				r.Processes = append(r.Processes, one)
			}
		}
		r.Workers = append(r.Workers, p.Workers...)
		if p.Droplet != nil {
			r.Droplets = append(r.Droplets, *p.Droplet)
		}
	}
}

// translate makes one of our series; false where it is of no use.
func (m *mapper) translate(s sample.Series) (sample.Series, bool) {
	name := s.Name()
	switch {
	case sample.Known(name):
		return s, true
	case sample.NodeNames[name] != "":
		return ours(s, sample.NodeNames[name], dropletOf(s)), true
	case name == sample.GroupMemory:
		return m.process(s, "dropleak_process_memory_bytes", sample.Memtypes[s.Get("memtype")]), true
	case name == groupStart, name == clientStart:
		return m.process(s, "dropleak_process_start_time_seconds", ""), true
	case name == groupCPU, name == clientCPU:
		return m.process(s, "dropleak_process_cpu_seconds_total", ""), true
	case name == "":
		m.bare = true
	}
	return m.process(s, "dropleak_process_memory_bytes", "rss"), true
}

// ours is a series under one of our names; pairs are further labels.
func ours(s sample.Series, name, droplet string, pairs ...string) sample.Series {
	out := sample.Series{Points: s.Points, Labels: []sample.Label{{Name: sample.MetricName, Value: name}}}
	pairs = append(pairs, "droplet", droplet)
	for i := 0; i < len(pairs); i += 2 {
		if pairs[i+1] != "" {
			out.Labels = append(out.Labels, sample.Label{Name: pairs[i], Value: pairs[i+1]})
		}
	}
	return out
}

// process finds which process a foreign series is about.
func (m *mapper) process(s sample.Series, name, kind string) sample.Series {
	worker, pid := m.named(s)
	slot := cmp.Or(strings.TrimSpace(strings.Join([]string{s.Get("groupname"), s.Get("pid"), s.Get("instance")}, " ")), "0")
	if pid > 0 {
		m.pids[slot] = pid
	}
	return ours(s, name, dropletOf(s), "kind", kind, "worker", worker, "slot", slot, "role", "unknown")
}

// named is the worker a foreign series belongs to, and the pid where told.
func (m *mapper) named(s sample.Series) (worker string, pid int) {
	if group := s.Get("groupname"); group != "" {
		worker, digits := sample.Grouped(m.group, group)
		return worker, number32(digits)
	}
	for _, label := range []string{"worker", "hostname", "job"} {
		if worker = s.Get(label); worker != "" {
			break
		}
	}
	return cmp.Or(worker, s.Get("instance"), m.worker), number32(s.Get("pid"))
}

// number32 is a pid written in digits, 0 for anything else.
func number32(text string) int {
	n, err := strconv.ParseInt(text, 10, 32)
	if err != nil || n < 0 {
		return 0
	}
	return int(n)
}

// dropletOf is the host a foreign series is about: named by a label, else
// that of the scraped address, unless it is this very machine.
func dropletOf(s sample.Series) string {
	if d := s.Get("droplet"); d != "" {
		return d
	}
	at := s.Get("instance")
	if h, _, ok := splitPort(at); ok {
		at = h
	}
	if at == "localhost" || at == "127.0.0.1" || at == "::1" {
		return ""
	}
	return at
}

// describe says where a file's time came from.
func describe(f File) string {
	return fmt.Sprintf("the file (%s)", f.Modified.UTC().Format("2006-01-02 15:04:05"))
}

// splitPort parts HOST:PORT, and [HOST]:PORT of IPv6, at the port.
func splitPort(at string) (host, port string, ok bool) {
	i := strings.LastIndexByte(at, ':')
	if i < 0 {
		return "", "", false
	}
	host, port = at[:i], at[i+1:]
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return "", "", false
	}
	inner, bracketed := strings.CutPrefix(host, "[")
	if bracketed {
		return strings.TrimSuffix(inner, "]"), port, true
	}
	return host, port, !strings.Contains(host, ":")
}
