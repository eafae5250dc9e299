package procfs

import (
	"bytes"
	"fmt"
	"io/fs"
	"path"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"
)

// place says who manages a node: the container engine, supervisord, systemd,
// or nobody we know.
func (r *Reader) place(n *Node, main process, byPID map[int]process, at time.Time) {
	// The answer holds for a life; asked anew now and then for the sake of
	// rights granted meanwhile.
	k, ok := r.placed[main.pid]
	if same := ok && k.start == main.stat.start; !same || at.After(k.until) {
		found := knownPlace{start: main.stat.start, until: at.Add(believeFor)}
		given := r.stuck.given
		if r.find(&found.Node, main, byPID); same && r.stuck.given > given {
			found.Node = k.Node // what nobody can tell now is what it was
		}
		k = found
		r.placed[main.pid] = k
	}
	n.cgroup, n.container, n.Node, n.Manager, n.Unit = k.cgroup, k.container, k.Node.Node, k.Manager, k.Unit
	n.SupervisorURL, n.SupervisorConfig = k.SupervisorURL, k.SupervisorConfig
}

// knownPlace is a node of which only the place is filled in.
type knownPlace struct {
	Node
	start uint64
	until time.Time
}

func (r *Reader) find(n *Node, main process, byPID map[int]process) {
	if raw, err := r.readOf(main.pid, "cgroup"); err == nil {
		n.cgroup = parseCgroup(raw)
	}
	if raw, err := r.readOf(main.pid, "status"); err == nil {
		n.container = parseStatus(raw).nested
	}
	n.container = n.container || n.cgroup.container()
	n.Node = r.expand(main.command.node, n.container)
	var env supervisorEnv
	if raw, _, err := r.readLocked(main.pid, "environ"); err == nil {
		env = parseSupervisorEnv(raw)
	}
	daemon, started := r.supervisord(main, byPID)
	if daemon != 0 {
		n.SupervisorConfig = r.supervisorConfig(daemon)
		// setproctitle overwrites the environment; then only supervisord
		// knows whom it started.
		if env.program == "" && r.Program != nil && !n.container {
			env.program = clean(r.Program(n.SupervisorConfig, started))
		}
	}
	switch {
	case n.container:
		n.Manager = "container"
	case env.program != "" && daemon != 0:
		n.Manager, n.Unit, n.SupervisorURL = "supervisor", env.program, env.url
	case n.cgroup.service() != "" && daemon == 0:
		n.Manager, n.Unit = "systemd", n.cgroup.service()
	default:
		n.Manager = "none"
	}
}

// supervisord returns the supervisord among the ancestors of p, 0 for none,
// and which of its children p descends from.
func (r *Reader) supervisord(p process, byPID map[int]process) (daemon, child int) {
	for range 16 { // deep enough for any wrapper, and an end to a torn table
		parent, ok := byPID[p.ppid]
		if !ok {
			return 0, 0
		}
		if r.isSupervisord(parent) {
			return parent.pid, p.pid
		}
		p = parent
	}
	return 0, 0
}

// isSupervisord looks at the program, which python runs: its name is that
// of the interpreter wherever env(1) started it.
func (r *Reader) isSupervisord(p process) bool {
	raw, _, err := r.readLocked(p.pid, "cmdline")
	if err != nil {
		return false
	}
	args := strings.SplitN(string(raw), "\x00", 3)
	for _, a := range args[:min(len(args), 2)] {
		if path.Base(a) == "supervisord" {
			return true
		}
	}
	return false
}

// supervisorConfig returns the file a supervisord was started with, "" where
// it took the first of its usual places.
func (r *Reader) supervisorConfig(pid int) string {
	raw, _, err := r.readLocked(pid, "cmdline")
	if err != nil {
		return ""
	}
	args := strings.Split(string(raw), "\x00")
	for i, a := range args {
		file := ""
		switch long, is := strings.CutPrefix(a, "--configuration="); {
		case (a == "-c" || a == "--configuration") && i+1 < len(args):
			file = args[i+1]
		case is:
			file = long
		case strings.HasPrefix(a, "-c") && len(a) > 2:
			file = a[2:]
		}
		if file != "" && !path.IsAbs(file) {
			dir, err := fs.ReadLink(r.proc, strconv.Itoa(pid)+"/cwd")
			if err != nil {
				return ""
			}
			file = path.Join(dir, file)
		}
		if file != "" {
			return file
		}
	}
	return ""
}

// supervisorEnv is what supervisord tells to what it starts. It is inherited
// further, so it counts only below a living supervisord.
type supervisorEnv struct{ program, url string }

func parseSupervisorEnv(environ []byte) supervisorEnv {
	var e supervisorEnv
	var group, name string
	for kv := range bytes.SplitSeq(environ, []byte{0}) {
		key, value, _ := bytes.Cut(kv, []byte{'='})
		switch string(key) {
		case "SUPERVISOR_SERVER_URL":
			e.url = string(value)
		case "SUPERVISOR_GROUP_NAME":
			group = clean(string(value))
		case "SUPERVISOR_PROCESS_NAME":
			name = clean(string(value))
		}
	}
	e.program = name
	if name != "" && group != "" && group != name {
		e.program = group + ":" + name
	}
	return e
}

// randomHost matches host names that containers and schedulers make up.
var randomHost = regexp.MustCompile(`^[0-9a-f]{12}([0-9a-f]{52})?$|^[0-9a-f]{8}-[0-9a-f]{4}-|-[0-9a-f]{8,10}-[a-z0-9]{5}$|-[0-9a-f]{12,}$`)

// expand gives the node's name as Celery has it: %h is the host's name, %n
// the part before @, %d the domain. A host part that is made up anew at each
// start is left out, for it would make a new worker of every restart.
func (r *Reader) expand(given string, inContainer bool) string {
	full := r.Hostname()
	host, domain, _ := strings.Cut(full, ".")
	if given == "" {
		given = "celery"
	}
	name, at, has := strings.Cut(given, "@")
	if !has {
		at = "%h"
	}
	if inContainer && strings.Contains(at, "%") {
		return clean(name) // its host name is not ours to know
	}
	at = strings.NewReplacer("%h", full, "%n", host, "%d", domain, "%%", "%").Replace(at)
	name = strings.NewReplacer("%h", full, "%n", host, "%d", domain, "%%", "%").Replace(name)
	if at == "" || randomHost.MatchString(at) {
		return clean(name)
	}
	return clean(name + "@" + at)
}

// name gives each node the name it keeps over restarts: its unit or program;
// with the node's own name behind it where one unit holds several; the
// node's own name where there is no unit. Should two still be alike, the app
// tells them apart, and at last their age.
func (r *Reader) name(nodes []Node) {
	perUnit := map[string]int{}
	for _, n := range nodes {
		perUnit[n.Manager+":"+n.Unit]++
	}
	for i := range nodes {
		n := &nodes[i]
		key := n.Manager + ":" + n.Unit
		if n.Unit == "" {
			n.Worker = n.Node
			continue
		}
		if perUnit[key] > 1 {
			r.many[key] = true
		}
		n.Worker = strings.TrimSuffix(n.Unit, ".service")
		if r.many[key] { // also while a sibling is just away
			n.Worker += "/" + n.Node
		}
	}
	tellApart(nodes, func(n *Node, _ int) {
		if n.App != "" {
			n.Worker += " (" + clean(n.App) + ")"
		}
	})
	tellApart(nodes, func(n *Node, nth int) {
		if nth > 0 {
			n.Worker += fmt.Sprintf(" #%d", nth+1)
		}
	})
}

// tellApart calls rename for every node whose name another has too, oldest
// first.
func tellApart(nodes []Node, rename func(n *Node, nth int)) {
	slices.SortStableFunc(nodes, func(a, b Node) int { return a.Main().Start.Compare(b.Main().Start) })
	same := map[string][]*Node{}
	for i := range nodes {
		same[nodes[i].Worker] = append(same[nodes[i].Worker], &nodes[i])
	}
	for _, group := range same {
		for nth, n := range group {
			if len(group) > 1 {
				rename(n, nth)
			}
		}
	}
}
