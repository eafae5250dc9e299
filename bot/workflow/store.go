package workflow

import (
	"context"
	"encoding/json"
	"time"
)

// Store keeps runs, acts and the journal. Every method is one transaction.
type Store interface {
	Runs
	Leases
	Acts
}

// Runs is what anybody may do with runs, with or without a lease.
type Runs interface {
	// CreateRun stores a new run, due at its Due, or fails with ErrExists.
	CreateRun(ctx context.Context, r Run, journal ...Entry) error
	// Run returns one run, or ErrNotFound.
	Run(ctx context.Context, id string) (Run, error)
	// Runs lists runs, newest first.
	Runs(ctx context.Context, f Filter) ([]Run, error)
	// DecideRun replaces the gate of a live run if its version is still the
	// given one, raises GateVersion and Version, and makes the run due now;
	// else ErrConflict (also for an ended run), or ErrNotFound.
	DecideRun(ctx context.Context, id string, gateVersion int64, gate json.RawMessage, now time.Time, journal ...Entry) error
	// AmendRun is DecideRun for a run that has ended: what people say of what
	// it left behind. It makes nothing due; ErrConflict for a live run.
	AmendRun(ctx context.Context, id string, gateVersion int64, gate json.RawMessage, journal ...Entry) error
	// RetellRun raises Version of a run, ended or not, so that its owner
	// announces it once more; or ErrNotFound.
	RetellRun(ctx context.Context, id string) error
	// SlotHolders lists the runs that hold a slot, earliest first.
	SlotHolders(ctx context.Context, slot string) ([]string, error)
}

// Leases is what makes one owner at a time move a run.
type Leases interface {
	// ClaimRun leases the run that is longest due, or has longest waited to be
	// announced ([Run.Untold]), among those nobody holds or whose lease ran out. It raises
	// the token. ErrNone: nothing to do. Whether a lease ran out is judged by
	// the database's clock where processes on several machines share it, and
	// by a heartbeat unchanged over one's own monotonic time otherwise;
	// never by comparing two machines' clocks.
	ClaimRun(ctx context.Context, owner string, now time.Time, lease time.Duration) (Run, error)
	// RenewRun prolongs a lease, or ErrFenced.
	RenewRun(ctx context.Context, id string, token int64, lease time.Duration) error
	// SaveRun stores everything of r but Gate, GateVersion and Version if
	// r.Token still holds the lease, else ErrFenced. changed raises Version.
	// An empty r.Owner gives the lease back. If the gate is newer than
	// r.GateVersion the run stays due as DecideRun made it whatever r.Due says, so
	// that no answer of a person is slept over; ending a run over a gate it
	// has not seen is ErrConflict. An ended run gives its slots back. It
	// returns the run as now stored.
	SaveRun(ctx context.Context, r Run, changed bool, journal ...Entry) (Run, error)
	// TakeSlots takes all the slots for a run or none. It returns those that were
	// full, with their holders; slots already held count as taken.
	TakeSlots(ctx context.Context, id string, token int64, slots []Slot) (full []Slot, err error)
	// ReturnSlots gives all slots of a run back but the one named, which it
	// need not hold.
	ReturnSlots(ctx context.Context, id string, token int64, but string) error
}

// Acts is the ledger of what was asked of the world.
type Acts interface {
	// RunActs lists the acts of a run in the order they were planned.
	RunActs(ctx context.Context, run string) ([]Act, error)
	// PlanAct stores a new planned act, fenced by token. An act that exists
	// already is left as it is.
	PlanAct(ctx context.Context, a Act, token int64, journal ...Entry) error
	// MoveAct stores a if the stored state is from and token still holds the
	// lease; else ErrFenced. The move from Planned to Sent also demands that
	// the gate still has gateVersion, else ErrConflict, and raises it.
	MoveAct(ctx context.Context, a Act, from ActState, token, gateVersion int64, journal ...Entry) error
}
