package slackapp

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/slack-go/slack"
)

// maxBody is far above anything Slack sends; a message of 50 blocks is under 200 KB.
const maxBody = 1 << 20

// HTTPHandler serves POST /slack/commands, /slack/interactions and /slack/events.
// In socket mode each of them answers 404.
func (a *App) HTTPHandler() http.Handler {
	mux := http.NewServeMux()
	if a.opts.Mode != HTTP {
		return http.NotFoundHandler()
	}
	mux.Handle("POST /slack/commands", a.verified(a.serveCommand))
	mux.Handle("POST /slack/interactions", a.verified(a.serveInteraction))
	mux.Handle("POST /slack/events", a.verified(a.serveEvent))
	return mux
}

// verified reads the body, checks its signature, and lets a request act once:
// the same signed request again waits for the first one's fate and repeats its
// status without acting.
func (a *App) verified(next func(w http.ResponseWriter, r *http.Request, body []byte) bool) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, maxBody))
		if err != nil {
			var big *http.MaxBytesError
			if errors.As(err, &big) {
				http.Error(w, "body too large", http.StatusRequestEntityTooLarge)
				return
			}
			http.Error(w, "body unreadable", http.StatusBadRequest)
			return
		}
		if err := a.verify(r.Header, body); err != nil {
			a.log.Warn("slack request refused", "path", r.URL.Path, "remote", r.RemoteAddr, "err", err)
			http.Error(w, "signature refused", http.StatusUnauthorized)
			return
		}
		a.limits.hear()
		// Hex may be written in two cases: the same signature must stay the same key.
		key := r.Header.Get("X-Slack-Request-Timestamp") + strings.ToLower(r.Header.Get("X-Slack-Signature"))
		done, again := a.replays.begin(key)
		if again {
			a.log.Warn("slack request seen before", "path", r.URL.Path)
			if !done(r.Context()) {
				http.Error(w, "not taken", http.StatusInternalServerError)
			}
			return
		}
		taken := false
		defer func() { a.replays.end(key, taken) }()
		taken = next(w, r, body)
	})
}

// verify checks the signature over the raw body, and the time within five minutes.
func (a *App) verify(h http.Header, body []byte) error {
	if s, err := strconv.ParseInt(h.Get("X-Slack-Request-Timestamp"), 10, 64); err == nil {
		if ahead := time.Until(time.Unix(s, 0)).Round(time.Second); ahead > 5*time.Minute {
			return fmt.Errorf("timestamp is %s ahead of our clock, which is behind", ahead)
		}
	}
	v, err := slack.NewSecretsVerifier(h, a.opts.SigningSecret)
	if err != nil {
		return err
	}
	if _, err := v.Write(body); err != nil {
		return err
	}
	return v.Ensure()
}

// postForm reads the body alone: the signature does not cover the query string.
func postForm(body []byte) (url.Values, error) { return url.ParseQuery(string(body)) }

func (a *App) serveCommand(w http.ResponseWriter, r *http.Request, body []byte) bool {
	form, err := postForm(body)
	if err != nil {
		return a.bad(w, err)
	}
	if form.Get("ssl_check") == "1" {
		return true
	}
	in, err := parseCommand(form)
	if err != nil {
		return a.bad(w, err)
	}
	return a.answer(w, r, in)
}

func (a *App) serveInteraction(w http.ResponseWriter, r *http.Request, body []byte) bool {
	form, err := postForm(body)
	if err != nil {
		return a.bad(w, err)
	}
	in, err := parseInteraction([]byte(form.Get("payload")))
	if err != nil {
		return a.bad(w, err)
	}
	return a.answer(w, r, in)
}

func (a *App) serveEvent(w http.ResponseWriter, r *http.Request, body []byte) bool {
	in, challenge, err := parseEvent(body)
	if err != nil {
		return a.bad(w, err)
	}
	if in.ID == "" {
		a.writeJSON(w, map[string]string{"challenge": challenge})
		return true
	}
	return a.answer(w, r, in)
}

// bad answers a signed request we cannot read, or need not.
func (a *App) bad(w http.ResponseWriter, err error) bool {
	if errors.Is(err, errUninteresting) {
		a.log.Debug("slack request ignored", "err", err)
		return true
	}
	a.log.Warn("slack request unreadable", "err", err)
	http.Error(w, "unreadable request", http.StatusBadRequest)
	return true
}

func (a *App) answer(w http.ResponseWriter, r *http.Request, in Envelope) bool {
	payload, err := a.deliver(r.Context(), in)
	if err != nil {
		http.Error(w, "not taken", http.StatusInternalServerError)
		return false
	}
	if payload != nil {
		a.writeJSON(w, payload)
	}
	return true
}

func (a *App) writeJSON(w http.ResponseWriter, v any) {
	w.Header().Set("Content-Type", "application/json")
	if err := json.NewEncoder(w).Encode(v); err != nil {
		a.log.Warn("slack answer not delivered", "err", err)
	}
}

// replays remembers signed requests for as long as their signature stays valid.
type replays struct {
	mu   sync.Mutex
	seen map[string]*replay
	next time.Time // when to sweep
}

type replay struct {
	until time.Time
	done  chan struct{}
	taken bool
}

// A signature is accepted from five minutes before its time to five minutes after.
const replayWindow = 11 * time.Minute

func newReplays() *replays { return &replays{seen: map[string]*replay{}} }

// begin claims a request. For one seen before it returns true and a function
// that waits for the first one's fate: true if it was taken.
func (s *replays) begin(key string) (func(context.Context) bool, bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if now.After(s.next) {
		for k, r := range s.seen {
			if now.After(r.until) {
				delete(s.seen, k)
			}
		}
		s.next = now.Add(time.Minute)
	}
	if r, ok := s.seen[key]; ok {
		return func(ctx context.Context) bool {
			select {
			case <-r.done:
				return r.taken
			case <-ctx.Done():
				return false
			}
		}, true
	}
	s.seen[key] = &replay{until: now.Add(replayWindow), done: make(chan struct{})}
	return nil, false
}

// end settles a claim; a request that was not taken may come again.
func (s *replays) end(key string, taken bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	r := s.seen[key]
	r.taken = taken
	close(r.done)
	if !taken {
		delete(s.seen, key)
	}
}
