// Package alert calls those who are not looking at Slack: a signed webhook,
// PagerDuty, an Alertmanager, from an outbox that survives the process.
//
// Slack is not a pager. What is worth a call is computed anew, again and
// again, from what the store holds ([Options].Wanted); the outbox remembers
// for each endpoint what it was told last, and a [Desk] tells it until it has
// taken it. A process that dies between the two loses nothing: the next one
// computes the same. What may be told twice carries the same dedup key twice.
package alert

import (
	"context"
	"errors"
	"time"
)

// Kind says what an alert is about.
type Kind string

// The kinds.
const (
	RunningOut  Kind = "running_out"  // a finding with less time left than configured
	FailedRun   Kind = "failed_run"   // a run that left something for a person to do
	LostSlack   Kind = "lost_slack"   // nothing was heard from Slack
	LostDroplet Kind = "lost_droplet" // nothing was heard from a droplet
	LostSource  Kind = "lost_source"  // nothing was heard from a source that tells of droplets

	OverdueReport Kind = "overdue_report" // Slack does not take a scheduled report
	Trial         Kind = "trial"          // somebody tries whether the endpoint answers
)

// Severity is how urgent an alert is, in PagerDuty's words.
type Severity string

// The severities.
const (
	Critical Severity = "critical"
	Error    Severity = "error"
	Warning  Severity = "warning"
)

// Alert is one reason to call somebody. Key is its identity: as long as it is
// the same, it is the same trouble.
type Alert struct {
	Key       string    `json:"key"`
	Kind      Kind      `json:"kind"`
	Severity  Severity  `json:"severity"`
	Title     string    `json:"title"` // one line, plain text
	Detail    string    `json:"detail,omitempty"`
	Since     time.Time `json:"since"`
	Droplet   string    `json:"droplet,omitempty"` // name
	DropletID string    `json:"droplet_id,omitempty"`
	Worker    string    `json:"worker,omitempty"`
	Source    string    `json:"source,omitempty"`
	Finding   string    `json:"finding,omitempty"`
	Run       string    `json:"run,omitempty"`
}

// Due is what an endpoint is to know about an alert, and what it knows.
type Due struct {
	Endpoint string    `json:"endpoint"`
	Alert    Alert     `json:"alert"`
	Firing   bool      `json:"firing"`  // false: resolved
	Changed  time.Time `json:"changed"` // when Firing became so
	Version  int64     `json:"version"` // grows with each change of what is to be known
	Sent     int64     `json:"sent"`    // the version that the endpoint has taken
	SentAt   time.Time `json:"sent_at,omitzero"`
	Tries    int       `json:"tries,omitempty"`   // failed in a row
	Trouble  string    `json:"trouble,omitempty"` // of the last of them
	Next     time.Time `json:"next,omitzero"`     // not to be told before
	Seq      int64     `json:"-"`                 // of the row; 0: not stored yet
}

// Store keeps what is due. Implementations serialise concurrent writers.
type Store interface {
	// Dues lists all rows.
	Dues(ctx context.Context) ([]Due, error)
	// PutDue stores a row if its Seq is still the stored one (0: there is
	// none), and raises it by one; else ErrConflict.
	PutDue(ctx context.Context, d Due) error
	// DropDue deletes a row if its Seq is still the stored one.
	DropDue(ctx context.Context, d Due) error
}

// ErrConflict says that another process changed a row meanwhile.
var ErrConflict = errors.New("alert changed meanwhile")

// Endpoint takes alerts.
type Endpoint interface {
	// Name is its identity in the outbox and in logs.
	Name() string
	// Send tells what is to be known; sending it again does no harm. An error
	// of type [*RefusedError] says what the endpoint answered.
	Send(ctx context.Context, d Due) error
	// Refresh is how often a firing alert has to be told again lest the
	// endpoint forgets it; 0: never.
	Refresh() time.Duration
}
