package procfs

import (
	"fmt"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/dropleak/dropleak/detector/sample"
)

// TestHostileNames: whoever may start a process on the droplet must not be
// able to have its passes refused. The service takes 4,096 bytes of labels a
// series, and text only.
func TestHostileNames(t *testing.T) {
	long := strings.Repeat("ä", 50_000)
	supervisord := fake{pid: 5, ppid: 1, args: "python3 /usr/bin/supervisord", rss: 1}
	for name, p := range map[string]fake{
		"node":    {args: "celery -A shop worker -n " + long},
		"app":     {args: "celery -A " + long + " worker"},
		"title":   {title: "[celeryd: " + long + ":MainProcess] -active- (-A shop worker)"},
		"unit":    {args: "celery -A shop worker", cgroup: "/x.slice/" + long[:1001] + ".service"},
		"bytes":   {args: "celery -A shop worker", cgroup: "/x.slice/\xff\xfe.service"},
		"program": {args: "celery -A " + long + " worker -n " + long, ppid: 5, env: "SUPERVISOR_PROCESS_NAME=" + long + " SUPERVISOR_GROUP_NAME=" + long},
	} {
		t.Run(name, func(t *testing.T) {
			p.pid, p.rss = 10, 1
			twin := p
			twin.pid = 11
			got := newScene(supervisord, p, twin).read(t).Pass // two, so that the app is part of the name
			if len(got.Workers) != 2 {
				t.Fatalf("%d workers, want 2", len(got.Workers))
			}
			new(sample.Slots).Assign(&got)
			for _, s := range sample.Encode(got) {
				size := 0
				for _, l := range s.Labels {
					size += len(l.Name) + len(l.Value)
					if !utf8.ValidString(l.Value) {
						t.Errorf("label %s of %s is not text", l.Name, s.Name())
					}
				}
				if size > 4096 {
					t.Errorf("labels of %s have %d bytes", s.Name(), size)
				}
			}
		})
	}
}

// TestClockPutRight: a droplet that stood still for its snapshot has its clock
// put forward; what runs there was not restarted.
func TestClockPutRight(t *testing.T) {
	for forward, want := range map[int]int{0: 0, 1: 0, 30: 0, 599: 0, 3600: 3600, -1: 0, -30: -30} {
		s := newScene(fake{pid: 10, ppid: 1, args: "celery -A app worker", rss: 1, start: 77})
		r := s.reader()
		if _, err := r.Read(now, nil); err != nil {
			t.Fatal(err)
		}
		s.file("stat", fmt.Sprintf("cpu 1\nbtime %d\n", boot+forward))
		got, err := r.Read(now, nil)
		if err != nil {
			t.Fatal(err)
		}
		if start := got.Pass.Processes[0].Start.Unix(); start != int64(boot+77+want) {
			t.Errorf("clock put forward by %d s: start moved by %d s, want %d", forward, start-boot-77, want)
		}
	}
}

// TestManyMappings: the map of a leak is read without holding it.
func TestManyMappings(t *testing.T) {
	s := newScene(fake{pid: 10, ppid: 1, args: "celery -A app worker", rss: 1})
	const one = "7f0000000000-7f0000100000 rw-p 00000000 00:00 0\nPss:                   4 kB\n"
	const n = 50_000
	s.file("10/smaps", strings.Repeat(one, n))
	r := s.reader()
	nodes, err := r.Nodes(now)
	if err != nil {
		t.Fatal(err)
	}
	held, _, notes := r.Hold(t.Context(), nodes[0])
	if len(notes) != 0 || held[0].Mappings != n || held[0].Memory["anonymous"] != n*4096 {
		t.Errorf("%d mappings of %v, notes %q", held[0].Mappings, held[0].Memory, notes)
	}
	if got := cap(r.buf); got > 1<<20 {
		t.Errorf("%d bytes were held at once", got)
	}
}

// TestExitingProcess: a child that has let go of its memory and is not yet
// gone makes a gap, not a smaller sum.
func TestExitingProcess(t *testing.T) {
	s := newScene(fake{pid: 10, ppid: 1, args: "celery -A app worker", rss: 100, start: 1},
		fake{pid: 11, ppid: 10, args: "celery -A app worker", rss: 80, start: 2})
	if got := s.read(t).Pass; len(got.Processes) != 2 {
		t.Fatalf("%d processes, want 2", len(got.Processes))
	}
	s.file("11/statm", "0 0 0 0 0 0 0\n")
	got := s.read(t)
	if len(got.Pass.Workers) != 0 || len(got.Pass.Processes) != 0 || len(got.Notes) != 1 {
		t.Errorf("workers %+v, processes %+v, notes %q; want a gap and its reason", got.Pass.Workers, got.Pass.Processes, got.Notes)
	}
}
