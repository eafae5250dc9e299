package procfs

import (
	"cmp"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"
	"time"
)

// process is one line of the process table.
type process struct {
	pid int
	stat
	command
}

// Member is one process of a node.
type Member struct {
	PID, PPID int
	Start     time.Time
	Role      string // parent, child, other
	CPU       float64
	Ticks     uint64 // of the start, since boot: exact
}

// Node is one Celery node as found: a main process and those it forked.
type Node struct {
	Worker  string // the stable name, see [Reader.Read]
	Node    string // name@host as Celery has it, without a random host part
	App     string
	Pool    string // "" where the command line does not tell and nothing else does
	Manager string // systemd, supervisor, container, none
	Unit    string // systemd unit with suffix, or supervisor program; "" none
	Beat    bool   // a beat is embedded (-B)
	Members []Member
	// Where its supervisord answers and what configures it, as it told the
	// process itself; "" unknown.
	SupervisorURL, SupervisorConfig string

	cgroup    cgroupPath
	container bool
}

// Main returns the parent.
func (n Node) Main() Member { return n.Members[0] }

// knownCommand is a command line already read.
type knownCommand struct {
	command
	start uint64
	comm  string
	until time.Time
}

// A program replaced by exec keeps pid and start, so what a command line
// says is believed for a while only, and not at all for a newborn.
const (
	believeFor  = 5 * time.Minute
	newbornTill = time.Minute
)

// looker is what the probe's fork calls itself: a worker's process copied for
// some seconds, to be counted by nobody.
const looker = "dropleak-heap"

// table reads the process table: one stat for each, and the command lines
// not known yet. Zombies hold no memory and are left out, and so is the fork
// of a probe.
func (r *Reader) table(at, boot time.Time) ([]process, error) {
	pids, err := r.pids()
	if err != nil {
		return nil, err
	}
	known := make(map[int]knownCommand, len(pids))
	out := make([]process, 0, len(pids))
	for _, pid := range pids {
		raw, err := r.readOf(pid, "stat")
		if err != nil {
			continue // gone, or hidden from us by hidepid: not ours to see
		}
		p := process{pid: pid}
		if p.stat, err = parseStat(raw); err != nil {
			return nil, fmt.Errorf("read stat of pid %d: %w", pid, err)
		}
		if p.state == 'Z' || p.state == 'X' || p.comm == looker {
			continue
		}
		k, ok := r.known[pid]
		if !ok || k.start != p.start || k.comm != p.comm || at.After(k.until) {
			k = r.readCommand(p, k, at, boot)
		}
		known[pid] = k
		p.command = k.command
		out = append(out, p)
	}
	r.known = known
	return out, nil
}

// readCommand asks what a process runs; was is what its pid ran before. While
// nobody can tell, it is what it was.
func (r *Reader) readCommand(p process, was knownCommand, at, boot time.Time) knownCommand {
	k := knownCommand{start: p.start, comm: p.comm}
	raw, _, err := r.readLocked(p.pid, "cmdline")
	if errors.Is(err, errStuck) && was.start == p.start {
		return was
	}
	if err != nil {
		return k
	}
	k.command = parseCommand(raw)
	if at.Sub(started(boot, p.start)) > newbornTill {
		k.until = at.Add(believeFor)
	}
	return k
}

// nodes sorts the table into Celery nodes and the rest.
func (r *Reader) nodes(table []process, at, boot time.Time) (nodes []Node, rest []process) {
	byPID := make(map[int]process, len(table))
	for _, p := range table {
		byPID[p.pid] = p
	}
	children := map[int][]process{}
	for _, p := range table {
		switch main, ok := mainOf(p, byPID); {
		case !ok:
			rest = append(rest, p)
		case main != p.pid:
			children[main] = append(children[main], p)
		}
	}
	for _, p := range table {
		if main, ok := mainOf(p, byPID); ok && main == p.pid {
			nodes = append(nodes, r.node(p, children[p.pid], byPID, at, boot))
		}
	}
	for pid := range r.placed {
		if _, ok := byPID[pid]; !ok {
			delete(r.placed, pid)
		}
	}
	r.name(nodes)
	return nodes, rest
}

// mainOf returns the main process of the node that p belongs to. A forked
// child looks like its parent, or carries a title of its own; so does what
// a task forked below it.
func mainOf(p process, byPID map[int]process) (int, bool) {
	if p.program == notCelery || p.program == flower {
		return 0, false
	}
	for range 16 { // an end to a table torn between two readings
		parent, ok := byPID[p.ppid]
		under := ok && (parent.program == workerMain || parent.program == workerChild)
		switch {
		case p.program == workerMain && (!under || parent.program == workerMain && !sameCommand(p.command, parent.command)):
			return p.pid, true
		case p.program == beat && !(under && parent.beat):
			return 0, false // a beat of its own
		case !under:
			return 0, false // a child whose parent just died
		}
		p = parent
	}
	return 0, false
}

func sameCommand(a, b command) bool {
	return a.app == b.app && a.node == b.node && a.pool == b.pool
}

func (r *Reader) node(main process, children []process, byPID map[int]process, at, boot time.Time) Node {
	n := Node{App: main.app, Pool: main.pool, Beat: main.beat, Members: []Member{member(main, "parent", boot)}}
	slices.SortFunc(children, func(a, b process) int {
		return cmp.Or(cmp.Compare(a.stat.start, b.stat.start), cmp.Compare(a.pid, b.pid))
	})
	beatPID := r.embeddedBeat(main, children)
	forks := 0
	for _, c := range children {
		role := "child"
		// Pools other than prefork fork no workers: what hangs below them
		// is beat, or a helper some library forked. So is a grandchild.
		if c.pid == beatPID || c.ppid != main.pid || n.Pool != "" && n.Pool != "prefork" {
			role = "other"
		} else {
			forks++
		}
		n.Members = append(n.Members, member(c, role, boot))
	}
	if n.Pool == "" && forks > 0 {
		n.Pool = "prefork" // Celery's default; settings may name another
	}
	r.place(&n, main, byPID, at)
	return n
}

func member(p process, role string, boot time.Time) Member {
	return Member{PID: p.pid, PPID: p.ppid, Start: started(boot, p.stat.start), Role: role,
		CPU: float64(p.cpu) / ticksPerSecond, Ticks: p.stat.start}
}

// embeddedBeat finds the beat that -B forked among children that all look
// alike. Beat closes what it inherited, a pool process keeps its pipes;
// beat alone holds the schedule. Where descriptors are not ours to read,
// the oldest child is taken: beat is forked before the pool.
func (r *Reader) embeddedBeat(main process, children []process) int {
	if !main.beat || len(children) == 0 {
		return 0
	}
	schedule := cmp.Or(main.schedule, "celerybeat-schedule")
	for _, c := range children {
		if c.program == beat {
			return c.pid
		}
	}
	for _, c := range children {
		for _, target := range r.descriptors(c.pid) {
			if strings.HasPrefix(path.Base(target), schedule) {
				return c.pid
			}
		}
	}
	return children[0].pid
}

// descriptors lists what a process has open; nil where we may not look.
func (r *Reader) descriptors(pid int) []string {
	dir := strconv.Itoa(pid) + "/fd"
	entries, err := fs.ReadDir(r.proc, dir)
	if err != nil {
		return nil
	}
	var out []string
	for _, e := range entries {
		if target, err := fs.ReadLink(r.proc, path.Join(dir, e.Name())); err == nil {
			out = append(out, target)
		}
	}
	return out
}
