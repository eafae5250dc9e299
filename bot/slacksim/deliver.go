package slacksim

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
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
)

// ackWithin is how long Slack waits for an ack.
const ackWithin = 3 * time.Second

// NotAcked says that the bot did not take a request in time: the person saw
// Slack's own error.
type NotAcked struct {
	What   string // the command, or "click", "view_submission", "event"
	Reason string // dispatch_failed, operation_timeout, http_500, …
}

func (e *NotAcked) Error() string { return fmt.Sprintf("%s not acked: %s", e.What, e.Reason) }

// ack is the bot's answer to one delivery.
type ack struct {
	payload json.RawMessage
	reason  string // why there was none
	took    time.Duration
}

// parcel is one request on its way to the bot, in the forms of both transports.
type parcel struct {
	id      string
	name    string // for the journal and the errors
	kind    string // Socket Mode's type
	path    string // HTTP's path
	payload object
	user    string
}

// deliver carries a parcel to the bot and returns its ack's payload. The lock is
// not held.
func (s *Sim) deliver(ctx context.Context, p parcel) (json.RawMessage, error) {
	s.mu.Lock()
	p.id = secret()
	twice := s.chance(20)
	if s.faults.Duplicate > 0 {
		s.faults.Duplicate--
		twice = true
	}
	lose := s.faults.LoseAcks > 0
	if lose {
		s.faults.LoseAcks--
	}
	s.mu.Unlock()
	var wg sync.WaitGroup
	var second ack
	if twice {
		wg.Go(func() { second = s.deliverOnce(ctx, p) })
	}
	a := s.deliverOnce(ctx, p)
	wg.Wait()
	s.mu.Lock()
	delete(s.waiting, p.id)
	s.mu.Unlock()
	if len(a.payload) == 0 && second.reason == "" {
		a.payload = second.payload // which of the two came first is chance
	}
	if lose && a.reason == "" {
		a.reason = "operation_timeout"
	}
	if a.reason != "" {
		return nil, &NotAcked{p.name, a.reason}
	}
	return a.payload, nil
}

func (s *Sim) deliverOnce(ctx context.Context, p parcel) ack {
	ctx, cancel := context.WithTimeout(ctx, ackWithin)
	defer cancel()
	body, err := json.Marshal(p.payload)
	if err != nil {
		panic(err) // made of JSON values
	}
	s.mu.Lock()
	s.note(Entry{Kind: Deliver, Name: p.name, ID: p.id, User: p.user, Body: body})
	app := s.opts.AppURL
	s.mu.Unlock()
	start := time.Now()
	var a ack
	if app == "" {
		a = s.overSocket(ctx, p, body)
	} else {
		a = s.overHTTP(ctx, app, p, body)
	}
	a.took = time.Since(start)
	s.mu.Lock()
	s.note(Entry{Kind: Acked, Name: p.name, ID: p.id, User: p.user, Error: a.reason, Took: a.took, Body: a.payload})
	s.bump()
	s.mu.Unlock()
	return a
}

// Sign makes Slack's signature headers for a body at a time.
func (s *Sim) Sign(body []byte, at time.Time) http.Header {
	ts := strconv.FormatInt(at.Unix(), 10)
	mac := hmac.New(sha256.New, []byte(s.opts.SigningSecret))
	fmt.Fprintf(mac, "v0:%s:%s", ts, body)
	h := http.Header{}
	h.Set("X-Slack-Request-Timestamp", ts)
	h.Set("X-Slack-Signature", "v0="+hex.EncodeToString(mac.Sum(nil)))
	return h
}

// form is the body of a parcel over HTTP and its type.
func (p parcel) form(payload []byte) (body []byte, contentType string) {
	switch p.kind {
	case "events_api":
		return payload, "application/json"
	case "slash_commands":
		v := url.Values{}
		for k, x := range p.payload {
			v.Set(k, fmt.Sprint(x))
		}
		return []byte(v.Encode()), "application/x-www-form-urlencoded"
	}
	return []byte(url.Values{"payload": {string(payload)}}.Encode()), "application/x-www-form-urlencoded"
}

func (s *Sim) overHTTP(ctx context.Context, app string, p parcel, payload []byte) ack {
	body, kind := p.form(payload)
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, strings.TrimSuffix(app, "/")+p.path, bytes.NewReader(body))
	if err != nil {
		return ack{reason: "dispatch_failed"}
	}
	req.Header = s.Sign(body, time.Now())
	req.Header.Set("Content-Type", kind)
	rt := s.opts.App
	if rt == nil {
		rt = http.DefaultTransport
	}
	resp, err := rt.RoundTrip(req)
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			return ack{reason: "operation_timeout"}
		}
		return ack{reason: "dispatch_failed"}
	}
	defer resp.Body.Close()
	answer, err := io.ReadAll(io.LimitReader(resp.Body, 1<<20))
	switch {
	case err != nil:
		return ack{reason: "dispatch_failed"}
	case resp.StatusCode != http.StatusOK:
		return ack{reason: fmt.Sprintf("http_%d", resp.StatusCode)}
	case len(bytes.TrimSpace(answer)) == 0:
		return ack{}
	case !json.Valid(answer):
		answer, _ = json.Marshal(object{"text": string(answer)})
	}
	return ack{payload: answer}
}
