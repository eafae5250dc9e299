package remedy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dropleak/dropleak/bot/workflow"
)

// revoke ends a lease on a person's word, and cancels the run that is under
// way under it if that can still be.
func (s *Service) revoke(ctx context.Context, id string, d Decision) (Answer, error) {
	for range 16 {
		r, data, g, err := s.leaseOf(ctx, id)
		if errors.Is(err, workflow.ErrNotFound) || !isLease(id) {
			return s.refused(ctx, id, d, refuse(NoRun, "This lease is not known here any more."))
		}
		if err != nil {
			return Answer{}, err
		}
		if no := s.auth.check(ctx, d.By, d.Team); no != nil {
			return s.refused(ctx, data.Run, d, no)
		}
		if !r.Live() || g.Revoked != nil {
			return s.refused(ctx, data.Run, d, refuse(Over, "This lease has ended already."))
		}
		g.Revoked = &Vote{By: d.By, Kind: Revoke, Reason: d.Reason, Via: d.Via, At: time.Now()}
		raw, err := encode(g)
		if err != nil {
			return Answer{}, err
		}
		err = s.d.Store.DecideRun(ctx, r.ID, r.GateVersion, raw, time.Now(), workflow.Entry{At: time.Now(), Who: d.By, What: "decision",
			Run: data.Run, Subject: string(Revoke), Why: d.Journal(), Before: data.Terms.words()})
		if errors.Is(err, workflow.ErrConflict) {
			continue
		}
		if err != nil {
			return Answer{}, fmt.Errorf("revoking lease %s: %w", r.ID, err)
		}
		return s.revoked(ctx, r.ID, data, *g.Revoked)
	}
	return Answer{}, fmt.Errorf("revoking lease %s: %w", id, workflow.ErrConflict)
}

func (s *Service) revoked(ctx context.Context, id string, d leaseData, by Vote) (Answer, error) {
	s.engine.Wake()
	a := Answer{Accepted: true, Words: "The lease is revoked. Nothing more is restarted under it."}
	runs, err := s.leaseRuns(ctx, id, d)
	if err != nil || len(runs) == 0 || !runs[0].r.Live() {
		return a, err
	}
	if err := s.cancelRun(ctx, runs[0].r.ID, by, leaseRevoked); err != nil {
		return a, err
	}
	a.Words = "The lease is revoked. The run under way is cancelled unless its restart order was sent before."
	return a, nil
}

const leaseRevoked = "the lease was revoked"

// cancelRun cancels a run if its restart order has not left; why is for the
// journal.
func (s *Service) cancelRun(ctx context.Context, run string, by Vote, why string) error {
	for range 16 {
		r, err := s.d.Store.Run(ctx, run)
		if err != nil {
			return err
		}
		t, err := s.open(r)
		if err != nil || !r.Live() || t.g.Cancel != nil {
			return err
		}
		sent, err := s.restartSent(ctx, run)
		if err != nil || sent {
			return err
		}
		t.g.Cancel = &by
		raw, err := encode(t.g)
		if err != nil {
			return err
		}
		err = s.d.Store.DecideRun(ctx, run, r.GateVersion, raw, time.Now(), workflow.Entry{At: time.Now(), Who: by.By, What: "decision",
			Run: run, Subject: string(Cancel), Why: why})
		if !errors.Is(err, workflow.ErrConflict) {
			return err
		}
	}
	return fmt.Errorf("cancelling run %s: %w", run, workflow.ErrConflict)
}
