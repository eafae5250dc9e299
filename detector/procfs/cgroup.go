package procfs

import (
	"bytes"
	"io/fs"
	"math"
	"path"
	"regexp"
	"strconv"
	"strings"

	"github.com/dropleak/dropleak/detector/sample"
)

// cgroupPath is where a process is accounted.
type cgroupPath struct {
	memory string // path below the hierarchy that counts memory, no leading slash; "" the root
	v1     bool
	unit   string // the path systemd sees, for finding unit and container
}

// parseCgroup reads /proc/PID/cgroup. Memory is counted in v1 where a v1
// memory hierarchy exists, else in v2.
func parseCgroup(raw []byte) cgroupPath {
	var c cgroupPath
	var v2, named string
	for line := range bytes.Lines(raw) {
		parts := strings.SplitN(strings.TrimRight(string(line), "\n"), ":", 3)
		if len(parts) != 3 {
			continue
		}
		// A path outside our cgroup namespace starts with /..; cleaned, it
		// names the nearest ancestor we can see.
		p := strings.TrimPrefix(path.Clean("/"+parts[2]), "/")
		for _, controller := range strings.Split(parts[1], ",") {
			switch controller {
			case "memory":
				c.memory, c.v1 = p, true
			case "name=systemd":
				named = p
			case "":
				v2 = p
			}
		}
	}
	if !c.v1 {
		c.memory = v2
	}
	c.unit = v2
	if v2 == "" {
		c.unit = named
	}
	if c.unit == "" {
		c.unit = c.memory
	}
	return c
}

// container matches the cgroup names the usual engines give.
var container = regexp.MustCompile(`(^|/)(docker|lxc|libpod|crio|kubepods|containerd|cri-containerd|podman|nspawn|machine-qemu)[-/.]|[0-9a-f]{64}`)

func (c cgroupPath) container() bool { return container.MatchString(c.unit) }

// service returns the innermost systemd service, with its suffix; user
// managers' services are not reachable over the system bus and yield "".
func (c cgroupPath) service() string {
	if strings.Contains(c.unit, "user@") {
		return ""
	}
	parts := strings.Split(c.unit, "/")
	for i := len(parts) - 1; i >= 0; i-- {
		if strings.HasSuffix(parts[i], ".service") {
			return clean(parts[i]) // whoever was given a part of the tree names what is below
		}
	}
	return ""
}

// unlimited is where v1 stops meaning a limit: it writes "none" as the
// largest multiple of the page size.
const unlimited = 1 << 62

// readCgroup fills in what the cgroup's files say about a worker.
func (r *Reader) readCgroup(w *sample.Worker, c cgroupPath) {
	dir := r.memoryDir(c)
	w.Limit, w.High, w.Current, w.Pressure, w.OOMKills = nan, nan, nan, nan, nan
	limit, high, current, events := "memory.max", "memory.high", "memory.current", "memory.events"
	if c.v1 {
		limit, high, current, events = "memory.limit_in_bytes", "memory.soft_limit_in_bytes", "memory.usage_in_bytes", "memory.oom_control"
	}
	w.Current = r.cgroupNumber(dir, current)
	w.OOMKills = flat(r.cgroupFile(dir, events))["oom_kill"]
	if _, ok := flat(r.cgroupFile(dir, events))["oom_kill"]; !ok {
		w.OOMKills = nan
	}
	w.Pressure = someAvg60(r.cgroupFile(dir, "memory.pressure"))
	for at := dir; ; at = path.Dir(at) {
		w.Limit = smaller(w.Limit, r.cgroupNumber(at, limit))
		if !c.v1 { // v1's soft limit does not throttle
			w.High = smaller(w.High, r.cgroupNumber(at, high))
		}
		if at == "." || at == "/" {
			break
		}
	}
}

// memoryDir is the cgroup's directory below the cgroup mount.
func (r *Reader) memoryDir(c cgroupPath) string {
	dir := c.memory
	if c.v1 {
		dir = path.Join("memory", c.memory)
	}
	if dir == "" {
		return "."
	}
	return dir
}

func (r *Reader) cgroupFile(dir, name string) []byte {
	if r.cgroup == nil {
		return nil
	}
	raw, err := fs.ReadFile(r.cgroup, path.Join(dir, name))
	if err != nil {
		return nil // the root has no such files, and not every kernel has all
	}
	return raw
}

// cgroupNumber reads a file of one number; "max" and absent are NaN.
func (r *Reader) cgroupNumber(dir, name string) float64 {
	n, err := strconv.ParseUint(string(bytes.TrimSpace(r.cgroupFile(dir, name))), 10, 64)
	if err != nil || n >= unlimited {
		return nan
	}
	return float64(n)
}

// smaller ignores what is not there.
func smaller(a, b float64) float64 {
	if math.IsNaN(a) || b < a {
		return b
	}
	return a
}

// flat reads a file of "key value" lines.
func flat(raw []byte) map[string]float64 {
	out := map[string]float64{}
	for line := range bytes.Lines(raw) {
		f := bytes.Fields(line)
		if len(f) != 2 {
			continue
		}
		if v, err := strconv.ParseUint(string(f[1]), 10, 64); err == nil {
			out[string(f[0])] = float64(v)
		}
	}
	return out
}

// someAvg60 reads the share of the last minute in which some task waited for
// memory, 0..1, from a pressure file.
func someAvg60(raw []byte) float64 {
	for line := range bytes.Lines(raw) {
		f := strings.Fields(string(line))
		if len(f) < 3 || f[0] != "some" {
			continue
		}
		for _, kv := range f[1:] {
			if v, ok := strings.CutPrefix(kv, "avg60="); ok {
				if p, err := strconv.ParseFloat(v, 64); err == nil && p >= 0 && p <= 100 {
					return p / 100
				}
			}
		}
	}
	return nan
}
