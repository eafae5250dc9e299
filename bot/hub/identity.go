package hub

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/dropleak/dropleak/bot/order"
)

// Identity is the machine an agent's token is bound to.
type Identity struct {
	Machine string    `json:"machine,omitempty"` // keyed hash of its machine id
	Boot    string    `json:"boot,omitempty"`    // id of its present boot
	Booted  time.Time `json:"booted,omitzero"`   // when that was, as far as it said
	Boots   []string  `json:"boots,omitempty"`   // ids of earlier boots, latest last
}

// IdentityStore keeps what tokens are bound to, and their last use.
type IdentityStore interface {
	// BindToken replaces what a token is bound to, if it still is bound to
	// old; else [ErrBoundMeanwhile].
	BindToken(ctx context.Context, id string, old, bound Identity) error
	// TouchToken remembers the last use of a token. It may lose the latest
	// ones in a power cut.
	TouchToken(ctx context.Context, id string, seen Seen) error
}

// ErrBoundMeanwhile says that a token was bound by another request.
var ErrBoundMeanwhile = errors.New("token was bound meanwhile")

// Clone is an attempt to use an agent's token from another machine: most
// often a droplet made from a snapshot of the token's own.
type Clone struct {
	Token   Token
	Droplet string // the id it gave; "" where it gave none
	Why     string // a sentence
	At      time.Time
}

const (
	maxBoots = 16
	// bootSlack is how far two clocks, and the kernel's idea of when it
	// booted, may be apart.
	bootSlack = 30 * time.Second
	// seenLately is how fresh a sign of life must be to prove that a machine
	// still runs.
	seenLately = 5 * time.Minute
)

// identify checks that a request comes from the machine an agent's token is
// bound to, binding it at first use. booted is when that machine started,
// zero where the request does not tell. A boot seen for the first time is
// believed only of requests that bind, which carry samples.
func (h *Hub) identify(r *http.Request, t Token, booted time.Time, binds bool) error {
	if t.Kind != Agent {
		return nil
	}
	is := Identity{Machine: r.Header.Get(order.HeaderMachine), Boot: r.Header.Get(order.HeaderBoot), Booted: booted}
	if len(is.Machine) > 128 || len(is.Boot) > 128 {
		return refuse(http.StatusBadRequest, "an identity header has more than 128 characters")
	}
	for range 3 {
		bound, why := t.admit(r.Header.Get(order.HeaderDroplet), is, time.Now())
		if why != "" {
			return h.clone(r, t, why)
		}
		if bound.equal(t.Bound) {
			return nil
		}
		if !binds && t.Bound.Boot != "" {
			return &refusal{http.StatusServiceUnavailable, "this boot has sent no samples yet", 5 * time.Second}
		}
		err := h.store.BindToken(r.Context(), t.ID, t.Bound, bound)
		if !errors.Is(err, ErrBoundMeanwhile) {
			return err
		}
		if t, err = h.bearer(r); err != nil {
			return err
		}
	}
	return fmt.Errorf("bind token %s: %w", t.ID, ErrBoundMeanwhile)
}

// admit returns what t is bound to after a request at now, or why the
// request is a clone's.
func (t Token) admit(droplet string, is Identity, now time.Time) (bound Identity, why string) {
	b := t.Bound
	switch {
	case droplet != "" && droplet != t.Droplet:
		return b, fmt.Sprintf("the token of droplet %s is used on droplet %s", t.Droplet, droplet)
	case b.Machine != "" && is.Machine == "":
		return b, fmt.Sprintf("the token of droplet %s is used by something that does not say on which machine it runs", t.Droplet)
	case b.Machine != "" && is.Machine != b.Machine:
		return b, fmt.Sprintf("the token of droplet %s is used on another machine", t.Droplet)
	case is.Machine == "":
		return b, "" // nothing said, nothing bound
	}
	b.Machine = is.Machine
	switch {
	case is.Boot == "":
		return b, ""
	case is.Boot == b.Boot:
		// Samples spooled before a reboot tell of the boot before.
		if is.Booted.After(b.Booted.Add(bootSlack)) {
			b.Booted = is.Booted
		}
		return b, ""
	case slices.Contains(b.Boots, is.Boot):
		return b, fmt.Sprintf("two machines use the token of droplet %s: one of them is of an earlier boot", t.Droplet)
	case b.Boot != "" && t.overlaps(is.Booted, now):
		return b, fmt.Sprintf("two machines use the token of droplet %s: one booted at %s, while another sent until %s",
			t.Droplet, is.Booted.UTC().Format(time.RFC3339), t.Seen.At.UTC().Format(time.RFC3339))
	case b.Boot != "":
		b.Boots = append(slices.Clone(b.Boots), b.Boot)
		b.Boots = b.Boots[max(0, len(b.Boots)-maxBoots):]
	}
	b.Boot, b.Booted = is.Boot, is.Booted
	return b, ""
}

// overlaps reports whether a machine that booted then cannot be the one that
// used the token last: that one was still sending, just now. Samples spooled
// before a reboot carry the earlier boot's time, which proves nothing.
func (t Token) overlaps(booted, now time.Time) bool {
	return !booted.IsZero() && booted.Sub(t.Bound.Booted).Abs() > bootSlack &&
		now.Sub(t.Seen.At) < seenLately && booted.Before(t.Seen.At.Add(-bootSlack))
}

func (i Identity) equal(j Identity) bool {
	return i.Machine == j.Machine && i.Boot == j.Boot && i.Booted.Equal(j.Booted) && slices.Equal(i.Boots, j.Boots)
}

// clone refuses and reports.
func (h *Hub) clone(r *http.Request, t Token, why string) error {
	h.o.Log.Warn("agent refused", "token", t.ID, "droplet", t.Droplet, "why", why)
	if h.o.OnClone != nil {
		h.o.OnClone(r.Context(), Clone{Token: t, Droplet: r.Header.Get(order.HeaderDroplet), Why: why, At: time.Now().UTC()})
	}
	return refuse(http.StatusForbidden, "%s; make this machine a token of its own", why)
}
