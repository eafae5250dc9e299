package formats

import (
	"errors"
	"fmt"
	"io"
	"math"
	"strconv"
	"strings"
	"time"

	"github.com/dropleak/dropleak/detector/sample"
)

const mebibyte = 1 << 20

// mprofReader reads what `mprof run` records: MEM, CHLD, FUNC and CMDLINE lines.
type mprofReader struct {
	Reading
	worker string
	passes []mprofPass
}

// mprofPass is one MEM line and the CHLD lines that follow it.
type mprofPass struct {
	at       time.Time
	mem      float64
	children []mprofChild
}

type mprofChild struct {
	id  int // a pid, or with old versions a number from 0
	mem float64
}

// MProf reads a file of memory_profiler's `mprof run`, multiprocess and
// include-children alike. Sizes there are MiB of RSS, times seconds since
// 1970. All lines belong to the worker named.
func MProf(in io.Reader, worker string) (Reading, error) {
	r := mprofReader{worker: worker}
	l := newLines(in, r.tooLong)
	for l.next() {
		if err := r.take(l.text); err != nil {
			r.note(l.n, "%s", err)
		}
	}
	if l.err != nil {
		return r.Reading, l.err
	}
	r.settle()
	r.Evidence = append(r.Evidence, functionEvidence(r.Calls)...)
	if len(r.Processes) == 0 {
		return r.Reading, ErrNoRows
	}
	return r.Reading, nil
}

func (r *mprofReader) take(line string) error {
	what, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
	f := strings.Fields(rest)
	switch what {
	case "", "CMDLINE", "CMDL":
		return nil
	case "MEM":
		return r.mem(f)
	case "CHLD":
		return r.child(f)
	case "FUNC":
		return r.function(f)
	}
	return fmt.Errorf("%.40q is no line of mprof", line)
}

func (r *mprofReader) mem(f []string) error {
	if len(f) < 2 {
		return errors.New("a MEM line wants a size and a time")
	}
	mem, at, err := mebibytesAt(f[0], f[1])
	if err != nil {
		return err
	}
	r.passes = append(r.passes, mprofPass{at: at, mem: mem})
	return nil
}

func (r *mprofReader) child(f []string) error {
	if len(f) < 3 {
		return errors.New("a CHLD line wants a child, a size and a time")
	}
	id, err := strconv.Atoi(f[0])
	if err != nil || id < 0 {
		return fmt.Errorf("child %q is not a number", f[0])
	}
	mem, _, err := mebibytesAt(f[1], f[2])
	if err != nil {
		return err
	}
	if len(r.passes) == 0 {
		return errors.New("a CHLD line stands before the first MEM line")
	}
	if mem == 0 {
		return nil // a child that was gone before it could be read
	}
	p := &r.passes[len(r.passes)-1]
	p.children = append(p.children, mprofChild{id, mem})
	return nil
}

// maxCalls bounds the calls that are kept; a function marked in a loop is
// called without end.
const maxCalls = 100_000

func (r *mprofReader) function(f []string) error {
	if len(f) < 5 {
		return errors.New("a FUNC line wants a name, and size and time of begin and end")
	}
	before, begin, err := mebibytesAt(f[1], f[2])
	if err != nil {
		return err
	}
	after, end, err := mebibytesAt(f[3], f[4])
	if err != nil {
		return err
	}
	if len(r.Calls) >= maxCalls {
		return fmt.Errorf("only the first %d calls of functions are read", maxCalls)
	}
	r.Calls = append(r.Calls, Call{Name: f[0], Begin: begin, End: end, Before: before, After: after})
	return nil
}

// settle turns passes into samples. With --multiprocess alone MEM is the
// parent; with --include-children too it is the sum, and the parent what is
// left of it.
func (r *mprofReader) settle() {
	inclusive := includesChildren(r.passes)
	if inclusive {
		r.note(0, "MEM includes the children; the parent is what is left of it")
	}
	children := false
	for _, p := range r.passes {
		children = children || len(p.children) > 0
	}
	for _, p := range r.passes {
		parent := unmeasured(p.at, r.worker)
		parent.RSS = p.mem
		if children {
			parent.Role, parent.Slot = "parent", sample.SlotMain
		}
		for i, c := range p.children {
			one := unmeasured(p.at, r.worker)
			one.Role, one.RSS = "child", c.mem
			if one.PID = c.id; c.id == i { // numbered, not named
				one.PID, one.Slot = 0, strconv.Itoa(c.id)
			}
			if inclusive {
				parent.RSS -= c.mem
			}
			r.Processes = append(r.Processes, one)
		}
		r.Processes = append(r.Processes, parent)
	}
}

// includesChildren tells a sum from a parent: a sum is never less than its
// children, and moves with them, so that taking them away leaves less movement.
func includesChildren(passes []mprofPass) bool {
	var whole, rest, lastMem, lastRest float64
	any := false
	for i, p := range passes {
		left := p.mem
		for _, c := range p.children {
			left -= c.mem
			any = true
		}
		if left < 0 {
			return false
		}
		if i > 0 {
			whole += math.Abs(p.mem - lastMem)
			rest += math.Abs(left - lastRest)
		}
		lastMem, lastRest = p.mem, left
	}
	return any && rest < whole
}

// mebibytesAt reads a size in MiB and a time in seconds.
func mebibytesAt(size, when string) (bytes float64, at time.Time, err error) {
	v, err := strconv.ParseFloat(size, 64)
	if err != nil || !(v >= 0 && v < 1<<40) {
		return 0, at, fmt.Errorf("%q is not a size in MiB", size)
	}
	s, err := strconv.ParseFloat(when, 64)
	if err != nil || !(math.Abs(s) <= farthest) {
		return 0, at, fmt.Errorf("time %q is not a number of seconds", when)
	}
	return v * mebibyte, atSeconds(s), nil
}

// atSeconds is seconds since 1970 as a time, to the millisecond.
func atSeconds(s float64) time.Time { return time.UnixMilli(int64(math.Round(s * 1000))).UTC() }
