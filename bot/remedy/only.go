package remedy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/workflow"
)

// ProposeSnapshot asks for a snapshot of a worker's droplet, and nothing else.
// by is the Slack id of whoever asks, purpose their words. It needs no agent,
// and no way to restart. A [*Refusal] says that nothing can be offered.
func (s *Service) ProposeSnapshot(ctx context.Context, f finding.Finding, by, purpose string) (View, error) {
	id, err := strconv.ParseInt(f.Subject.DropletID, 10, 64)
	if err != nil || f.Subject.Worker == "" {
		return View{}, refuse(CannotTell, "A snapshot is of a worker's droplet at DigitalOcean; this is about %s.", f.Subject.Title())
	}
	live, err := s.live(ctx, runKey(f.Subject))
	if err != nil {
		return View{}, err
	}
	if live != nil {
		return s.otherRun(ctx, live)
	}
	d := data{Run: newID(), Finding: f.ID, By: by, Asked: time.Now(), Expires: time.Now().Add(s.c.Expires), Rehearsal: s.c.Rehearse, Only: true, Purpose: purpose,
		Plan: Plan{DropletID: id, Droplet: f.Subject.DropletName, Worker: f.Subject.Worker}}
	d.SnapshotName = snapshotName(d.Plan.Worker, d.Run)
	if d.Card, err = s.card(ctx, d); err != nil {
		return View{}, err
	}
	d.Expected = d.Card.Snapshot.Takes
	if d.Finding, err = s.carrier(ctx, f, d.Run); err != nil {
		return View{}, err
	}
	raw, err := json.Marshal(d)
	if err != nil {
		return View{}, fmt.Errorf("writing down the plan for %s: %w", f.Subject.Title(), err)
	}
	err = s.engine.Start(ctx, workflow.Run{ID: d.Run, Recipe: Recipe, Key: runKey(f.Subject), Data: raw},
		workflow.Entry{At: time.Now(), Who: who(by), What: "proposal", Run: d.Run, Subject: d.Plan.Title(), Why: purpose, After: "snapshot only"})
	if errors.Is(err, workflow.ErrExists) {
		if live, err = s.live(ctx, runKey(f.Subject)); err != nil || live == nil {
			return View{}, errors.Join(err, errors.New("another run came first"))
		}
		return s.otherRun(ctx, live)
	}
	if err != nil {
		return View{}, err
	}
	return s.View(ctx, d.Run)
}

// otherRun answers with the live run, if it is for a snapshot too.
func (s *Service) otherRun(ctx context.Context, live *workflow.Run) (View, error) {
	v, err := s.viewOf(ctx, live, nil)
	if err == nil && !v.Only {
		err = refuse(Decided, "Another question or run about this worker stands. It takes a snapshot too; answer or cancel it first.")
	}
	return v, err
}
