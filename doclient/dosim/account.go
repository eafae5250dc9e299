package dosim

import (
	"math"
	"net/http"
	"slices"
	"sort"
	"strconv"
	"strings"
	"time"
)

// Scope lists for [Sim.AddToken]: what a poller needs, and what an executor
// needs to snapshot, reboot, power-cycle and delete snapshots on top of it.
var (
	ReaderScopes   = []string{"monitoring:read", "droplet:read", "tag:read", "snapshot:read"}
	ExecutorScopes = append(slices.Clone(ReaderScopes), "droplet:update", "image:create", "image:delete", "snapshot:delete")
)

// account is what a token may do, and what it did lately.
type account struct {
	scopes []string
	used   []time.Time // requests of the last hour, oldest first
	spared int         // GETs until this account may stumble again
}

// AddToken makes a token valid for the given scopes. As in the control panel,
// droplet:read brings regions, sizes, actions and image reading with it.
func (s *Sim) AddToken(token string, scopes ...string) {
	scopes = slices.Clone(scopes)
	if slices.Contains(scopes, "droplet:read") {
		scopes = append(scopes, "regions:read", "sizes:read", "actions:read", "image:read")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tokens[token] = &account{scopes: scopes}
}

// RevokeToken makes a token invalid.
func (s *Sim) RevokeToken(token string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	delete(s.tokens, token)
}

func bearer(r *http.Request) string {
	token, _ := strings.CutPrefix(r.Header.Get("Authorization"), "Bearer ")
	return token
}

func (a *account) lacks(scopes []string) bool {
	return slices.ContainsFunc(scopes, func(sc string) bool { return !slices.Contains(a.scopes, sc) })
}

// admit counts a request against both limits, or refuses it. Only the burst
// refusal carries retry-after.
func (s *Sim) admit(a *account, now time.Time) *reply {
	hour, minute := s.scaled(time.Hour), s.scaled(time.Minute)
	a.used = a.within(now, hour)
	rep := refuse(http.StatusTooManyRequests, "too_many_requests", "API Rate limit exceeded.")
	if len(a.used) >= s.opts.HourlyLimit {
		return &rep
	}
	inMinute := a.within(now, minute)
	if len(inMinute) >= s.opts.BurstLimit {
		rep.retryAfter = max(inMinute[0].Add(minute).Sub(now), time.Nanosecond)
		return &rep
	}
	a.used = append(a.used, now)
	return nil
}

// within are the requests that still count in a window that ends now.
func (a *account) within(now time.Time, window time.Duration) []time.Time {
	first := sort.Search(len(a.used), func(i int) bool { return now.Sub(a.used[i]) < window })
	return a.used[first:]
}

// headers are the request id and, for a known token, the rate limit's: reset is
// when the oldest request expires, remaining is 0 on either kind of refusal.
func (s *Sim) headers(q *request, rep reply, requestID string, now time.Time) http.Header {
	h := http.Header{}
	h.Set("X-Request-Id", requestID)
	if rep.retryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(int(math.Ceil(rep.retryAfter.Seconds()))))
	}
	if q.account == nil || rep.raw != "" {
		return h
	}
	remaining, oldest := s.opts.HourlyLimit-len(q.account.used), now
	if rep.status == http.StatusTooManyRequests {
		remaining = 0
	}
	if len(q.account.used) > 0 {
		oldest = q.account.used[0]
	}
	h.Set("Ratelimit-Limit", strconv.Itoa(s.opts.HourlyLimit))
	h.Set("Ratelimit-Remaining", strconv.Itoa(remaining))
	h.Set("Ratelimit-Reset", strconv.FormatInt(oldest.Add(s.scaled(time.Hour)).Unix(), 10))
	return h
}

// stumbles is the built-in unkindness of an ordinary API: about one GET in
// twenty-five fails with 503, never two within four of the same token, so that
// a client which tries again always gets through.
func (s *Sim) stumbles(q *request) bool {
	if s.kind || q.Method != http.MethodGet {
		return false
	}
	if q.account.spared > 0 {
		q.account.spared--
		return false
	}
	if s.rng.IntN(25) != 0 {
		return false
	}
	q.account.spared = 4
	return true
}
