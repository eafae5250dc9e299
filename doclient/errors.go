package doclient

import (
	"crypto/tls"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"time"

	"github.com/digitalocean/godo"
)

// What callers branch on, with errors.Is.
var (
	// ErrUnauthorized: the token is wrong, expired or revoked (401).
	ErrUnauthorized = errors.New("token not accepted")
	// ErrForbidden: the token lacks a scope (403); see Error.Scopes.
	ErrForbidden = errors.New("token lacks a scope")
	// ErrNotFound: there is no such droplet, action or snapshot.
	ErrNotFound = errors.New("not found")
	// ErrLimited: a rate limit was reached (429).
	ErrLimited = errors.New("rate limit reached")
	// ErrNoData: the droplet has no memory metrics in the window. Without any at
	// all its metrics agent is missing; between others the agent was silent.
	ErrNoData = errors.New("no data, metrics agent missing or silent")
	// ErrAmbiguous: several snapshots bear a name that should be unique.
	ErrAmbiguous = errors.New("several of that name")
	// ErrActionErrored: DigitalOcean ended the action as errored. It gives no reason.
	ErrActionErrored = errors.New("action errored, DigitalOcean gives no reason")
	// ErrNotAllowed: the order was refused here, before anything was sent.
	ErrNotAllowed = errors.New("not allowed")
)

// maxMessage is how much of DigitalOcean's words an error carries, in runes.
const maxMessage = 300

// Error is a request that DigitalOcean refused, or that got no answer.
type Error struct {
	Op         string        // what was being done to whom: "snapshot droplet 42"
	Status     int           // HTTP status; 0 when no answer arrived
	ID         string        // DigitalOcean's error id, such as "not_found"
	Message    string        // its words, or what became of the answer, at most 300 runes
	RequestID  string        // for DigitalOcean's support
	RetryAfter time.Duration // what a 429 asked for, or 0
	Scopes     []string      // what the operation needs, on a 403

	unsent bool  // certainly never left this machine
	cause  error // without an answer, why; after a 2xx, why it was unreadable
}

// Error implements error. It contains no token.
func (e *Error) Error() string {
	var b strings.Builder
	b.WriteString(e.Op + ": ")
	switch e.Status {
	case http.StatusUnauthorized:
		b.WriteString(ErrUnauthorized.Error() + ": ")
	case http.StatusForbidden:
		fmt.Fprintf(&b, "%v, this needs %s: ", ErrForbidden, strings.Join(e.Scopes, " and "))
	}
	if e.Status != 0 {
		fmt.Fprintf(&b, "DigitalOcean answered %d", e.Status)
		if e.Message != "" {
			b.WriteString(": ")
		}
	}
	b.WriteString(e.Message)
	if e.RequestID != "" {
		fmt.Fprintf(&b, " (request %s)", e.RequestID)
	}
	return b.String()
}

// Unwrap returns why no readable answer arrived, or nil.
func (e *Error) Unwrap() error { return e.cause }

// Is matches the sentinel errors of the status.
func (e *Error) Is(target error) bool {
	switch target {
	case ErrUnauthorized:
		return e.Status == http.StatusUnauthorized
	case ErrForbidden:
		return e.Status == http.StatusForbidden
	case ErrNotFound:
		return e.Status == http.StatusNotFound
	case ErrLimited:
		return e.Status == http.StatusTooManyRequests
	}
	return false
}

// Unclear says whether an order that ended with err may nevertheless have been
// carried out: its connection was lost, its answer did not come in time or could
// not be read, or a 5xx came back. Such an order must not be given again; look
// for its action instead. nil, a 4xx and an order that never left are clear.
func Unclear(err error) bool {
	if err == nil || errors.Is(err, ErrNotAllowed) {
		return false
	}
	var e *Error
	if !errors.As(err, &e) {
		return true // not one of ours: nothing is known about it
	}
	if e.unsent {
		return false
	}
	return e.Status < 400 || e.Status >= 500 || e.Status == http.StatusRequestTimeout
}

// Pending says whether an order was refused because another action of the
// droplet is under way: certain, and over when that action ends.
func Pending(err error) bool {
	var e *Error
	if !errors.As(err, &e) || e.Status != http.StatusUnprocessableEntity {
		return false
	}
	m := strings.ToLower(e.Message)
	return strings.Contains(m, "pending event") || strings.Contains(m, "blocking events")
}

// passing says whether an observation that ended with err may succeed later.
func passing(err error) bool {
	var e *Error
	if !errors.As(err, &e) {
		return false
	}
	return e.Status < 400 || e.Status >= 500 ||
		e.Status == http.StatusTooManyRequests || e.Status == http.StatusRequestTimeout
}

// explain turns what godo returned into an *Error; nil stays nil.
func explain(op string, scopes []string, err error) error {
	if err == nil {
		return nil
	}
	var refusal *godo.ErrorResponse
	if errors.As(err, &refusal) && refusal.Response != nil {
		return refused(op, scopes, refusal.Response)
	}
	e := &Error{Op: op, unsent: neverLeft(err), cause: err}
	var transport *url.Error
	switch {
	case errors.As(err, &transport):
		e.cause = transport.Err // without the URL, which Op says better
		e.Message = cut(e.cause.Error())
	case e.unsent:
		e.Message = cut(err.Error())
	default: // a 2xx whose body the library could not decode
		e.Message = cut("answer cannot be read: " + err.Error())
	}
	return e
}

func refused(op string, scopes []string, resp *http.Response) *Error {
	var body []byte
	if a, ok := resp.Body.(*answer); ok {
		body = a.bytes
	}
	e := decodeError(body)
	e.Op, e.Status, e.RetryAfter = op, resp.StatusCode, retryAfter(resp)
	if e.RequestID == "" {
		e.RequestID = cut(resp.Header.Get("X-Request-Id"))
	}
	if e.Status == http.StatusForbidden {
		e.Scopes = scopes
	}
	return e
}

// decodeError reads an error body: the documented JSON, the nested form of some
// newer services, or whatever a gateway sent instead.
func decodeError(body []byte) *Error {
	var doc struct {
		ID        string `json:"id"`
		Message   string `json:"message"`
		RequestID string `json:"request_id"`
		Error     struct {
			Message string `json:"message"`
		} `json:"error"`
	}
	if err := json.Unmarshal(body, &doc); err == nil {
		if doc.Message == "" {
			doc.Message = doc.Error.Message
		}
		return &Error{ID: cut(doc.ID), Message: cut(doc.Message), RequestID: cut(doc.RequestID)}
	}
	text := strings.TrimSpace(string(body))
	if text == "" {
		return &Error{Message: "with no body"}
	}
	if strings.HasPrefix(text, "<") {
		return &Error{Message: cut("with HTML, not JSON: " + markup.ReplaceAllString(text, " "))}
	}
	return &Error{Message: cut("without JSON: " + text)}
}

var (
	markup = regexp.MustCompile(`(?s)<!--.*?-->|<(script|style)[^>]*>.*?</(script|style)>|<[^>]*>`)
	tokens = regexp.MustCompile(`do[opr]_v1_[0-9A-Za-z]+|(?i:bearer)\s+\S+`)
)

// redact clears a text of tokens: DigitalOcean's three kinds, and whatever
// follows the word of the header, should a gateway repeat it.
func redact(text string) string { return tokens.ReplaceAllString(text, "[token]") }

// cut makes foreign words fit for an error: one line, printable, without tokens,
// at most maxMessage runes.
func cut(text string) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(redact(text), "?"))
	runes := []rune(strings.Join(strings.Fields(text), " "))
	if len(runes) > maxMessage {
		runes = append(runes[:maxMessage-1], '…')
	}
	return string(runes)
}

// neverLeft says whether a request that failed so was certainly not sent. All
// that is not listed may have been.
func neverLeft(err error) bool {
	var (
		dial   *net.OpError
		cert   *tls.CertificateVerificationError
		early  *unsent
		absent *noToken
		arg    *godo.ArgError
	)
	switch {
	case errors.As(err, &early), errors.As(err, &absent), errors.As(err, &arg), errors.As(err, &cert):
		return true
	case errors.As(err, &dial):
		return dial.Op == "dial" || dial.Op == "proxyconnect"
	}
	return false
}
