package procfs

import (
	"fmt"
	"io/fs"
	"strconv"
	"strings"
	"testing"
	"testing/fstest"
	"time"
)

// scene is a /proc and a /sys/fs/cgroup in memory, in the kernel's own
// formats.
type scene struct{ proc, cgroup fstest.MapFS }

// fake is one process of a scene. MiB where sizes are meant.
type fake struct {
	pid, ppid int
	comm      string // default python3
	args      string // blank-separated argument vector
	title     string // a setproctitle title instead
	rss, pss  int
	swap      int
	start     int // seconds after boot
	env       string
	cgroup    string
	nested    bool
	fds       []string
	state     string
}

const boot = 1_700_000_000

var now = time.Unix(boot+100_000, 0).UTC()

func newScene(procs ...fake) *scene {
	s := &scene{proc: fstest.MapFS{}, cgroup: fstest.MapFS{}}
	s.file("stat", "cpu  1 2 3\nintr 5\nbtime "+strconv.Itoa(boot)+"\nprocesses 7\n")
	s.file("meminfo", "MemTotal:        4000000 kB\nMemFree:          100000 kB\nMemAvailable:    1000000 kB\nShmem:   2048 kB\n"+
		"Slab:             4096 kB\nSwapTotal:        102400 kB\nSwapFree:         102400 kB\n")
	s.file("vmstat", "nr_free_pages 5\noom_kill_x 9\noom_kill 3\n")
	s.file("sys/kernel/hostname", "web1\n")
	s.file("sys/kernel/random/boot_id", "11111111-2222-3333-4444-555555555555\n")
	for _, p := range procs {
		s.add(p)
	}
	return s
}

func (s *scene) file(name, text string) { s.proc[name] = &fstest.MapFile{Data: []byte(text)} }

func (s *scene) add(p fake) {
	if p.comm == "" {
		p.comm = "python3"
	}
	if p.state == "" {
		p.state = "S"
	}
	dir := strconv.Itoa(p.pid) + "/"
	pages := p.rss << 20 / 4096
	s.file(dir+"stat", fmt.Sprintf("%d (%s) %s %d 1 1 0 -1 4194304 100 0 0 0 150 50 0 0 20 0 1 0 %d 99999 %d 1844 1 1 0\n",
		p.pid, p.comm, p.state, p.ppid, p.start*100, pages))
	s.file(dir+"statm", fmt.Sprintf("%d %d 100 1 0 50 0\n", pages*2, pages))
	line := strings.ReplaceAll(p.args, " ", "\x00") + "\x00"
	if p.title != "" {
		line = p.title + strings.Repeat("\x00", 20)
	}
	s.file(dir+"cmdline", line)
	nspid := strconv.Itoa(p.pid)
	if p.nested {
		nspid += "\t7"
	}
	s.file(dir+"status", fmt.Sprintf("Name:\t%s\nNSpid:\t%s\nVmRSS:\t%d kB\nVmSwap:\t%d kB\nThreads:\t3\n", p.comm, nspid, p.rss<<10, p.swap<<10))
	s.file(dir+"cgroup", "0::"+p.cgroup+"\n")
	s.file(dir+"environ", strings.ReplaceAll(p.env, " ", "\x00"))
	if p.pss > 0 {
		s.file(dir+"smaps_rollup", fmt.Sprintf("55550000-7fff0000 ---p 00000000 00:00 0    [rollup]\nRss: %d kB\nPss: %d kB\nPss_Dirty: 1 kB\n"+
			"Private_Clean: %d kB\nPrivate_Dirty: %d kB\nSwap: 0 kB\nSwapPss: 0 kB\n", p.rss<<10, p.pss<<10, p.pss<<9, p.pss<<8))
	}
	for i, target := range p.fds {
		s.proc[dir+"fd/"+strconv.Itoa(i)] = &fstest.MapFile{Data: []byte(target), Mode: fs.ModeSymlink | 0o777}
	}
}

func (s *scene) reader() *Reader {
	r := New(s.proc, s.cgroup)
	r.page = 4096
	return r
}

// always is a budget without end.
func always(Node, []float64) bool { return true }

func (s *scene) read(t *testing.T) Reading {
	t.Helper()
	got, err := s.reader().Read(now, always)
	if err != nil {
		t.Fatal(err)
	}
	return got
}

// lines prints the nodes and processes of a reading, one a line.
func lines(r Reading) string {
	var b strings.Builder
	for _, w := range r.Pass.Workers {
		fmt.Fprintf(&b, "%s node=%s pool=%s app=%s manager=%s unit=%s\n", w.Worker, w.Node, w.Pool, w.App, w.Manager, w.Unit)
		for _, p := range r.Pass.Processes {
			if p.Worker == w.Worker {
				fmt.Fprintf(&b, "  %d %s rss=%.0f pss=%.0f swap=%.0f\n", p.PID, p.Role, p.RSS/(1<<20), p.PSS/(1<<20), p.Swap/(1<<20))
			}
		}
	}
	return b.String()
}

func symlink(target string) *fstest.MapFile {
	return &fstest.MapFile{Data: []byte(target), Mode: fs.ModeSymlink | 0o777}
}
