package chat

import (
	"context"
	"fmt"

	"github.com/dropleak/dropleak/bot/remedy"
	"github.com/dropleak/dropleak/bot/slackapp"
)

// Offer asks for a restart about a finding on a person's word, as its button
// does; where it belongs to an incident, for the rolling restart. With only it
// asks for a snapshot alone, as the command does, for d.Reason. It returns the
// words about what stands in the channel then. It takes a full member.
func (c *Chat) Offer(ctx context.Context, id string, only bool, d remedy.Decision) (remedy.Answer, error) {
	f, err := c.o.Findings.Finding(ctx, id)
	if err != nil {
		return remedy.Answer{}, err
	}
	if err := c.mayAsk(ctx, slackapp.Who{User: d.By, Team: d.Team}); err != nil {
		return remedy.Answer{}, err
	}
	if f.State.Final() {
		return declined(remedy.View{}, remedy.Over, fmt.Sprintf(saysOfferOver, f.ID, f.State)), nil
	}
	if err := c.o.Audit(ctx, Note{Who: d.By, What: "ask", Subject: f.Subject.Title(), Why: d.Journal()}); err != nil {
		return remedy.Answer{}, err
	}
	switch {
	case only:
		v, err := c.o.Remedy.ProposeSnapshot(ctx, f, d.By, d.Reason)
		if err == nil {
			err = c.o.Remedy.Retell(ctx, v.Run)
		}
		if err != nil {
			return remedy.Answer{}, err
		}
		return offered(&v, true), nil
	case f.Incident != "":
		if err := c.offerRollout(ctx, f.Incident, d.By); err != nil {
			return remedy.Answer{}, err
		}
		v, _, err := c.o.Rolling.Rollout(ctx, f.Incident)
		if err != nil {
			return remedy.Answer{}, err
		}
		return offeredRollout(v), nil
	}
	if err := c.propose(ctx, id, d.By); err != nil {
		return remedy.Answer{}, err
	}
	v, err := c.runOf(ctx, f)
	if err != nil {
		return remedy.Answer{}, err
	}
	return offered(v, false), nil
}

// offered is the answer to who asked, by the newest run about the finding: that
// the question stands, or what stands in its place.
func offered(v *remedy.View, only bool) remedy.Answer {
	switch {
	case v == nil || v.Outcome != "": // what is live is about another finding
		return declined(remedy.View{}, remedy.Decided, saysOfferOther)
	case v.Settled != nil:
		return declined(*v, remedy.Decided, fmt.Sprintf(saysOfferUnderWay, v.Run, stateOf(*v)))
	case v.Only != only:
		return declined(*v, remedy.Decided, fmt.Sprintf(saysOfferSnapshot, v.Run))
	}
	return remedy.Answer{Accepted: true, Words: fmt.Sprintf(saysRunWaits, v.Run), View: *v}
}

// offeredRollout is the same for a rolling restart.
func offeredRollout(v remedy.RolloutView) remedy.Answer {
	if v.Settled != nil || v.End != "" {
		return declined(remedy.View{}, remedy.Decided, fmt.Sprintf(saysOfferRolling, v.ID))
	}
	return remedy.Answer{Accepted: true, Words: fmt.Sprintf(saysRunWaits, v.ID)}
}

func declined(v remedy.View, code remedy.Code, words string) remedy.Answer {
	return remedy.Answer{Words: words, Refusal: &remedy.Refusal{Code: code, Words: words}, View: v}
}
