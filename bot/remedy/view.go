package remedy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/order"
	"github.com/dropleak/dropleak/bot/workflow"
	"github.com/dropleak/dropleak/detector"
)

// StepState is where a step of a view stands.
type StepState string

// The states of a step.
const (
	Ahead   StepState = "ahead"
	Doing   StepState = "doing"
	Did     StepState = "done"
	Skipped StepState = "skipped"
	Broke   StepState = "failed" // the run ended here, not as hoped
)

// StepView is one line of the list of steps.
type StepView struct {
	Name         string
	Title        string
	State        StepState
	Began, Ended time.Time
	Expected     time.Duration // 0: not known
	Note         string
}

// Button is something that may truthfully be offered now.
type Button struct {
	Kind    Kind
	Reasons []string  // to choose from; with Skip
	At      time.Time // with Later: when the window begins
}

// View is everything there is to show of a run, true at Version.
type View struct {
	Run, Finding string
	Version      int64
	Passing      bool // the run is about to leave this state
	Rehearsal    bool
	Plan         Plan
	Facts        order.Facts // what a restart would mean, read at the proposal
	Card         Card        // what else was known then
	AskedBy      string      // Slack id; empty: dropleak itself
	Asked        time.Time
	Expires      time.Time // of the question
	Exhausts     time.Time // when memory was forecast to run out; zero: not
	Reminded     Reminder  // of this question, so far
	ByLease      string    // the lease that let it go; empty: none
	Rollout      string    // the rolling restart it is part of; empty: none
	Rang         time.Time // when it was reminded of last
	Only         bool      // a snapshot is all that is asked for
	Purpose      string    // with Only: the words of whoever asked
	Policy       string    // the line of the configuration that let it go; empty: a person did
	TooLate      bool      // memory runs out before a snapshot can finish

	Step    string
	Entered time.Time
	Outcome Outcome // empty while the run lives
	Ended   time.Time
	Why     string // in a sentence: why it ended so, or what it waits for
	State   string // with failures: what state the droplet is in
	Trouble string // an error that keeps coming back; empty: none

	Votes   []Vote
	Have    int   // people who approve so far
	Need    int   // people needed to approve
	Settled *Vote // who closed the gate
	Skip    *Vote // who let it go without a snapshot
	Cancel  *Vote
	Opens   time.Time // approved for later: when it may act; zero: at once
	Until   time.Time // with not now: be quiet until then; zero: until worse

	Lease        *Lease   // that it granted or belongs to, or that holds; nil: none
	Ahead        []string // runs it waits for in line
	Steps        []StepView
	Snapshot     *Snapshot
	Disposal     string // of the snapshot: empty, "deleting", "deleted" or "refused"
	Left         *Vote  // who said what is to become of the snapshot
	SnapshotName string
	Evidence     *order.Findings
	Before       Numbers
	OnHand       *OnHand  // tasks, at the last look before the restart; nil: not known
	Relapse      *Relapse // it grew again; nil: not seen to
	Life         *Life    // after; nil: not measured yet
	Old, New     order.Fingerprint
	Buttons      []Button
}

// Title names the subject for people.
func (v View) Title() string { return v.Plan.Title() }

// Freed is how many bytes were freed; 0 where it is not known.
func (v View) Freed() float64 {
	freed, _ := v.FreedBetween()
	return freed.Value
}

// FreedBetween is [View.Freed] with its 90 % interval; sure is false where
// there is none, as in runs of before it was measured.
func (v View) FreedBetween() (freed detector.Interval, sure bool) {
	return freedBy(v.Before, v.Life)
}

func (s *Service) viewOf(ctx context.Context, r *workflow.Run, err error) (View, error) {
	if errors.Is(err, workflow.ErrNotFound) {
		return View{}, err
	}
	if err != nil || r == nil {
		return View{}, errors.Join(errors.New("reading a run to show it"), err)
	}
	t, err := s.open(*r)
	if err != nil {
		return View{}, err
	}
	sent, err := s.restartSent(ctx, r.ID)
	if err != nil {
		return View{}, err
	}
	v := s.view(t, sent)
	if v.Lease, err = s.leaseView(ctx, t); err != nil {
		return View{}, err
	}
	if v.Lease != nil {
		v.Buttons = slices.DeleteFunc(v.Buttons, func(b Button) bool { return b.Kind == Grant && v.Lease.End == "" })
		if v.Lease.End == "" && v.Lease.Revoked == nil {
			v.Buttons = append(v.Buttons, Button{Kind: Revoke})
		}
	}
	if t.d.Snapshot != nil && !t.d.Borrowed && !t.r.Live() && s.d.Shelf != nil {
		if v.Disposal, err = s.disposed(ctx, r.ID); err != nil {
			return View{}, err
		}
		v.Left = t.g.Left
		if v.Disposal == "" {
			if v.Lease == nil || v.Lease.End != "" || t.g.Lease != v.Lease.ID {
				v.Buttons = append(v.Buttons, Button{Kind: DeleteSnapshot})
			}
			if v.Left == nil {
				v.Buttons = append(v.Buttons, Button{Kind: KeepSnapshot})
			}
		}
	}
	return v, nil
}

// restartSent reports whether the restart order has left, or may have.
func (s *Service) restartSent(ctx context.Context, run string) (bool, error) {
	no := s.mayCancel(ctx, record{r: workflow.Run{ID: run}, g: gate{Settled: &Vote{Kind: Approve}}})
	var late *Refusal
	if errors.As(no, &late) {
		return true, nil
	}
	return false, no
}

func (s *Service) view(t record, sent bool) View {
	d, g, r := t.d, t.g, t.r
	v := View{
		Run: r.ID, Finding: d.Finding, Version: r.Version, Rehearsal: d.Rehearsal, Plan: d.Plan, Facts: d.Facts, Card: d.Card,
		AskedBy: d.By, Asked: d.Asked, Expires: d.Expires, Exhausts: g.exhausts(d), Reminded: g.Reminded, Rang: g.Rang, Policy: g.Policy, ByLease: g.Lease, Rollout: g.Rollout, Only: d.Only, Purpose: d.Purpose,
		Step: r.Step, Entered: r.Entered, Outcome: Outcome(r.Outcome), Ended: r.Ended, Why: d.Why, State: d.State,
		Votes: g.Votes, Have: g.count(Approve), Need: s.c.Quorum, Settled: g.Settled, Skip: g.Skip, Cancel: g.Cancel, Until: g.Until,
		Ahead: d.Ahead, Snapshot: d.Snapshot, SnapshotName: d.SnapshotName, Evidence: d.Evidence,
		Before: d.Before, OnHand: d.OnHand, Relapse: g.Relapse, Life: d.Life, Old: d.Plan.Life,
	}
	if r.Step == stepAsk && g.approved() {
		if at := s.opens(g, time.Now()); at.After(time.Now()) {
			v.Opens = at
		}
	}
	if r.Tries >= 3 {
		v.Trouble = r.Trouble
	}
	if v.Outcome == Unclear && v.Why == "" {
		v.Why = r.Trouble // a run that a restored backup left open
	}
	if d.Restart != nil {
		v.New = d.Restart.New
	}
	begins := time.Now()
	if v.Opens.After(begins) {
		begins = v.Opens
	}
	v.TooLate = r.Live() && !d.Only && d.Snapshot == nil && !v.Exhausts.IsZero() && d.Expected > 0 && g.Skip == nil &&
		begins.Add(d.Expected-elapsed(d.Times[stepSnapshot])).After(v.Exhausts)
	v.Steps = stepViews(t)
	v.Buttons = s.buttons(t, sent)
	return v
}

func elapsed(sp span) time.Duration {
	if sp.Began.IsZero() {
		return 0
	}
	return time.Since(sp.Began)
}

// shown are the steps people see, in order.
var shown = []struct{ name, title string }{
	{stepAsk, "Approve"}, {stepLine, "Wait in line"}, {stepEvidence, "Save evidence"}, {stepSnapshot, "Snapshot the droplet"},
	{stepRecheck, "Look at the worker again"}, {stepRestart, "Restart"}, {stepStart, "Start what was stopped"}, {stepVerify, "Verify"},
}

// onlySteps are shown where a snapshot is all that is asked for.
var onlySteps = []string{stepAsk, stepLine, stepSnapshot}

func stepViews(t record) []StepView {
	var out []StepView
	for _, sh := range shown {
		sp := t.d.Times[sh.name]
		if sh.name == stepStart && sp.Began.IsZero() || t.d.Only && !slices.Contains(onlySteps, sh.name) {
			continue // seldom needed
		}
		sv := StepView{Name: sh.name, Title: sh.title, State: Ahead, Began: sp.Began, Ended: sp.Ended}
		switch {
		case sh.name == t.r.Step && t.r.Live():
			sv.State, sv.Ended, sv.Note = Doing, time.Time{}, t.d.Why
		case sh.name == t.r.Step && !good(Outcome(t.r.Outcome)):
			sv.State, sv.Note = Broke, t.d.Why
		case sh.name == stepSnapshot && t.g.Skip != nil && t.d.Snapshot == nil && !sp.Ended.IsZero(),
			sh.name == stepSnapshot && t.g.Skip != nil && sp.Began.IsZero():
			sv.State, sv.Note = Skipped, t.g.Skip.Reason
		case !sp.Ended.IsZero():
			sv.State = Did
		}
		if sh.name == stepSnapshot && t.d.Borrowed {
			sv.Note = "that of the lease, " + minute(t.d.Snapshot.Done)
		}
		if sh.name == stepSnapshot {
			sv.Expected = t.d.Expected
		}
		if sh.name == stepEvidence && sv.State == Did && t.d.EvidenceNote != "" {
			sv.Note = "none: " + t.d.EvidenceNote
		}
		out = append(out, sv)
	}
	return out
}

func good(o Outcome) bool {
	switch o {
	case FreedWorking, FreedNotSeenWorking, Rehearsed, Declined, Dismissed, Leased, Snapshotted:
		return true
	}
	return false
}

// buttons are those whose click would be taken now, from somebody who may.
func (s *Service) buttons(t record, sent bool) []Button {
	skip := Button{Kind: Skip, Reasons: s.c.SkipReasons}
	g := t.g
	switch {
	case !t.r.Live() || g.Cancel != nil || len(g.Moved) > 0 || sent:
		return nil
	case t.d.Only && g.Settled == nil && time.Now().Before(t.d.Expires):
		return []Button{{Kind: Approve}, {Kind: Cancel}}
	case t.d.Only:
		return []Button{{Kind: Cancel}}
	case g.Settled == nil && time.Now().Before(t.d.Expires):
		all := []Button{{Kind: Approve}, skip, {Kind: NotNow}, {Kind: FalseAlarm}}
		if !t.d.Plan.Way.WholeDroplet() {
			all = append(all, Button{Kind: Grant})
		}
		if at := s.window(time.Now()); at.After(time.Now()) {
			all = slices.Insert(all, 1, Button{Kind: Later, At: at})
		}
		return all
	case !g.approved():
		return nil
	}
	switch t.r.Step {
	case stepAsk, stepLine, stepEvidence, stepSnapshot:
		if g.Skip == nil {
			return []Button{skip, {Kind: Cancel}}
		}
	}
	return []Button{{Kind: Cancel}}
}

// announce brings the finding in line with the run, then shows the view. It
// may be called again for the same version: both do no harm twice.
func (s *Service) announce(ctx context.Context, r workflow.Run) error {
	return s.showing(ctx, r, false)
}

// glimpse is announce for a state that the run is about to leave.
func (s *Service) glimpse(ctx context.Context, r workflow.Run) error { return s.showing(ctx, r, true) }

func (s *Service) showing(ctx context.Context, r workflow.Run, passing bool) error {
	v, err := s.viewOf(ctx, &r, nil)
	if err != nil {
		return err
	}
	if err := s.tend(ctx, v); err != nil {
		return err
	}
	v.Passing = passing
	return s.d.Announce(ctx, v)
}

// tend keeps the finding's state true to its run.
func (s *Service) tend(ctx context.Context, v View) error {
	for {
		f, err := s.d.Findings.Finding(ctx, v.Finding)
		if errors.Is(err, finding.ErrNotFound) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading finding %s of run %s: %w", v.Finding, v.Run, err)
		}
		if !tended(&f, v) {
			return nil
		}
		f.Updated = time.Now()
		err = s.d.Findings.UpdateFinding(ctx, f)
		if !errors.Is(err, finding.ErrConflict) {
			return err
		}
		if ctx.Err() != nil {
			return ctx.Err()
		}
	}
}

// tended changes f to what the run makes of it and reports whether it did.
// A run touches the finding when it is approved and when it ends, once. What
// only carried the run ends with it, however that went.
func tended(f *finding.Finding, v View) bool {
	if f.State.Final() {
		return false
	}
	old := *f
	switch {
	case f.Subject.Kind == finding.KindRequest && f.RunID == v.Run && v.Outcome != "":
		f.State, f.Why, f.Closed = finding.Resolved, v.Outcome.Words(), v.Ended
	case v.Outcome == "" && v.Settled != nil && (v.Settled.Kind == Approve || v.Settled.Kind == Skip) && v.Cancel == nil:
		f.State, f.RunID, f.By = finding.InHand, v.Run, v.Settled.By
	case v.Outcome == Declined && (f.RunID != v.Run || f.State == finding.InHand):
		f.State, f.MutedUntil, f.MuteWorse = finding.Muted, v.Until, v.Until.IsZero()
		f.By, f.Why, f.RunID = v.Settled.By, v.Settled.Reason, v.Run
	case v.Outcome == Leased && f.RunID != v.Run:
		f.State, f.By, f.RunID = finding.Acknowledged, v.Settled.By, v.Run
	case v.Outcome == Dismissed:
		f.State, f.By, f.Why, f.RunID, f.Closed = finding.Dismissed, v.Settled.By, v.Settled.Reason, v.Run, v.Ended
	case v.Outcome != "" && f.State == finding.InHand && f.RunID == v.Run:
		f.State, f.Why = finding.Open, string(v.Outcome) // growth decides whether it resolves
	}
	return f.State != old.State || f.RunID != old.RunID
}
