package source

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"time"
)

// Access says how a server is spoken to.
type Access struct {
	User, Password string        // basic authentication, if User is set
	Token          string        // bearer, if set
	CA             []byte        // PEM of the authorities to believe; nil: the system's
	Timeout        time.Duration // of a whole answer; default 30 seconds
	MaxBody        int64         // bytes of an answer, unpacked; default 64 MiB
}

// ErrTooLarge is wrapped by what reading an answer gives that is larger than
// [Access.MaxBody].
var ErrTooLarge = errors.New("the answer is too large")

// Client returns a client for the server at base. It follows no redirects:
// what authenticates it goes nowhere else.
func (a Access) Client(base string) (*http.Client, error) {
	u, err := url.Parse(base)
	if err != nil || u.Host == "" || u.Scheme != "http" && u.Scheme != "https" {
		return nil, errors.New("not an http or https URL")
	}
	wire := http.DefaultTransport.(*http.Transport).Clone()
	if a.CA != nil {
		pool := x509.NewCertPool()
		if !pool.AppendCertsFromPEM(a.CA) {
			return nil, errors.New("no certificate in the file of authorities")
		}
		wire.TLSClientConfig = &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}
	}
	if a.Timeout <= 0 {
		a.Timeout = 30 * time.Second
	}
	if a.MaxBody <= 0 {
		a.MaxBody = 64 << 20
	}
	return &http.Client{Transport: guarded{a, wire}, Timeout: a.Timeout,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}, nil
}

// guarded authenticates requests and bounds answers.
type guarded struct {
	a    Access
	next http.RoundTripper
}

// RoundTrip implements [http.RoundTripper].
func (g guarded) RoundTrip(r *http.Request) (*http.Response, error) {
	r = r.Clone(r.Context())
	switch {
	case g.a.Token != "":
		r.Header.Set("Authorization", "Bearer "+g.a.Token)
	case g.a.User != "":
		r.SetBasicAuth(g.a.User, g.a.Password)
	}
	resp, err := g.next.RoundTrip(r)
	if err != nil {
		return nil, err
	}
	if resp.StatusCode/100 == 3 {
		resp.Body.Close()
		return nil, fmt.Errorf("%s sends elsewhere (%s): give the address it sends to", r.URL.Host, resp.Status)
	}
	resp.Body = &bounded{resp.Body, g.a.MaxBody}
	return resp, nil
}

// bounded is a body that may not be longer than left.
type bounded struct {
	io.ReadCloser
	left int64
}

func (b *bounded) Read(p []byte) (int, error) {
	if b.left < 0 {
		return 0, ErrTooLarge
	}
	n, err := b.ReadCloser.Read(p[:min(int64(len(p)), b.left+1)])
	if b.left -= int64(n); b.left < 0 {
		return 0, ErrTooLarge
	}
	return n, err
}
