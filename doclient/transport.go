package doclient

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"strconv"
	"time"

	"github.com/cenkalti/backoff/v5"
)

// maxAnswer bounds the body of one answer; a page of 200 droplets is under 2 MB.
const maxAnswer = 32 << 20

// longestPause is how long a GET without a deadline waits between two tries.
const longestPause = time.Minute

// retrier repeats GETs and sends everything else once. Bodies are read whole,
// inside the try: a connection that breaks in the middle of an answer is a
// failed try, and what was read can be read again to decode an error.
type retrier struct {
	base    http.RoundTripper
	pace    *pacer
	timeout time.Duration
	tries   int
	log     *slog.Logger
}

// RoundTrip implements http.RoundTripper.
func (t *retrier) RoundTrip(req *http.Request) (*http.Response, error) {
	if req.Method != http.MethodGet {
		t.pace.skip()
		return t.once(req)
	}
	ctx := req.Context()
	pauses := backoff.NewExponentialBackOff() // 0.5 s, ×1.5, ±50 %
	pauses.MaxInterval = longestPause / 2
	for try := 1; ; try++ {
		if err := t.pace.wait(ctx); err != nil {
			return nil, err
		}
		resp, err := t.once(req)
		if try >= t.tries || !worthAnother(ctx, resp, err) {
			return resp, err
		}
		pause, fits := t.pause(ctx, resp, pauses.NextBackOff())
		if !fits {
			return resp, err
		}
		t.log.Warn("DigitalOcean request tried again", "path", req.URL.Path, "try", try, "pause", pause, "why", why(resp, err))
		if err := sleep(ctx, pause); err != nil {
			return nil, err
		}
	}
}

// pause is how long to wait before the next try, and whether that is worth it:
// what the server asks for, if it asks, else the back-off; never past the
// context's deadline, and without one never longer than longestPause.
func (t *retrier) pause(ctx context.Context, resp *http.Response, next time.Duration) (time.Duration, bool) {
	if asked := retryAfter(resp); asked > 0 {
		next = asked
	} else if resp != nil && resp.StatusCode == http.StatusTooManyRequests {
		next = max(next, t.pace.held())
	}
	if deadline, ok := ctx.Deadline(); ok {
		return next, time.Now().Add(next).Before(deadline)
	}
	return next, next <= longestPause
}

// once sends the request and reads the whole answer within the timeout.
func (t *retrier) once(req *http.Request) (*http.Response, error) {
	ctx, cancel := context.WithTimeoutCause(req.Context(), t.timeout, errSlow)
	defer cancel()
	if err := ctx.Err(); err != nil {
		return nil, &unsent{err}
	}
	resp, err := t.base.RoundTrip(req.WithContext(ctx))
	if err != nil {
		return nil, t.slow(ctx, err)
	}
	t.pace.observe(resp)
	body, err := io.ReadAll(io.LimitReader(resp.Body, maxAnswer+1))
	closed := resp.Body.Close()
	switch {
	case err != nil:
		return nil, t.slow(ctx, fmt.Errorf("read answer: %w", err))
	case closed != nil:
		return nil, fmt.Errorf("close answer: %w", closed)
	case len(body) > maxAnswer:
		return nil, fmt.Errorf("read answer: more than %d MiB", maxAnswer>>20)
	}
	resp.Body = &answer{Reader: bytes.NewReader(body), bytes: body}
	return resp, nil
}

var errSlow = errors.New("no whole answer in time")

// slow names our own timeout, which otherwise looks like the caller's deadline.
func (t *retrier) slow(ctx context.Context, err error) error {
	if context.Cause(ctx) == errSlow {
		return fmt.Errorf("%w (%v)", errSlow, t.timeout)
	}
	return err
}

// unsent is a request that certainly never left.
type unsent struct{ err error }

func (e *unsent) Error() string { return e.err.Error() }
func (e *unsent) Unwrap() error { return e.err }

// answer is a body that has been read whole and can be looked at again.
type answer struct {
	*bytes.Reader
	bytes []byte
}

// Close implements io.Closer.
func (*answer) Close() error { return nil }

// worthAnother says whether a GET that ended so may end otherwise next time.
func worthAnother(ctx context.Context, resp *http.Response, err error) bool {
	if ctx.Err() != nil {
		return false
	}
	if err != nil {
		return true
	}
	return resp.StatusCode == http.StatusTooManyRequests ||
		(resp.StatusCode >= 500 && resp.StatusCode != http.StatusNotImplemented)
}

func why(resp *http.Response, err error) string {
	if err != nil {
		return redact(err.Error())
	}
	return resp.Status
}

// retryAfter reads the header in seconds, or as a date; 0 when it is absent.
func retryAfter(resp *http.Response) time.Duration {
	if resp == nil {
		return 0
	}
	text := resp.Header.Get("Retry-After")
	if n, err := strconv.Atoi(text); err == nil {
		return min(max(time.Duration(n), 0), 24*3600) * time.Second
	}
	if at, err := http.ParseTime(text); err == nil {
		return max(time.Until(at), 0)
	}
	return 0
}

func sleep(ctx context.Context, d time.Duration) error {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
