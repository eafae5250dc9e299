package procfs

import (
	"math"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// TestNodes is the bestiary: every pool and every way a Celery node can look.
func TestNodes(t *testing.T) {
	tests := []struct {
		name  string
		procs []fake
		want  string
	}{
		{"prefork, plain fork", []fake{
			{pid: 10, ppid: 1, args: "/usr/bin/python3 /usr/bin/celery -A shop worker -n mail@%h -c 2", rss: 50, pss: 20, start: 1},
			{pid: 12, ppid: 10, args: "/usr/bin/python3 /usr/bin/celery -A shop worker -n mail@%h -c 2", rss: 40, pss: 10, start: 3},
			{pid: 11, ppid: 10, args: "/usr/bin/python3 /usr/bin/celery -A shop worker -n mail@%h -c 2", rss: 41, pss: 11, start: 2},
		}, `mail@web1 node=mail@web1 pool=prefork app=shop manager=none unit=
  10 parent rss=50 pss=20 swap=0
  11 child rss=41 pss=11 swap=0
  12 child rss=40 pss=10 swap=0
`},
		{"prefork with titles", []fake{
			{pid: 10, ppid: 1, comm: "[celeryd: mail@", title: "[celeryd: mail@web1:MainProcess] -active- (-A shop worker -n mail@%h)", rss: 50, start: 1},
			{pid: 11, ppid: 10, comm: "[celeryd: mail@", title: "[celeryd: mail@web1:ForkPoolWorker-1]", rss: 41, start: 2},
		}, `mail@web1 node=mail@web1 pool=prefork app=shop manager=none unit=
  10 parent rss=50 pss=NaN swap=0
  11 child rss=41 pss=NaN swap=0
`},
		{"eventlet: one process", []fake{
			{pid: 10, ppid: 1, args: "celery -A app worker -P eventlet -c 10", rss: 70, pss: 60, start: 1},
		}, `celery@web1 node=celery@web1 pool=eventlet app=app manager=none unit=
  10 parent rss=70 pss=60 swap=0
`},
		{"old order, gevent, threads, solo", []fake{
			{pid: 10, ppid: 1, args: "python3 -m celery worker -A app --pool=gevent -n g@x", rss: 1, start: 1},
			{pid: 11, ppid: 1, args: "python3.11 -m celery --app=app worker --pool threads --hostname=t@x", rss: 1, start: 1},
			{pid: 12, ppid: 1, args: "/venv/bin/python -u -W ignore /venv/bin/celery -A app worker -Psolo -ns@x", rss: 1, start: 1},
			{pid: 13, ppid: 12, args: "/venv/bin/python -u -W ignore /venv/bin/celery -A app worker -Psolo -ns@x", rss: 1, start: 1},
		}, `g@x node=g@x pool=gevent app=app manager=none unit=
  10 parent rss=1 pss=NaN swap=0
s@x node=s@x pool=solo app=app manager=none unit=
  12 parent rss=1 pss=NaN swap=0
  13 other rss=1 pss=NaN swap=0
t@x node=t@x pool=threads app=app manager=none unit=
  11 parent rss=1 pss=NaN swap=0
`},
		{"embedded beat by its schedule, a task's own fork", []fake{
			{pid: 10, ppid: 1, args: "celery -A app worker -B -s /var/sched", rss: 1, start: 1},
			{pid: 11, ppid: 10, args: "celery -A app worker -B -s /var/sched", rss: 1, start: 2, fds: []string{"pipe:[1]"}},
			{pid: 12, ppid: 10, args: "celery -A app worker -B -s /var/sched", rss: 1, start: 3, fds: []string{"/dev/null", "/var/sched.db"}},
			{pid: 13, ppid: 11, args: "celery -A app worker -B -s /var/sched", rss: 1, start: 4},
			{pid: 14, ppid: 11, args: "ffmpeg -i x", comm: "ffmpeg", rss: 1, start: 4},
		}, `celery@web1 node=celery@web1 pool=prefork app=app manager=none unit=
  10 parent rss=1 pss=NaN swap=0
  11 child rss=1 pss=NaN swap=0
  12 other rss=1 pss=NaN swap=0
  13 other rss=1 pss=NaN swap=0
`},
		{"embedded beat, descriptors hidden: the oldest", []fake{
			{pid: 10, ppid: 1, args: "celery -A app worker --beat", rss: 1, start: 1},
			{pid: 12, ppid: 10, args: "celery -A app worker --beat", rss: 1, start: 3},
			{pid: 11, ppid: 10, args: "celery -A app worker --beat", rss: 1, start: 2},
		}, `celery@web1 node=celery@web1 pool=prefork app=app manager=none unit=
  10 parent rss=1 pss=NaN swap=0
  12 child rss=1 pss=NaN swap=0
  11 other rss=1 pss=NaN swap=0
`},
		{"beat and flower alone are nobody's pool", []fake{
			{pid: 10, ppid: 1, args: "celery -A app beat", rss: 1, start: 1},
			{pid: 11, ppid: 1, args: "celery -A app flower", rss: 1, start: 1},
			{pid: 12, ppid: 1, args: "python3 -c import\x20celery worker", rss: 1, start: 1},
			{pid: 13, ppid: 1, args: "vim worker.py celery", comm: "vim", rss: 1, start: 1},
			{pid: 14, ppid: 1, args: "sh -c celery\x20-A\x20app\x20worker", comm: "sh", rss: 1, start: 1},
			{pid: 15, ppid: 1, args: "celery -A worker inspect active", rss: 1, start: 1},
		}, ""},
		{"systemd: one node a unit", []fake{
			{pid: 10, ppid: 1, args: "celery -A app worker -n a@%h", rss: 1, start: 1, cgroup: "/system.slice/mail.service"},
		}, `mail node=a@web1 pool= app=app manager=systemd unit=mail.service
  10 parent rss=1 pss=NaN swap=0
`},
		{"celery multi: two nodes in one unit", []fake{
			{pid: 10, ppid: 1, args: "python3 -m celery -A app worker -n w1@web1 --pidfile=/x", rss: 1, start: 1, cgroup: "/system.slice/celery.service"},
			{pid: 11, ppid: 1, args: "python3 -m celery -A app worker -n w2@web1 --pidfile=/y", rss: 1, start: 2, cgroup: "/system.slice/celery.service"},
		}, `celery/w1@web1 node=w1@web1 pool= app=app manager=systemd unit=celery.service
  10 parent rss=1 pss=NaN swap=0
celery/w2@web1 node=w2@web1 pool= app=app manager=systemd unit=celery.service
  11 parent rss=1 pss=NaN swap=0
`},
		{"supervisor, in its service's cgroup, through a shell", []fake{
			{pid: 5, ppid: 1, comm: "python3", args: "/usr/bin/python3 /usr/bin/supervisord -n -c /etc/s.conf", rss: 1, cgroup: "/system.slice/supervisor.service"},
			{pid: 9, ppid: 5, comm: "sh", args: "sh -c x", rss: 1, start: 1},
			{pid: 10, ppid: 9, args: "celery -A app worker", rss: 1, start: 1, cgroup: "/system.slice/supervisor.service",
				env: "PATH=/bin SUPERVISOR_ENABLED=1 SUPERVISOR_PROCESS_NAME=mail_00 SUPERVISOR_GROUP_NAME=mail"},
		}, `mail:mail_00 node=celery@web1 pool= app=app manager=supervisor unit=mail:mail_00
  10 parent rss=1 pss=NaN swap=0
`},
		{"an environment inherited from a supervisord that is not above us", []fake{
			{pid: 10, ppid: 1, args: "celery -A app worker", rss: 1, start: 1, env: "SUPERVISOR_PROCESS_NAME=mail SUPERVISOR_GROUP_NAME=mail"},
		}, `celery@web1 node=celery@web1 pool= app=app manager=none unit=
  10 parent rss=1 pss=NaN swap=0
`},
		{"containers: by name, never by id", []fake{
			{pid: 10, ppid: 1, args: "celery -A app worker -n img@%h", rss: 1, start: 1, nested: true, cgroup: "/system.slice/docker-" + strings.Repeat("ab", 32) + ".scope"},
			{pid: 11, ppid: 1, title: "[celeryd: pdf@0123456789ab:MainProcess] -active- (-A app worker -n pdf@%h)", rss: 1, start: 1, cgroup: "/docker/" + strings.Repeat("cd", 32)},
		}, `img node=img pool= app=app manager=container unit=
  10 parent rss=1 pss=NaN swap=0
pdf node=pdf pool= app=app manager=container unit=
  11 parent rss=1 pss=NaN swap=0
`},
		{"two apps under one name", []fake{
			{pid: 10, ppid: 1, args: "celery -A a worker", rss: 1, start: 1},
			{pid: 11, ppid: 1, args: "celery -A b worker", rss: 1, start: 2},
			{pid: 12, ppid: 1, args: "celery -A b worker", rss: 1, start: 3},
		}, `celery@web1 (a) node=celery@web1 pool= app=a manager=none unit=
  10 parent rss=1 pss=NaN swap=0
celery@web1 (b) node=celery@web1 pool= app=b manager=none unit=
  11 parent rss=1 pss=NaN swap=0
celery@web1 (b) #2 node=celery@web1 pool= app=b manager=none unit=
  12 parent rss=1 pss=NaN swap=0
`},
		{"a zombie child holds nothing", []fake{
			{pid: 10, ppid: 1, args: "celery -A app worker", rss: 1, start: 1},
			{pid: 11, ppid: 10, args: "", rss: 0, start: 2, state: "Z"},
		}, `celery@web1 node=celery@web1 pool= app=app manager=none unit=
  10 parent rss=1 pss=NaN swap=0
`},
	}
	for _, tt := range tests {
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
