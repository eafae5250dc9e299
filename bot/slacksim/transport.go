package slacksim

import (
	"bytes"
	"fmt"
	"io"
	"net/http"
)

// Transport calls a handler in the same process, without a socket: what a
// synctest bubble can wait for. Both directions of HTTP mode fit through it: the
// bot's calls into [Sim.Handler], and [Options.App] into the bot's handler.
func Transport(h http.Handler) http.RoundTripper { return transport{h} }

// RoundTripper is the bot's way into this workspace without a socket.
func (s *Sim) RoundTripper() http.RoundTripper { return Transport(s.Handler()) }

type transport struct{ h http.Handler }

// RoundTrip implements [http.RoundTripper].
func (t transport) RoundTrip(r *http.Request) (resp *http.Response, err error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	in := r.Clone(r.Context())
	in.RequestURI = r.URL.RequestURI()
	in.RemoteAddr = "192.0.2.1:1"
	if in.Host == "" {
		in.Host = r.URL.Host
	}
	in.Body = http.NoBody
	if r.Body != nil {
		body, err := io.ReadAll(r.Body)
		r.Body.Close()
		if err != nil {
			return nil, err
		}
		in.Body = io.NopCloser(bytes.NewReader(body))
	}
	type result struct {
		resp *http.Response
		err  error
	}
	done := make(chan result, 1)
	go func() {
		w := &answer{header: http.Header{}}
		defer func() {
			if p := recover(); p != nil {
				// As a server does: the connection breaks.
				done <- result{err: fmt.Errorf("connection closed by handler: %v", p)}
				return
			}
			done <- result{resp: w.response(r)}
		}()
		t.h.ServeHTTP(w, in)
	}()
	select {
	case r := <-done:
		return r.resp, r.err
	case <-r.Context().Done():
		return nil, r.Context().Err()
	}
}

// answer collects what a handler writes.
type answer struct {
	header http.Header
	sent   http.Header // as it stood when the status was written
	status int
	body   bytes.Buffer
}

func (a *answer) Header() http.Header { return a.header }

func (a *answer) WriteHeader(status int) {
	if a.status == 0 {
		a.status, a.sent = status, a.header.Clone()
	}
}

func (a *answer) Write(b []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(b)
}

func (a *answer) response(r *http.Request) *http.Response {
	a.WriteHeader(http.StatusOK)
	return &http.Response{Status: fmt.Sprintf("%d %s", a.status, http.StatusText(a.status)), StatusCode: a.status,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1, Header: a.sent, Request: r,
		ContentLength: int64(a.body.Len()), Body: io.NopCloser(&a.body)}
}
