package remedy

import (
	"context"
	"time"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/workflow"
)

// moot ends the question about a finding that is over: a button under a leak
// that is none any more would invite a restart that nobody needs. What people
// have answered goes on, and so does what a person asked for, leak or not,
// while the worker is there.
func (s *Service) moot(ctx context.Context, f finding.Finding) error {
	live, err := s.live(ctx, runKey(f.Subject))
	if err != nil || live == nil {
		return err
	}
	t, err := s.open(*live)
	if err != nil || t.d.Finding != f.ID || t.g.Settled != nil || len(t.g.Moved) > 0 {
		return err
	}
	if t.d.By != "" && f.State != finding.Gone {
		return nil
	}
	why := "what it was about is over"
	if f.Why != "" {
		why += ": " + f.Why
	}
	t.g.Settled = &Vote{By: workflow.Self, Kind: Cancel, Reason: why, At: time.Now()}
	return s.gateOf(ctx, t, workflow.Entry{At: time.Now(), Who: workflow.Self, What: "decision", Run: t.r.ID, Subject: string(Cancel), Why: why})
}
