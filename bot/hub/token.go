package hub

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// Kind says what a token lets its bearer do.
type Kind string

// The kinds of token.
const (
	Agent  Kind = "agent"  // sends and takes orders for one droplet
	Sender Kind = "sender" // sends about the droplets of a tag
)

// Token is what is known of a token; never the token itself.
type Token struct {
	ID      string // short, to list and revoke by
	Name    string // an operator's word
	Kind    Kind
	Droplet string // of an agent: DigitalOcean's id in decimal
	Tag     string // of a sender
	Created time.Time
	Revoked time.Time // zero while it is good
	Bound   Identity  // of an agent: who used it first
	Seen    Seen
}

// Seen is the last use of a token.
type Seen struct {
	At    time.Time
	Ahead time.Duration // of its newest sample before our clock, at that time
}

// TokenStore keeps tokens by the SHA-256 of what the bearer holds.
type TokenStore interface {
	// AddToken stores a token under a hash, in hex.
	AddToken(ctx context.Context, t Token, hash string) error
	// TokenByHash returns a token, revoked or not, or [ErrNoToken].
	TokenByHash(ctx context.Context, hash string) (Token, error)
	// Tokens lists all tokens, oldest first.
	Tokens(ctx context.Context) ([]Token, error)
	// RevokeToken revokes a good token, or returns [ErrNoToken].
	RevokeToken(ctx context.Context, id string, at time.Time) error
}

// ErrNoToken says that no such token is good.
var ErrNoToken = errors.New("no such token")

// prefix makes a leaked token easy to find for people and scanners.
const prefix = "dropleak_"

// Create makes a token of t's name, kind and droplet or tag, and returns it
// with the secret, which nobody can read again.
func Create(ctx context.Context, s TokenStore, t Token) (Token, string, error) {
	if err := t.validate(); err != nil {
		return Token{}, "", fmt.Errorf("create token: %w", err)
	}
	var b [32]byte
	rand.Read(b[:]) // never fails
	secret := prefix + base64.RawURLEncoding.EncodeToString(b[:])
	hash := Hash(secret)
	t.ID, t.Created = hash[:12], time.Now().UTC().Truncate(time.Millisecond)
	if err := s.AddToken(ctx, t, hash); err != nil {
		return Token{}, "", fmt.Errorf("create token: %w", err)
	}
	return t, secret, nil
}

func (t Token) validate() error {
	switch {
	case t.Name == "":
		return errors.New("it needs a name")
	case t.Kind == Agent && (t.Droplet == "" || t.Tag != ""):
		return errors.New("an agent's token is bound to one droplet")
	case t.Kind == Sender && (t.Tag == "" || t.Droplet != ""):
		return errors.New("a sender's token is bound to one tag")
	case t.Kind != Agent && t.Kind != Sender:
		return fmt.Errorf("kind %q is not known", t.Kind)
	}
	return nil
}

// Hash is what the store keeps of a secret. A plain hash is enough: there
// are 256 random bits to guess.
func Hash(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// refusal is an answer other than success.
type refusal struct {
	status int
	text   string // for whoever sent; no secrets, nothing of others
	retry  time.Duration
}

func (r *refusal) Error() string { return r.text }

func refuse(status int, format string, args ...any) error {
	return &refusal{status: status, text: fmt.Sprintf(format, args...)}
}

// answer writes what err asks for. What is no refusal is our own trouble:
// the log has it, and the sender should come again.
func (h *Hub) answer(w http.ResponseWriter, r *http.Request, err error) {
	var no *refusal
	if !errors.As(err, &no) {
		if r.Context().Err() == nil {
			h.o.Log.Error("request not answered", "path", r.URL.Path, "err", err)
		}
		no = &refusal{status: http.StatusServiceUnavailable, text: "the store does not answer", retry: 10 * time.Second}
	}
	if no.retry > 0 {
		w.Header().Set("Retry-After", fmt.Sprint(int(no.retry.Seconds())))
	}
	if no.status == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", `Bearer realm="dropleak"`)
	}
	http.Error(w, no.text, no.status)
}

// bearer returns the good token a request bears.
func (h *Hub) bearer(r *http.Request) (Token, error) {
	scheme, secret, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if !strings.EqualFold(scheme, "Bearer") || secret == "" {
		return Token{}, refuse(http.StatusUnauthorized, "a bearer token is needed")
	}
	t, err := h.store.TokenByHash(r.Context(), Hash(strings.TrimSpace(secret)))
	switch {
	case errors.Is(err, ErrNoToken):
		return Token{}, refuse(http.StatusUnauthorized, "the token is not known")
	case err != nil:
		return Token{}, fmt.Errorf("check token: %w", err)
	case !t.Revoked.IsZero():
		return Token{}, refuse(http.StatusUnauthorized, "the token was revoked at %s", t.Revoked.Format(time.RFC3339))
	}
	return t, nil
}
