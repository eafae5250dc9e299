package watch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/detector"
)

// together is how far apart the onsets of one incident may lie: a deploy to
// forty droplets takes its time, and onsets are estimates.
const together = 2 * time.Hour

// gather joins findings of one app or unit whose onsets lie together into
// incidents, before anybody is told of them: one bad deploy is one message.
func (w *Watch) gather(ctx context.Context, changes []Change) ([]Change, error) {
	live, err := w.o.Findings.Findings(ctx, finding.Filter{Live: true})
	if err != nil {
		return changes, fmt.Errorf("gather incidents: %w", err)
	}
	var errs []error
	now := map[string]finding.Finding{}
	for id, incident := range finding.Gather(live, w.o.Scale.Real(together)) {
		f, err := finding.Change(ctx, w.o.Findings, id, func(f *finding.Finding) error {
			if f.State.Final() || f.Incident != "" {
				return finding.ErrUnchanged
			}
			f.Incident = incident
			return nil
		})
		errs = append(errs, err)
		now[id] = f
	}
	for i, c := range changes {
		if f, joined := now[c.Finding.ID]; joined && f.ID != "" {
			changes[i].Finding = f
		}
	}
	return changes, errors.Join(errs...)
}

// place fills in what makes a finding one of an incident.
func (w *Watch) place(f *finding.Finding, worker detector.Worker, verdict detector.Verdict, at time.Time) {
	f.App, f.Unit = worker.App, worker.Unit
	if verdict.Onset != nil && f.Incident == "" {
		f.Began = w.o.Scale.Shrink(*verdict.Onset, at)
	}
}
