package agent

import (
	"bufio"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/dropleak/dropleak/bot/order"
	"github.com/dropleak/dropleak/detector/procfs"
)

// The bounds of an answer.
const (
	heapTime  = 20 * time.Second        // at most: the probe's fork is nice, and the machine may be busy
	heapSpare = 1500 * time.Millisecond // for the answer's way to the service
	heapBytes = 64 << 10
	heapParts = 12
	heapRows  = 15
	heapText  = 240 // bytes of one row
	heapAgain = time.Hour
	// heapSilent is how long a process may be silent before another one is
	// asked with it: Celery's prefork pool hands the tasks of a quiet worker to
	// the same process again and again, and the others end none for hours.
	heapSilent = 4 * time.Second
)

// heap asks the probe in a worker's process what it holds: by a file that the
// probe looks at between two tasks, never by a signal, for Celery uses them.
type heap struct {
	dir   string // of the probe's socket
	tasks *taskCounts
	proc  fs.FS

	one    chan struct{} // holds one while asking: there is one file to ask by
	mu     sync.Mutex
	looked map[int]time.Time // by pid: when it answered, or another in its place
}

// whom lists a worker's processes that report tasks, the one that holds most
// first.
func (h *heap) whom(n procfs.Node) (out []procfs.Member) {
	rss := map[int]int64{}
	for _, m := range n.Members {
		if m.Role != "other" && h.tasks.reports(m.PID) {
			out, rss[m.PID] = append(out, m), h.resident(m.PID)
		}
	}
	slices.SortStableFunc(out, func(a, b procfs.Member) int { return cmp.Compare(rss[b.PID], rss[a.PID]) })
	return out
}

// resident is the second number of statm, in pages.
func (h *heap) resident(pid int) int64 {
	raw, err := fs.ReadFile(h.proc, strconv.Itoa(pid)+"/statm")
	f := strings.Fields(string(raw))
	if err != nil || len(f) < 2 {
		return 0
	}
	n, _ := strconv.ParseInt(f[1], 10, 64) // what is no number is none
	return n
}

// ask returns what the fattest process of a worker says within a time, or
// another where that one is silent; nil where no probe is in any.
func (h *heap) ask(ctx context.Context, n procfs.Node, within time.Duration) *order.Heap {
	if h == nil {
		return nil
	}
	whom := h.whom(n)
	if len(whom) == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, min(within, heapTime))
	defer cancel()
	out := &order.Heap{PID: whom[0].PID}
	select {
	case h.one <- struct{}{}:
		defer func() { <-h.one }()
	case <-ctx.Done():
		out.Notes = append(out.Notes, fmt.Sprintf("pid %d was not asked: the answer to another question was awaited all the time", out.PID))
		return out
	}
	q := h.question(whom)
	if err := h.look(ctx, q, out); err != nil {
		out.Notes = append(out.Notes, err.Error())
		return out
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.looked == nil || len(h.looked) > 1000 {
		h.looked = map[int]time.Time{}
	}
	for _, pid := range q.asked {
		h.looked[pid] = time.Now()
	}
	return out
}

// prepare has the worker's fattest process looked at, where that was not done
// within the hour, so that what is told before a restart is what grew since
// the restart was asked about.
func (x *executor) prepare(ctx context.Context, worker string) {
	h := x.heap
	n, err := x.find(worker)
	if h == nil || err != nil {
		return
	}
	whom := h.whom(n)
	h.mu.Lock()
	known := len(whom) == 0 || time.Since(h.looked[whom[0].PID]) < heapAgain
	h.mu.Unlock()
	if known {
		return
	}
	if out := h.ask(ctx, n, heapTime); out != nil && (out.Refused != "" || len(out.Notes) > 0) {
		x.log.Info("heap not looked at, or not whole", "worker", worker, "pid", out.PID, "refused", out.Refused, "notes", strings.Join(out.Notes, "; "))
	}
}

// said is one line of an answer.
type said struct {
	K     string   `json:"k"`
	Text  string   `json:"text"`
	Since *float64 `json:"since"` // of a part: nil from a probe of before
	Rows  []rowing `json:"rows"`
}

// rowing is [what, count, grown].
type rowing order.HeapRow

// UnmarshalJSON reads a row.
func (r *rowing) UnmarshalJSON(b []byte) error {
	three := []any{&r.What, &r.Count, &r.Grown}
	if err := json.Unmarshal(b, &three); err != nil {
		return err
	}
	if len(three) != 3 {
		return errors.New("a row has three members")
	}
	return nil
}

// readHeap reads an answer within its bounds. What came before it broke off
// is kept.
func readHeap(from io.Reader, out *order.Heap) error {
	lines := bufio.NewScanner(io.LimitReader(from, heapBytes))
	lines.Buffer(nil, heapBytes)
	for lines.Scan() {
		var s said
		if err := json.Unmarshal(lines.Bytes(), &s); err != nil {
			return fmt.Errorf("the probe in pid %d does not speak clearly", out.PID)
		}
		switch s.K {
		case "end":
			return nil
		case "refused":
			out.Refused = line(s.Text)
			return nil
		case "look":
			out.Since = s.since()
		case "note":
			if len(out.Notes) < heapParts {
				out.Notes = append(out.Notes, line(s.Text))
			}
		default:
			if p := s.part(out.Since); len(p.Rows) > 0 && len(out.Parts) < heapParts {
				out.Parts = append(out.Parts, p)
			}
		}
	}
	return fmt.Errorf("the probe in pid %d was cut short: its time was up, or its memory", out.PID)
}

// since is when a look was, zero for never.
func (s said) since() time.Time {
	if s.Since == nil || !(*s.Since > 0 && *s.Since < math.MaxInt32*2) {
		return time.Time{}
	}
	return time.UnixMilli(int64(*s.Since * 1e3)).UTC()
}

// part is a list of a heap that was looked at before at a time, zero for
// never.
func (s said) part(before time.Time) order.HeapPart {
	p := order.HeapPart{Name: line(s.K)}
	if at := s.since(); s.Since != nil && !before.IsZero() && !at.Equal(before) {
		p.First, p.Since = at.IsZero(), at
	}
	for _, r := range s.Rows[:min(len(s.Rows), heapRows)] {
		p.Rows = append(p.Rows, order.HeapRow{What: line(r.What), Count: r.Count, Grown: r.Grown})
	}
	return p
}

// line is foreign text on one line and within its bound.
func line(s string) string { return printableWithin([]byte(s), heapText) }
