package remedy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dropleak/dropleak/bot/finding"
)

// carrier returns the id of the finding that a new run is about. A request is
// stored here, bound to its run; where one about the worker lives, which lost
// its run or is about to end with it, the new run takes that over.
func (s *Service) carrier(ctx context.Context, f finding.Finding, run string) (string, error) {
	if f.Subject.Kind != finding.KindRequest {
		return f.ID, nil
	}
	f.RunID = run
	err := s.d.Findings.OpenFinding(ctx, f)
	if !errors.Is(err, finding.ErrConflict) {
		return f.ID, err
	}
	live, err := s.d.Findings.LiveFinding(ctx, f.Subject.Key())
	if err == nil {
		_, err = finding.Change(ctx, s.d.Findings, live.ID, func(f *finding.Finding) error {
			if f.State.Final() {
				return &finding.FinalError{Finding: *f}
			}
			f.RunID, f.State, f.Updated = run, finding.Acknowledged, time.Now() // it stands for a run that begins just now
			return nil
		})
	}
	if err != nil {
		return "", fmt.Errorf("binding run %s to the request about %s: %w", run, f.Subject.Title(), err)
	}
	return live.ID, nil
}
