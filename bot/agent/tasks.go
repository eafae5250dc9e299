package agent

import (
	"bytes"
	"cmp"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/dropleak/dropleak/detector/sample"
)

// The bounds of what is counted. They keep the agent small whatever is sent,
// and leave the droplet's token series enough for memory.
const (
	taskNames   = 20   // of a worker; those that come later are counted as otherTasks
	taskSeries  = 600  // of all workers together, by the number of processes there are when a name comes up
	taskEntries = 4096 // names of all processes, known to be workers' or not
	taskNameMax = 120  // bytes
)

// otherTasks is what tasks beyond the bounds are counted as.
const otherTasks = "(other)"

// taskCounts are the counts that processes report of themselves. Reports are
// cumulative: one that was lost is made good by the next. The zero value is
// ready for use.
type taskCounts struct {
	mu      sync.Mutex
	by      map[int]*processTasks // by pid
	entries int
	dropped int
	named   map[string]*taskRoll // by worker
	hands   map[int]hand         // by pid
}

// processTasks is what one process says of itself.
type processTasks struct {
	runs   map[string]float64
	beside float64
	start  time.Time // of the process, as the last pass had it
}

// taskRoll is the names under which a worker's tasks are counted.
type taskRoll struct {
	names map[string]bool
	full  bool // and stays so: a counter must not change what it counts
}

// take reads one report of a process:
//
//	1 RUNS BESIDE BEGIN END NAME
//
// with the runs of that task and the runs of any task beside another since
// the process began, and when this one began and ended, in seconds. What a
// worker has on hand has a form of its own: [parseHand].
func (c *taskCounts) take(pid int, report []byte) {
	if h, ok := parseHand(report); ok {
		c.hold(pid, h)
		return
	}
	r, ok := parseReport(report)
	if !ok {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	p := c.by[pid]
	if p == nil {
		p = &processTasks{runs: map[string]float64{}}
	}
	before, known := p.runs[r.name]
	switch {
	case !known && c.entries >= taskEntries:
		c.dropped++
		return
	case known && r.runs < before:
		c.entries -= len(p.runs)
		*p = processTasks{runs: map[string]float64{}} // another process under this pid
		known = false
	}
	if !known {
		c.entries++
	}
	p.runs[r.name], p.beside = r.runs, max(p.beside, r.beside)
	if c.by == nil {
		c.by = map[int]*processTasks{}
	}
	c.by[pid] = p
}

// taskReport is one report, read.
type taskReport struct {
	runs, beside float64
	name         string
}

func parseReport(b []byte) (r taskReport, ok bool) {
	var f [5][]byte
	for i := range f {
		if f[i], b, ok = bytes.Cut(b, []byte(" ")); !ok {
			return r, false
		}
	}
	runs, err := strconv.ParseUint(string(f[1]), 10, 50)
	beside, err2 := strconv.ParseUint(string(f[2]), 10, 50)
	name := taskName(b)
	if string(f[0]) != "1" || err != nil || err2 != nil || runs == 0 || name == "" {
		return r, false
	}
	return taskReport{float64(runs), float64(beside), name}, true
}

// taskName is what a process calls a task.
func taskName(b []byte) string { return printableWithin(b, taskNameMax) }

// printableWithin is foreign text as one line of at most so many bytes.
func printableWithin(b []byte, most int) string {
	s := strings.TrimSpace(strings.Map(func(r rune) rune {
		if r == utf8.RuneError || !unicode.IsPrint(r) {
			return '?'
		}
		return r
	}, string(b[:min(len(b), 4*most)])))
	for len(s) > most {
		_, n := utf8.DecodeLastRuneInString(s)
		s = s[:len(s)-n]
	}
	return s
}

// reports tells whether a process has reported a task of late.
func (c *taskCounts) reports(pid int) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.by[pid] != nil
}

// runs is how many tasks a process has reported to have ended, up to now.
func (c *taskCounts) runs(pid int) (n float64) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if p := c.by[pid]; p != nil {
		for _, runs := range p.runs {
			n += runs
		}
	}
	return n
}

// counts are the counts of the processes in a pass. What others sent is
// forgotten: nobody but a worker's process is believed.
func (c *taskCounts) counts(p sample.Pass) (out []sample.TaskCount, notes []string) {
	c.mu.Lock()
	defer c.mu.Unlock()
	living := map[int]*processTasks{}
	c.entries = 0
	rolls := map[string]*taskRoll{}
	room := max(1, min(taskNames, taskSeries/max(1, len(p.Processes))-2))
	for i := range p.Processes {
		r := &p.Processes[i]
		one := c.by[r.PID]
		if one == nil || r.Slot == "" {
			continue
		}
		if !one.start.IsZero() && one.start.Sub(r.Start).Abs() > sample.SameStart {
			continue // the pid has passed to another process, whose next report tells all
		}
		one.start = r.Start
		living[r.PID] = one
		c.entries += len(one.runs)
		if rolls[r.Worker] == nil {
			rolls[r.Worker] = c.roll(r.Worker)
		}
		runs, folded := rolls[r.Worker].count(one.runs, room)
		if folded > 0 {
			notes = append(notes, fmt.Sprintf("worker %s runs more kinds of tasks than are told apart; the rest is counted as %s", r.Worker, otherTasks))
		}
		at := sample.TaskCount{At: r.At, Droplet: r.Droplet, Worker: r.Worker, Slot: r.Slot}
		for _, name := range slices.Sorted(maps.Keys(runs)) {
			at.Task, at.Runs = name, runs[name]
			out = append(out, at)
		}
		at.Task, at.Runs = "", one.beside
		out = append(out, at)
	}
	if c.dropped > 0 {
		notes = append(notes, "more tasks are reported than are counted; some are left out")
	}
	c.by, c.named, c.dropped = living, rolls, 0
	slices.Sort(notes)
	return out, slices.Compact(notes)
}

// roll is the worker's roll, from the pass before or new.
func (c *taskCounts) roll(worker string) *taskRoll {
	if l := c.named[worker]; l != nil {
		return l
	}
	return &taskRoll{names: map[string]bool{}}
}

// count folds a process's runs to the names of its worker's roll, which takes
// new names up, the most run first, while it has room.
func (l *taskRoll) count(runs map[string]float64, room int) (out map[string]float64, folded int) {
	order := slices.SortedFunc(maps.Keys(runs), func(a, b string) int {
		return cmp.Or(cmp.Compare(runs[b], runs[a]), cmp.Compare(a, b))
	})
	out = map[string]float64{}
	for _, name := range order {
		if !l.names[name] && !l.full {
			if l.full = len(l.names) >= room; !l.full {
				l.names[name] = true
			}
		}
		if l.names[name] {
			out[name] += runs[name]
			continue
		}
		out[otherTasks] += runs[name]
		folded++
	}
	return out, folded
}
