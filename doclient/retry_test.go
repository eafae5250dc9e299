package doclient_test

import (
	"bytes"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/dropleak/dropleak/doclient"
	"github.com/dropleak/dropleak/doclient/dosim"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestGETsAreTriedAgain(t *testing.T) {
	tests := []struct {
		name  string
		fault dosim.Fault
		tries int           // requests that reach the API
		least time.Duration // waited at least
		err   error         // of the call
	}{
		{"two lost connections", times(dosim.DropBefore, 2), 3, 500 * time.Millisecond, nil},
		{"two 502 in HTML", times(dosim.BadGateway, 2), 3, 500 * time.Millisecond, nil},
		{"burst with Retry-After", times(dosim.Burst, 1), 2, 20 * time.Second, nil},
		{"429 without it, reset in an hour", times(dosim.Fault{Status: 429}, 1), 1, 0, doclient.ErrLimited},
		{"429 of a gateway without any header", times(dosim.Fault{Status: 429, HTML: true}, 1), 2, 200 * time.Millisecond, nil},
		{"five in a row", times(dosim.Fault{Status: 500}, 5), 5, time.Second, errAny},
		{"401", times(dosim.Fault{Status: 401}, 1), 1, 0, doclient.ErrUnauthorized},
		{"403", times(dosim.Fault{Status: 403}, 1), 1, 0, doclient.ErrForbidden},
		{"404", times(dosim.Fault{Status: 404}, 1), 1, 0, doclient.ErrNotFound},
		{"422", times(dosim.Fault{Status: 422}, 1), 1, 0, errAny},
		{"501", times(dosim.Fault{Status: 501}, 1), 1, 0, errAny},
		{"one answer that never comes", times(dosim.Fault{Delay: time.Hour}, 1), 2, 30 * time.Second, nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			bubble(t, func(t *testing.T, ctx context.Context) {
				w := newWorld(t, dosim.Options{})
				w.Kind()
				w.Inject(tt.fault)
				began := time.Now()
				_, err := w.reader.Droplet(ctx, web1)
				if !matches(err, tt.err) {
					t.Errorf("error %v, want %v", err, tt.err)
				}
				if n := len(w.Requests("GET", "/")); n != tt.tries {
					t.Errorf("%d requests, want %d", n, tt.tries)
				}
				if waited := time.Since(began); waited < tt.least || waited > tt.least+time.Minute {
					t.Errorf("waited %v, want about %v", waited, tt.least)
				}
			})
		})
	}
}

var errAny = errors.New("any error")

func matches(err, want error) bool {
	if want == nil || want == errAny {
		return (err == nil) == (want == nil)
	}
	return errors.Is(err, want)
}

func times(f dosim.Fault, n int) dosim.Fault {
	f.Times = n
	return f
}

// The library obeys any Retry-After without a cap; here it must fit into the
// context, and without a deadline into a minute.
func TestRetryAfterMustFit(t *testing.T) {
	for _, deadline := range []time.Duration{10 * time.Second, 0} {
		bubble(t, func(t *testing.T, _ context.Context) {
			w := newWorld(t, dosim.Options{})
			w.Kind()
			w.Inject(dosim.Fault{Status: 429, RetryAfter: 90 * time.Second})
			ctx := t.Context()
			if deadline > 0 {
				var cancel func()
				ctx, cancel = context.WithTimeout(ctx, deadline)
				defer cancel()
			}
			began := time.Now()
			_, err := w.reader.Droplet(ctx, web1)
			var e *doclient.Error
			if !errors.As(err, &e) || e.RetryAfter != 90*time.Second || !errors.Is(err, doclient.ErrLimited) {
				t.Errorf("error %v", err)
			}
			if _, err = w.reader.Droplet(ctx, web1); !errors.Is(err, doclient.ErrLimited) || !strings.Contains(err.Error(), "no request before") {
				t.Errorf("while held: %v", err)
			}
			if time.Since(began) != 0 || len(w.Requests("GET", "/")) != 1 {
				t.Errorf("waited %v and sent %d", time.Since(began), len(w.Requests("GET", "/")))
			}
		})
	}
}

// No fault, before or after the act, makes an order leave twice. What may have
// happened is unclear, what was refused is clear.
func TestOrdersLeaveOnce(t *testing.T) {
	tests := []struct {
		name    string
		fault   dosim.Fault
		unclear bool
		started int
	}{
		{"lost before", dosim.DropBefore, true, 0},
		{"lost after", dosim.DropAfter, true, 1},
		{"500 before", dosim.Fault{Status: 500}, true, 0},
		{"500 after", dosim.ErrorAfter, true, 1},
		{"502 in HTML", dosim.BadGateway, true, 0},
		{"503", dosim.Fault{Status: 503, RetryAfter: time.Second}, true, 0},
		{"408", dosim.Fault{Status: 408}, true, 0},
		{"slow", dosim.Fault{Delay: time.Hour}, true, 1},
		{"429", dosim.Burst, false, 0},
		{"401", dosim.Fault{Status: 401}, false, 0},
		{"403", dosim.Fault{Status: 403}, false, 0},
		{"404", dosim.Fault{Status: 404}, false, 0},
		{"422", dosim.Fault{Status: 422}, false, 0},
	}
	orders := map[string]func(context.Context, *doclient.Executor) error{
		"snapshot": func(ctx context.Context, x *doclient.Executor) error {
			_, err := x.Snapshot(ctx, web1, "run-1")
			return err
		},
		"reboot": func(ctx context.Context, x *doclient.Executor) error {
			_, err := x.Reboot(ctx, web1)
			return err
		},
		"power_cycle": func(ctx context.Context, x *doclient.Executor) error {
			_, err := x.PowerCycle(ctx, web1)
			return err
		},
	}
	for _, tt := range tests {
		for kind, order := range orders {
			t.Run(tt.name+" "+kind, func(t *testing.T) {
				bubble(t, func(t *testing.T, ctx context.Context) {
					w := newWorld(t, dosim.Options{})
					w.Inject(tt.fault.On("POST", "/"))
					err := order(ctx, w.executor)
					if err == nil || doclient.Unclear(err) != tt.unclear || doclient.Pending(err) {
						t.Errorf("unclear %v, want %v: %v", doclient.Unclear(err), tt.unclear, err)
					}
					time.Sleep(10 * time.Minute)
					if posts(w) != 1 || len(w.Entries(dosim.KindActionStarted)) != tt.started {
						t.Errorf("%d POSTs, %d actions started", posts(w), len(w.Entries(dosim.KindActionStarted)))
					}
				})
			})
		}
	}
}

func TestDeleteLeavesOnce(t *testing.T) {
	for _, f := range []dosim.Fault{dosim.DropBefore, dosim.DropAfter, dosim.ErrorAfter} {
		bubble(t, func(t *testing.T, ctx context.Context) {
			w := newWorld(t, dosim.Options{})
			w.AddSnapshot(web1, "old", time.Now().Add(-time.Hour))
			s, err := w.executor.SnapshotByName(ctx, web1, "old")
			check(t, err)
			w.Inject(f.On("DELETE", "/"))
			if err := w.executor.DeleteSnapshot(ctx, s); !doclient.Unclear(err) {
				t.Errorf("clear: %v", err)
			}
			if n := len(w.Requests("DELETE", "/")); n != 1 {
				t.Errorf("%d DELETEs", n)
			}
		})
	}
}

// The same over real sockets, on a connection that was used before, where the
// standard library's transport has retries of its own.
func TestOrdersLeaveOnceOverSockets(t *testing.T) {
	for name, f := range map[string]dosim.Fault{"before": dosim.DropBefore, "after": dosim.DropAfter} {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t, dosim.Options{})
			w.Kind()
			srv := httptest.NewServer(w)
			defer srv.Close()
			tr := &http.Transport{}
			defer tr.CloseIdleConnections()
			_, x := w.clients(t, func(o *doclient.Options) { o.BaseURL, o.Transport = srv.URL+"/", tr })
			_, err := x.Droplet(t.Context(), web1)
			check(t, err)
			w.Inject(f.On("POST", "/"))
			sent := time.Now()
			_, err = x.Snapshot(t.Context(), web1, "run-1")
			if !doclient.Unclear(err) || posts(w) != 1 {
				t.Errorf("%d POSTs: %v", posts(w), err)
			}
			found, err := x.FindActions(t.Context(), web1, doclient.TypeSnapshot, sent)
			check(t, err)
			if want := len(w.Entries(dosim.KindActionStarted)); len(found) != want {
				t.Errorf("found %d candidates, want %d", len(found), want)
			}
		})
	}
}

// What certainly never left is clear.
func TestUnsentIsClear(t *testing.T) {
	gone := httptest.NewServer(http.NotFoundHandler())
	gone.Close()
	cancelled, cancel := context.WithCancel(t.Context())
	cancel()
	tests := []struct {
		name string
		ctx  context.Context
		opts doclient.Options
		id   int64
	}{
		{"nobody listens", t.Context(), doclient.Options{BaseURL: gone.URL}, web1},
		{"no token", t.Context(), doclient.Options{Token: doclient.StaticToken(" \n")}, web1},
		{"unreadable token", t.Context(), doclient.Options{Token: doclient.TokenFile("/nonexistent")}, web1},
		{"token of two lines", t.Context(), doclient.Options{Token: doclient.StaticToken("a\nb")}, web1},
		{"context over", cancelled, doclient.Options{BaseURL: gone.URL}, web1},
		{"no droplet", t.Context(), doclient.Options{BaseURL: gone.URL}, 0},
	}
	for _, tt := range tests {
		if tt.opts.Token == nil {
			tt.opts.Token = doclient.StaticToken(writeToken)
		}
		x, err := doclient.NewExecutor(tt.opts)
		check(t, err)
		if _, err = x.Reboot(tt.ctx, tt.id); err == nil || doclient.Unclear(err) {
			t.Errorf("%s: %v", tt.name, err)
		}
	}
	if !doclient.Unclear(errors.New("something")) || doclient.Unclear(nil) {
		t.Error("an unknown error is clear, or no error is not")
	}
}

// A connection that broke while it was used says nothing about the order.
func TestBrokenConnectionIsUnclear(t *testing.T) {
	for op, unclear := range map[string]bool{"read": true, "write": true, "dial": false, "proxyconnect": false} {
		x, err := doclient.NewExecutor(doclient.Options{
			Token: doclient.StaticToken(writeToken),
			Transport: canned(func(*http.Request) (*http.Response, error) {
				return nil, &net.OpError{Op: op, Net: "tcp", Err: syscall.ECONNRESET}
			}),
		})
		check(t, err)
		if _, err := x.Reboot(t.Context(), web1); doclient.Unclear(err) != unclear || !errors.Is(err, syscall.ECONNRESET) {
			t.Errorf("%s: unclear %v, want %v: %v", op, !unclear, unclear, err)
		}
	}
}

func TestCloseLeavesNoConnection(t *testing.T) {
	w := newWorld(t, dosim.Options{})
	srv := httptest.NewServer(w)
	defer srv.Close()
	before := goleak.IgnoreCurrent()
	r, _ := w.clients(t, func(o *doclient.Options) { o.BaseURL, o.Transport = srv.URL, nil })
	_, err := r.Droplet(t.Context(), web1)
	check(t, err)
	if goleak.Find(before, goleak.IgnoreAnyFunction("net/http.(*conn).serve")) == nil {
		t.Error("there was no idle connection to close")
	}
	r.Close()
	check(t, goleak.Find(before))
}

// A 2xx that cannot be read means that the order was taken.
func TestGarbledAnswerIsUnclear(t *testing.T) {
	for _, body := range []string{"", "{", "{}", `{"action":{}}`, "<html>"} {
		x, err := doclient.NewExecutor(doclient.Options{
			Token: doclient.StaticToken(writeToken), Transport: says(201, "application/json", body),
		})
		check(t, err)
		if _, err := x.Reboot(t.Context(), web1); !doclient.Unclear(err) {
			t.Errorf("%q: %v", body, err)
		}
	}
}

// Half an answer is a failed try for a GET, and unclear for an order.
func TestBrokenBody(t *testing.T) {
	var n atomic.Int32
	rt := canned(func(r *http.Request) (*http.Response, error) {
		resp, err := says(200, "application/json", `{"droplet":{"id":42}}`)(r)
		if n.Add(1) == 1 {
			resp.Body = io.NopCloser(io.MultiReader(strings.NewReader(`{"dro`), brokenReader{}))
		}
		return resp, err
	})
	d, err := reader(t, rt).Droplet(t.Context(), 42)
	if err != nil || d.ID != 42 || n.Load() != 2 {
		t.Errorf("%+v %v after %d tries", d, err, n.Load())
	}
	n.Store(0)
	x, err := doclient.NewExecutor(doclient.Options{Token: doclient.StaticToken(writeToken), Transport: rt})
	check(t, err)
	if _, err := x.Reboot(t.Context(), 42); !doclient.Unclear(err) || n.Load() != 1 {
		t.Errorf("%v after %d POSTs", err, n.Load())
	}
}

type brokenReader struct{}

func (brokenReader) Read([]byte) (int, error) { return 0, errors.New("connection reset by peer") }

// A redirect is followed neither with an order nor with the token.
func TestRedirectsAreNotFollowed(t *testing.T) {
	var elsewhere atomic.Int32
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere.Add(1) }))
	defer other.Close()
	srv := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusTemporaryRedirect))
	defer srv.Close()
	tr := &http.Transport{}
	defer tr.CloseIdleConnections()
	x, err := doclient.NewExecutor(doclient.Options{Token: doclient.StaticToken(writeToken), BaseURL: srv.URL, Transport: tr})
	check(t, err)
	if _, err = x.Reboot(t.Context(), web1); err == nil {
		t.Error("a redirected order was taken")
	}
	if _, err = x.Droplet(t.Context(), web1); err == nil {
		t.Error("a redirected read was taken")
	}
	if n := elsewhere.Load(); n != 0 {
		t.Errorf("%d requests went elsewhere", n)
	}
}

func TestRetriesAreLoggedWithoutToken(t *testing.T) {
	bubble(t, func(t *testing.T, ctx context.Context) {
		var log bytes.Buffer
		w := newWorld(t, dosim.Options{}, func(o *doclient.Options) { o.Logger = slog.New(slog.NewTextHandler(&log, nil)) })
		w.Kind()
		w.Inject(times(dosim.Fault{Status: 503}, 1))
		w.Inject(times(dosim.DropBefore, 1))
		_, err := w.reader.Droplet(ctx, web1)
		check(t, err)
		if n := strings.Count(log.String(), "tried again"); n != 2 || strings.Contains(log.String(), "dop_v1") {
			t.Errorf("log:\n%s", log.String())
		}
	})
}
