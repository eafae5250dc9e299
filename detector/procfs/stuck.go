package procfs

import (
	"errors"
	"maps"
	"runtime"
	"slices"
	"strconv"
	"sync"
	"time"
)

// patience is how long a pass waits for one file whose reading takes the
// process's memory lock.
const patience = 2 * time.Second

// errStuck is a process whose memory lock is held.
var errStuck = errors.New("the kernel does not answer while the process's memory is locked")

// stuck are the processes of which a reading has not come back. A thread that
// faults on a file system that hangs (FUSE, NFS) holds the memory lock of its
// process for as long as that lasts, which may be for ever, and whoever reads
// its command line then waits in the kernel, where no signal reaches: that is
// how ps comes to hang on a sick machine. Only the first reader is given up.
type stuck struct {
	sync.Mutex
	pids  map[int]bool
	given int // how many readings were given up; the reader's own
}

func (s *stuck) has(pid int) bool {
	s.Lock()
	defer s.Unlock()
	return s.pids[pid]
}

// all lists them in order.
func (s *stuck) all() []int {
	s.Lock()
	defer s.Unlock()
	return slices.Sorted(maps.Keys(s.pids))
}

// locked is what a reading came to.
type locked struct {
	raw, buf []byte
	took     time.Duration
	err      error
}

// readLocked reads a file of a process for which the kernel takes its memory
// lock: cmdline, environ and smaps_rollup. It returns errStuck after patience
// and, at once, until that reading has come back. took is by [Reader.Clock],
// on the thread that read.
func (r *Reader) readLocked(pid int, name string) (raw []byte, took time.Duration, err error) {
	if r.stuck.has(pid) {
		r.stuck.given++
		return nil, 0, errStuck
	}
	done := make(chan locked, 1)
	go r.answer(done, r.buf, pid, name)
	late := time.NewTimer(patience)
	defer late.Stop()
	select {
	case a := <-done:
		r.buf = a.buf
		return a.raw, a.took, a.err
	case <-late.C:
	}
	r.stuck.Lock()
	defer r.stuck.Unlock()
	select {
	case a := <-done:
		r.buf = a.buf
		return a.raw, a.took, a.err
	default:
	}
	if r.stuck.pids == nil {
		r.stuck.pids = map[int]bool{}
	}
	r.stuck.pids[pid] = true
	r.stuck.given++
	r.buf = make([]byte, firstBuffer) // the reading keeps the other one
	return nil, 0, errStuck
}

func (r *Reader) answer(done chan<- locked, buf []byte, pid int, name string) {
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	var a locked
	began := r.clock()
	a.raw, a.buf, a.err = slurp(r.proc, strconv.Itoa(pid)+"/"+name, buf)
	a.took = r.clock() - began
	r.stuck.Lock()
	defer r.stuck.Unlock()
	delete(r.stuck.pids, pid)
	done <- a
}

// epoch is where the wall's clock begins.
var epoch = time.Now()

func (r *Reader) clock() time.Duration {
	if r.Clock != nil {
		return r.Clock()
	}
	return time.Since(epoch)
}
