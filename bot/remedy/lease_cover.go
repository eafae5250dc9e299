package remedy

import (
	"context"
	"errors"
	"slices"

	"github.com/dropleak/dropleak/bot/workflow"
	"github.com/dropleak/dropleak/doclient"
)

// covered says why a lease does not cover a run of it any more; empty: it
// does. It is asked again just before the restart: a process that slept may
// have begun a run that the lease had no room for.
func (s *Service) covered(ctx context.Context, w *work) (string, error) {
	r, d, g, err := s.leaseOf(ctx, w.g.Lease)
	if err != nil {
		return "", err
	}
	runs, err := s.leaseRuns(ctx, w.g.Lease, d)
	if err != nil {
		return "", err
	}
	at := slices.IndexFunc(runs, func(t record) bool { return t.r.ID == w.r.ID })
	switch {
	case g.Revoked != nil:
		return "the lease was revoked", nil
	case !r.Live():
		return "the lease has ended", nil
	case !w.now.Before(d.Terms.Until):
		return "the lease ran out before the worker could be restarted", nil
	case at < 0 || len(runs)-at > d.Terms.Most:
		return "the lease's restarts are used up", nil
	case d.Plan.Way != w.d.Plan.Way || d.Plan.Unit != w.d.Plan.Unit || d.Plan.ConfigHash != w.d.Plan.ConfigHash:
		return "the worker is restarted in another way than when the lease was granted", nil
	}
	return "", nil
}

// borrow lets a run count on the snapshot that the first run of its lease had
// made, after looking whether it still stands. done is false for that first
// run, which makes its own.
func (s *Service) borrow(ctx context.Context, w *work) (next workflow.Next, done bool, err error) {
	_, d, _, err := s.leaseOf(ctx, w.g.Lease)
	if err != nil {
		return next, false, err
	}
	runs, err := s.leaseRuns(ctx, w.g.Lease, d)
	if err != nil {
		return next, false, err
	}
	sn := snapshotMade(runs)
	if sn == nil {
		return next, false, nil
	}
	there, err := s.d.Cloud.SnapshotByName(ctx, sn.DropletID, sn.Name)
	switch {
	case errors.Is(err, doclient.ErrNotFound) || err == nil && there.ID != sn.ID:
		next, err = w.end(Failed, "the snapshot that the lease counts on is not there any more", "The worker was not touched.")
		return next, true, err
	case err != nil:
		return next, true, err
	}
	w.d.Snapshot, w.d.SnapshotName, w.d.Borrowed = sn, sn.Name, true
	next, err = w.on(stepRecheck)
	return next, true, err
}

// snapshotMade is the one that the first of a lease's runs had made.
func snapshotMade(runs []record) *Snapshot {
	for _, t := range slices.Backward(runs) {
		if t.d.Snapshot != nil && !t.d.Borrowed {
			return t.d.Snapshot
		}
	}
	return nil
}
