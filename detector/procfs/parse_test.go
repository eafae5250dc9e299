package procfs

import (
	"bytes"
	"context"
	"io/fs"
	"math"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/fstest"
	"time"

	"github.com/google/go-cmp/cmp"
	upstream "github.com/prometheus/procfs"
)

// TestAgainstUpstream holds our parsers against prometheus/procfs on the
// living /proc, this very process.
func TestAgainstUpstream(t *testing.T) {
	self, err := upstream.Self()
	if err != nil {
		t.Fatal(err)
	}
	file := func(name string) []byte {
		raw, err := os.ReadFile(filepath.Join("/proc/self", name))
		if err != nil {
			t.Fatal(err)
		}
		return raw
	}
	want, err := self.Stat()
	if err != nil {
		t.Fatal(err)
	}
	got, err := parseStat(file("stat"))
	if err != nil {
		t.Fatal(err)
	}
	if got.comm != want.Comm || got.ppid != want.PPID || got.start != want.Starttime {
		t.Errorf("stat %+v, upstream %+v", got, want)
	}
	near := func(what string, a, b float64) {
		t.Helper()
		if math.Abs(a-b) > 16<<20 { // the test itself allocates between the two readings
			t.Errorf("%s: %.0f, upstream %.0f", what, a, b)
		}
	}
	near("rss", float64(got.rss), float64(want.RSS))
	roll, err := parseRollup(file("smaps_rollup"))
	if err != nil {
		t.Fatal(err)
	}
	up, err := self.ProcSMapsRollup()
	if err != nil {
		t.Fatal(err)
	}
	near("pss", roll.pss, float64(up.Pss))
	near("uss", roll.uss, float64(up.PrivateClean+up.PrivateDirty))
	kinds, mappings, err := parseSmaps(bytes.NewReader(file("smaps")))
	if err != nil {
		t.Fatal(err)
	}
	sum := 0.0
	for _, v := range kinds {
		sum += float64(v)
	}
	near("sum of smaps", sum, roll.pss)
	if mappings < 10 {
		t.Errorf("%d mappings", mappings)
	}
	st, err := self.NewStatus()
	if err != nil {
		t.Fatal(err)
	}
	if s := parseStatus(file("status")); s.threads < 2 || s.nested != (len(st.NSpids) > 1) || s.swap != float64(st.VmSwap) {
		t.Errorf("status %+v, upstream %+v", s, st)
	}
	whole, err := upstream.NewDefaultFS()
	if err != nil {
		t.Fatal(err)
	}
	mem, err := whole.Meminfo()
	if err != nil {
		t.Fatal(err)
	}
	raw, err := os.ReadFile("/proc/meminfo")
	if err != nil {
		t.Fatal(err)
	}
	if d := parseMeminfo(raw); d.Total != float64(*mem.MemTotalBytes) {
		t.Errorf("total %.0f, upstream %d", d.Total, *mem.MemTotalBytes)
	}
}

func TestCgroupLimits(t *testing.T) {
	v2 := func(files map[string]string) *scene {
		s := newScene(fake{pid: 10, ppid: 1, args: "celery -A app worker", rss: 1, cgroup: "/app.slice/mail.service"})
		for name, text := range files {
			s.cgroup[name] = &fstest.MapFile{Data: []byte(text)}
		}
		return s
	}
	w := v2(map[string]string{
		"app.slice/mail.service/memory.max": "max\n", "app.slice/mail.service/memory.high": "900\n",
		"app.slice/mail.service/memory.current": "700\n", "app.slice/mail.service/memory.events": "low 0\noom 5\noom_kill 4\n",
		"app.slice/mail.service/memory.pressure": "some avg10=1.00 avg60=12.50 avg300=0 total=1\nfull avg10=0 avg60=99 avg300=0 total=1\n",
		"app.slice/memory.max":                   "5000\n", "app.slice/memory.high": "800\n", "memory.max": "9000\n",
	}).read(t).Pass.Workers[0]
	if w.Limit != 5000 || w.High != 800 || w.Current != 700 || w.OOMKills != 4 || w.Pressure != 0.125 {
		t.Errorf("v2: %+v, want the smallest of all ancestors", w)
	}
	s := v2(map[string]string{
		"memory/app.slice/mail.service/memory.limit_in_bytes": "9223372036854771712\n", "memory/app.slice/memory.limit_in_bytes": "4096\n",
		"memory/app.slice/mail.service/memory.usage_in_bytes": "77\n", "memory/app.slice/mail.service/memory.soft_limit_in_bytes": "5\n",
		"memory/app.slice/mail.service/memory.oom_control": "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n",
	})
	s.file("10/cgroup", "4:cpu,cpuacct:/x\n3:memory:/app.slice/mail.service\n1:name=systemd:/app.slice/mail.service\n0::/\n")
	w = s.read(t).Pass.Workers[0]
	if w.Limit != 4096 || w.Current != 77 || w.OOMKills != 2 || !math.IsNaN(w.High) || !math.IsNaN(w.Pressure) {
		t.Errorf("v1: %+v", w)
	}
	w = v2(nil).read(t).Pass.Workers[0]
	if !math.IsNaN(w.Limit) || !math.IsNaN(w.Current) || !math.IsNaN(w.OOMKills) {
		t.Errorf("without files: %+v, want nothing measured", w)
	}
}

func TestParseCgroup(t *testing.T) {
	for raw, want := range map[string]cgroupPath{
		"0::/system.slice/a.service\n":         {memory: "system.slice/a.service", unit: "system.slice/a.service"},
		"0::/\n":                               {},
		"0::/../../other\n":                    {memory: "other", unit: "other"},
		"2:cpu,memory:/m\n1:name=systemd:/s\n": {memory: "m", v1: true, unit: "s"},
		"garbage\n::\n":                        {},
		"0::/system.slice/a:b.service\n":       {memory: "system.slice/a:b.service", unit: "system.slice/a:b.service"},
		"3:memory:/m\n1:name=systemd:/s\n0::/u/celery.service": {memory: "m", v1: true, unit: "u/celery.service"},
	} {
		if got := parseCgroup([]byte(raw)); got != want {
			t.Errorf("%q: %+v, want %+v", raw, got, want)
		}
	}
}

// vanishing is a /proc in which a process ends after its stat was read.
type vanishing struct {
	fstest.MapFS
	name  string
	times int
}

func (v *vanishing) Open(name string) (fs.File, error) {
	if name == v.name && v.times > 0 {
		v.times--
		return nil, os.ErrNotExist
	}
	return v.MapFS.Open(name)
}

// denied is a /proc that will not show one file.
type denied struct {
	fstest.MapFS
	name string
}

func (d denied) Open(name string) (fs.File, error) {
	if name == d.name {
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrPermission}
	}
	return d.MapFS.Open(name)
}

func pool() *scene {
	return newScene(
		fake{pid: 10, ppid: 1, args: "celery -A app worker -n a@x", rss: 50, pss: 20},
		fake{pid: 11, ppid: 10, args: "celery -A app worker -n a@x", rss: 40, pss: 10},
		fake{pid: 20, ppid: 1, args: "celery -A app worker -n b@x", rss: 40, pss: 10})
}

// TestMissingMemberIsAGap: a pass holds a worker whole or not at all.
func TestMissingMemberIsAGap(t *testing.T) {
	for _, file := range []string{"11/statm", "11/smaps_rollup"} {
		s := pool()
		s.file("11/smaps_rollup", "") // as an exiting process shows it
		v := &vanishing{MapFS: s.proc, name: file, times: 2}
		if file == "11/statm" {
			s.proc["11/smaps_rollup"] = s.proc["10/smaps_rollup"]
		} else {
			v.times = 0
		}
		r := New(v, nil)
		got, err := r.Read(now, always)
		if err != nil {
			t.Fatal(err)
		}
		if file == "11/statm" && len(got.Pass.Processes) != 3 {
			t.Errorf("%s twice gone and back: %d processes, want all 3 on the third try", file, len(got.Pass.Processes))
		}
		if file == "11/smaps_rollup" && (len(got.Pass.Processes) != 1 || len(got.Pass.Workers) != 1 || len(got.Notes) != 1 ||
			!strings.Contains(got.Notes[0], "a@x left out")) {
			t.Errorf("half a worker: %+v, notes %q", got.Pass.Workers, got.Notes)
		}
	}
}

func TestNoRightToReadPSS(t *testing.T) {
	s := pool()
	got, err := New(denied{s.proc, "11/smaps_rollup"}, nil).Read(now, always)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range got.Pass.Processes {
		if measured := !math.IsNaN(p.PSS); measured != (p.Worker == "b@x") {
			t.Errorf("%s pid %d: pss %v; a worker has it for all of its processes or for none", p.Worker, p.PID, p.PSS)
		}
	}
	if len(got.Notes) != 1 || !strings.Contains(got.Notes[0], "CAP_SYS_PTRACE") {
		t.Errorf("notes %q, want one that names the right", got.Notes)
	}
}

// What PSS costs is told by the clock that is given, else by the wall's.
func TestCost(t *testing.T) {
	r := pool().reader()
	for _, clock := range []time.Duration{0, 7 * time.Millisecond} {
		ticks := time.Duration(0)
		if r.Clock = nil; clock > 0 {
			r.Clock = func() time.Duration { ticks += clock; return ticks }
		}
		got, err := r.Read(now, always)
		if err != nil || len(got.Cost) == 0 {
			t.Fatalf("costs %v, %v", got.Cost, err)
		}
		for pid, cost := range got.Cost {
			if clock > 0 && cost != clock || clock == 0 && (cost <= 0 || cost > time.Minute) {
				t.Errorf("pid %d costs %v", pid, cost)
			}
		}
	}
}

func TestPSSOnlyWhenWanted(t *testing.T) {
	var asked []string
	got, err := pool().reader().Read(now, func(n Node, rss []float64) bool {
		asked = append(asked, n.Worker)
		if n.Worker == "a@x" && (len(rss) != 2 || rss[0] != 50<<20) {
			t.Errorf("asked with %v", rss)
		}
		return n.Worker == "b@x"
	})
	if err != nil || len(asked) != 2 || len(got.Cost) != 1 || math.IsNaN(got.Pass.Processes[2].PSS) || !math.IsNaN(got.Pass.Processes[0].PSS) {
		t.Errorf("asked %v, costs %v, %+v, %v", asked, got.Cost, got.Pass.Processes, err)
	}
}

func TestHold(t *testing.T) {
	s := newScene(fake{pid: 10, ppid: 1, args: "celery -A app worker", rss: 1, cgroup: "/x",
		fds: []string{"socket:[501]", "socket:[502]", "socket:[9]", "pipe:[3]", "anon_inode:[eventpoll]", "/var/log/x", "/dev/null"}})
	s.file("10/smaps", `55d0-55f0 rw-p 00000000 00:00 0                          [heap]
Size:                132 kB
Pss:                 100 kB
SwapPss:               7 kB
VmFlags: rd wr mr
7f00-7f10 r-xp 00000000 08:01 12     /usr/lib/libc.so.6
Pss:                  10 kB
7f20-7f30 rw-p 00000000 00:00 0
Pss:                   5 kB
7f40-7f50 rw-s 00000000 00:01 99     /memfd:x y (deleted)
Pss:                   4 kB
7f60-7f70 r--p 00000000 08:01 13     /usr/share/locale/x
Pss:                   3 kB
7ffe-7fff rw-p 00000000 00:00 0      [stack]
Pss:                   2 kB
7fff-8000 r-xp 00000000 00:00 0      [vdso]
Pss:                   1 kB
`)
	s.file("10/net/tcp", "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n"+
		"   0: 0100007F:A 0100007F:B 01 00000000:00000000 00:00000000 00000000     0        0 501 1 0\n")
	s.file("10/net/unix", "Num       RefCount Protocol Flags    Type St Inode Path\n0: 00000002 00000000 00010000 0001 01 502 /run/x\n")
	s.cgroup["x/memory.stat"] = &fstest.MapFile{Data: []byte("anon 5\nfile 6\n")}
	s.cgroup["x/memory.current"] = &fstest.MapFile{Data: []byte("11\n")}
	r := s.reader()
	nodes, err := r.Nodes(now)
	if err != nil {
		t.Fatal(err)
	}
	held, cgroup, notes := r.Hold(t.Context(), nodes[0])
	want := []Holdings{{PID: 10, Role: "parent",
		Memory: map[string]int64{"heap": 107 << 10, "libraries": 10 << 10, "anonymous": 5 << 10, "shared": 4 << 10, "files": 3 << 10, "stack": 2 << 10, "other": 1 << 10},
		Files:  map[string]int{"socket": 3, "pipe": 1, "eventpoll": 1, "file": 1, "device": 1}, Sockets: map[string]int{"tcp established": 1, "unix": 1, "other": 1},
		Threads: 3, Mappings: 7}}
	if d := cmp.Diff(want, held); d != "" {
		t.Errorf("holdings (-want +got):\n%s", d)
	}
	if d := cmp.Diff(map[string]float64{"memory.stat.anon": 5, "memory.stat.file": 6, "memory.current": 11}, cgroup); d != "" || notes != nil {
		t.Errorf("cgroup (-want +got):\n%s notes %q", d, notes)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if held, _, notes := r.Hold(ended, nodes[0]); len(held) != 0 || len(notes) != 1 {
		t.Errorf("after its time: %v, %q", held, notes)
	}
}

func TestNoPasswordsKept(t *testing.T) {
	s := newScene(fake{pid: 10, ppid: 1, args: "celery -A app -b redis://:hunter2@h/0 worker --result-backend db+postgresql://u:hunter2@h", rss: 1})
	got := s.read(t)
	if text := lines(got); strings.Contains(text, "hunter2") || !strings.Contains(text, "app=app") {
		t.Errorf("reading says %s", text)
	}
}

func TestLongFile(t *testing.T) {
	s := newScene()
	s.file("big", strings.Repeat("x", 100_000))
	if raw, err := s.reader().read("big"); err != nil || len(raw) != 100_000 {
		t.Errorf("read %d bytes, %v", len(raw), err)
	}
}

func FuzzParseStat(f *testing.F) {
	f.Add([]byte("1 (a) b) S 0 1 1 0 -1 4194304 100 0 0 0 150 50 0 0 20 0 1 0 77 99999 12 1844"))
	f.Add([]byte("1 ()"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		s, err := parseStat(raw)
		if err == nil && bytes.ContainsAny([]byte(s.comm), "\n\x00") {
			t.Errorf("name %q is no label", s.comm)
		}
	})
}

func FuzzParseCommand(f *testing.F) {
	for _, s := range []string{"celery\x00-A\x00app\x00worker\x00", "[celeryd: a@b:MainProcess] -active- (-A x)", "[celery beat] -A x", "python3\x00-m", "python3\x00-W", "-n\x00"} {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, raw []byte) {
		c := parseCommand(raw)
		if c.program == notCelery && c != (command{}) {
			t.Errorf("kept %+v of a command line that is not Celery's", c)
		}
	})
}

func FuzzParsers(f *testing.F) {
	f.Add([]byte("Pss: 1 kB\nPrivate_Clean: 2 kB\nPrivate_Dirty: 3 kB\n"))
	f.Add([]byte("7f00-7f10 r-xp 0 08:01 12 /x\nPss: 10 kB\n"))
	f.Add([]byte("0::/../x\n4:memory:/y\n"))
	f.Add([]byte("some avg60=12.5 x\n"))
	f.Add([]byte("NSpid: 1 2\nVmSwap: 18446744073709551615 kB"))
	f.Add([]byte("h\n0: a b 0C 1 1 1 1 1 77\n"))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if r, err := parseRollup(raw); err == nil && (r.pss < 0 || r.uss < 0) {
			t.Errorf("negative memory %+v", r)
		}
		if p := someAvg60(raw); p < 0 || p > 1 {
			t.Errorf("pressure %v", p)
		}
		kinds, _, _ := parseSmaps(bytes.NewReader(raw)) // an endless line is the kernel's lie, not ours
		for k, v := range kinds {
			if v < 0 {
				t.Errorf("%s: %d", k, v)
			}
		}
		c := parseCgroup(raw)
		if c.memory == ".." || strings.HasPrefix(c.memory, "../") || strings.HasPrefix(c.memory, "/") {
			t.Errorf("path %q leaves the tree", c.memory)
		}
		parseStatus(raw)
		parseMeminfo(raw)
		parseOOMKills(raw)
		parseSupervisorEnv(raw)
		parseSockets(map[string]string{}, "tcp", raw)
		parseStatm(raw)
	})
}
