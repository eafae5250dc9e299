// Package procfs finds Celery processes and reads their memory from an fs.FS
// laid out like /proc, and their cgroup's files.
//
// A [Reader] makes one [Reading] at a time: every Celery node on the machine
// with all its processes, what their cgroup allows them, what the machine
// has left, and who else is large. A node is read whole or not at all.
//
// Why not prometheus/procfs: it opens directories by name and cannot read a
// tree that is not mounted, knows no cgroup v2 memory files, and allocates a
// struct of fifty fields where a pass over some hundred processes needs six.
// The tests hold our parsers against it on the living /proc.
package procfs

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/dropleak/dropleak/detector/sample"
)

var nan = sample.NaN

// Reader reads one machine. It remembers what command lines said, so that a
// pass costs one small read for most processes. Not for concurrent use.
type Reader struct {
	// Program asks a supervisord, by its configuration file, which program
	// it started as this pid; "" it cannot tell. Nil: nobody is asked.
	Program func(config string, pid int) string
	// Clock is what the cost of a reading is told by, on the thread that reads;
	// nil: the wall's, which also counts while others run.
	Clock func() time.Duration

	proc, cgroup fs.FS
	page         float64
	buf          []byte
	stuck        stuck
	known        map[int]knownCommand
	placed       map[int]knownPlace
	boot         time.Time
	many         map[string]bool // units once seen with several nodes
}

// New returns a reader of proc, laid out like /proc, and of cgroup, laid out
// like /sys/fs/cgroup; cgroup may be nil.
func New(proc, cgroup fs.FS) *Reader {
	return &Reader{proc: proc, cgroup: cgroup, page: float64(os.Getpagesize()), buf: make([]byte, firstBuffer),
		known: map[int]knownCommand{}, placed: map[int]knownPlace{},
		many: map[string]bool{}}
}

// firstBuffer holds most files of /proc whole.
const firstBuffer = 16 << 10

// read returns a file's content in a buffer that the next read overwrites.
func (r *Reader) read(name string) (raw []byte, err error) {
	raw, r.buf, err = slurp(r.proc, name, r.buf)
	return raw, err
}

// slurp returns a file's content in buf, or in a larger one. Files under
// /proc have no size to ask for, hence the loop.
func slurp(proc fs.FS, name string, buf []byte) (raw, used []byte, err error) {
	f, err := proc.Open(name)
	if err != nil {
		return nil, buf, err
	}
	defer f.Close()
	n := 0
	for {
		if n == len(buf) {
			buf = append(buf, make([]byte, len(buf))...)
		}
		k, err := f.Read(buf[n:])
		n += k
		if errors.Is(err, io.EOF) {
			return buf[:n], buf, nil
		}
		if err != nil {
			return nil, buf, err
		}
	}
}

func (r *Reader) readOf(pid int, name string) ([]byte, error) {
	return r.read(strconv.Itoa(pid) + "/" + name)
}

// gone reports whether err means that the process ended meanwhile.
func gone(err error) bool {
	return errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH)
}

// pids lists the processes.
func (r *Reader) pids() ([]int, error) {
	entries, err := fs.ReadDir(r.proc, ".")
	if err != nil {
		return nil, fmt.Errorf("list processes: %w", err)
	}
	var out []int
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil && pid > 0 {
			out = append(out, pid)
		}
	}
	return out, nil
}

// clockSet is by how much a clock may be put forward without moving the start
// times of what runs. A droplet stands still while its snapshot begins, its
// clock is then put right, and a worker must not seem to have been restarted.
const clockSet = 10 * time.Minute

// bootTime reads when the machine booted. The kernel derives it from the
// clock and rounds, so it wavers by a second; we keep the first reading until
// it moves back by more or forward by much more, so that start times stand
// still. A start is then told too early, never later than its first sample.
func (r *Reader) bootTime() (time.Time, error) {
	raw, err := r.read("stat")
	if err != nil {
		return time.Time{}, fmt.Errorf("read boot time: %w", err)
	}
	_, after, ok := strings.Cut(string(raw), "\nbtime ")
	digits, _, _ := strings.Cut(after, "\n")
	sec, err := strconv.ParseInt(digits, 10, 64)
	if !ok || err != nil {
		return time.Time{}, fmt.Errorf("read boot time: no btime in stat")
	}
	boot := time.Unix(sec, 0).UTC()
	if moved := boot.Sub(r.boot); r.boot.IsZero() || moved < -time.Second || moved > clockSet {
		r.boot = boot
	}
	return r.boot, nil
}

// started turns ticks since boot into a moment.
func started(boot time.Time, ticks uint64) time.Time {
	return boot.Add(time.Duration(ticks) * (time.Second / ticksPerSecond))
}

// BootID returns the kernel's id of this boot.
func (r *Reader) BootID() (string, error) {
	raw, err := r.read("sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("read boot id: %w", err)
	}
	return strings.TrimSpace(string(raw)), nil
}

// Hostname returns the machine's name.
func (r *Reader) Hostname() string {
	raw, err := r.read("sys/kernel/hostname")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(raw))
}
