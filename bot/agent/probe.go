package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"syscall"
	"time"
)

// DefaultProbe is where the probe in Celery's processes sends its reports.
// The shipped unit makes the folder.
const DefaultProbe = "/run/dropleak-agent/probe.sock"

const (
	reportMax    = 600  // bytes of one report
	reportsAtOne = 4000 // read a second; what comes above waits in the kernel, and then its senders drop it
)

// probeSocket takes the reports of what ran. Anybody on the droplet may send
// to it, for workers run as whom they like; whom a report is from only the
// kernel says.
type probeSocket struct {
	conn  *net.UnixConn
	path  string
	tasks *taskCounts
	log   *slog.Logger
}

// openProbe listens at path, in the place of what a former life left there.
func openProbe(path string, tasks *taskCounts, log *slog.Logger) (*probeSocket, error) {
	if info, err := os.Lstat(path); err == nil && info.Mode().Type() == os.ModeSocket {
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("take over probe socket: %w", err)
		}
	}
	conn, err := net.ListenUnixgram("unixgram", &net.UnixAddr{Name: path, Net: "unixgram"})
	if err != nil {
		return nil, fmt.Errorf("listen for probes: %w", err)
	}
	if err := errors.Join(passCredentials(conn), os.Chmod(path, 0o666)); err != nil {
		conn.Close()
		return nil, fmt.Errorf("listen for probes at %s: %w", path, err)
	}
	return &probeSocket{conn: conn, path: path, tasks: tasks, log: log}, nil
}

// passCredentials has the kernel put the sender's pid on every datagram.
func passCredentials(conn *net.UnixConn) error {
	raw, err := conn.SyscallConn()
	if err != nil {
		return err
	}
	var set error
	if err := raw.Control(func(fd uintptr) { set = syscall.SetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_PASSCRED, 1) }); err != nil {
		return err
	}
	return set
}

// run reads reports until ctx ends.
func (p *probeSocket) run(ctx context.Context) {
	defer os.Remove(p.path)
	stop := context.AfterFunc(ctx, func() { p.conn.Close() })
	defer stop()
	body := make([]byte, reportMax)
	// There is room for the sender's credentials and nothing behind them: files
	// that somebody passes along are closed by the kernel.
	oob := make([]byte, syscall.CmsgSpace(syscall.SizeofUcred))
	second, read := time.Now(), 0
	for {
		n, m, flags, _, err := p.conn.ReadMsgUnix(body, oob)
		if err != nil {
			if ctx.Err() == nil {
				p.log.Error("no more reports of tasks are read", "error", err)
			}
			return
		}
		if pid := sender(oob[:m]); pid > 0 && flags&syscall.MSG_TRUNC == 0 {
			p.tasks.take(pid, body[:n])
		}
		if read++; read >= reportsAtOne {
			sleep(ctx, time.Until(second.Add(time.Second)))
			second, read = time.Now(), 0
		}
	}
}

// sender is the pid that the kernel put on a datagram, 0 for none.
func sender(oob []byte) int {
	messages, err := syscall.ParseSocketControlMessage(oob)
	if err != nil {
		return 0
	}
	for i := range messages {
		if c, err := syscall.ParseUnixCredentials(&messages[i]); err == nil {
			return int(c.Pid)
		}
	}
	return 0
}
