package agent

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/dropleak/dropleak/bot/order"
	"github.com/dropleak/dropleak/detector/procfs"
)

// question is what a worker's processes are asked, more of them the longer
// nobody answers.
type question struct {
	asked []int // by pid, as the agent sees it
	rest  []int
	runs  map[int]float64 // of tasks, when it was put
	until time.Time
}

// asking is the question as the file has it. The pids are the processes' own
// view of them; a probe of before knows the one that was asked last alone.
type asking struct {
	PID   int     `json:"pid"`
	PIDs  []int   `json:"pids"`
	Until float64 `json:"until"` // seconds since 1970
}

// question is put to the first.
func (h *heap) question(whom []procfs.Member) *question {
	q := &question{runs: map[int]float64{}}
	for _, m := range whom {
		q.rest = append(q.rest, m.PID)
		q.runs[m.PID] = h.tasks.runs(m.PID)
	}
	h.widen(q)
	return q
}

// widen asks one more: the fattest that has ended a task since the question
// was put, or of those that have not.
func (h *heap) widen(q *question) bool {
	if len(q.rest) == 0 {
		return false
	}
	i := max(0, slices.IndexFunc(q.rest, func(pid int) bool { return h.tasks.runs(pid) > q.runs[pid] }))
	q.asked = append(q.asked, q.rest[i])
	q.rest = slices.Delete(q.rest, i, i+1)
	return true
}

// look puts a question and reads the first answer.
func (h *heap) look(ctx context.Context, q *question, out *order.Heap) error {
	path := filepath.Join(h.dir, "answer.sock")
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("ask pid %d for its heap: %w", out.PID, err)
	}
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: path, Net: "unix"})
	if err != nil {
		return fmt.Errorf("ask pid %d for its heap: %w", out.PID, err)
	}
	defer l.Close()
	defer context.AfterFunc(ctx, func() { l.Close() })()
	q.until, _ = ctx.Deadline()
	if err := os.Chmod(path, 0o666); err != nil {
		return fmt.Errorf("ask pid %d for its heap: %w", out.PID, err)
	}
	defer os.Remove(filepath.Join(h.dir, "ask"))
	conn, err := h.await(l, q)
	if err != nil {
		return err
	}
	defer conn.Close()
	defer context.AfterFunc(ctx, func() { conn.Close() })()
	if err := conn.SetDeadline(q.until); err != nil {
		return err
	}
	out.PID = peer(conn)
	if others := h.silent(q, out.PID); others != "" {
		out.Notes = append(out.Notes, others)
	}
	return readHeap(conn, out)
}

// await asks one process, then more while none answers, and returns the
// connection of the first that does.
func (h *heap) await(l *net.UnixListener, q *question) (*net.UnixConn, error) {
	wait := min(heapSilent, time.Until(q.until)/4)
	for {
		if err := errors.Join(h.write(q), l.SetDeadline(earlier(q.until, time.Now().Add(wait)))); err != nil {
			return nil, fmt.Errorf("ask pid %d for its heap: %w", q.asked[len(q.asked)-1], err)
		}
		conn, err := h.accept(l, q)
		switch {
		case err == nil:
			// Another one asked would fork for nothing.
			os.Remove(filepath.Join(h.dir, "ask"))
			l.Close()
			return conn, nil
		case !errors.Is(err, os.ErrDeadlineExceeded), !time.Now().Before(q.until):
			return nil, errors.New(h.silent(q, 0))
		case !h.widen(q):
			wait = time.Until(q.until)
		}
	}
}

func earlier(a, b time.Time) time.Time {
	if a.Before(b) {
		return a
	}
	return b
}

// accept takes nobody's connection but of those who were asked.
func (h *heap) accept(l *net.UnixListener, q *question) (*net.UnixConn, error) {
	for {
		conn, err := l.AcceptUnix()
		if err != nil {
			return nil, err
		}
		if slices.Contains(q.asked, peer(conn)) {
			return conn, nil
		}
		conn.Close() // somebody else
	}
}

// silent says who of those asked did not answer but the given one, and why as
// far as it is known; "" where that one was asked alone.
func (h *heap) silent(q *question, but int) string {
	var who []string
	for _, pid := range q.asked {
		if pid != but {
			who = append(who, fmt.Sprintf("the probe in pid %d did not answer: %s", pid, h.silence(q, pid)))
		}
	}
	return strings.Join(who, "; ")
}

// silence is why a process did not answer, as far as it is known.
func (h *heap) silence(q *question, pid int) string {
	if _, err := fs.Stat(h.proc, strconv.Itoa(pid)); errors.Is(err, fs.ErrNotExist) {
		return "the process has ended"
	}
	if n := h.tasks.runs(pid) - q.runs[pid]; n > 0 {
		return fmt.Sprintf("%.0f of its tasks ended meanwhile, and it looked at none of them", n)
	}
	return "no task of it ended in time"
}

// write puts the question where the probe looks, whole or not at all.
func (h *heap) write(q *question) error {
	ask := asking{Until: float64(q.until.UnixMilli()) / 1e3}
	for _, pid := range q.asked {
		ask.PIDs = append(ask.PIDs, h.inner(pid))
	}
	ask.PID = ask.PIDs[len(ask.PIDs)-1]
	b, err := json.Marshal(ask)
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
