package remedy

import (
	"slices"
	"time"
)

// Kind is what a person decides.
type Kind string

// The decisions.
const (
	Approve    Kind = "approve"
	Later      Kind = "quiet_window"  // approve, for the next quiet window
	Skip       Kind = "skip_snapshot" // approve, and go without a snapshot; needs a reason
	NotNow     Kind = "not_now"
	FalseAlarm Kind = "false_alarm"
	Cancel     Kind = "cancel" // after approval, until the restart order is sent
)

// Decision is one click or command, as it reached us, in Slack or elsewhere.
type Decision struct {
	By, Team  string // Slack ids of the person and of the workspace the click came from
	Kind      Kind
	Reason    string
	Terms     *Terms    // with Grant
	Via       string    // how it came where not by a click, in words: written down beside the reason
	Envelope  string    // unique id of the delivery; the same delivery again gets the same answer
	NotBefore time.Time // with Approve: wait until then; zero: now. With Later it is the window's own
	Set       string    // of a rolling restart: what the answered question showed, see [RolloutView]
	Until     time.Time // with NotNow: be quiet until then; zero: until it gets worse
}

// Journal is the reason as it is written down: with how the decision came.
func (d Decision) Journal() string {
	if d.Reason == "" || d.Via == "" {
		return d.Reason + d.Via
	}
	return d.Reason + "; " + d.Via
}

// Vote is a decision that counted.
type Vote struct {
	By     string    `json:"by"`
	Kind   Kind      `json:"kind"`
	Reason string    `json:"reason,omitempty"`
	Via    string    `json:"via,omitempty"` // how it came where not by a click
	At     time.Time `json:"at"`
}

// gate is what people said about a run; it changes by compare-and-set only.
type gate struct {
	Votes     []Vote            `json:"votes,omitempty"`
	Settled   *Vote             `json:"settled,omitempty"` // the vote that closed the gate
	NotBefore time.Time         `json:"not_before,omitzero"`
	Window    bool              `json:"window,omitempty"` // only inside the quiet window
	Until     time.Time         `json:"until,omitzero"`
	Skip      *Vote             `json:"skip,omitempty"`    // who let it go without a snapshot
	Cancel    *Vote             `json:"cancel,omitempty"`  // who stopped it after approval
	Moved     []string          `json:"moved,omitempty"`   // what had changed at the click
	Left      *Vote             `json:"left,omitempty"`    // what is to become of the snapshot
	Exhausts  time.Time         `json:"exhausts,omitzero"` // by the newest forecast
	Reminded  Reminder          `json:"reminded,omitempty"`
	Rang      time.Time         `json:"rang,omitzero"`     // when Reminded was reached
	Terms     *Terms            `json:"terms,omitempty"`   // of the lease that was voted for last
	Lease     string            `json:"lease,omitempty"`   // the lease that let it go
	Policy    string            `json:"policy,omitempty"`  // the line of the configuration that let it go
	Rollout   string            `json:"rollout,omitempty"` // the rolling restart it is part of
	Relapse   *Relapse          `json:"relapse,omitempty"`
	Seen      map[string]string `json:"seen,omitempty"` // delivery id → what was answered
}

// lets reports whether a vote lets a run go as k does. Whoever lets it go
// later, or without a snapshot, also lets it go.
func (v Vote) lets(k Kind) bool {
	return v.Kind == k || k == Approve && (v.Kind == Skip || v.Kind == Later)
}

// count returns how many people voted for a kind.
func (g gate) count(k Kind) int {
	people := map[string]bool{} // somebody may approve first and skip later
	for _, v := range g.Votes {
		if v.lets(k) {
			people[v.By] = true
		}
	}
	return len(people)
}

// voted reports whether this person has said the same already.
func (g gate) voted(by string, k Kind) bool {
	return slices.ContainsFunc(g.Votes, func(v Vote) bool {
		return v.By == by && v.lets(k)
	})
}

// approved reports whether the run was let go.
func (g gate) approved() bool {
	return g.Settled != nil && (g.Settled.Kind == Approve || g.Settled.Kind == Skip)
}
