package agent

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"sync"
	"time"

	"github.com/cenkalti/backoff/v5"
	"github.com/prometheus/client_golang/exp/api/remote"

	"github.com/dropleak/dropleak/bot/order"
)

// shipper sends what the spool holds, oldest first, and keeps what the
// service did not take.
type shipper struct {
	spool *spool
	api   *remote.API
	wire  *wire
	log   *slog.Logger
	old   bool // the service speaks 1.0 only
}

func newShipper(s *spool, server string, w *wire, log *slog.Logger) (*shipper, error) {
	api, err := remote.NewAPI(server, remote.WithAPIHTTPClient(w.client(30*time.Second)), remote.WithAPIPath(order.PathWrite),
		// One retry of its own; the patient ones are ours, for they can be
		// told apart from refusals.
		remote.WithAPIBackoff(remote.BackoffConfig{Min: time.Second, Max: time.Second, MaxRetries: 1}))
	if err != nil {
		return nil, fmt.Errorf("ship to %s: %w", server, err)
	}
	return &shipper{spool: s, api: api, wire: w, log: log}, nil
}

// run ships until ctx ends.
func (s *shipper) run(ctx context.Context) {
	wait := &backoff.ExponentialBackOff{InitialInterval: time.Second, RandomizationFactor: 0.5, Multiplier: 2, MaxInterval: time.Minute}
	wait.Reset()
	failing := false
	for ctx.Err() == nil {
		body := s.spool.next()
		if body == nil {
			select {
			case <-ctx.Done():
			case <-s.spool.more:
			}
			continue
		}
		err := s.send(ctx, body)
		switch {
		case err == nil:
			if failing {
				n, _ := s.spool.waiting()
				s.log.Info("service takes samples again", "spooled", n)
			}
			failing = false
			wait.Reset()
			s.spool.done(body)
		case s.hopeless():
			s.log.Error("service refused a pass; it is dropped", "error", err)
			s.spool.done(body)
		case ctx.Err() == nil:
			if !failing {
				s.log.Warn("service does not take samples; they wait in the spool", "error", err)
			}
			failing = true
			sleep(ctx, wait.NextBackOff())
		}
	}
}

// send tries 2.0 first. A service that knows only 1.0 says so by status, or
// takes the request and confirms nothing.
func (s *shipper) send(ctx context.Context, body []byte) error {
	req, err := decodeV2(body)
	if err != nil {
		s.wire.setStatus(http.StatusBadRequest) // our own fault, and as final
		return err
	}
	if !s.old {
		_, err := s.api.Write(ctx, remote.WriteV2MessageType, req)
		status := s.wire.lastStatus()
		if err == nil || status != http.StatusUnsupportedMediaType && status/100 != 2 {
			return err
		}
		s.log.Info("service speaks remote write 1.0 only; falling back", "status", status)
		s.old = true
	}
	_, err = s.api.Write(ctx, remote.WriteV1MessageType, toV1(req))
	return err
}

// hopeless holds for answers that will never change: the pass itself is bad.
// Wrong tokens and wrong addresses get mended, so those passes wait.
func (s *shipper) hopeless() bool {
	switch s.wire.lastStatus() {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnprocessableEntity:
		return true
	}
	return false
}

func sleep(ctx context.Context, d time.Duration) {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	}
}

// wire puts token and identity on every request and watches the clock of the
// other side.
type wire struct {
	next     http.RoundTripper
	token    func() (string, error)
	identity *identity
	version  string
	log      *slog.Logger

	mu     sync.Mutex
	status int           // of the last remote write; 0: no answer
	skew   time.Duration // the service's clock less ours
	warned bool
}

// client returns an HTTP client over this wire. Redirects are not followed:
// the token is for the configured server alone.
func (w *wire) client(timeout time.Duration) *http.Client {
	return &http.Client{Transport: w, Timeout: timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
}

// RoundTrip sends one request.
func (w *wire) RoundTrip(req *http.Request) (*http.Response, error) {
	token, err := w.token()
	if err != nil {
		return nil, err
	}
	req = req.Clone(req.Context())
	req.Header.Set("Authorization", "Bearer "+token)
	req.Header.Set("User-Agent", "dropleak-agent/"+w.version)
	w.identity.header(req.Header)
	write := req.URL.Path == order.PathWrite
	if write {
		w.setStatus(0)
	}
	began := time.Now()
	resp, err := w.next.RoundTrip(req)
	if err != nil {
		return nil, err
	}
	if write {
		w.setStatus(resp.StatusCode)
	}
	w.clock(resp.Header.Get("Date"), began, time.Now())
	return resp, nil
}

func (w *wire) setStatus(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.status = n
}

func (w *wire) lastStatus() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.status
}

// skewWarn is the clock difference that spoils reports and refuses samples.
const skewWarn = 30 * time.Second

// clock compares the Date header, good to a second, with the middle of the
// request. Long polls are no measure: the header is as old as they took.
func (w *wire) clock(date string, sent, got time.Time) {
	at, err := http.ParseTime(date)
	if err != nil || got.Sub(sent) > 5*time.Second {
		return
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	w.skew = at.Add(500 * time.Millisecond).Sub(sent.Add(got.Sub(sent) / 2)).Round(time.Second)
	off := w.skew.Abs() > skewWarn
	if off && !w.warned {
		w.log.Warn("this droplet's clock and the service's differ; samples will be misplaced", "service_ahead", w.skew)
	}
	if !off && w.warned {
		w.log.Info("clocks agree again", "service_ahead", w.skew)
	}
	w.warned = off
}

// now is the service's time, by our clock and the skew last seen.
func (w *wire) now() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return time.Now().Add(w.skew)
}

var errStatus = errors.New("service answered")
