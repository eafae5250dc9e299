package demo

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/dropleak/dropleak/doclient/dosim"
)

// service is "dropleak serve" as a process of its own, so that it can be
// killed as a crash kills.
type service struct {
	w      *world
	listen string
	config string

	mu       sync.Mutex
	child    *child
	stopping bool

	finished atomic.Bool // a snapshot is complete
	crashed  atomic.Pointer[time.Time]
}

// startService writes the configuration, as an operator would, and starts
// the service.
func (w *world) startService(ctx context.Context) (err error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return fmt.Errorf("find a port for the service: %w", err)
	}
	s := w.service
	s.listen = l.Addr().String()
	if err := l.Close(); err != nil {
		return err
	}
	s.config, err = w.write("dropleak.yaml", fmt.Sprintf(`# What the demo's service is configured with.
listen: %s
metrics_listen: ""
data_dir: %s
digitalocean: {api_url: "%s", tag: dropleak}
slack: {api_url: "%s", channel: %s}
schedule: {scan: "@every 20m", report: "@every 365d"}
approvals: {approvers: [%s], expires: 365d}
time_scale: %d
`, s.listen, filepath.Join(w.dir, "data"), w.cloudURL, w.slack.APIURL(), channel, anna, scale))
	if err != nil {
		return err
	}
	return s.start(ctx)
}

// readyWithin is many times what a start takes.
const readyWithin = 3 * time.Minute

// start starts the process and waits until it is ready.
func (s *service) start(ctx context.Context) error {
	c, err := again([]string{"dropleak", "serve", "--config", s.config}, []string{"DIGITALOCEAN_ACCESS_TOKEN=" + readerToken,
		"DIGITALOCEAN_EXECUTOR_TOKEN=" + executorToken, "SLACK_BOT_TOKEN=xoxb-sim", "SLACK_APP_TOKEN=xapp-sim"},
		filepath.Join(s.w.dir, "serve.log"))
	if err != nil {
		return err
	}
	s.mu.Lock()
	s.child = c
	s.mu.Unlock()
	if err := s.ready(ctx, c); err != nil {
		return err
	}
	go s.mind(c)
	return nil
}

func (s *service) ready(ctx context.Context, c *child) error {
	ctx, cancel := context.WithTimeout(ctx, readyWithin)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+s.listen+"/readyz", nil)
		if err != nil {
			return err
		}
		if resp, err := http.DefaultClient.Do(req); err == nil {
			resp.Body.Close()
			if resp.StatusCode == http.StatusOK {
				return nil
			}
		}
		select {
		case <-c.done:
			return fmt.Errorf("the service did not start (%v): %s%s", c.cmd.ProcessState, lastLines(c.log.Name()), s.w.kept(c.log.Name()))
		case <-ctx.Done():
			return fmt.Errorf("the service is not ready after %s: %s%s", readyWithin, lastLines(c.log.Name()), s.w.kept(c.log.Name()))
		case <-tick.C:
		}
	}
}

// lastLines are what a log ends with: why a program that did not start did not.
func lastLines(path string) string {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(raw)), "\n")
	return strings.Join(lines[max(len(lines)-4, 0):], "\n")
}

// kept says where a log is, if it is still there when that is read.
func (w *world) kept(log string) string {
	if w.o.Keep == "" {
		return ""
	}
	return "\nits log is " + log
}

// mind tells when the service ends that nobody stopped.
func (s *service) mind(c *child) {
	<-c.done
	s.mu.Lock()
	expected := s.stopping || s.child != c
	s.mu.Unlock()
	if !expected {
		s.w.broken <- fmt.Errorf("the service ended: %v", c.cmd.ProcessState)
	}
}

func (s *service) stop() {
	s.mu.Lock()
	c := s.child
	s.stopping = true
	s.mu.Unlock()
	if c != nil {
		c.stop(15 * time.Second)
	}
}

func (s *service) onAction(a dosim.Action) {
	if a.Type == "snapshot" && a.Status == "completed" {
		s.finished.Store(true)
	}
}

// before stands in front of the simulated DigitalOcean. With the fault Crash
// it kills the service at the first request after the snapshot is complete:
// no process that lived to hear so is left.
func (s *service) before(cloud *dosim.Sim) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if s.w.o.Fault == Crash && s.crashed.Load() == nil {
			cloud.Settle()
			if s.finished.Load() && s.crash() {
				panic(http.ErrAbortHandler) // who asked is dead
			}
		}
		cloud.ServeHTTP(w, r)
	})
}

// crash kills the service and starts it again; false when it was done
// before.
func (s *service) crash() bool {
	now := time.Now()
	if !s.crashed.CompareAndSwap(nil, &now) {
		return false
	}
	s.mu.Lock()
	c := s.child
	s.child = nil
	s.mu.Unlock()
	c.kill()
	s.w.say("the service was killed (SIGKILL) between snapshot and restart; starting it again")
	s.w.loops.Go(func() {
		if err := s.start(context.Background()); err != nil && !errors.Is(err, context.Canceled) {
			s.w.broken <- fmt.Errorf("after the crash: %w", err)
		}
	})
	return true
}
