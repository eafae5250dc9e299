package order

import (
	"errors"
	"fmt"
	"io"
	"time"
)

// State is how an order ended.
type State string

// The states. After Refused nothing was touched. After Unknown nobody knows:
// the agent died in the act and what it found afterwards does not tell.
const (
	Done    State = "done"
	Refused State = "refused"
	Failed  State = "failed"
	Unknown State = "unknown"
)

// Reason is why an order was refused or failed, for programs; [Result.Error]
// says it to people.
type Reason string

// The closed list of reasons.
const (
	NotAllowed    Reason = "not_allowed"    // the unit is not in the agent's --allow list
	Overtaken     Reason = "overtaken"      // another life than expected runs
	Expired       Reason = "expired"        // not_after has passed
	TooOften      Reason = "too_often"      // three restarts of the unit within the hour
	NoAutoRestart Reason = "no_autorestart" // the manager would not start it again
	Unsupported   Reason = "unsupported"    // no such manager here, or a worker in a container
	NotFound      Reason = "not_found"      // no such worker or unit
	WrongDroplet  Reason = "wrong_droplet"
	ClaimLost     Reason = "claim_lost"    // the claim's answer did not arrive, or was no; nothing was touched
	ManagerError  Reason = "manager_error" // the manager said no, or did not answer
	NotRunning    Reason = "not_running"   // stopped and not seen running again
)

// Result is what became of an order. Old and New are the main process's
// lives before and after a restart; New is zero unless one was seen running.
type Result struct {
	Run      string      `json:"run"`
	Kind     Kind        `json:"kind"`
	State    State       `json:"state"`
	Reason   Reason      `json:"reason,omitempty"`
	Error    string      `json:"error,omitempty"`
	Old      Fingerprint `json:"old,omitzero"`
	New      Fingerprint `json:"new,omitzero"`
	BootID   string      `json:"boot_id"`
	Began    time.Time   `json:"began"`
	Ended    time.Time   `json:"ended"`
	Stopped  time.Time   `json:"stopped,omitzero"` // when the stop was seen done, where it is a half of its own
	Facts    *Facts      `json:"facts,omitempty"`
	Evidence *Findings   `json:"evidence,omitempty"`
}

// Key names the order this is the result of.
func (r Result) Key() string { return Key(r.Run, r.Kind) }

// Validate reports what makes the result unbelievable.
func (r Result) Validate() error {
	var errs []error
	bad := func(wrong bool, text string) {
		if wrong {
			errs = append(errs, errors.New(text))
		}
	}
	bad(!validRun(r.Run), "no usable run id")
	bad(r.Kind != Inspect && r.Kind != Evidence && r.Kind != Restart, "kind not known")
	bad(r.State != Done && r.State != Refused && r.State != Failed && r.State != Unknown, "state not known")
	bad(r.State != Done && r.Error == "", "no error text")
	bad(r.State == Refused && r.Reason == "", "refused without a reason")
	bad(r.State == Done && r.Kind == Inspect && r.Facts == nil, "no facts")
	bad(r.State == Done && r.Kind == Evidence && r.Evidence == nil, "no evidence")
	bad(r.State == Done && r.Kind == Restart && r.New.IsZero(), "restarted without a new main process")
	bad(r.State == Done && r.Kind == Restart && r.New.Same(r.Old), "restarted into the same life")
	bad(len(r.Error) > 4096, "error text over 4096 bytes")
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("result of run %q: %w", r.Run, err)
	}
	return nil
}

// ReadResult reads one result and validates it.
func ReadResult(r io.Reader) (Result, error) {
	var res Result
	if err := read(r, &res); err != nil {
		return Result{}, fmt.Errorf("read result: %w", err)
	}
	return res, res.Validate()
}

// Facts is what a restart of a worker would mean, read from its manager just
// now. Times are in seconds.
type Facts struct {
	Fingerprint Fingerprint    `json:"fingerprint"`
	Pool        string         `json:"pool,omitempty"`
	Unit        Unit           `json:"unit,omitzero"`   // zero: no manager was found
	Allowed     bool           `json:"allowed"`         // the agent's --allow list has the unit
	Workers     []string       `json:"workers"`         // every worker that lives in the unit, this one too
	Nodes       []Node         `json:"nodes,omitempty"` // the same, with what they are; empty from an agent of before
	StopTimeout float64        `json:"stop_timeout"`    // until the manager kills; 0: it waits for ever; -1: unknown
	StopSignal  string         `json:"stop_signal,omitempty"`
	KillMode    string         `json:"kill_mode,omitempty"`    // systemd's word; supervisor: "group" or "process"
	AutoRestart string         `json:"auto_restart,omitempty"` // the manager's own word: always, on-failure, true, unexpected, …
	Ways        []Way          `json:"ways"`                   // that would be carried out now, best first
	Refused     map[Way]string `json:"refused,omitempty"`      // why the others would not, with what to change
	DiskUsed    float64        `json:"disk_used,omitempty"`    // bytes of the root file system; 0: not known
}

// Node is one Celery node that a restart of its unit takes along.
type Node struct {
	Worker    string `json:"worker"`
	App       string `json:"app,omitempty"`
	Pool      string `json:"pool,omitempty"`
	Processes int    `json:"processes"` // of its pool
	Beat      bool   `json:"beat"`      // a beat is embedded in it
}

// Findings is what a worker holds just before it is restarted: the evidence
// that the restart destroys. Sizes in bytes.
type Findings struct {
	At        time.Time          `json:"at"`
	Took      float64            `json:"took"`            // seconds
	Complete  bool               `json:"complete"`        // false: time ran out or something was not readable
	Processes []ProcessFindings  `json:"processes"`       // the parent first
	Cgroup    map[string]float64 `json:"cgroup"`          // memory.stat, memory.events and the like as file.key
	Notes     []string           `json:"notes,omitempty"` // what is missing and why
	Heap      *Heap              `json:"heap,omitempty"`  // where the probe is in the worker's processes
}

// Heap is what the probe in one of a worker's processes says that grew there
// since it was asked before: types, counts and places in the source, never
// values.
type Heap struct {
	PID     int        `json:"pid"`
	Slot    string     `json:"slot,omitempty"`
	Since   time.Time  `json:"since,omitzero"`    // of the look before; zero: this was the first, and tells no growth
	Refused string     `json:"refused,omitempty"` // why there is nothing else
	Parts   []HeapPart `json:"parts,omitempty"`
	Notes   []string   `json:"notes,omitempty"`
}

// HeapPart is one list of a [Heap], what rose most first. Its name is types
// and cycles (objects by type), atoms and guppy (bytes by type), held
// (members of a container), lines (bytes by line), files (descriptors by
// kind), malloc (what glibc says), or chain (who refers to whom). The look
// before may have been cut short: then an older one counted the part, or none.
type HeapPart struct {
	Name  string    `json:"name"`
	First bool      `json:"first,omitempty"` // no look counted it before, in a heap that was looked at: tells no growth
	Since time.Time `json:"since,omitzero"`  // of the look that did; zero: the heap's
	Rows  []HeapRow `json:"rows"`
}

// HeapRow is one thing, how much of it there is, and how much more than when
// it was counted before.
type HeapRow struct {
	What  string  `json:"what"`
	Count float64 `json:"count"`
	Grown float64 `json:"grown"`
}

// ProcessFindings is one process's share of [Findings].
type ProcessFindings struct {
	PID      int              `json:"pid"`
	Slot     string           `json:"slot,omitempty"`
	Role     string           `json:"role"`
	Memory   map[string]int64 `json:"memory"`  // PSS+swap by kind: heap, anonymous, stack, libraries, files, shared, other
	Files    map[string]int   `json:"files"`   // open descriptors by kind: file, socket, pipe, eventfd, …
	Sockets  map[string]int   `json:"sockets"` // by protocol and state: "tcp established", "unix", …
	Threads  int              `json:"threads"`
	Mappings int              `json:"mappings"`
}
