package doclient

import (
	"context"
	"fmt"
	"hash/fnv"
	"net/http"
	"strconv"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

// Pace is how a token's allowance is spent. The zero value suits the documented
// 5,000 requests an hour and 250 a minute.
type Pace struct {
	PerSecond float64 // GETs a second at most; 0 means 1, that is 3,600 an hour
	Burst     int     // GETs that may leave at once; 0 means 10
	Reserve   float64 // share of the hourly limit left to the token's other users; 0 means 0.25
}

// Budget is what the last answer said about the token's allowance. Without rate
// headers there is nothing to say: Known is false, and zeros mean nothing.
type Budget struct {
	Known     bool
	Limit     int       // requests an hour
	Remaining int       // of them now; 0 may also be the limit per minute
	Reset     time.Time // when the oldest request stops counting; not a refill
	Seen      time.Time // when the headers arrived
	PerSecond float64   // the pace kept now
	HeldUntil time.Time // no GET leaves before, when in the future
}

// documentedLimit is assumed while no answer has said otherwise.
const documentedLimit = 5000

// trickle keeps the poller alive, and the budget observed, when the reserve is
// all that is left: one GET a minute.
const trickle = 1.0 / 60

// gain is how sharply the pace falls with what remains; see pacer.
const gain = 9

// metricStep is the spacing of DigitalOcean's metric points; polling a droplet
// more often finds nothing new.
const metricStep = 2 * time.Minute

// pacer holds GETs back so that the hourly limit is never reached.
//
// After each answer with headers the pace is set in proportion to what remains
// above the reserve: gain times the rate that would spend it within an hour.
// Since each request stops counting an hour later, a poller that never rests
// settles at gain/(gain+1) of what the others leave above the reserve, and its
// own requests never eat into that.
type pacer struct {
	pace    Pace
	limiter *rate.Limiter

	mu     sync.Mutex
	budget Budget
}

func newPacer(p Pace) *pacer {
	if p.PerSecond <= 0 {
		p.PerSecond = 1
	}
	if p.Burst <= 0 {
		p.Burst = 10
	}
	if p.Reserve <= 0 || p.Reserve >= 1 {
		p.Reserve = 0.25
	}
	return &pacer{pace: p, limiter: rate.NewLimiter(rate.Limit(p.PerSecond), p.Burst), budget: Budget{PerSecond: p.PerSecond}}
}

// wait returns when the next GET may leave, or why it may not before ctx ends.
func (p *pacer) wait(ctx context.Context) error {
	if held := p.held(); held > 0 {
		until := time.Now().Add(held)
		deadline, ok := ctx.Deadline()
		if (ok && until.After(deadline)) || (!ok && held > longestPause) {
			return &unsent{fmt.Errorf("%w: no request before %s", ErrLimited, until.UTC().Format(time.RFC3339))}
		}
		if err := sleep(ctx, held); err != nil {
			return &unsent{err}
		}
	}
	if err := p.limiter.Wait(ctx); err != nil {
		return &unsent{fmt.Errorf("hold back for the rate budget: %w", err)}
	}
	return nil
}

// skip counts a request that must not wait, such as an order.
func (p *pacer) skip() { p.limiter.Allow() }

// held is how long GETs are held back by a refusal.
func (p *pacer) held() time.Duration {
	p.mu.Lock()
	defer p.mu.Unlock()
	return max(time.Until(p.budget.HeldUntil), 0)
}

// observe learns from an answer's headers.
func (p *pacer) observe(resp *http.Response) {
	now := time.Now()
	p.mu.Lock()
	defer p.mu.Unlock()
	b := &p.budget
	limit, okLimit := headerInt(resp, "Ratelimit-Limit")
	remaining, okRemaining := headerInt(resp, "Ratelimit-Remaining")
	if reset, ok := headerInt(resp, "Ratelimit-Reset"); ok && reset > 0 {
		b.Reset = time.Unix(int64(reset), 0)
	}
	refused := resp.StatusCode == http.StatusTooManyRequests
	if okLimit && okRemaining && limit > 0 {
		b.Known, b.Limit, b.Remaining, b.Seen = true, limit, remaining, now
	}
	if refused {
		b.HeldUntil = now.Add(p.hold(resp, now))
		return // its remaining 0 may mean the minute, so it says nothing about the hour
	}
	if b.Known && b.Seen.Equal(now) {
		b.PerSecond = p.target(limit, remaining)
		p.limiter.SetLimit(rate.Limit(b.PerSecond))
	}
}

// hold is how long a refusal lasts: Retry-After on the limit per minute, the
// reset on the hourly one, nothing when neither is said.
func (p *pacer) hold(resp *http.Response, now time.Time) time.Duration {
	if asked := retryAfter(resp); asked > 0 {
		return asked
	}
	if p.budget.Known && p.budget.Reset.After(now) {
		return min(p.budget.Reset.Sub(now), time.Hour)
	}
	return 0
}

func (p *pacer) target(limit, remaining int) float64 {
	above := float64(remaining) - p.pace.Reserve*float64(limit)
	return min(max(gain*above/3600, trickle), p.pace.PerSecond)
}

func (p *pacer) state() Budget {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.budget
}

func headerInt(resp *http.Response, name string) (int, bool) {
	n, err := strconv.Atoi(resp.Header.Get(name))
	return n, err == nil && n >= 0
}

// Rate returns what is known about the token's allowance, without asking.
func (c *client) Rate() Budget { return c.pace.state() }

// Interval is how far apart a fleet's polls must be when each poll asks once
// per droplet: two minutes, the spacing of the points, or longer when so many
// droplets would spend more than the pacer grants (112 at the documented limit).
func (c *client) Interval(droplets int) time.Duration {
	b, p := c.pace.state(), c.pace.pace
	hourly := float64(documentedLimit)
	if b.Known {
		hourly = float64(b.Limit)
	}
	hourly = min(hourly*(1-p.Reserve)*gain/(gain+1), p.PerSecond*3600)
	need := time.Duration(float64(droplets) / hourly * float64(time.Hour))
	return max(metricStep, need.Round(time.Second))
}

// Offset is a droplet's own place within the poll interval, the same every
// time, so that a fleet's polls are spread instead of leaving all at once.
func Offset(dropletID int64, every time.Duration) time.Duration {
	if every <= 0 {
		return 0
	}
	h := fnv.New64a()
	fmt.Fprint(h, dropletID)
	return time.Duration(h.Sum64() % uint64(every))
}
