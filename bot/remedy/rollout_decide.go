package remedy

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/dropleak/dropleak/bot/workflow"
)

// decideRollout is [Service.Decide] for a rolling restart. Its words tell
// what came of it; its answer has no view of a run.
func (s *Service) decideRollout(ctx context.Context, id string, d Decision) (Answer, error) {
	var err error
	for range 16 {
		var words string
		words, err = s.decideRolloutOnce(ctx, id, d)
		var no *Refusal
		switch {
		case err == nil:
			s.engine.Wake()
			return Answer{Accepted: true, Words: words}, nil
		case errors.As(err, &no):
			return s.refusedRollout(ctx, id, d, no)
		case !errors.Is(err, workflow.ErrConflict):
			return Answer{}, fmt.Errorf("deciding on %s: %w", id, err)
		}
	}
	return Answer{}, fmt.Errorf("deciding on %s: %w", id, err)
}

// refusedRollout writes a refusal down, and has the message told again when
// the click came from a stale one.
func (s *Service) refusedRollout(ctx context.Context, id string, d Decision, no *Refusal) (Answer, error) {
	a, err := s.refusedNote(ctx, id, d, no)
	if err != nil || no.Code == NoRun {
		return a, err
	}
	return a, s.repair(ctx, id, no.Code)
}

func (s *Service) decideRolloutOnce(ctx context.Context, id string, d Decision) (string, error) {
	t, err := s.rollout(ctx, id)
	if errors.Is(err, workflow.ErrNotFound) {
		return "", refuse(NoRun, "This question is not known here any more, so nothing was done.")
	}
	if err != nil {
		return "", err
	}
	if words, ok := t.g.Seen[d.Envelope]; ok && d.Envelope != "" {
		return words, nil // the same delivery again
	}
	if err := s.mayRollout(ctx, t, d); err != nil {
		return "", err
	}
	words, err := s.applyRollout(ctx, &t, d)
	if err != nil {
		return "", err
	}
	if d.Envelope != "" {
		t.g.Seen = maps.Clone(t.g.Seen)
		if t.g.Seen == nil {
			t.g.Seen = map[string]string{}
		}
		t.g.Seen[d.Envelope] = words
	}
	raw, err := encode(t.g)
	if err != nil {
		return "", err
	}
	return words, s.d.Store.DecideRun(ctx, id, t.r.GateVersion, raw, time.Now(), workflow.Entry{At: time.Now(), Who: d.By, What: "decision",
		Run: id, Subject: string(d.Kind), Why: d.Journal(), After: words})
}

// MayRollout answers whether a decision would be taken from this person now:
// nil, or the *Refusal that the click would get.
func (s *Service) MayRollout(ctx context.Context, id string, d Decision) error {
	t, err := s.rollout(ctx, id)
	if err != nil {
		return err
	}
	return s.mayRollout(ctx, t, d)
}

// mayRollout checks the person, then the moment, then that what is answered
// is what stands.
func (s *Service) mayRollout(ctx context.Context, t rolloutRecord, d Decision) error {
	if no := s.auth.check(ctx, d.By, d.Team); no != nil {
		return no
	}
	if d.Kind == Approve && d.By == t.d.By && !s.c.AllowSelf {
		return refuse(OwnRequest, "You asked for this restart yourself. Somebody else has to approve it.")
	}
	switch {
	case d.Kind != Approve && d.Kind != NotNow && d.Kind != FalseAlarm && d.Kind != Cancel:
		return refuse(CannotTell, "That cannot be decided for all of them at once.")
	case !t.r.Live():
		return refuse(Over, "This rolling restart has ended: %s.", RolloutEnd(t.r.Outcome).Words())
	case t.g.Cancel != nil:
		return &Refusal{Decided, "This rolling restart was cancelled before your click.", t.g.Cancel.By}
	case d.Kind == Cancel:
		return nil
	case t.g.Settled != nil:
		return &Refusal{Decided, "This was decided before your click (" + moment(t.g.Settled.At) + "): " + t.g.Settled.Kind.words() + ".", t.g.Settled.By}
	case !time.Now().Before(t.d.Expires):
		return refuse(Expired, "This question has expired (%s). Ask for a new one.", minute(t.d.Expires))
	case d.Kind == Approve && d.Set != t.d.set():
		return refuse(Moved, "Not done: the workers of this incident are not those that you saw. Look at the message again.")
	case d.Kind == Approve && t.g.Set == d.Set && gate{Votes: t.g.Votes}.voted(d.By, Approve):
		return &Refusal{AskedAlready, "You have said so already; it takes another person.", d.By}
	}
	return nil
}

// applyRollout changes the gate as decided, and says so in words.
func (s *Service) applyRollout(ctx context.Context, t *rolloutRecord, d Decision) (string, error) {
	vote := Vote{By: d.By, Kind: d.Kind, Reason: d.Reason, Via: d.Via, At: time.Now()}
	switch {
	case d.Kind == Cancel && t.g.approved():
		t.g.Cancel = &vote
		return "Cancelled. The restart under way goes on if its order was sent before; nothing more is restarted.", nil
	case d.Kind != Approve:
		t.g.Settled, t.g.Until = &vote, d.Until
		t.g.Votes = append(slices.Clone(t.g.Votes), vote)
		return "Noted: " + d.Kind.words() + ".", nil
	}
	moved := s.movedSince(ctx, t.d)
	if len(moved) == t.d.offered() {
		return "", refuse(Moved, "Not done: none of the workers is what it was. %s", firstWhy(t.d, moved))
	}
	t.g.Moved = moved
	if t.g.Set != d.Set { // votes for another set are void
		t.g.Set, t.g.Votes = d.Set, nil
	}
	t.g.Votes = append(slices.Clone(t.g.Votes), vote)
	if have := (gate{Votes: t.g.Votes}).count(Approve); have < s.c.Quorum {
		return fmt.Sprintf("Noted, %d of %d needed.", have, s.c.Quorum), nil
	}
	t.g.Settled = &vote
	words := fmt.Sprintf("Approved: %d workers, one at a time.", t.d.offered()-len(moved))
	if len(moved) > 0 {
		words += " Left out, for they are not what they were: " + leftOut(t.d, moved) + "."
	}
	return words, nil
}

// movedSince looks at every worker as the click comes: those that are not what
// the question showed are left out. One that cannot be looked at just now is
// looked at again when its turn comes.
func (s *Service) movedSince(ctx context.Context, d rolloutData) map[string]string {
	var mu sync.Mutex
	var wg sync.WaitGroup
	out := map[string]string{}
	for _, t := range d.Turns {
		if t.Refused != "" {
			continue
		}
		wg.Go(func() {
			moved, err := s.look(ctx, data{Run: newID(), Plan: t.Plan}, "click")
			if err == nil && len(moved) > 0 {
				mu.Lock()
				defer mu.Unlock()
				out[t.Finding] = strings.Join(moved, "; ")
			}
		})
	}
	wg.Wait()
	return out
}

func firstWhy(d rolloutData, moved map[string]string) string {
	for _, t := range d.Turns {
		if why := moved[t.Finding]; why != "" {
			return t.Plan.Title() + ": " + why + "."
		}
	}
	return ""
}

func leftOut(d rolloutData, moved map[string]string) string {
	var names []string
	for _, t := range d.Turns {
		if moved[t.Finding] != "" {
			names = append(names, t.Plan.Title())
		}
	}
	return strings.Join(names, ", ")
}
