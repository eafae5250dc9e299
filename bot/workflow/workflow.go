// Package workflow is runs of named steps that survive the process: journal,
// lease, resume, gate for a person; knows no droplet and no SQL.
//
// A [Recipe] is a set of named steps. A [Run] is at exactly one step; its
// engine calls the step's function, stores what it answered ([Go], [Wait],
// [Park], [End]) and goes on. A step function may be called any number of
// times, by any process, so it keeps what it learned in the run's data and
// touches the world only through acts ([Job.Act]).
//
// Three writers share a run and never overwrite each other:
//
//   - The owner holds a lease with a fencing token. It alone moves the run and
//     its acts, and every one of its writes names the token: an owner that
//     stalled and was replaced can write nothing.
//   - People answer at the gate ([Store.DecideRun]), a value beside the run with a
//     version of its own, so that a click needs no lease and two clicks have
//     one winner. Marking an act sent raises the same version: a person's
//     change of mind and the act's departure have one winner too.
//   - An act goes planned → sent → done, refused or unknown. Sent is committed
//     just before the request leaves. An act found sent is never repeated
//     unless it says it may be; it is observed, and what cannot be observed is
//     unknown and goes to a person.
//
// Waiting (for a time, for a person) holds no goroutine and no lease.
//
// What is announced lands where nothing is compared and set. So an owner marks
// that it begins to tell, and takes the mark away only when what it told was
// accepted. Whoever finds the mark of another owner tells at once, and again at
// growing intervals: words that were on their way may still arrive.
package workflow

import (
	"encoding/json"
	"errors"
	"time"
)

// Errors that callers branch on.
var (
	ErrNotFound = errors.New("no such run")
	ErrExists   = errors.New("a live run has this key")
	ErrNone     = errors.New("no run is due")
	ErrFenced   = errors.New("the lease was taken by another owner")
	ErrConflict = errors.New("the gate changed meanwhile")
)

// Run is one journey through a recipe, as stored.
type Run struct {
	ID     string // opaque, unguessable, safe in a button's value
	Recipe string
	Key    string // at most one live run has a key; empty: any number
	Step   string // the step it is at
	Data   json.RawMessage

	// Gate is what people said; only Store.DecideRun writes it. GateVersion
	// grows with every such write and with every act marked sent.
	Gate        json.RawMessage
	GateVersion int64

	Outcome string    // empty while the run lives
	Due     time.Time // next look; zero: parked until the gate changes
	Entered time.Time // when Step was entered

	Tries   int    // errors in a row at this step
	Trouble string // the last of them; empty after a good answer

	Owner string // who holds the lease; empty: nobody
	Token int64  // grows with every claim

	Version    int64     // grows with every change a viewer can see
	Announced  int64     // the last version that was announced
	AnnounceAt time.Time // do not try to announce before

	Telling string    // the owner who began to announce and is not known to have ended; empty: nobody
	EchoAt  time.Time // when to announce once more, though nothing changed; zero: not at all
	Echoes  int       // how often that was done

	Created, Updated, Ended time.Time
}

// Live reports whether the run has not ended.
func (r Run) Live() bool { return r.Outcome == "" }

// isDue reports whether the run wants its step to be asked now.
func (r Run) isDue(now time.Time) bool {
	return r.Live() && !r.Due.IsZero() && !r.Due.After(now)
}

// Unannounced reports whether somebody has yet to be told of the last change.
func (r Run) Unannounced() bool { return r.Announced < r.Version }

// Untold reports whether something is to be announced now: a change, or once
// more what may have been overwritten.
func (r Run) Untold(now time.Time) bool {
	echo := !r.EchoAt.IsZero() && !r.EchoAt.After(now)
	return (r.Unannounced() || echo) && !r.AnnounceAt.After(now)
}

// Entry is one line of the journal, stored in the transaction of the write
// it describes: neither exists without the other.
type Entry struct {
	At            time.Time
	Who           string // a person's id, or "dropleak"
	What          string // "step", "act", "decision", …
	Run           string
	Subject       string // step or act name, droplet, worker
	Why           string
	Before, After string
}

// Filter narrows a list of runs. Zero fields do not narrow.
type Filter struct {
	Live   bool
	Ended  bool
	Recipe string
	Key    string
	Since  time.Time // Updated at or after
	Limit  int       // newest first
}

// Slot is one thing that only Limit runs may hold at a time.
type Slot struct {
	Name    string
	Limit   int
	Holders []string // runs that hold it, where it was full
}
