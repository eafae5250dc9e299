// Package slackapp is Slack's wire: verified requests in, rate-limited
// calls out, Socket Mode and signed HTTP alike.
//
// In: a slash command, a click, a submitted modal or an opened App Home arrives
// as an [Envelope], the same over both transports, and goes to the [Handler].
// Only when the handler has returned without an error is Slack told that the
// request was taken; a handler therefore persists the envelope and returns, and
// does the work afterwards. An envelope may come more than once: its ID is the
// same each time, and the handler's store decides.
//
// Out: every call waits for its method's and its channel's rate limit, honours
// Retry-After, and answers with a typed error. Updates of one message are
// coalesced: the newest state wins and is never lost.
//
// The package knows nothing of findings, approvals or droplets, decides nothing
// about who may do what, and keeps nothing on disk.
package slackapp

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/slack-go/slack"
)

// Mode says how Slack's requests reach us.
type Mode string

const (
	// Socket is Socket Mode: we dial Slack, no public address is needed.
	Socket Mode = "socket"
	// HTTP is signed HTTP: Slack posts to us.
	HTTP Mode = "http"
)

// Options is what an App needs. BotToken and Handler always; AppToken in
// socket mode, SigningSecret in HTTP mode.
type Options struct {
	BotToken      string
	AppToken      string
	SigningSecret string
	// APIURL is the base of the Web API with its "/api/"; empty means Slack's own.
	APIURL string
	Mode   Mode // empty means Socket
	// HTTPClient makes every outgoing call; nil means one with a 30 s timeout.
	HTTPClient *http.Client
	Logger     *slog.Logger // nil means slog.Default
	Handler    Handler
	// UpdateEvery is the least time between two updates of one message; 0 means 2.5 s.
	UpdateEvery time.Duration
	// Accepts, when set, says whether a channel takes blocks of a type that not
	// every workspace takes; answers through a response address ask of the
	// channel "response_url".
	Accepts func(ctx context.Context, channel, block string) bool
	// OnDegrade, when set, is told of each message that had to step down its ladder.
	OnDegrade func(Degraded)
}

// App is one Slack app in one workspace. Make it with [New], start it with
// [App.Run], and end it with [App.Close]. Calls out work without Run.
type App struct {
	opts    Options
	log     *slog.Logger
	api     *slack.Client
	apiURL  *url.URL
	handler Handler

	limits  *limits
	updates *updates
	people  *cache[Person]
	groups  *cache[[]string]
	replays *replays
	sockets *sockets
	rungs   rungs

	mu       sync.Mutex
	identity Identity
}

// New checks the options and makes an App. It does not touch the network.
func New(opts Options) (*App, error) {
	if err := opts.fill(); err != nil {
		return nil, err
	}
	base, err := url.Parse(opts.APIURL)
	if err != nil {
		return nil, fmt.Errorf("parse the Slack API address: %w", err)
	}
	if err := checkAPIURL(base); err != nil {
		return nil, err
	}
	a := &App{
		opts: opts, log: opts.Logger, handler: opts.Handler, apiURL: base,
		limits:  newLimits(opts.Logger),
		replays: newReplays(),
		people:  newCache[Person](personTTL),
		groups:  newCache[[]string](groupTTL),
	}
	a.api = slack.New(opts.BotToken,
		slack.OptionAPIURL(opts.APIURL),
		slack.OptionHTTPClient(opts.HTTPClient),
		slack.OptionAppLevelToken(opts.AppToken))
	a.updates = newUpdates(opts.UpdateEvery, a.send, opts.Logger)
	a.sockets = &sockets{app: a, count: 2, stagger: socketStagger}
	return a, nil
}

// fill sets the defaults and names everything that is missing at once.
func (o *Options) fill() error {
	if o.APIURL == "" {
		o.APIURL = slack.APIURL
	}
	if o.Mode == "" {
		o.Mode = Socket
	}
	if o.HTTPClient == nil {
		o.HTTPClient = &http.Client{Timeout: 30 * time.Second}
	}
	if o.Logger == nil {
		o.Logger = slog.Default()
	}
	if o.UpdateEvery == 0 {
		o.UpdateEvery = 2500 * time.Millisecond
	}
	var errs []error
	need := func(ok bool, what string) {
		if !ok {
			errs = append(errs, errors.New("slack: "+what))
		}
	}
	need(o.BotToken != "", "bot token is empty")
	need(o.Handler != nil, "no handler")
	need(o.Mode == Socket || o.Mode == HTTP, fmt.Sprintf("mode %q is neither socket nor http", o.Mode))
	need(o.Mode != Socket || o.AppToken != "", "socket mode needs an app-level token (xapp-)")
	need(o.Mode != HTTP || o.SigningSecret != "", "http mode needs the signing secret")
	return errors.Join(errs...)
}

// checkAPIURL refuses an address that would send the tokens in clear over a network.
func checkAPIURL(u *url.URL) error {
	if !strings.HasSuffix(u.Path, "/api/") {
		return fmt.Errorf("slack: API address %s does not end in /api/", u.Redacted())
	}
	if u.Scheme != "https" && !(u.Scheme == "http" && loopback(u.Hostname())) {
		return fmt.Errorf("slack: API address %s is neither https nor on loopback", u.Redacted())
	}
	return nil
}

func loopback(host string) bool {
	if host == "localhost" {
		return true
	}
	ip := net.ParseIP(host)
	return ip != nil && ip.IsLoopback()
}

// Run learns who we are, keeps the sockets open (socket mode), and returns nil
// when ctx ends. Slack being away is no reason to return: Run goes on trying and
// [App.Status] says so.
func (a *App) Run(ctx context.Context) error {
	var wg sync.WaitGroup
	wg.Go(func() { a.introduce(ctx) })
	if a.opts.Mode == Socket {
		wg.Go(func() { a.sockets.run(ctx) })
	}
	wg.Wait()
	<-ctx.Done()
	return nil
}

// Close writes every update still waiting, until ctx ends, and then refuses more.
func (a *App) Close(ctx context.Context) error { return a.updates.close(ctx) }

// Identity is who the bot token speaks for.
type Identity struct {
	Team, TeamID, EnterpriseID string
	UserID, BotID              string
	URL                        string
	// Scopes are what the token may do, as Slack's answer lists them.
	Scopes []string
}

// AuthTest asks Slack who we are.
func (a *App) AuthTest(ctx context.Context) (Identity, error) {
	var id Identity
	err := a.call(ctx, request{method: "auth.test", repeatable: true}, func(ctx context.Context) error {
		r, err := a.api.AuthTestContext(ctx)
		if err != nil {
			return err
		}
		id = Identity{Team: r.Team, TeamID: r.TeamID, EnterpriseID: r.EnterpriseID,
			UserID: r.UserID, BotID: r.BotID, URL: r.URL}
		for _, s := range strings.Split(r.Header.Get("X-OAuth-Scopes"), ",") {
			if s = strings.TrimSpace(s); s != "" {
				id.Scopes = append(id.Scopes, s)
			}
		}
		return nil
	})
	if err != nil {
		return Identity{}, err
	}
	a.mu.Lock()
	a.identity = id
	a.mu.Unlock()
	return id, nil
}

// introduce asks who we are until Slack answers.
func (a *App) introduce(ctx context.Context) {
	for wait := time.Second; ; wait = min(2*wait, time.Minute) {
		id, err := a.AuthTest(ctx)
		if err == nil {
			a.log.Info("slack knows us", "team", id.Team, "user", id.UserID)
			return
		}
		if ctx.Err() != nil {
			return
		}
		a.log.Error("slack does not know us", "err", err, "retry_in", wait)
		if !sleep(ctx, wait) {
			return
		}
	}
}

// Status is the state of the link to Slack, for health answers and metrics.
type Status struct {
	Mode        Mode      `json:"mode"`
	Team        string    `json:"team,omitempty"`
	Sockets     int       `json:"sockets"`
	LastContact time.Time `json:"last_contact,omitzero"`
	LastError   string    `json:"last_error,omitempty"`
	// SteppedDown tells of messages that Slack took in a plainer layout only.
	SteppedDown SteppedDown `json:"stepped_down"`
}

// Status reports the state of the link now.
func (a *App) Status() Status {
	a.mu.Lock()
	team := a.identity.Team
	a.mu.Unlock()
	open, lastErr := a.sockets.state()
	return Status{Mode: a.opts.Mode, Team: team, Sockets: open,
		LastContact: a.LastContact(), LastError: lastErr, SteppedDown: a.rungs.now()}
}

// LastContact is when Slack was last heard: any byte on a socket, its pings
// included, any verified request, or any answer to a call. Zero means never.
func (a *App) LastContact() time.Time { return a.limits.heard() }

// sleep waits for d; false means ctx ended first.
func sleep(ctx context.Context, d time.Duration) bool {
	if d <= 0 {
		return ctx.Err() == nil
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return false
	case <-t.C:
		return true
	}
}
