package procfs

import "strings"

// beast is some processes and the nodes that are to be seen in them.
type beast struct {
	name  string
	procs []fake
	want  string
}

// pools are the ways a node's own processes can look.
var pools = []beast{
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

// managers are the ways a node can be kept running, and named.
var managers = []beast{
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
}
