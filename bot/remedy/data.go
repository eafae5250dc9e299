package remedy

import (
	"time"

	"github.com/dropleak/dropleak/bot/order"
	"github.com/dropleak/dropleak/bot/restart"
)

// Outcome is how a run ended.
type Outcome string

// The outcomes, the loudest last.
const (
	FreedWorking        Outcome = "freed_working"
	FreedNotSeenWorking Outcome = "freed_not_seen_working"
	NotFreed            Outcome = "not_freed"
	CameBackBad         Outcome = "came_back_bad"
	Rehearsed           Outcome = "rehearsed"
	Declined            Outcome = "not_now"
	Dismissed           Outcome = "false_alarm"
	Cancelled           Outcome = "cancelled"
	TimedOut            Outcome = "expired"
	Overtaken           Outcome = "overtaken"
	Failed              Outcome = "failed"  // nothing was restarted
	Unclear             Outcome = "unknown" // nobody can tell; a person has to look
	NotRunning          Outcome = "not_running"
	Snapshotted         Outcome = "snapshot_made" // all that was asked
)

// Words says the outcome in a few words.
func (o Outcome) Words() string {
	return map[Outcome]string{
		FreedWorking:        "memory freed, worker working",
		FreedNotSeenWorking: "memory freed, worker not seen working",
		NotFreed:            "restarted, memory not freed",
		CameBackBad:         "restarted, worker came back bad",
		Rehearsed:           "rehearsed, nothing was carried out",
		Declined:            "not now",
		Dismissed:           "false alarm",
		Leased:              "answered with a lease",
		Cancelled:           "cancelled, nothing was restarted",
		TimedOut:            "nobody decided in time",
		Overtaken:           "overtaken, nothing was restarted",
		Failed:              "failed, nothing was restarted",
		Unclear:             "unknown, a person has to look",
		Snapshotted:         "snapshot made, nothing was restarted",
		NotRunning:          "THE WORKER IS NOT RUNNING",
	}[o]
}

// Restarted reports whether a restart was carried out for sure.
func (o Outcome) Restarted() bool {
	switch o {
	case FreedWorking, FreedNotSeenWorking, NotFreed, CameBackBad, NotRunning:
		return true
	}
	return false
}

// Snapshot is the one made for a run.
type Snapshot struct {
	ID        string    `json:"id"`
	DropletID int64     `json:"droplet_id"`
	Name      string    `json:"name"`
	SizeGB    float64   `json:"size_gb"` // as billed
	Done      time.Time `json:"done"`    // when it was seen listed
}

// MonthlyUSD is what keeping it costs: $0.06 a GB, at least a cent.
func (s Snapshot) MonthlyUSD() float64 { return monthlyUSD(s.SizeGB) }

// span is when a step began and ended.
type span struct {
	Began time.Time `json:"began,omitzero"`
	Ended time.Time `json:"ended,omitzero"`
}

// data is what a run learned; only its owner writes it.
type data struct {
	Run       string      `json:"run"`
	Finding   string      `json:"finding"`
	By        string      `json:"by,omitempty"` // who asked
	Asked     time.Time   `json:"asked"`
	Expires   time.Time   `json:"expires"`
	First     time.Time   `json:"first,omitzero"`     // when the first question about it was asked, where that was another
	Reminded  Reminder    `json:"reminded,omitempty"` // of earlier questions
	Rehearsal bool        `json:"rehearsal,omitempty"`
	Only      bool        `json:"only,omitempty"`    // a snapshot is all that is asked for
	Purpose   string      `json:"purpose,omitempty"` // with Only: the words of whoever asked
	Plan      Plan        `json:"plan"`
	Facts     order.Facts `json:"facts"`
	Card      Card        `json:"card"`
	Before    Numbers     `json:"before"`
	Exhausts  time.Time   `json:"exhausts,omitzero"` // when memory runs out, at the proposal

	Times map[string]span `json:"times,omitempty"` // by step
	Ahead []string        `json:"ahead,omitempty"` // runs to wait for
	Held  time.Time       `json:"held,omitzero"`   // when its queue last could not spare the worker; in line zero: it can

	Returned bool `json:"returned,omitempty"` // before the restart it waits without its places, all but that of the droplet
	Wants    bool `json:"wants,omitempty"`    // and now waits for nothing but them

	Evidence     *order.Findings `json:"evidence,omitempty"`
	EvidenceNote string          `json:"evidence_note,omitempty"` // why there is none

	SnapshotName string        `json:"snapshot_name"`
	SnapshotTry  int           `json:"snapshot_try,omitempty"`
	Action       int64         `json:"action,omitempty"`
	Listed       time.Time     `json:"listed,omitzero"` // since when the action is complete
	Expected     time.Duration `json:"expected,omitempty"`
	Snapshot     *Snapshot     `json:"snapshot,omitempty"`
	Borrowed     bool          `json:"borrowed,omitempty"` // the snapshot is that of the lease's first run

	Checked    time.Time       `json:"checked,omitzero"`  // the last look that found the plan true
	OnHand     *OnHand         `json:"on_hand,omitempty"` // tasks, at that look
	OrderBy    time.Time       `json:"order_by,omitzero"` // the restart order is void afterwards
	RestartTry int             `json:"restart_try,omitempty"`
	Restart    *restart.Result `json:"restart,omitempty"`
	Life       *Life           `json:"life,omitempty"`

	Why   string `json:"why,omitempty"`   // how it ended, or why it waits, in a sentence
	State string `json:"state,omitempty"` // with failures: what state the droplet is in
}

// begin notes that a step has begun, once.
func (d *data) begin(step string, now time.Time) time.Time {
	if d.Times == nil {
		d.Times = map[string]span{}
	}
	sp := d.Times[step]
	if sp.Began.IsZero() {
		sp.Began = now
		d.Times[step] = sp
	}
	return sp.Began
}

// beganBy moves the beginning of a step back to at, when its order left: who
// sent it may have died, or failed, before it could write when it began.
func (d *data) beganBy(step string, at time.Time) {
	if sp := d.Times[step]; !at.IsZero() && at.Before(sp.Began) {
		sp.Began = at
		d.Times[step] = sp
	}
}

// finish notes that a step has ended.
func (d *data) finish(step string, now time.Time) {
	d.begin(step, now)
	sp := d.Times[step]
	sp.Ended = now
	d.Times[step] = sp
}
