package procfs

import (
	"math"
	"slices"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestNodes is the bestiary: every pool and every way a Celery node can look.
func TestNodes(t *testing.T) {
	for _, tt := range slices.Concat(pools, managers) {
		t.Run(tt.name, func(t *testing.T) {
			if d := cmp.Diff(tt.want, lines(newScene(tt.procs...).read(t))); d != "" {
				t.Errorf("nodes (-want +got):\n%s", d)
			}
		})
	}
}

func TestUserServicesAreNotReachable(t *testing.T) {
	s := newScene(fake{pid: 10, ppid: 1, args: "celery -A app worker", rss: 1, cgroup: "/user.slice/user-1000.slice/user@1000.service/app.slice/celery.service"})
	if w := s.read(t).Pass.Workers[0]; w.Manager != "none" || w.Unit != "" {
		t.Errorf("worker %+v, want no manager: the system bus does not reach it", w)
	}
}

// TestSupervisordIsAsked covers workers whose title covers the environment.
func TestSupervisordIsAsked(t *testing.T) {
	s := newScene(
		fake{pid: 5, ppid: 1, args: "/usr/bin/python3 /usr/bin/supervisord -c s.conf", rss: 1},
		fake{pid: 9, ppid: 5, comm: "sh", args: "sh -c x", rss: 1},
		fake{pid: 10, ppid: 9, title: "[celeryd: a@web1:MainProcess] -active- (-A app worker)", rss: 1})
	s.proc["5/cwd"] = symlink("/srv")
	r := s.reader()
	asked := 0
	r.Program = func(config string, pid int) string {
		asked++
		if config != "/srv/s.conf" || pid != 9 {
			t.Errorf("asked about pid %d by %s, want the child of supervisord and its file", pid, config)
		}
		return "mail"
	}
	for range 3 {
		got, err := r.Read(now, nil)
		if err != nil {
			t.Fatal(err)
		}
		if n := got.Nodes[0]; n.Worker != "mail" || n.Manager != "supervisor" || n.SupervisorConfig != "/srv/s.conf" {
			t.Errorf("node %+v", n)
		}
	}
	if asked != 1 {
		t.Errorf("asked %d times for one life, want once", asked)
	}
}

// TestNameStaysWhileSiblingIsAway: a node of several in a unit must not turn
// into another worker when its sibling restarts.
func TestNameStaysWhileSiblingIsAway(t *testing.T) {
	one := fake{pid: 10, ppid: 1, args: "celery -A app worker -n w1@x", rss: 1, start: 1, cgroup: "/system.slice/celery.service"}
	two := fake{pid: 11, ppid: 1, args: "celery -A app worker -n w2@x", rss: 1, start: 1, cgroup: "/system.slice/celery.service"}
	s := newScene(one, two)
	r := s.reader()
	if _, err := r.Read(now, nil); err != nil {
		t.Fatal(err)
	}
	r.proc = newScene(one).proc
	got, err := r.Read(now.Add(time.Minute), nil)
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Nodes) != 1 || got.Nodes[0].Worker != "celery/w1@x" {
		t.Errorf("nodes %+v, want celery/w1@x alone", got.Nodes)
	}
}

// TestExecIsNoticed: supervisord forks, then execs celery under the same pid
// and start.
func TestExecIsNoticed(t *testing.T) {
	born := int(now.Unix()-boot) - 1
	s := newScene(fake{pid: 10, ppid: 1, args: "/usr/bin/python3 /usr/bin/supervisord", rss: 1, start: born})
	r := s.reader()
	if got, err := r.Read(now, nil); err != nil || len(got.Nodes) != 0 {
		t.Fatalf("nodes %v, %v", got.Nodes, err)
	}
	r.proc = newScene(fake{pid: 10, ppid: 1, args: "python3 /usr/bin/celery -A app worker", rss: 1, start: born}).proc
	if got, err := r.Read(now.Add(time.Second), nil); err != nil || len(got.Nodes) != 1 {
		t.Errorf("nodes %v, %v: the exec went unnoticed", got.Nodes, err)
	}
}

func TestDropletAndOthers(t *testing.T) {
	s := newScene(
		fake{pid: 20, ppid: 1, comm: "postgres", args: "postgres: writer", rss: 30, swap: 5},
		fake{pid: 21, ppid: 1, comm: "postgres", args: "postgres: reader", rss: 20},
		fake{pid: 22, ppid: 1, comm: "kworker/0:1", rss: 0},
		fake{pid: 23, ppid: 1, comm: "x) R 1 (y\n", args: "x", rss: 1},
		fake{pid: 24, ppid: 1, comm: "[celery beat] -", title: "[celery beat] -A app beat", rss: 7})
	got := s.read(t)
	d := got.Pass.Droplet
	if d.Total != 4000000<<10 || d.Available != 1000000<<10 || d.Shmem != 2<<20 || d.Slab != 4<<20 || d.SwapUsed != 0 || d.OOMKills != 3 || d.Boot.Unix() != boot {
		t.Errorf("droplet %+v", d)
	}
	names := map[string]float64{}
	for _, o := range got.Pass.Others {
		names[o.Name] = o.Memory / (1 << 20)
	}
	if d := cmp.Diff(map[string]float64{"postgres": 50, "x) R 1 (y?": 1, "celery beat": 7}, names); d != "" {
		t.Errorf("others (-want +got):\n%s", d)
	}
	s.file("meminfo", "MemTotal: 100 kB\nMemAvailable: 50 kB\nSwapTotal: 10 kB\nSwapFree: 4 kB\n")
	if got := s.read(t); got.Pass.Others[0].Memory != 55<<20 || got.Pass.Droplet.SwapUsed != 6<<10 {
		t.Errorf("with swap in use: %+v", got.Pass.Others[0])
	}
}

func TestTenLargestOthers(t *testing.T) {
	s := newScene()
	for i := range 15 {
		s.add(fake{pid: 100 + i, ppid: 1, comm: string(rune('a' + i)), args: "x", rss: i + 1})
	}
	got := s.read(t).Pass.Others
	if len(got) != 10 || got[0].Name != "o" || got[9].Name != "f" {
		t.Errorf("others %+v, want o to f", got)
	}
}

func TestCPUAndStart(t *testing.T) {
	s := newScene(fake{pid: 10, ppid: 1, args: "celery -A app worker", rss: 1, start: 77})
	p := s.read(t).Pass.Processes[0]
	if p.CPU != 2 || p.Start.Unix() != boot+77 || !math.IsNaN(p.PSS) {
		t.Errorf("process %+v", p)
	}
	// The kernel's boot time wavers by a second; starts must not.
	r := s.reader()
	if _, err := r.Read(now, nil); err != nil {
		t.Fatal(err)
	}
	s.file("stat", "cpu 1\nbtime 1700000001\n")
	got, err := r.Read(now, nil)
	if err != nil || got.Pass.Processes[0].Start.Unix() != boot+77 {
		t.Errorf("start moved with the boot time: %v %v", got.Pass.Processes[0].Start, err)
	}
}
