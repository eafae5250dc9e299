package shell

import (
	"context"
	"fmt"
	"io/fs"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/dropleak/dropleak/detector/procfs"
)

// Droplet is one droplet at the other end of a [Link], as its processes are
// seen over it.
type Droplet struct {
	*Link

	mu     sync.Mutex
	now    Answer
	reader *procfs.Reader
}

// NewDroplet returns a droplet that was not looked at yet.
func NewDroplet(o Options) *Droplet {
	d := &Droplet{Link: New(o)}
	d.reader = procfs.New(turning{func() fs.FS { return d.now.Proc() }}, turning{func() fs.FS { return d.now.Cgroup() }})
	return d
}

// turning is a tree of files that is another one at each pass: the reader
// remembers names from one pass to the next.
type turning struct{ to func() fs.FS }

// Open implements [fs.FS].
func (t turning) Open(name string) (fs.File, error) { return t.to().Open(name) }

// ReadDir implements [fs.ReadDirFS].
func (t turning) ReadDir(name string) ([]fs.DirEntry, error) { return fs.ReadDir(t.to(), name) }

// ReadLink implements [fs.ReadLinkFS].
func (t turning) ReadLink(name string) (string, error) { return fs.ReadLink(t.to(), name) }

// Lstat implements [fs.ReadLinkFS].
func (t turning) Lstat(name string) (fs.FileInfo, error) { return fs.Stat(t.to(), name) }

// hugePSS is from where smaps_rollup is not read any more, as in the script:
// it keeps the process's memory locked meanwhile.
const hugePSS = 4 << 30

// torn is how often a listing is asked for in which a process ended while it
// was made.
const torn = 3

// Look asks for one pass and reads it as the agent reads /proc: the same
// nodes under the same names. The answer has what else was told.
func (d *Droplet) Look(ctx context.Context) (procfs.Reading, Answer, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for try := 1; ; try++ {
		at := time.Now().UTC().Truncate(time.Millisecond)
		a, err := d.Ask(ctx, "sample")
		if err != nil {
			return procfs.Reading{}, a, err
		}
		if why := a.Get("refused"); why != "" {
			return procfs.Reading{}, a, fmt.Errorf("sample on %s: refused: %s", d.Host(), a.Get("why"))
		}
		r, err := d.Read(a, at)
		if err != nil || try == torn || !slices.ContainsFunc(r.Notes, leftOut) {
			return r, a, err
		}
	}
}

func leftOut(note string) bool { return strings.Contains(note, "came and went") }

// Read makes a pass of an answer to "sample".
func (d *Droplet) Read(a Answer, at time.Time) (procfs.Reading, error) {
	d.now = a
	r, err := d.reader.Read(at, func(_ procfs.Node, rss []float64) bool {
		return !slices.ContainsFunc(rss, func(v float64) bool { return v > hugePSS })
	})
	if err != nil {
		return r, fmt.Errorf("read what %s said: %w", d.Host(), err)
	}
	r.Notes = append(r.Notes, a.Notes...)
	for _, n := range r.Nodes {
		if a.closed(n.Main().PID) {
			r.Notes = append(r.Notes, fmt.Sprintf("which supervisor program %s is: reading its environment needs the rights of its user, or root; it goes by its node name", n.Worker))
		}
	}
	return r, nil
}

// closed reports whether a process's environment, which says whose program of
// supervisor it is, may not be read.
func (a Answer) closed(pid int) bool {
	env, there := a.tree[fmt.Sprintf("proc/%d/environ", pid)]
	return there && env == nil
}

// BootID is the kernel's id of the boot that an answer to "sample" is from.
func (a Answer) BootID() string {
	id, err := fs.ReadFile(a.Proc(), "sys/kernel/random/boot_id")
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(id))
}
