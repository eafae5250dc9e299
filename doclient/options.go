package doclient

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
	"time"

	"github.com/digitalocean/godo"
	"golang.org/x/oauth2"
)

// DefaultBaseURL is DigitalOcean's public API.
const DefaultBaseURL = "https://api.digitalocean.com"

// Scopes that a custom token needs, by the reference of DigitalOcean's API.
// Choosing droplet:read in the control panel brings actions:read, image:read,
// regions:read and sizes:read with it. Neither token needs droplet:create,
// droplet:delete or droplet:admin, and neither should have them.
var (
	ReaderScopes   = []string{"monitoring:read", "droplet:read", "actions:read", "tag:read", "snapshot:read"}
	ExecutorScopes = append(append([]string{}, ReaderScopes...), "droplet:update", "image:create", "image:delete", "snapshot:delete")
)

// Options say which API, with which token, at what pace. Only Token is needed.
type Options struct {
	// BaseURL is the API's root without /v2; "" means [DefaultBaseURL].
	BaseURL string

	// Token is asked before every request, so that a rotated token is picked up;
	// see [StaticToken] and [TokenFile].
	Token func() (string, error)

	// Transport carries the requests; nil means an own http.Transport. Tests put
	// a simulator here.
	Transport http.RoundTripper

	// UserAgent names the program; "" means "dropleak".
	UserAgent string

	// Logger hears about retries and held requests; nil means silence. It never
	// sees a token.
	Logger *slog.Logger

	// Pace is how the token's allowance is spent.
	Pace Pace

	// Timeout bounds one try of one request, including its body; 0 means 30 s.
	Timeout time.Duration

	// Tries is how often a GET is tried at most; 0 means 5.
	Tries int

	// TotalEvery is how long a droplet's memory_total counts as known before
	// [Reader.Memory] fetches it again; 0 means 6 h.
	TotalEvery time.Duration

	// OnlyTag, when set, makes an [Executor] refuse orders for droplets that do
	// not carry this tag. Scopes are per kind of resource, never per droplet, so
	// this is the only fence around the rest of the account.
	OnlyTag string
}

// StaticToken is a token that never changes.
func StaticToken(token string) func() (string, error) {
	return func() (string, error) { return token, nil }
}

// TokenFile is a token kept in a file, which is read again for every request.
func TokenFile(path string) func() (string, error) {
	return func() (string, error) {
		text, err := os.ReadFile(path)
		if err != nil {
			return "", fmt.Errorf("read token file: %w", err)
		}
		return string(text), nil
	}
}

// tokenSource makes an oauth2.TokenSource of Options.Token. It does not cache.
type tokenSource func() (string, error)

func (ts tokenSource) Token() (*oauth2.Token, error) {
	text, err := ts()
	if err != nil {
		return nil, &noToken{err}
	}
	text = strings.Trim(strings.TrimSpace(text), `'"`)
	if text == "" {
		return nil, &noToken{errors.New("it is empty")}
	}
	if strings.ContainsFunc(text, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return nil, &noToken{errors.New("it contains characters that no token has")}
	}
	return &oauth2.Token{AccessToken: text}, nil
}

// noToken is a request that was never sent for want of a token.
type noToken struct{ err error }

func (e *noToken) Error() string { return "get DigitalOcean token: " + e.err.Error() }
func (e *noToken) Unwrap() error { return e.err }

// client is what Reader and Executor share: one token, one budget, one chain of
// transports (godo over oauth2 over retries over pace over the wire).
type client struct {
	api  *godo.Client
	opts Options
	pace *pacer
	log  *slog.Logger
}

func newClient(opts Options) (*client, error) {
	if opts.Token == nil {
		return nil, errors.New("open DigitalOcean API: no token given")
	}
	base, err := baseURL(cmp.Or(opts.BaseURL, DefaultBaseURL))
	if err != nil {
		return nil, fmt.Errorf("open DigitalOcean API: %w", err)
	}
	opts.Timeout = cmp.Or(opts.Timeout, 30*time.Second)
	opts.Tries = cmp.Or(opts.Tries, 5)
	opts.TotalEvery = cmp.Or(opts.TotalEvery, 6*time.Hour)
	if opts.Logger == nil {
		opts.Logger = slog.New(slog.DiscardHandler)
	}
	if opts.Transport == nil {
		opts.Transport = http.DefaultTransport.(*http.Transport).Clone()
	}
	if base.Scheme == "http" && !loopback(base.Hostname()) {
		opts.Logger.Warn("DigitalOcean token travels unencrypted", "url", base.String())
	}
	c := &client{opts: opts, pace: newPacer(opts.Pace), log: opts.Logger}
	hc := &http.Client{
		Transport: &oauth2.Transport{Source: tokenSource(opts.Token), Base: &retrier{
			base: opts.Transport, pace: c.pace, timeout: opts.Timeout, tries: opts.Tries, log: opts.Logger,
		}},
		// The API does not redirect; following one would repeat a POST (307, 308)
		// and, since the token is added per request, hand it to another host.
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}
	c.api, err = godo.New(hc, godo.SetBaseURL(base.String()), godo.SetUserAgent(cmp.Or(opts.UserAgent, "dropleak")))
	if err != nil {
		return nil, fmt.Errorf("open DigitalOcean API: %w", err)
	}
	return c, nil
}

// Close closes idle connections; requests under way are not touched.
func (c *client) Close() {
	if t, ok := c.opts.Transport.(interface{ CloseIdleConnections() }); ok { // oauth2's transport would not pass it on
		t.CloseIdleConnections()
	}
}

func baseURL(text string) (*url.URL, error) {
	u, err := url.Parse(text)
	if err != nil {
		return nil, err
	}
	switch {
	case u.Scheme != "http" && u.Scheme != "https", u.Host == "":
		return nil, fmt.Errorf("url %q is not http:// or https:// with a host", u.Redacted())
	case u.RawQuery != "", u.Fragment != "", u.User != nil:
		return nil, fmt.Errorf("url %q has more than a host and a path", u.Redacted())
	}
	u.Path = strings.TrimRight(u.Path, "/")
	if strings.HasSuffix(u.Path, "/v2") {
		return nil, fmt.Errorf("url %q must be given without /v2", u.Redacted())
	}
	u.Path += "/"
	return u, nil
}

func loopback(host string) bool {
	ip := net.ParseIP(host)
	return host == "localhost" || (ip != nil && ip.IsLoopback())
}
