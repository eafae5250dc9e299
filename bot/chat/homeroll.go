package chat

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/slack-go/slack"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/remedy"
	"github.com/dropleak/dropleak/bot/report"
	"github.com/dropleak/dropleak/bot/slackapp"
)

// rolling is a rolling restart with the findings that it is about.
type rolling struct {
	members []finding.Finding
	v       remedy.RolloutView
	mine    bool // this person may decide
}

// rollingOf adds the rolling restarts to the App Home of one person.
func (c *Chat) rollingOf(ctx context.Context, s *scene, who slackapp.Who) error {
	views, err := c.o.Rolling.Rollouts(ctx)
	if err != nil {
		return err
	}
	for _, v := range views {
		r := rolling{v: v}
		if r.members, err = c.o.Findings.Findings(ctx, finding.Filter{Incident: v.Incident}); err != nil {
			return err
		}
		kind := remedy.Cancel
		if v.Settled == nil {
			kind = remedy.Approve
		}
		err := c.o.Rolling.MayRollout(ctx, v.ID, remedy.Decision{Kind: kind, By: who.User, Team: who.Team, Set: v.Set})
		var no *remedy.Refusal
		switch {
		case errors.As(err, &no):
		case err != nil:
			return err
		default:
			r.mine = true
		}
		if v.Settled == nil {
			s.asked = append(s.asked, r)
		} else {
			s.rolling = append(s.rolling, r)
		}
	}
	slices.SortStableFunc(s.asked, func(a, b rolling) int { return one(b.mine) - one(a.mine) })
	return nil
}

// rollingBlocks show rolling restarts, with their buttons for who may press
// them.
func (s *scene) rollingBlocks(all []rolling) (out []slack.Block) {
	for _, r := range all[:min(len(all), homeRolling)] {
		text := "*" + report.Escape(report.Crowd(r.members)) + "*\n"
		if r.v.Settled == nil {
			text += rolloutCard(r.v) + "\n" + rolloutFoot(r.v)
			if !r.mine {
				text += saysForApprovers
			}
		} else {
			text += rolloutLine(r.v, r.members)
		}
		out = append(out, report.Section(text))
		if row, menu := rolloutButtons(r.v); r.mine && len(row) > 0 {
			out = append(out, report.Buttons(menu, row...))
		}
	}
	return append(out, more(len(all)-homeRolling, saysRollingRestart, saysRollingRestarts, fmt.Sprintf(saysInChannel, s.channel))...)
}
