package remedy

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/workflow"
)

// gather holds the question open: whoever joins the incident joins it, and
// what was voted for another set is void.
func (s *Service) gather(ctx context.Context, j *workflow.Job) (workflow.Next, error) {
	t, err := openRollout(j.Run())
	if err != nil {
		return workflow.Next{}, err
	}
	now := time.Now()
	switch v := t.g.Settled; {
	case v != nil && v.Kind == Approve:
		return workflow.Go(stepRoll), nil
	case v != nil:
		return endRollout(j, &t.d, map[Kind]RolloutEnd{NotNow: RolloutDeclined, FalseAlarm: RolloutDismissed, Cancel: RolloutCancelled}[v.Kind], v.Reason)
	case !now.Before(t.d.Expires):
		return endRollout(j, &t.d, RolloutExpired, "")
	}
	if err := s.enrol(ctx, &t.d); err != nil {
		return workflow.Next{}, err
	}
	if t.d.offered() == 0 {
		return endRollout(j, &t.d, RolloutVoid, t.d.nothing().Words)
	}
	if out := t.d.exhausts(); !out.IsZero() {
		if level := due(t.d.Asked, now, out); level > t.d.Reminded {
			t.d.Reminded, t.d.Rang = level, now
		}
	}
	next := now.Add(s.c.Pace.Hold)
	if t.d.Expires.Before(next) {
		next = t.d.Expires
	}
	return workflow.Wait(next), j.Keep(t.d)
}

func endRollout(j *workflow.Job, d *rolloutData, end RolloutEnd, why string) (workflow.Next, error) {
	d.Why = why
	j.Note(workflow.Entry{What: "outcome", Subject: "rolling restart", Why: why, After: string(end)})
	return workflow.End(string(end)), j.Keep(*d)
}

// enrol brings the list of workers up to date: those that joined are looked
// at, those whose finding is over leave. The first to run out comes first.
func (s *Service) enrol(ctx context.Context, d *rolloutData) error {
	members, err := s.d.Findings.Findings(ctx, finding.Filter{Live: true, Incident: d.Incident})
	if err != nil {
		return fmt.Errorf("reading the findings of incident %s: %w", d.Incident, err)
	}
	known := map[string]Turn{}
	for _, t := range d.Turns {
		known[t.Finding] = t
	}
	turns := make([]Turn, len(members))
	var wg sync.WaitGroup
	for i, f := range members {
		t, ok := known[f.ID]
		turns[i] = t
		if f.State == finding.Muted {
			turns[i] = Turn{}
			continue
		}
		if !ok || t.Refused != "" && time.Since(t.Looked) > s.c.Pace.Recheck {
			wg.Go(func() { turns[i] = s.newTurn(ctx, f, d.By) })
		}
	}
	wg.Wait()
	d.Turns = slices.DeleteFunc(turns, func(t Turn) bool { return t.Finding == "" })
	for _, f := range members {
		if i := slices.IndexFunc(d.Turns, func(t Turn) bool { return t.Finding == f.ID }); i >= 0 {
			d.Turns[i].Exhausts = s.forecast(f)
		}
		if err := s.absorb(ctx, f); err != nil {
			return err
		}
	}
	slices.SortStableFunc(d.Turns, func(a, b Turn) int { return ahead(a, b) })
	return ctx.Err()
}

// ahead orders turns: what can be restarted, the soonest out of memory first.
func ahead(a, b Turn) int {
	if x, y := a.Refused != "", b.Refused != ""; x != y {
		return map[bool]int{true: 1, false: -1}[x]
	}
	switch x, y := a.Exhausts, b.Exhausts; {
	case x.IsZero() && y.IsZero():
	case x.IsZero():
		return 1
	case y.IsZero():
		return -1
	default:
		if c := x.Compare(y); c != 0 {
			return c
		}
	}
	return strings.Compare(a.Finding, b.Finding)
}

// newTurn looks at a worker.
func (s *Service) newTurn(ctx context.Context, f finding.Finding, by string) Turn {
	t := Turn{Finding: f.ID, Looked: time.Now()}
	d, err := s.aim(ctx, f, by)
	held := ""
	if err == nil {
		held, err = s.leased(ctx, d.Plan)
	}
	var no *Refusal
	switch {
	case held != "":
		t.Refused = "A lease keeps " + d.Plan.Title() + " alive."
	case errors.As(err, &no):
		t.Refused = no.Words
	case err != nil:
		t.Refused = err.Error()
	default:
		t.Plan = d.Plan
	}
	return t
}

// absorb ends the question about one worker that nobody has answered: it is
// asked with the others now.
func (s *Service) absorb(ctx context.Context, f finding.Finding) error {
	live, err := s.live(ctx, runKey(f.Subject))
	if err != nil || live == nil {
		return err
	}
	t, err := s.open(*live)
	if err != nil || t.d.Only || t.g.Settled != nil || len(t.g.Moved) > 0 || t.d.Finding != f.ID {
		return err
	}
	v := Vote{By: workflow.Self, Kind: Cancel, Reason: "asked together with the other workers of the incident", At: time.Now()}
	t.g.Settled = &v
	return s.gateOf(ctx, t, workflow.Entry{At: v.At, Who: workflow.Self, What: "decision", Run: t.r.ID, Subject: string(Cancel), Why: v.Reason})
}

// roll sees to one worker after the other, and halts at the first whose
// restart does not end well.
func (s *Service) roll(ctx context.Context, j *workflow.Job) (workflow.Next, error) {
	t, err := openRollout(j.Run())
	if err != nil {
		return workflow.Next{}, err
	}
	for i := range t.d.Turns {
		turn := &t.d.Turns[i]
		if turn.Over() {
			continue
		}
		if err := s.turn(ctx, t, turn); err != nil {
			return workflow.Next{}, err
		}
		title := turn.Plan.Title()
		switch {
		case turn.Outcome == Cancelled && t.g.Cancel == nil:
			return endRollout(j, &t.d, RolloutCancelled, "a person cancelled the restart of "+title)
		case turn.Outcome != "" && turn.Outcome != Cancelled && !good(turn.Outcome):
			return endRollout(j, &t.d, RolloutHalted, "the restart of "+title+" ended: "+turn.Outcome.Words())
		case turn.Run != "" && !turn.Over():
			if t.g.Cancel != nil {
				err = s.cancelRun(ctx, turn.Run, *t.g.Cancel, "the rolling restart was cancelled")
			}
			return workflow.Wait(time.Now().Add(s.c.Pace.Line)), errors.Join(err, j.Keep(t.d))
		case t.g.Cancel != nil:
			return endRollout(j, &t.d, RolloutCancelled, "cancelled by a person")
		case !turn.Over():
			return workflow.Wait(time.Now().Add(s.c.Pace.Line)), j.Keep(t.d)
		}
		// One turn for each answer: what came of it is on disk, and told,
		// before the next begins.
		return workflow.Wait(time.Now()), j.Keep(t.d)
	}
	if t.g.Cancel != nil {
		return endRollout(j, &t.d, RolloutCancelled, "cancelled by a person")
	}
	return endRollout(j, &t.d, RolloutDone, "")
}

// turn brings the turn of one worker up to date, and begins its run.
func (s *Service) turn(ctx context.Context, t rolloutRecord, turn *Turn) error {
	if turn.Run == "" {
		if err := s.adopt(ctx, t, turn); err != nil {
			return err
		}
	}
	if turn.Run == "" {
		if t.g.Cancel != nil {
			return nil
		}
		return s.begin(ctx, t, turn)
	}
	r, err := s.d.Store.Run(ctx, turn.Run)
	if err != nil {
		return fmt.Errorf("reading the run of %s: %w", turn.Plan.Title(), err)
	}
	if r.Live() {
		return nil
	}
	own, err := s.open(r)
	if err != nil {
		return err
	}
	switch o := Outcome(r.Outcome); o {
	case Overtaken, Declined, Dismissed, Leased, TimedOut:
		turn.Passed = o.Words() // nothing was restarted, by nobody's fault
		if own.d.Why != "" {
			turn.Passed = own.d.Why
		}
	default:
		turn.Outcome = o
	}
	return nil
}

// adopt finds the run that was begun for this turn, by an owner that died
// before it wrote that down, or by somebody else.
func (s *Service) adopt(ctx context.Context, t rolloutRecord, turn *Turn) error {
	runs, err := s.d.Store.Runs(ctx, workflow.Filter{Recipe: Recipe, Key: turn.Plan.key(), Limit: 5})
	if err != nil {
		return fmt.Errorf("looking for a run of %s: %w", turn.Plan.Title(), err)
	}
	for _, r := range runs {
		own, err := s.open(r)
		if err != nil {
			return err
		}
		if own.g.approved() && (own.g.Rollout == t.r.ID || r.Live()) {
			turn.Run = r.ID
			return nil
		}
	}
	return nil
}

// begin starts the run of a worker whose turn it is, under the approval of
// the rolling restart and if it is still what was approved.
func (s *Service) begin(ctx context.Context, t rolloutRecord, turn *Turn) error {
	if turn.Began.IsZero() {
		turn.Began = time.Now()
	}
	f, err := s.d.Findings.Finding(ctx, turn.Finding)
	switch {
	case errors.Is(err, finding.ErrNotFound):
		turn.Passed = "its finding is not known any more"
		return nil
	case err != nil:
		return fmt.Errorf("reading the finding of %s: %w", turn.Plan.Title(), err)
	case f.State.Final() || f.State == finding.Muted:
		turn.Passed = "its finding is " + string(f.State)
		return nil
	case t.g.Moved[turn.Finding] != "":
		turn.Passed = t.g.Moved[turn.Finding]
		return nil
	}
	moved, err := s.look(ctx, data{Run: newID(), Plan: turn.Plan}, "roll")
	var cannot *Refusal
	switch {
	case errors.As(err, &cannot):
		if time.Since(turn.Began) > s.c.Pace.Recheck {
			turn.Passed = "it could not be looked at"
		}
		return nil
	case err != nil:
		return err
	case len(moved) > 0:
		turn.Passed = strings.Join(moved, "; ")
		return nil
	}
	v := *t.g.Settled
	v.Reason = strings.TrimPrefix(v.Reason+"; one of a rolling restart", "; ")
	err = s.approveFor(ctx, f, v, func(g *gate) {
		g.Rollout = t.r.ID
		g.Votes = append(slices.Clone(t.g.Votes), g.Votes[:len(g.Votes)-1]...)
	})
	if err != nil {
		return err
	}
	if err := s.adopt(ctx, t, turn); err != nil || turn.Run != "" {
		return err
	}
	if time.Since(turn.Began) > s.c.Pace.Recheck {
		turn.Passed = "no restart could be begun"
	}
	return nil
}

// key is what its runs are kept under.
func (p Plan) key() string { return fmt.Sprintf("%d/%s", p.DropletID, p.Worker) }

// rolling says why a rolling restart does not cover a run of it any more;
// empty: it does. It is asked again just before the restart.
func (s *Service) rolling(ctx context.Context, w *work) (string, error) {
	t, err := s.rollout(ctx, w.g.Rollout)
	if err != nil {
		return "", err
	}
	i := slices.IndexFunc(t.d.Turns, func(turn Turn) bool { return turn.Finding == w.d.Finding })
	switch {
	case t.g.Cancel != nil:
		return "the rolling restart was cancelled", nil
	case !t.r.Live():
		return "the rolling restart has ended", nil
	case i < 0:
		return "the rolling restart is about other workers", nil
	}
	p := t.d.Turns[i].Plan
	if !p.Life.Same(w.d.Plan.Life) || p.Life.BootID != w.d.Plan.Life.BootID || p.Way != w.d.Plan.Way || p.Unit != w.d.Plan.Unit || p.ConfigHash != w.d.Plan.ConfigHash {
		return "the worker is not what the rolling restart was approved for", nil
	}
	return "", nil
}
