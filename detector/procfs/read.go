package procfs

import (
	"errors"
	"io/fs"
	"slices"
	"strconv"
	"time"

	"github.com/dropleak/dropleak/detector/sample"
)

// Reading is one pass and what else it showed.
type Reading struct {
	Pass  sample.Pass
	Nodes []Node   // those in the pass
	Notes []string // what is missing and why, in sentences
	Cost  map[int]time.Duration
}

// attempts is how often a node is tried whose processes come and go while it
// is read. A node that still will not stand still is left out of the pass.
const attempts = 3

// Read takes one pass. pss is asked once for each node whether its
// smaps_rollup files be read, given the resident bytes of its processes; nil
// is never. Reading.Cost tells what each smaps_rollup took.
//
// Workers are named by systemd unit or supervisor program, else by -n name
// without a random host part. Droplet labels are left empty.
func (r *Reader) Read(at time.Time, pss func(Node, []float64) bool) (Reading, error) {
	boot, err := r.bootTime()
	if err != nil {
		return Reading{}, err
	}
	droplet, err := r.readDroplet(at, boot)
	if err != nil {
		return Reading{}, err
	}
	p := pass{Reader: r, at: at, swapUsed: !(droplet.SwapUsed == 0), pss: pss, asked: map[int]bool{},
		out: Reading{Cost: map[int]time.Duration{}}}
	p.out.Pass.Droplet = droplet
	var rest []process
	var missing []Node
	for range attempts {
		table, err := r.table(at, boot)
		if err != nil {
			return Reading{}, err
		}
		var nodes []Node
		nodes, rest = r.nodes(table, at, boot)
		if missing = p.take(nodes); len(missing) == 0 {
			break
		}
	}
	for _, n := range missing {
		p.note("worker " + n.Worker + " left out: its processes came and went while they were read")
	}
	for _, pid := range r.stuck.all() {
		p.note("pid " + strconv.Itoa(pid) + " is not asked what it runs and what it shares: " + errStuck.Error())
	}
	p.out.Pass.Others = r.others(at, rest, p.swapUsed)
	p.out.Pass.Sort()
	return p.out, nil
}

// Nodes finds the Celery nodes without reading their memory.
func (r *Reader) Nodes(at time.Time) ([]Node, error) {
	boot, err := r.bootTime()
	if err != nil {
		return nil, err
	}
	table, err := r.table(at, boot)
	if err != nil {
		return nil, err
	}
	nodes, _ := r.nodes(table, at, boot)
	return nodes, nil
}

// pass is a [Reading] in the making.
type pass struct {
	*Reader
	at       time.Time
	swapUsed bool
	pss      func(Node, []float64) bool
	asked    map[int]bool // main pid: the answer of pss
	out      Reading
}

func (p *pass) note(s string) {
	if !slices.Contains(p.out.Notes, s) {
		p.out.Notes = append(p.out.Notes, s)
	}
}

// take reads the nodes not yet taken and returns those it could not read
// whole.
func (p *pass) take(nodes []Node) (missing []Node) {
	for _, n := range nodes {
		if slices.ContainsFunc(p.out.Nodes, func(m Node) bool { return m.Main().PID == n.Main().PID }) {
			continue
		}
		records, ok := p.processes(n)
		if !ok {
			missing = append(missing, n)
			continue
		}
		w := sample.Worker{At: p.at, Worker: n.Worker, Node: n.Node, Pool: n.Pool, App: clean(n.App), Unit: n.Unit, Manager: n.Manager}
		p.readCgroup(&w, n.cgroup)
		p.out.Pass.Workers = append(p.out.Pass.Workers, w)
		p.out.Pass.Processes = append(p.out.Pass.Processes, records...)
		p.out.Nodes = append(p.out.Nodes, n)
	}
	return missing
}

// processes reads every process of a node; false when one ended meanwhile.
func (p *pass) processes(n Node) ([]sample.Process, bool) {
	var out []sample.Process
	var rss []float64
	for _, m := range n.Members {
		raw, err := p.readOf(m.PID, "statm")
		if err != nil {
			return nil, false
		}
		pages, err := parseStatm(raw)
		if err != nil || pages == 0 {
			return nil, false // no memory left: it is exiting
		}
		rec := sample.Process{At: p.at, Worker: n.Worker, Role: m.Role, PID: m.PID, PPID: m.PPID, Start: m.Start,
			RSS: float64(pages) * p.page, PSS: nan, USS: nan, Swap: p.swap(m.PID), CPU: m.CPU}
		out, rss = append(out, rec), append(rss, rec.RSS)
	}
	if !p.wantsPSS(n, rss) {
		return out, true
	}
	for i := range out {
		if ok := p.rollup(&out[i], n); !ok {
			return nil, false
		}
	}
	dropPartial(out)
	return out, true
}

// swap is zero without asking where the machine has nothing swapped out.
func (p *pass) swap(pid int) float64 {
	if !p.swapUsed {
		return 0
	}
	raw, err := p.readOf(pid, "status")
	if err != nil {
		return nan
	}
	return parseStatus(raw).swap
}

func (p *pass) wantsPSS(n Node, rss []float64) bool {
	if p.pss == nil {
		return false
	}
	pid := n.Main().PID
	if _, ok := p.asked[pid]; !ok {
		p.asked[pid] = p.pss(n, rss)
	}
	return p.asked[pid]
}

// rollup adds PSS and USS. Swap stays what status says, though SwapPss would
// count shared pages once: passes without PSS have no SwapPss, and one
// series must not mix two measures.
func (p *pass) rollup(rec *sample.Process, n Node) bool {
	raw, took, err := p.readLocked(rec.PID, "smaps_rollup")
	p.out.Cost[rec.PID] = took
	if errors.Is(err, fs.ErrPermission) {
		p.note("no PSS and USS: reading smaps_rollup of " + n.Worker + " needs CAP_SYS_PTRACE")
		return true
	}
	if err != nil && gone(err) {
		_, still := p.readOf(rec.PID, "statm")
		if still == nil {
			p.note("no PSS and USS: this kernel has no smaps_rollup")
		}
		return still == nil
	}
	if err != nil {
		p.note("no PSS and USS: read smaps_rollup of pid " + strconv.Itoa(rec.PID) + ": " + err.Error())
		return true
	}
	roll, err := parseRollup(raw)
	if err != nil {
		return false // an exiting process shows an empty file
	}
	rec.PSS, rec.USS = roll.pss, roll.uss
	return true
}

// dropPartial forgets PSS and USS unless every process has them: a sum over
// some would be a smaller sum, not a gap.
func dropPartial(records []sample.Process) {
	if !slices.ContainsFunc(records, func(r sample.Process) bool { return !sample.Measured(r.PSS) }) {
		return
	}
	for i := range records {
		records[i].PSS, records[i].USS = nan, nan
	}
}
