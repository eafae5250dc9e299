package slackapp

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/slack-go/slack"
	"golang.org/x/time/rate"
)

// limits paces our calls: a limiter a method, a limiter and a queue a channel,
// and the pauses Slack asked for.
type limits struct {
	log  *slog.Logger
	last atomic.Int64 // unix nanoseconds of the last word from Slack

	mu       sync.Mutex
	methods  map[string]*rate.Limiter
	channels map[string]*lane
	pauses   map[string]time.Time
}

// lane is a channel's queue: one post at a time, about one a second.
type lane struct {
	turn chan struct{}
	pace *rate.Limiter
}

func newLimits(log *slog.Logger) *limits {
	return &limits{log: log, methods: map[string]*rate.Limiter{},
		channels: map[string]*lane{}, pauses: map[string]time.Time{}}
}

func (l *limits) hear() { l.last.Store(time.Now().UnixNano()) }

func (l *limits) heard() time.Time {
	n := l.last.Load()
	if n == 0 {
		return time.Time{}
	}
	return time.Unix(0, n).UTC()
}

// method's limiter spends a quarter of the tier at once and the rest evenly, so
// that no minute ever holds more than the tier.
func (l *limits) method(name string) *rate.Limiter {
	l.mu.Lock()
	defer l.mu.Unlock()
	lim, ok := l.methods[name]
	if !ok {
		n := methods[name].perMinute
		burst := n / 4
		lim = rate.NewLimiter(rate.Limit(float64(n-burst)/60), burst)
		l.methods[name] = lim
	}
	return lim
}

func (l *limits) channel(id string) *lane {
	l.mu.Lock()
	defer l.mu.Unlock()
	c, ok := l.channels[id]
	if !ok {
		c = &lane{turn: make(chan struct{}, 1), pace: rate.NewLimiter(1, 1)}
		l.channels[id] = c
	}
	return c
}

// enter takes the channel's turn and waits for its pace.
func (c *lane) enter(ctx context.Context) error {
	select {
	case c.turn <- struct{}{}:
	case <-ctx.Done():
		return ctx.Err()
	}
	if err := c.pace.Wait(ctx); err != nil {
		<-c.turn
		return err
	}
	return nil
}

func (c *lane) leave() { <-c.turn }

// wait holds a call back until its method's rate and any pause allow it.
func (l *limits) wait(ctx context.Context, r request) error {
	start := time.Now()
	if err := l.method(r.method).Wait(ctx); err != nil {
		return err
	}
	for {
		l.mu.Lock()
		until := l.pauses[r.pauseKey()]
		l.mu.Unlock()
		d := time.Until(until)
		if d <= 0 {
			break
		}
		if !sleep(ctx, d) {
			return ctx.Err()
		}
	}
	if waited := time.Since(start); waited > 5*time.Second {
		l.log.Warn("slack call was held back by the rate limit", "method", r.method, "channel", r.channel, "waited", waited)
	}
	return nil
}

func (l *limits) pause(r request, d time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if until := time.Now().Add(d); until.After(l.pauses[r.pauseKey()]) {
		l.pauses[r.pauseKey()] = until
	}
}

// request names a call for the limits.
type request struct {
	method  string
	channel string // posts queue by it
	// repeatable: sending it twice does no harm, so an unclear failure is retried.
	repeatable bool
}

func (r request) pauseKey() string { return r.method + " " + r.channel }

// attempts is how often a repeatable call is tried when Slack fails unclearly.
const attempts = 4

// call runs one Web API call under the limits. Refusals for rate are waited out
// for as long as ctx allows: such a call did not act. Every other failure comes
// back as an *Error.
func (a *App) call(ctx context.Context, r request, fn func(context.Context) error) error {
	if _, ok := methods[r.method]; !ok {
		return &Error{Method: r.method, err: errors.New("the method is not in the table of those that are called")}
	}
	if r.channel != "" {
		lane := a.limits.channel(r.channel)
		if err := lane.enter(ctx); err != nil {
			return held(r, err)
		}
		defer lane.leave()
	}
	for try := 1; ; {
		if err := a.limits.wait(ctx, r); err != nil {
			return held(r, err)
		}
		err := fn(ctx)
		if err == nil {
			a.limits.hear()
			return nil
		}
		if d, limited := retryAfter(err); limited {
			a.limits.hear()
			a.log.Warn("slack asks to wait", "method", r.method, "channel", r.channel, "for", d)
			a.limits.pause(r, d)
			continue
		}
		e := wrap(r.method, err)
		if e.Code != "" {
			a.limits.hear()
		}
		// Nothing left the house: then even a post may be tried again.
		unsent := e.Code == "" && e.Status == 0 && !e.Unclear
		if ctx.Err() != nil || try >= attempts || !unsent && !(r.repeatable && e.Unclear) {
			return e
		}
		a.log.Warn("slack call failed, trying again", "try", try, "err", e)
		if !sleep(ctx, 500*time.Millisecond<<(try-1)) {
			return e
		}
		try++
	}
}

// held is the error of a call that never left.
func held(r request, err error) error { return &Error{Method: r.method, err: err} }

// retryAfter recognises both forms of Slack's refusal for rate.
func retryAfter(err error) (time.Duration, bool) {
	if rl, ok := errors.AsType[*slack.RateLimitedError](err); ok {
		return max(rl.RetryAfter, time.Second), true
	}
	if r, ok := errors.AsType[slack.SlackErrorResponse](err); ok && (r.Err == "ratelimited" || r.Err == "rate_limited") {
		return 5 * time.Second, true
	}
	if s, ok := errors.AsType[slack.StatusCodeError](err); ok && s.Code == 429 {
		return 5 * time.Second, true
	}
	return 0, false
}
