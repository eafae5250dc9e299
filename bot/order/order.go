// Package order is a restart order and its result, as agent and service
// exchange them.
//
// The agent asks for orders by long poll, claims each once, carries it out
// and sends its result:
//
//	GET  /agent/v1/orders?wait=30s        a JSON list, or 204 when there is none
//	POST /agent/v1/orders/{key}/claim     204; 409 when it was claimed before
//	POST /agent/v1/orders/{key}/result    a [Result]; 204, the same again too
//
// Every request carries a bearer token and the identity headers below. Two
// kinds of order only read; the third restarts one worker's unit, at most
// once for each run.
package order

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/url"
	"strings"
	"time"
)

// Kind is what an order asks for.
type Kind string

// The kinds. Inspect and Evidence change nothing on the droplet.
const (
	Inspect  Kind = "inspect"  // what a restart would mean: [Facts]
	Evidence Kind = "evidence" // what the worker holds now: [Findings]
	Restart  Kind = "restart"
)

// Way is how a worker is restarted.
type Way string

// The ways an agent knows.
const (
	Systemd    Way = "systemd"    // one RestartUnit job
	Supervisor Way = "supervisor" // stop, then start
	Celery     Way = "celery"     // warm shutdown; its manager starts it again
)

// UnitKind is whose unit an order names.
type UnitKind string

// The managers whose units the agent can be allowed.
const (
	SystemdUnit       UnitKind = "systemd"
	SupervisorProgram UnitKind = "supervisor"
)

// What else the script at the other end of an SSH connection can be allowed;
// to an agent they are unknown.
const (
	DockerContainer UnitKind = "docker"
	ComposeService  UnitKind = "compose" // DIRECTORY:SERVICE
	OwnCommand      UnitKind = "command" // what root wrote down under that name
)

// Unit is one thing a manager runs: a systemd unit with its suffix, or a
// supervisor program as "name" or "group:name".
type Unit struct {
	Kind UnitKind `json:"kind"`
	Name string   `json:"name"`
}

// String is KIND:NAME, as the agent's --allow takes it.
func (u Unit) String() string { return string(u.Kind) + ":" + u.Name }

// ParseUnit reads KIND:NAME.
func ParseUnit(s string) (Unit, error) {
	kind, name, _ := strings.Cut(s, ":")
	u := Unit{UnitKind(kind), name}
	if err := u.validate(); err != nil {
		return Unit{}, fmt.Errorf("unit %q: %w, want systemd:NAME.service or supervisor:PROGRAM", s, err)
	}
	return u, nil
}

func (u Unit) validate() error {
	switch {
	case u.Kind != SystemdUnit && u.Kind != SupervisorProgram:
		return fmt.Errorf("manager %q is not known", u.Kind)
	case u.Name == "":
		return errors.New("no name")
	case len(u.Name) > 255 || strings.ContainsAny(u.Name, "/ \t\n\x00*?["):
		return errors.New("a name has at most 255 characters, no blanks, slashes or patterns")
	case u.Kind == SystemdUnit && !strings.HasSuffix(u.Name, ".service"):
		return errors.New("a systemd unit's name ends in .service")
	}
	return nil
}

// SameStart is how far apart two readings of one process's start may lie.
const SameStart = 2 * time.Second

// Fingerprint says which life of a worker is meant: its main process within
// one boot. Children come and go and are not in it.
type Fingerprint struct {
	PID    int       `json:"pid"`
	Start  time.Time `json:"start"`
	BootID string    `json:"boot_id"`
}

// Same reports whether both mean one life.
func (f Fingerprint) Same(g Fingerprint) bool {
	return f.PID == g.PID && f.BootID == g.BootID && f.Start.Sub(g.Start).Abs() <= SameStart
}

// IsZero reports whether the fingerprint names nothing.
func (f Fingerprint) IsZero() bool { return f.PID == 0 }

// Phase is how much of a restart is asked for.
type Phase string

// The phases. Start is for a run whose stop was done and whose start was
// not: it never stops anything.
const (
	Whole Phase = "whole"
	Start Phase = "start"
)

// Order is one thing to do on one droplet. Everything is required but Unit
// and Way, which the read-only kinds may lack, and Phase, which is Whole
// when empty.
type Order struct {
	Run      string      `json:"run"`
	Kind     Kind        `json:"kind"`
	Droplet  string      `json:"droplet"` // its id, as in every label
	Worker   string      `json:"worker"`
	Unit     Unit        `json:"unit,omitzero"`
	Way      Way         `json:"way,omitempty"`
	Phase    Phase       `json:"phase,omitempty"`
	Expect   Fingerprint `json:"expect,omitzero"` // of a restart: refuse anything else
	NotAfter time.Time   `json:"not_after"`
}

// Key names the order in paths and journals. A restart's is the run's id
// itself, so that a run cannot have two.
func (o Order) Key() string { return Key(o.Run, o.Kind) }

// Key is [Order.Key] for somebody who has no order yet.
func Key(run string, kind Kind) string {
	if kind == Restart {
		return run
	}
	return run + "." + string(kind)
}

// Validate reports every reason not to touch anything for this order.
func (o Order) Validate() error {
	var errs []error
	bad := func(wrong bool, format string, args ...any) {
		if wrong {
			errs = append(errs, fmt.Errorf(format, args...))
		}
	}
	bad(!validRun(o.Run), "run id %q is not 1 to 64 letters, digits, - or _", o.Run)
	bad(o.Droplet == "", "no droplet")
	bad(o.Worker == "", "no worker")
	bad(o.NotAfter.IsZero(), "no not_after")
	bad(o.Kind != Inspect && o.Kind != Evidence && o.Kind != Restart, "kind %q is not known", o.Kind)
	bad(o.Phase != "" && o.Phase != Whole && o.Phase != Start, "phase %q is not known", o.Phase)
	if o.Unit != (Unit{}) {
		if err := o.Unit.validate(); err != nil {
			errs = append(errs, fmt.Errorf("unit %s: %w", o.Unit, err))
		}
	}
	if o.Kind == Restart {
		bad(o.Unit == Unit{}, "no unit")
		bad(o.Way != Systemd && o.Way != Supervisor && o.Way != Celery, "way %q is not known", o.Way)
		bad(o.Way == Systemd && o.Unit.Kind != SystemdUnit, "way systemd for unit %s", o.Unit)
		bad(o.Way == Supervisor && o.Unit.Kind != SupervisorProgram, "way supervisor for unit %s", o.Unit)
		bad(o.Expect.IsZero() || o.Expect.BootID == "" || o.Expect.Start.IsZero(), "no fingerprint expected")
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("order of run %q: %w", o.Run, err)
	}
	return nil
}

// validRun keeps ids fit for paths and file names: they come over the wire.
func validRun(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	return !strings.ContainsFunc(s, func(r rune) bool {
		return !(r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_')
	})
}

// MaxBody is the largest body either side reads.
const MaxBody = 1 << 20

// ReadOrders reads a list of orders. An order that does not validate fails
// the whole list: half understood is not understood.
func ReadOrders(r io.Reader) ([]Order, error) {
	var list []Order
	if err := read(r, &list); err != nil {
		return nil, fmt.Errorf("read orders: %w", err)
	}
	for _, o := range list {
		if err := o.Validate(); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func read(r io.Reader, into any) error {
	body, err := io.ReadAll(io.LimitReader(r, MaxBody+1))
	if err != nil {
		return err
	}
	if len(body) > MaxBody {
		return fmt.Errorf("body over %d bytes", MaxBody)
	}
	return json.Unmarshal(body, into)
}

// Where the wire lives below the server's address.
const (
	PathOrders = "/agent/v1/orders"
	PathWrite  = "/api/v1/write"
)

// ClaimPath is where the order with this key is claimed.
func ClaimPath(key string) string { return PathOrders + "/" + url.PathEscape(key) + "/claim" }

// ResultPath is where the result of the order with this key goes.
func ResultPath(key string) string { return PathOrders + "/" + url.PathEscape(key) + "/result" }

// The headers that say who asks, on remote writes too. A clone of a droplet
// has another droplet id, and later another boot id, under the same token.
const (
	HeaderDroplet = "Dropleak-Droplet-Id" // from DigitalOcean's metadata service; absent elsewhere
	HeaderMachine = "Dropleak-Machine-Id" // keyed hash of /etc/machine-id, never itself
	HeaderBoot    = "Dropleak-Boot-Id"
)
