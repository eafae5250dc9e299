package remedy

import (
	"context"
	"strings"
	"time"

	"github.com/dropleak/dropleak/bot/workflow"
)

// The steps of a run.
const (
	stepAsk      = "ask"
	stepLine     = "line"
	stepEvidence = "evidence"
	stepSnapshot = "snapshot"
	stepRecheck  = "recheck"
	stepRestart  = "restart"
	stepStart    = "start"
	stepVerify   = "verify"
)

// The acts of a run. A try that was refused because the droplet was busy is
// followed by another act: name-2, name-3, …
const (
	actSnapshot = "snapshot"
	actRestart  = "restart"
	actStart    = "start"
)

func outcomes(list ...Outcome) []string {
	var out []string
	for _, o := range list {
		out = append(out, string(o))
	}
	return out
}

// recipe is the whole machine: docs/run.md draws it.
func (s *Service) recipe() workflow.Recipe {
	step := func(do stepFunc, next []string, ends ...Outcome) workflow.Step {
		return workflow.Step{Do: s.with(do), Next: append(next, outcomes(ends...)...)}
	}
	return workflow.Recipe{Name: Recipe, First: stepAsk, Announce: s.announce, Glimpse: s.glimpse, Steps: map[string]workflow.Step{
		stepAsk:      step(s.ask, []string{stepLine}, Declined, Dismissed, Cancelled, TimedOut, Overtaken, Leased),
		stepLine:     step(s.line, []string{stepEvidence}, Cancelled),
		stepEvidence: step(s.evidence, []string{stepSnapshot, stepRecheck}, Cancelled),
		stepSnapshot: step(s.snapshot, []string{stepRecheck}, Cancelled, Failed, Unclear, Snapshotted, Rehearsed),
		stepRecheck:  step(s.recheck, []string{stepRestart}, Cancelled, Overtaken, Failed),
		stepRestart:  step(s.restart, []string{stepRecheck, stepStart, stepVerify}, Cancelled, Overtaken, Failed, Unclear, Rehearsed),
		stepStart:    step(s.start, []string{stepVerify}),
		stepVerify:   step(s.verify, nil, FreedWorking, FreedNotSeenWorking, NotFreed, CameBackBad, NotRunning, Unclear),
	}}
}

// work is a run in a step's hands.
type work struct {
	*workflow.Job
	record
	now time.Time
}

type stepFunc func(ctx context.Context, w *work) (workflow.Next, error)

// with reads data and gate before a step and keeps the data after it.
func (s *Service) with(do stepFunc) func(context.Context, *workflow.Job) (workflow.Next, error) {
	return func(ctx context.Context, j *workflow.Job) (workflow.Next, error) {
		t, err := s.open(j.Run())
		if err != nil {
			return workflow.Next{}, err
		}
		w := &work{Job: j, record: t, now: time.Now()}
		next, err := do(ctx, w)
		if err != nil {
			return next, err
		}
		return next, j.Keep(w.d)
	}
}

// end ends the run with a sentence why, and what state the droplet is in.
func (w *work) end(o Outcome, why, state string) (workflow.Next, error) {
	w.d.Why, w.d.State = why, state
	w.d.finish(w.r.Step, w.now)
	w.Note(workflow.Entry{What: "outcome", Subject: w.d.Plan.Title(), Why: why, After: string(o)})
	return workflow.End(string(o)), nil
}

// on moves on to another step.
func (w *work) on(step string) (workflow.Next, error) {
	w.d.finish(w.r.Step, w.now)
	w.d.Why = ""
	return workflow.Go(step), nil
}

// cancelled ends a run that a person stopped.
func (w *work) cancelled() (workflow.Next, error) {
	return w.end(Cancelled, "cancelled by a person", w.untouched())
}

// untouched says what is out there when nothing was restarted.
func (w *work) untouched() string {
	switch {
	case w.d.Snapshot != nil:
		return "The worker was not touched. The snapshot " + w.d.Snapshot.Name + " is kept."
	case w.d.Action != 0:
		return "The worker was not touched. DigitalOcean may still finish the snapshot " + w.d.SnapshotName + "."
	}
	return "The worker was not touched."
}

// ask waits for people.
func (s *Service) ask(ctx context.Context, w *work) (workflow.Next, error) {
	w.d.begin(stepAsk, w.d.Asked)
	g := w.g
	switch {
	case len(g.Moved) > 0:
		return w.end(Overtaken, strings.Join(g.Moved, "; "), w.untouched())
	case g.Cancel != nil:
		return w.cancelled()
	case g.approved() && s.opens(g, w.now).After(w.now):
		at := s.opens(g, w.now)
		w.d.Why = "approved, waiting for " + minute(at)
		return workflow.Wait(at), nil
	case g.approved():
		return w.on(stepLine)
	case g.Settled != nil && g.Settled.Kind == Grant:
		return s.grant(ctx, w)
	case g.Settled != nil:
		return w.end(map[Kind]Outcome{NotNow: Declined, FalseAlarm: Dismissed, Cancel: Cancelled}[g.Settled.Kind], g.Settled.Reason, w.untouched())
	case !w.now.Before(w.d.Expires):
		return w.end(TimedOut, "nobody decided in time", w.untouched())
	}
	return workflow.Wait(w.d.Expires), nil
}

// opens is when an approved run may act. One that is for the quiet window
// goes into the next if it missed one.
func (s *Service) opens(g gate, now time.Time) time.Time {
	if !g.Window || g.NotBefore.After(now) {
		return g.NotBefore
	}
	if at := s.window(now); !at.IsZero() {
		return at
	}
	return now // the window was taken out of the configuration since
}

// evidence saves what a restart destroys. It never holds the run up for
// longer than its time, and never ends it.
func (s *Service) evidence(ctx context.Context, w *work) (workflow.Next, error) {
	began := w.d.begin(stepEvidence, w.now)
	if w.g.Cancel != nil {
		return w.cancelled()
	}
	if w.d.Only { // nothing is destroyed
		return w.on(stepSnapshot)
	}
	if left := s.evidenceTime(w.g.exhausts(w.d), began) - w.now.Sub(began); w.d.Evidence == nil && left > 0 {
		ctx, cancel := context.WithTimeout(ctx, left)
		defer cancel()
		found, err := s.d.Looker.Evidence(ctx, w.d.Plan.target(w.d.Run, time.Time{}))
		if err != nil {
			w.d.EvidenceNote = err.Error()
		} else {
			w.d.Evidence = &found
		}
		w.now = time.Now()
	}
	if w.d.Evidence == nil && w.d.EvidenceNote == "" {
		w.d.EvidenceNote = "there was no time for it"
	}
	if w.g.Skip != nil {
		return w.on(stepRecheck)
	}
	return w.on(stepSnapshot)
}

// evidenceTime is how long evidence may be gathered from a moment on. The probe
// in a busy worker takes 20 s for a look, and more to be asked; of the time
// until memory runs out it takes a twentieth, but what agents always need.
func (s *Service) evidenceTime(out, from time.Time) time.Duration {
	if out.IsZero() {
		return s.c.Pace.Evidence
	}
	return min(s.c.Pace.Evidence, max(out.Sub(from)/20, s.c.Pace.Look))
}
