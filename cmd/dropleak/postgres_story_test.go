package main

import (
	"context"
	"database/sql"
	"fmt"
	"io"
	"net"
	"net/http"
	"os/exec"
	"strings"
	"sync"
	"testing"
	"time"

	_ "github.com/jackc/pgx/v5/stdlib" // to ask who holds a run

	"github.com/dropleak/dropleak/bot/report"
	"github.com/dropleak/dropleak/bot/testbed"
)

// TestStoryPostgres has two services share one PostgreSQL. The one that
// carries the run is killed between snapshot and restart; the other goes on,
// restarts the worker once, and sees its memory come back.
func TestStoryPostgres(t *testing.T) {
	if apart(t) {
		return
	}
	w := newTown(t, 5)
	dsn := testbed.Database(t)
	w.env = append(w.env, "DROPLEAK_STORE_DSN="+dsn)
	super := w.leaky("prefork")
	replicas := []*replica{w.replica("a"), w.replica("b")}
	w.service = replicas[0].Process
	w.listen = inFrontOf(t, replicas)
	if err := w.slack.WaitSockets(within(t, testbed.Patience), 4); err != nil {
		t.Fatalf("%d sockets: %v", w.slack.Sockets(), err)
	}
	w.startAgent("supervisor:" + w.mailer)
	m := w.found("supervisor")
	pid := super.ProgramPID(t, w.mailer)
	if n := w.reports(); n != 1 {
		t.Errorf("two services told of one leak in %d messages", n)
	}

	killed := make(chan *replica, 1)
	w.when("completed", func() {
		r := holder(t, dsn, replicas)
		r.Kill()
		killed <- r
	})
	w.click(anna, m, report.ActionRestart)
	var dead *replica
	select {
	case dead = <-killed:
	case <-time.After(2 * testbed.Patience):
		t.Fatalf("no snapshot completes:\n%s", w.state())
	}
	if now := super.ProgramPID(t, w.mailer); now != pid {
		t.Fatalf("the worker was restarted before its service was killed: pid %d, was %d", now, pid)
	}
	for _, r := range replicas {
		if w.service = r.Process; r != dead {
			w.cured(m, 1)
		}
	}
	w.restarted(super, pid)
	for _, r := range replicas {
		w.service = r.Process
		w.secretsKept()
	}
	w.audited("proposal", "approve", "snapshot", "restart", "outcome", "freed_working")
}

// replica is one of several services that share a store.
type replica struct {
	*testbed.Process
	listen string
}

// replica starts a service with an address and a data directory of its own.
func (w *town) replica(name string) *replica {
	w.t.Helper()
	r := &replica{listen: freePort(w.t)}
	config := w.configured(name, w.listen, r.listen, "/data", "/data-"+name)
	cmd := exec.Command(w.dropleak, "serve", "--config", config)
	cmd.Env = w.env
	r.Process = testbed.Start(w.t, "dropleak-"+name, w.dir, cmd)
	testbed.Eventually(w.t, testbed.Patience, func() error {
		resp, err := http.Get("http://" + r.listen + "/readyz")
		if err != nil {
			return fmt.Errorf("%w\n%s", err, r.Log())
		}
		defer resp.Body.Close()
		if resp.StatusCode != http.StatusOK {
			return fmt.Errorf("readyz: %s", resp.Status)
		}
		return nil
	})
	return r
}

// inFrontOf passes connections on to the first replica that takes them, as a
// load balancer does, and returns its address.
func inFrontOf(t *testing.T, replicas []*replica) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	var all sync.WaitGroup
	t.Cleanup(func() { cancel(); l.Close(); all.Wait() })
	all.Go(func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return // closed at the end of the test
			}
			all.Go(func() { pass(ctx, in, replicas) })
		}
	})
	return l.Addr().String()
}

func pass(ctx context.Context, in net.Conn, replicas []*replica) {
	defer in.Close()
	for _, r := range replicas {
		out, err := net.Dial("tcp", r.listen)
		if err != nil {
			continue
		}
		stop := context.AfterFunc(ctx, func() { in.Close(); out.Close() })
		defer stop()
		go func() { // either end closes both
			defer in.Close()
			_, _ = io.Copy(in, out)
		}()
		_, _ = io.Copy(out, in)
		out.Close()
		return
	}
}

// holder is the replica that holds the lease of the only live run.
func holder(t *testing.T, dsn string, replicas []*replica) *replica {
	db, err := sql.Open("pgx", dsn)
	if err != nil {
		t.Error(err)
		return replicas[0]
	}
	defer db.Close()
	var owner string
	if err := db.QueryRow(`select owner from run where outcome = '' and recipe <> 'tidy' order by updated desc limit 1`).Scan(&owner); err != nil {
		t.Errorf("ask who holds the run: %v", err)
	}
	for _, r := range replicas {
		if strings.Contains(owner, fmt.Sprintf("/%d/", r.PID())) {
			return r
		}
	}
	return replicas[0] // nobody holds it in this moment: either may be killed
}

// reports counts the messages about the leaking worker.
func (w *town) reports() (n int) {
	for _, m := range w.slack.Messages(channel) {
		if says(m, w.mailer, "Grows") && m.Thread == "" {
			n++
		}
	}
	return n
}

func within(t *testing.T, d time.Duration) context.Context {
	ctx, cancel := context.WithTimeout(t.Context(), d)
	t.Cleanup(cancel)
	return ctx
}
