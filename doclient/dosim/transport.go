package dosim

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
)

// Transport returns an http.RoundTripper that calls the Sim without a socket,
// whatever host is asked for, so that it works in a testing/synctest bubble.
// A dropped connection comes back as io.ErrUnexpectedEOF. A client that leaves
// because its context ended leaves no goroutine behind, but what its request
// began goes on, as it does on a server.
func (s *Sim) Transport() http.RoundTripper { return transport{s} }

type transport struct{ sim *Sim }

func (t transport) RoundTrip(r *http.Request) (*http.Response, error) {
	if err := r.Context().Err(); err != nil {
		return nil, err
	}
	in := r.Clone(r.Context())
	in.RequestURI = r.URL.RequestURI()
	if in.Body == nil {
		in.Body = http.NoBody
	}
	type outcome struct {
		rec    *httptest.ResponseRecorder
		failed any
	}
	done := make(chan outcome, 1)
	go func() {
		out := outcome{rec: httptest.NewRecorder()}
		defer func() {
			out.failed = recover()
			done <- out
		}()
		t.sim.ServeHTTP(out.rec, in)
	}()
	select {
	case <-r.Context().Done():
		return nil, r.Context().Err()
	case out := <-done:
		switch out.failed {
		case nil:
			resp := out.rec.Result()
			resp.Request = r
			return resp, nil
		case http.ErrAbortHandler:
			return nil, fmt.Errorf("%s %s: %w", r.Method, r.URL.Path, io.ErrUnexpectedEOF)
		default:
			panic(out.failed)
		}
	}
}
