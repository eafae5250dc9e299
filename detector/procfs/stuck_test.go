package procfs

import (
	"io/fs"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// hung is a file system of which some files never answer until they are let go.
type hung struct {
	fs.FS
	files map[string]bool
	free  chan struct{}
	asked struct {
		sync.Mutex
		times map[string]int
	}
}

func (h *hung) Open(name string) (fs.File, error) {
	h.asked.Lock()
	h.asked.times[name]++
	h.asked.Unlock()
	if h.files[name] {
		<-h.free
	}
	return h.FS.Open(name)
}

func (h *hung) opened(name string) int {
	h.asked.Lock()
	defer h.asked.Unlock()
	return h.asked.times[name]
}

func hangs(on fs.FS, files ...string) *hung {
	h := &hung{FS: on, files: map[string]bool{}, free: make(chan struct{})}
	h.asked.times = map[string]int{}
	for _, f := range files {
		h.files[f] = true
	}
	return h
}

func (h *hung) ReadLink(name string) (string, error)   { return fs.ReadLink(h.FS, name) }
func (h *hung) Lstat(name string) (fs.FileInfo, error) { return fs.Lstat(h.FS, name) }

// TestStuckProcess: a process whose memory lock is held, as by a page fault
// on a FUSE mount that hangs, costs a pass some seconds once. Its worker
// keeps its name and its RSS, the others keep everything, and when the lock
// is let go all is as before.
func TestStuckProcess(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(fake{pid: 5, ppid: 1, args: "python3 /usr/bin/supervisord", rss: 1},
			fake{pid: 10, ppid: 5, args: "celery -A shop worker -n a@h", rss: 100, pss: 90, env: "SUPERVISOR_PROCESS_NAME=shop SUPERVISOR_GROUP_NAME=shop"},
			fake{pid: 11, ppid: 1, args: "celery -A mail worker -n b@h", rss: 50, pss: 40})
		h := hangs(s.proc)
		r := New(h, s.cgroup)
		r.page = 4096
		before, err := r.Read(now, always)
		if err != nil {
			t.Fatal(err)
		}
		for _, f := range []string{"10/cmdline", "10/environ", "10/smaps_rollup"} {
			h.files[f] = true
		}
		began := time.Now()
		later := now.Add(2 * believeFor) // so that all is asked anew
		stalled, err := r.Read(later, always)
		if err != nil {
			t.Fatal(err)
		}
		if took := time.Since(began); took != patience {
			t.Errorf("the pass took %v, want %v", took, patience)
		}
		want := strings.Replace(lines(before), "10 parent rss=100 pss=90", "10 parent rss=100 pss=NaN", 1)
		if got := lines(stalled); got != want {
			t.Errorf("stalled:\n%swant:\n%s", got, want)
		}
		if !strings.Contains(strings.Join(stalled.Notes, "\n"), "pid 10 is not asked what it runs") {
			t.Errorf("notes %q do not name the process", stalled.Notes)
		}
		asked := h.opened("10/cmdline")
		again, err := r.Read(later.Add(2*believeFor), always)
		if err != nil || time.Since(began) != patience || lines(again) != want || h.opened("10/cmdline") != asked {
			t.Errorf("%v after %v, asked %d times more:\n%s", err, time.Since(began), h.opened("10/cmdline")-asked, lines(again))
		}

		close(h.free)
		synctest.Wait()
		healed, err := r.Read(later.Add(4*believeFor), always)
		if err != nil || lines(healed) != lines(before) || len(healed.Notes) != 0 {
			t.Errorf("healed: %v, notes %q\n%s", err, healed.Notes, lines(healed))
		}
	})
}

// TestStuckStranger: a process never seen before that does not answer is no
// reason to be silent about the others.
func TestStuckStranger(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newScene(fake{pid: 9, ppid: 1, comm: "sick", rss: 500},
			fake{pid: 10, ppid: 1, args: "celery -A shop worker -n a@h", rss: 100, pss: 90})
		h := hangs(s.proc, "9/cmdline")
		defer close(h.free)
		r := New(h, s.cgroup)
		r.page = 4096
		got, err := r.Read(now, always)
		if err != nil || len(got.Pass.Processes) != 1 || got.Pass.Processes[0].PSS != 90<<20 {
			t.Errorf("%v: %s", err, lines(got))
		}
		if len(got.Pass.Others) != 1 || got.Pass.Others[0].Name != "sick" || got.Pass.Others[0].Memory != 500<<20 {
			t.Errorf("others %+v, want sick by its size", got.Pass.Others)
		}
	})
}
