package remedy

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/workflow"
)

// A rolling restart is one question about the workers of one incident, and,
// once it is answered, their restarts one after the other. It is a run of its
// own, so that it is held by one process at a time, survives it, and is
// journalled. Each worker gets a run of its own beneath it, with its own
// snapshot: nothing here restarts anything.
const rolloutRecipe = "rollout"

// RolloutEnd is how a rolling restart ended.
type RolloutEnd string

// The ends of a rolling restart.
const (
	RolloutDone      RolloutEnd = "done"
	RolloutHalted    RolloutEnd = "halted"    // a restart did not end well; nothing more is restarted
	RolloutCancelled RolloutEnd = "cancelled" // by a person
	RolloutDeclined  RolloutEnd = "not_now"
	RolloutDismissed RolloutEnd = "false_alarm"
	RolloutExpired   RolloutEnd = "expired" // nobody decided in time
	RolloutVoid      RolloutEnd = "void"    // no worker was left to restart
)

// Words says the end in a few words.
func (e RolloutEnd) Words() string {
	return map[RolloutEnd]string{
		RolloutDone:      "every worker had its turn",
		RolloutHalted:    "halted, nothing more is restarted",
		RolloutCancelled: "cancelled, nothing more is restarted",
		RolloutDeclined:  "not now",
		RolloutDismissed: "false alarm",
		RolloutExpired:   "nobody decided in time",
		RolloutVoid:      "no worker is left to restart",
	}[e]
}

// Turn is one worker of a rolling restart.
type Turn struct {
	Finding  string    `json:"finding"`
	Plan     Plan      `json:"plan"`              // its approval is bound to it; zero with Refused
	Refused  string    `json:"refused,omitempty"` // why no restart can be offered; empty: one is
	Looked   time.Time `json:"looked,omitzero"`   // when it was looked at
	Exhausts time.Time `json:"exhausts,omitzero"` // when its memory runs out
	Began    time.Time `json:"began,omitzero"`    // when its turn came
	Run      string    `json:"run,omitempty"`     // its run; empty before its turn
	Outcome  Outcome   `json:"outcome,omitempty"` // of the run
	Passed   string    `json:"passed,omitempty"`  // why it was passed over; empty: it was not
}

// Over reports whether nothing more happens to it.
func (t Turn) Over() bool { return t.Outcome != "" || t.Passed != "" || t.Refused != "" }

// rolloutData is what a rolling restart learned; only its owner writes it.
type rolloutData struct {
	Incident string    `json:"incident"`
	By       string    `json:"by,omitempty"` // who asked
	Asked    time.Time `json:"asked"`
	Expires  time.Time `json:"expires"`
	Turns    []Turn    `json:"turns,omitempty"` // in order
	Reminded Reminder  `json:"reminded,omitempty"`
	Rang     time.Time `json:"rang,omitzero"`
	Why      string    `json:"why,omitempty"` // how it ended, in a sentence
}

// set names what a question shows: a vote counts for that only.
func (d rolloutData) set() string {
	h := sha256.New()
	for _, t := range d.Turns {
		fmt.Fprintf(h, "%s %d %s %s %s %t\n", t.Finding, t.Plan.Life.PID, t.Plan.Life.Start, t.Plan.Life.BootID, t.Plan.ConfigHash, t.Refused != "")
	}
	return hex.EncodeToString(h.Sum(nil)[:5])
}

// offered counts the workers that can be restarted.
func (d rolloutData) offered() (n int) {
	for _, t := range d.Turns {
		if t.Refused == "" {
			n++
		}
	}
	return n
}

// exhausts is when the first of them runs out of memory; zero: not foreseen.
func (d rolloutData) exhausts() (first time.Time) {
	for _, t := range d.Turns {
		if !t.Exhausts.IsZero() && (first.IsZero() || t.Exhausts.Before(first)) {
			first = t.Exhausts
		}
	}
	return first
}

// rolloutGate is what people said; it changes by compare-and-set only.
type rolloutGate struct {
	Votes   []Vote            `json:"votes,omitempty"`
	Set     string            `json:"set,omitempty"` // what the votes are about
	Settled *Vote             `json:"settled,omitempty"`
	Cancel  *Vote             `json:"cancel,omitempty"`
	Until   time.Time         `json:"until,omitzero"`
	Moved   map[string]string `json:"moved,omitempty"` // finding → what had changed at the click
	Seen    map[string]string `json:"seen,omitempty"`  // delivery id → what was answered
}

// IsRollout reports whether an id is a rolling restart's.
func IsRollout(id string) bool { return strings.HasPrefix(id, rolloutRecipe+"-") }

func rolloutKey(incident string) string { return rolloutRecipe + "/" + incident }

// The steps of a rolling restart.
const (
	stepGather = "gather" // its question stands
	stepRoll   = "roll"
)

func (s *Service) rollouts() workflow.Recipe {
	ends := func(list ...RolloutEnd) (out []string) {
		for _, e := range list {
			out = append(out, string(e))
		}
		return out
	}
	return workflow.Recipe{Name: rolloutRecipe, First: stepGather, Announce: s.announceRollout, Steps: map[string]workflow.Step{
		stepGather: {Do: s.gather, Next: append(ends(RolloutDeclined, RolloutDismissed, RolloutCancelled, RolloutExpired, RolloutVoid), stepRoll)},
		stepRoll:   {Do: s.roll, Next: ends(RolloutDone, RolloutHalted, RolloutCancelled)},
	}}
}

// ProposeRollout asks whether the workers of an incident may be restarted one
// after the other, or returns the live question or restart. by is the Slack
// id of whoever asked, or empty. A [*Refusal] says that nothing can be
// offered.
func (s *Service) ProposeRollout(ctx context.Context, incident, by string) (RolloutView, error) {
	if v, found, err := s.Rollout(ctx, incident); err != nil || found && v.End == "" {
		return v, err
	}
	d := rolloutData{Incident: incident, By: by, Asked: time.Now(), Expires: time.Now().Add(s.c.Expires)}
	if err := s.enrol(ctx, &d); err != nil {
		return RolloutView{}, err
	}
	if d.offered() == 0 {
		return RolloutView{}, d.nothing()
	}
	raw, err := encode(d)
	if err != nil {
		return RolloutView{}, err
	}
	err = s.engine.Start(ctx, workflow.Run{ID: rolloutRecipe + "-" + newID(), Recipe: rolloutRecipe, Key: rolloutKey(incident), Data: raw},
		workflow.Entry{At: time.Now(), Who: who(by), What: "proposal", Subject: "rolling restart", Why: "incident " + incident,
			After: fmt.Sprintf("%d workers", d.offered())})
	if err != nil && !errors.Is(err, workflow.ErrExists) {
		return RolloutView{}, err
	}
	v, _, err := s.Rollout(ctx, incident)
	return v, err
}

// nothing says why no worker can be restarted.
func (d rolloutData) nothing() *Refusal {
	if len(d.Turns) == 0 {
		return refuse(CannotTell, "No worker of this incident is left to restart.")
	}
	return refuse(CannotTell, "%s", d.Turns[0].Refused)
}

// rolloutRecord is a rolling restart with its data and gate read.
type rolloutRecord struct {
	r workflow.Run
	d rolloutData
	g rolloutGate
}

func openRollout(r workflow.Run) (t rolloutRecord, err error) {
	t.r = r
	if err := json.Unmarshal(r.Data, &t.d); err != nil {
		return t, fmt.Errorf("reading the data of %s: %w", r.ID, err)
	}
	if len(r.Gate) > 0 {
		if err := json.Unmarshal(r.Gate, &t.g); err != nil {
			return t, fmt.Errorf("reading the gate of %s: %w", r.ID, err)
		}
	}
	return t, nil
}

func (s *Service) rollout(ctx context.Context, id string) (rolloutRecord, error) {
	r, err := s.d.Store.Run(ctx, id)
	if err != nil {
		return rolloutRecord{}, fmt.Errorf("reading rolling restart %s: %w", id, err)
	}
	return openRollout(r)
}

// tendMembers keeps the findings of an incident true to what was answered.
// Again is the same.
func (s *Service) tendMembers(ctx context.Context, t rolloutRecord) error {
	end := RolloutEnd(t.r.Outcome)
	if end != RolloutDeclined && end != RolloutDismissed {
		return nil
	}
	var errs []error
	for _, turn := range t.d.Turns {
		_, err := finding.Change(ctx, s.d.Findings, turn.Finding, func(f *finding.Finding) error {
			switch v := t.g.Settled; {
			case f.State.Final() || f.RunID == t.r.ID || f.State == finding.InHand:
				return finding.ErrUnchanged
			case end == RolloutDismissed:
				f.RunID = t.r.ID
				return f.Dismiss(v.By, v.Reason, t.r.Ended)
			default:
				f.RunID = t.r.ID
				return f.Mute(v.By, t.g.Until, t.r.Ended)
			}
		})
		if !errors.Is(err, finding.ErrNotFound) {
			errs = append(errs, err)
		}
	}
	return errors.Join(errs...)
}
