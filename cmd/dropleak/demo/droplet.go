package demo

import (
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strconv"
	"strings"
	"time"
)

// What the imagined droplet is made of.
const (
	dropletID   = 4711
	dropletName = "web-1"
	total       = 1024 * mib
	others      = 180 * mib // held by what else would run there
	diskGB      = 18        // of disk in use, which a snapshot copies
)

// droplet is the /proc of the imagined machine: of the real one, only the
// demo's supervisord and what it started; the memory they leave free; and
// every process in supervisord's systemd unit, whatever runs the demo.
// Nobody else's processes are listed or opened.
type droplet struct {
	proc fs.FS
	root int // pid of the supervisord
}

func newDroplet(supervisord int) *droplet {
	return &droplet{proc: os.DirFS("/proc"), root: supervisord}
}

// Open implements [fs.FS].
func (d *droplet) Open(name string) (fs.File, error) {
	_, rest, _ := strings.Cut(name, "/")
	switch {
	case name == "meminfo":
		return d.meminfo(), nil
	case name == "sys/kernel/hostname":
		return newText(name, dropletName+"\n"), nil
	case !d.shows(name):
		return nil, missing("open", name)
	case rest == "cgroup":
		return newText(name, "0::/system.slice/supervisor.service\n"), nil
	}
	return d.proc.Open(name)
}

// ReadDir implements [fs.ReadDirFS].
func (d *droplet) ReadDir(name string) ([]fs.DirEntry, error) {
	if name != "." {
		if !d.shows(name) {
			return nil, missing("readdir", name)
		}
		return fs.ReadDir(d.proc, name)
	}
	entries, err := fs.ReadDir(d.proc, ".")
	if err != nil {
		return nil, err
	}
	kept := entries[:0]
	for _, e := range entries {
		if d.holds(e.Name()) {
			kept = append(kept, e)
		}
	}
	return kept, nil
}

// ReadLink implements [fs.ReadLinkFS].
func (d *droplet) ReadLink(name string) (string, error) {
	if !d.shows(name) {
		return "", missing("readlink", name)
	}
	return fs.ReadLink(d.proc, name)
}

// Lstat implements [fs.ReadLinkFS].
func (d *droplet) Lstat(name string) (fs.FileInfo, error) {
	if !d.shows(name) {
		return nil, missing("lstat", name)
	}
	return fs.Lstat(d.proc, name)
}

// shows says whether a file of the real /proc is on the droplet too: those of
// its processes, and what tells one boot from another.
func (d *droplet) shows(name string) bool {
	pid, _, _ := strings.Cut(name, "/")
	return name == "stat" || name == "sys/kernel/random/boot_id" || d.holds(pid)
}

func missing(op, name string) error { return &fs.PathError{Op: op, Path: name, Err: fs.ErrNotExist} }

func number(s string) bool {
	_, err := strconv.Atoi(s)
	return err == nil
}

// holds says whether a process is the supervisord or a child of it.
func (d *droplet) holds(pid string) bool {
	if pid == strconv.Itoa(d.root) {
		return true
	}
	f, ok := statOf(pid)
	return ok && f[1] == strconv.Itoa(d.root)
}

// statOf returns the fields of /proc/PID/stat after the name.
func statOf(pid string) ([]string, bool) {
	if !number(pid) {
		return nil, false
	}
	raw, err := os.ReadFile("/proc/" + pid + "/stat")
	if err != nil {
		return nil, false
	}
	f := strings.Fields(string(raw[bytes.LastIndexByte(raw, ')')+1:]))
	return f, len(f) > 21
}

// started is when a process started, in ticks since boot; "" it is gone.
func started(pid int) string {
	f, ok := statOf(strconv.Itoa(pid))
	if !ok {
		return ""
	}
	return f[19]
}

// resident is what a process holds, in bytes; 0 when it is gone.
func resident(pid int) int64 {
	f, ok := statOf(strconv.Itoa(pid))
	if !ok {
		return 0
	}
	pages, err := strconv.ParseInt(f[21], 10, 64)
	if err != nil {
		return 0
	}
	return pages * int64(os.Getpagesize())
}

// available is what the droplet's processes leave free, in bytes.
func (d *droplet) available() int64 {
	left := int64(total - others)
	entries, err := d.ReadDir(".")
	if err != nil {
		return left
	}
	for _, e := range entries {
		if pid, err := strconv.Atoi(e.Name()); err == nil && pid != d.root {
			left -= resident(pid)
		}
	}
	return max(left, 0)
}

func (d *droplet) meminfo() fs.File {
	free := d.available() / 1024
	return newText("meminfo", fmt.Sprintf("MemTotal: %d kB\nMemFree: %d kB\nMemAvailable: %d kB\nShmem: 0 kB\nSlab: 0 kB\nSwapTotal: 0 kB\nSwapFree: 0 kB\n",
		total/1024, free, free))
}

// text is a file that was made up.
type text struct {
	*strings.Reader
	name string
}

func newText(name, content string) fs.File { return text{strings.NewReader(content), name} }

// Stat implements [fs.File].
func (t text) Stat() (fs.FileInfo, error) { return t, nil }

// Close implements [fs.File].
func (t text) Close() error { return nil }

// Name, Mode, ModTime, IsDir and Sys make it its own [fs.FileInfo].
func (t text) Name() string       { return t.name }
func (t text) Mode() fs.FileMode  { return 0o444 }
func (t text) ModTime() time.Time { return time.Time{} }
func (t text) IsDir() bool        { return false }
func (t text) Sys() any           { return nil }

var _ io.Reader = text{}
