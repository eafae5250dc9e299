package procfs

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"path"
	"strconv"
	"strings"

	"github.com/dropleak/dropleak/detector/sample"
)

// Holdings is what one process holds, by kind: the evidence that a restart
// destroys.
type Holdings struct {
	PID      int
	Role     string
	Memory   map[string]int64 // bytes of PSS+SwapPSS by kind: heap, anonymous, stack, libraries, files, shared, other
	Files    map[string]int   // open descriptors: file, socket, pipe, and what anon_inode calls itself
	Sockets  map[string]int   // by protocol and state: "tcp established", "udp", "unix"
	Threads  int
	Mappings int
}

// Hold reads what every process of a node holds. It never blocks long: when
// ctx ends it returns what it has, and a note says so.
func (r *Reader) Hold(ctx context.Context, n Node) (held []Holdings, cgroup map[string]float64, notes []string) {
	cgroup = r.cgroupCounters(n.cgroup)
	protocols := r.sockets(n.Main().PID)
	for _, m := range n.Members {
		if ctx.Err() != nil {
			notes = append(notes, fmt.Sprintf("time was up after %d of %d processes", len(held), len(n.Members)))
			break
		}
		h, note := r.hold(m, protocols)
		held = append(held, h)
		if note != "" {
			notes = append(notes, note)
		}
	}
	return held, cgroup, notes
}

func (r *Reader) hold(m Member, protocols map[string]string) (Holdings, string) {
	h := Holdings{PID: m.PID, Role: m.Role, Memory: map[string]int64{}, Files: map[string]int{}, Sockets: map[string]int{}}
	note := ""
	if raw, err := r.readOf(m.PID, "status"); err == nil {
		h.Threads = parseStatus(raw).threads
	}
	var err error
	if h.Memory, h.Mappings, err = r.smaps(m.PID); err != nil {
		note = fmt.Sprintf("memory of pid %d by kind is missing, at least in part: %v", m.PID, err)
	}
	for _, target := range r.descriptors(m.PID) {
		kind, inode := descriptorKind(target)
		h.Files[kind]++
		if kind == "socket" {
			p := protocols[inode]
			if p == "" {
				p = "other"
			}
			h.Sockets[p]++
		}
	}
	return h, note
}

// descriptorKind sorts the target of a descriptor; of a socket also the
// inode.
func descriptorKind(target string) (kind, inode string) {
	if id, ok := strings.CutPrefix(target, "socket:["); ok {
		return "socket", strings.TrimSuffix(id, "]")
	}
	if strings.HasPrefix(target, "pipe:[") {
		return "pipe", ""
	}
	if name, ok := strings.CutPrefix(target, "anon_inode:"); ok {
		return strings.Trim(name, "[]"), ""
	}
	if strings.HasPrefix(target, "/dev/") && !strings.HasPrefix(target, "/dev/shm/") {
		return "device", ""
	}
	return "file", ""
}

// smaps reads /proc/PID/smaps line by line: a leak may have tens of thousands
// of mappings, whose text would not fit into what the agent may use.
func (r *Reader) smaps(pid int) (map[string]int64, int, error) {
	f, err := r.proc.Open(strconv.Itoa(pid) + "/smaps")
	if err != nil {
		return map[string]int64{}, 0, err
	}
	defer f.Close()
	return parseSmaps(f)
}

// parseSmaps sums /proc/PID/smaps by kind of mapping, as far as it can read.
func parseSmaps(from io.Reader) (kinds map[string]int64, mappings int, err error) {
	kinds = map[string]int64{}
	kind := ""
	lines := bufio.NewScanner(from)
	for lines.Scan() {
		f := bytes.Fields(lines.Bytes())
		if len(f) == 0 {
			continue
		}
		if mapping(f) {
			name := ""
			if len(f) > 5 {
				name = string(bytes.Join(f[5:], []byte(" ")))
			}
			kind = mappingKind(name)
			mappings++
			continue
		}
		if kind == "" || len(f) < 2 || string(f[0]) != "Pss:" && string(f[0]) != "SwapPss:" {
			continue
		}
		if kb, err := strconv.ParseUint(string(f[1]), 10, 40); err == nil {
			kinds[kind] += int64(kb) * 1024
		}
	}
	return kinds, mappings, lines.Err()
}

// mapping reports whether the fields begin a mapping: from-to perms offset
// device inode [name].
func mapping(f [][]byte) bool {
	if len(f) < 5 || len(f[1]) != 4 {
		return false
	}
	from, to, ok := bytes.Cut(f[0], []byte("-"))
	if !ok {
		return false
	}
	_, err1 := strconv.ParseUint(string(from), 16, 64)
	_, err2 := strconv.ParseUint(string(to), 16, 64)
	return err1 == nil && err2 == nil
}

func mappingKind(name string) string {
	switch {
	case name == "" || strings.HasPrefix(name, "[anon"):
		return "anonymous"
	case name == "[heap]":
		return "heap"
	case strings.HasPrefix(name, "[stack"):
		return "stack"
	case strings.HasPrefix(name, "/dev/shm/"), strings.HasPrefix(name, "/SYSV"), strings.HasPrefix(name, "/memfd:"),
		strings.HasPrefix(name, "/dev/zero"):
		return "shared"
	case strings.Contains(path.Base(name), ".so"):
		return "libraries"
	case strings.HasPrefix(name, "/"):
		return "files"
	}
	return "other"
}

// tcpStates names the states of /proc/net/tcp by their number.
var tcpStates = []string{"", "established", "syn_sent", "syn_recv", "fin_wait1", "fin_wait2", "time_wait", "close", "close_wait",
	"last_ack", "listen", "closing", "new_syn_recv"}

// sockets maps inodes to protocol and state, in the network namespace of a
// process.
func (r *Reader) sockets(pid int) map[string]string {
	out := map[string]string{}
	for _, table := range []string{"tcp", "tcp6", "udp", "udp6", "unix"} {
		raw, err := r.readOf(pid, "net/"+table)
		if err != nil {
			continue // no such protocol here
		}
		parseSockets(out, strings.TrimSuffix(table, "6"), raw)
	}
	return out
}

func parseSockets(out map[string]string, protocol string, raw []byte) {
	first := true
	for line := range bytes.Lines(raw) {
		f := bytes.Fields(line)
		if first { // the header
			first = false
			continue
		}
		switch {
		case protocol == "unix" && len(f) > 6:
			out[string(f[6])] = "unix"
		case protocol == "udp" && len(f) > 9:
			out[string(f[9])] = "udp"
		case protocol == "tcp" && len(f) > 9:
			n, err := strconv.ParseUint(string(f[3]), 16, 8)
			if err != nil || int(n) >= len(tcpStates) {
				continue
			}
			out[string(f[9])] = "tcp " + tcpStates[n]
		}
	}
}

// cgroupCounters reads the counters that tell how a cgroup got where it is.
func (r *Reader) cgroupCounters(c cgroupPath) map[string]float64 {
	out := map[string]float64{}
	dir := r.memoryDir(c)
	for _, file := range []string{"memory.stat", "memory.events", "memory.oom_control"} {
		for k, v := range flat(r.cgroupFile(dir, file)) {
			out[file+"."+k] = v
		}
	}
	for _, file := range []string{"memory.current", "memory.peak", "memory.swap.current", "memory.usage_in_bytes", "memory.max_usage_in_bytes"} {
		if v := r.cgroupNumber(dir, file); sample.Measured(v) {
			out[file] = v
		}
	}
	return out
}
