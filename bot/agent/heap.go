package agent

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"math"
	"net"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
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
)

// heap asks the probe in a worker's process what it holds: by a file that the
// probe looks at between two tasks, never by a signal, for Celery uses them.
type heap struct {
	dir   string // of the probe's socket
	tasks *taskCounts
	proc  fs.FS

	one    chan struct{} // holds one while asking: there is one file to ask by
	mu     sync.Mutex
	looked map[int]time.Time // by pid
}

// question is the file's content. The pid is the process's own view of it.
type question struct {
	PID   int     `json:"pid"`
	Until float64 `json:"until"` // seconds since 1970
}

// whom picks the process that reports tasks and holds most, 0 for none.
func (h *heap) whom(n procfs.Node) procfs.Member {
	best, most := procfs.Member{}, int64(-1)
	for _, m := range n.Members {
		if m.Role == "other" || !h.tasks.reports(m.PID) {
			continue
		}
		if rss := h.resident(m.PID); rss > most {
			best, most = m, rss
		}
	}
	return best
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

// ask returns what the fattest process of a worker says within a time, nil
// where no probe is in it.
func (h *heap) ask(ctx context.Context, n procfs.Node, within time.Duration) *order.Heap {
	if h == nil {
		return nil
	}
	m := h.whom(n)
	if m.PID == 0 {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, min(within, heapTime))
	defer cancel()
	out := &order.Heap{PID: m.PID}
	select {
	case h.one <- struct{}{}:
		defer func() { <-h.one }()
	case <-ctx.Done():
		out.Notes = append(out.Notes, fmt.Sprintf("pid %d was not asked: the answer to another question was awaited all the time", m.PID))
		return out
	}
	if err := h.look(ctx, m, out); err != nil {
		out.Notes = append(out.Notes, err.Error())
		return out
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.looked == nil || len(h.looked) > 1000 {
		h.looked = map[int]time.Time{}
	}
	h.looked[m.PID] = time.Now()
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
	m := h.whom(n)
	h.mu.Lock()
	known := m.PID == 0 || time.Since(h.looked[m.PID]) < heapAgain
	h.mu.Unlock()
	if known {
		return
	}
	if out := h.ask(ctx, n, heapTime); out != nil && (out.Refused != "" || len(out.Notes) > 0) {
		x.log.Info("heap not looked at, or not whole", "worker", worker, "pid", out.PID, "refused", out.Refused, "notes", strings.Join(out.Notes, "; "))
	}
}

// look asks one process and reads its answer.
func (h *heap) look(ctx context.Context, m procfs.Member, out *order.Heap) error {
	path := filepath.Join(h.dir, "answer.sock")
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("ask pid %d for its heap: %w", m.PID, err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return fmt.Errorf("ask pid %d for its heap: %w", m.PID, err)
	}
	defer l.Close()
	defer context.AfterFunc(ctx, func() { l.Close() })()
	until, _ := ctx.Deadline()
	if err := errors.Join(os.Chmod(path, 0o666), l.SetDeadline(until), h.write(m.PID, until)); err != nil {
		return fmt.Errorf("ask pid %d for its heap: %w", m.PID, err)
	}
	defer os.Remove(filepath.Join(h.dir, "ask"))
	for {
		conn, err := l.AcceptUnix()
		if err != nil {
			return fmt.Errorf("the probe in pid %d did not answer: no task of it ended in time", m.PID)
		}
		if peer(conn) != m.PID {
			conn.Close() // somebody else
			continue
		}
		defer conn.Close()
		defer context.AfterFunc(ctx, func() { conn.Close() })()
		if err := conn.SetDeadline(until); err != nil {
			return err
		}
		return readHeap(conn, out)
	}
}

// write puts the question where the probe looks, whole or not at all.
func (h *heap) write(pid int, until time.Time) error {
	b, err := json.Marshal(question{PID: h.inner(pid), Until: float64(until.UnixMilli()) / 1e3})
	if err != nil {
		return err
	}
	fresh := filepath.Join(h.dir, "ask.new")
	if err := os.WriteFile(fresh, b, 0o644); err != nil {
		return err
	}
	return errors.Join(os.Chmod(fresh, 0o644), os.Rename(fresh, filepath.Join(h.dir, "ask")))
}

// inner is the pid as the process itself sees it, in a container or not.
func (h *heap) inner(pid int) int {
	raw, err := fs.ReadFile(h.proc, strconv.Itoa(pid)+"/status")
	if err != nil {
		return pid
	}
	for line := range bytes.Lines(raw) {
		if rest, ok := bytes.CutPrefix(line, []byte("NSpid:")); ok {
			if f := bytes.Fields(rest); len(f) > 0 {
				if n, err := strconv.Atoi(string(f[len(f)-1])); err == nil {
					return n
				}
			}
		}
	}
	return pid
}

// peer is the process that connected, by the kernel's word: the worker's own,
// though it is its fork that writes.
func peer(conn *net.UnixConn) (pid int) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return 0
	}
	err = raw.Control(func(fd uintptr) {
		if c, err := syscall.GetsockoptUcred(int(fd), syscall.SOL_SOCKET, syscall.SO_PEERCRED); err == nil {
			pid = int(c.Pid)
		}
	})
	if err != nil {
		return 0
	}
	return pid
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
