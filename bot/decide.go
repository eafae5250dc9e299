package bot

import (
	"context"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/remedy"
)

// What follows lets a command line do what buttons do, through the same gate.
// The service need not run: the one that does, or the next, carries out what
// was decided and shows it. Decision.By is the Slack user whose word it is,
// who is checked as at a click, and Decision.Via says how it came.

// Decide takes a decision on a run; see [remedy.Service.Decide].
func (s *Service) Decide(ctx context.Context, run string, d remedy.Decision) (remedy.Answer, error) {
	d.Team = s.ours
	if d.Terms != nil {
		terms := *d.Terms
		terms.Below = s.d.Scale.Real(terms.Below)
		d.Terms = &terms
	}
	return s.remedy.Decide(ctx, run, d)
}

// MayDecide answers whether a decision would be taken now; see
// [remedy.Service.May].
func (s *Service) MayDecide(ctx context.Context, run string, d remedy.Decision) error {
	d.Team = s.ours
	return s.remedy.May(ctx, run, d)
}

// RunView returns what a run looks like now.
func (s *Service) RunView(ctx context.Context, run string) (remedy.View, error) {
	return s.remedy.View(ctx, run)
}

// Rollout returns what a rolling restart looks like now, or
// [workflow.ErrNotFound].
func (s *Service) Rollout(ctx context.Context, id string) (remedy.RolloutView, error) {
	return s.remedy.RolloutByID(ctx, id)
}

// Finding returns a finding, or [finding.ErrNotFound].
func (s *Service) Finding(ctx context.Context, id string) (finding.Finding, error) {
	return s.d.Store.Finding(ctx, id)
}

// SetAside mutes or dismisses a finding, and shows it in Slack; see
// [chat.Chat.SetAside].
func (s *Service) SetAside(ctx context.Context, id string, d remedy.Decision) (remedy.Answer, error) {
	d.Team = s.ours
	return s.chat.SetAside(ctx, id, d)
}

// Offer asks for a restart about a finding, or for a snapshot alone, and shows
// the question in Slack; see [chat.Chat.Offer].
func (s *Service) Offer(ctx context.Context, id string, only bool, d remedy.Decision) (remedy.Answer, error) {
	d.Team = s.ours
	return s.chat.Offer(ctx, id, only, d)
}

// Unmute opens a muted finding again, and shows it in Slack.
func (s *Service) Unmute(ctx context.Context, id string, d remedy.Decision) error {
	d.Team = s.ours
	return s.chat.Unmute(ctx, id, d)
}
