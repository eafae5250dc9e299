package remedy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dropleak/dropleak/bot/workflow"
)

// RolloutView is everything there is to show of a rolling restart.
type RolloutView struct {
	ID, Incident string
	Set          string // names what the question shows; goes back with a [Decision]
	Rehearsal    bool
	AskedBy      string // Slack id; empty: dropleak itself
	Asked        time.Time
	Expires      time.Time // of the question
	Exhausts     time.Time // when the first runs out of memory; zero: not foreseen
	Reminded     Reminder
	Rang         time.Time // when it was reminded of last
	Turns        []Turn    // in the order of their restarts
	Votes        []Vote
	Have, Need   int
	Settled      *Vote // who closed the gate
	Cancel       *Vote
	End          RolloutEnd // empty while it lives
	Ended        time.Time
	Why          string
	Trouble      string   // an error that keeps coming back; empty: none
	Buttons      []Button // that would be taken now, from somebody who may
}

// Rollout returns the newest rolling restart of an incident; false: there was
// none.
func (s *Service) Rollout(ctx context.Context, incident string) (RolloutView, bool, error) {
	runs, err := s.d.Store.Runs(ctx, workflow.Filter{Recipe: rolloutRecipe, Key: rolloutKey(incident), Limit: 1})
	if err != nil || len(runs) == 0 {
		return RolloutView{}, false, err
	}
	t, err := openRollout(runs[0])
	return s.rolloutView(t), err == nil, err
}

// RolloutByID returns a rolling restart, or [workflow.ErrNotFound].
func (s *Service) RolloutByID(ctx context.Context, id string) (RolloutView, error) {
	if !IsRollout(id) {
		return RolloutView{}, workflow.ErrNotFound
	}
	t, err := s.rollout(ctx, id)
	return s.rolloutView(t), err
}

// Rollouts lists the rolling restarts that live, newest first.
func (s *Service) Rollouts(ctx context.Context) (out []RolloutView, err error) {
	runs, err := s.d.Store.Runs(ctx, workflow.Filter{Live: true, Recipe: rolloutRecipe})
	if err != nil {
		return nil, fmt.Errorf("listing rolling restarts: %w", err)
	}
	for _, r := range runs {
		t, err := openRollout(r)
		if err != nil {
			return nil, err
		}
		out = append(out, s.rolloutView(t))
	}
	return out, nil
}

func (s *Service) rolloutView(t rolloutRecord) RolloutView {
	v := RolloutView{ID: t.r.ID, Incident: t.d.Incident, Set: t.d.set(), Rehearsal: s.c.Rehearse, AskedBy: t.d.By, Asked: t.d.Asked,
		Expires: t.d.Expires, Exhausts: t.d.exhausts(), Reminded: t.d.Reminded, Rang: t.d.Rang, Turns: t.d.Turns, Votes: t.g.Votes,
		Need: s.c.Quorum, Settled: t.g.Settled, Cancel: t.g.Cancel, End: RolloutEnd(t.r.Outcome), Ended: t.r.Ended, Why: t.d.Why}
	if t.g.Set == v.Set || t.g.Settled != nil {
		v.Have = gate{Votes: t.g.Votes}.count(Approve)
	}
	if t.r.Tries >= 3 {
		v.Trouble = t.r.Trouble
	}
	switch {
	case !t.r.Live() || t.g.Cancel != nil:
	case t.g.Settled == nil && time.Now().Before(t.d.Expires):
		v.Buttons = []Button{{Kind: Approve}, {Kind: NotNow}, {Kind: FalseAlarm}}
	case t.g.approved():
		v.Buttons = []Button{{Kind: Cancel}}
	}
	return v
}

func (g rolloutGate) approved() bool { return g.Settled != nil && g.Settled.Kind == Approve }

// announceRollout brings the findings in line, then shows the view.
func (s *Service) announceRollout(ctx context.Context, r workflow.Run) error {
	t, err := openRollout(r)
	if err != nil {
		return err
	}
	err = s.tendMembers(ctx, t)
	if s.d.Rolled == nil {
		return err
	}
	return errors.Join(err, s.d.Rolled(ctx, s.rolloutView(t)))
}
