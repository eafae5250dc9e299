package remedy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/workflow"
)

// Policy lets dropleak approve restarts of a worker by itself, because its
// operator wrote so. The zero Policy never does.
type Policy struct {
	Below time.Duration // when less is left until memory runs out; 0: never
	// AtThreshold: when the worker's memory threshold is reached.
	AtThreshold bool
	Open        func(time.Time) bool // its window; nil: always
	Line        string               // where it is written: file:line
}

// ByPolicy begins the name that stands where else a person's would.
const ByPolicy = "policy "

// on reports whether the policy may act at a moment.
func (p Policy) on(at time.Time) bool { return p.written() && (p.Open == nil || p.Open(at)) }

// written reports whether there is a policy at all.
func (p Policy) written() bool { return p.Below > 0 || p.AtThreshold }

func (s *Service) policyOf(sub finding.Subject) (Policy, error) {
	if s.d.Policy == nil {
		return Policy{}, nil
	}
	return s.d.Policy(sub)
}

// actBySelf approves a restart as the policy of a worker asks, under all the
// rules that hold for people's approvals: the same run, the same snapshot, the
// same second look.
func (s *Service) actBySelf(ctx context.Context, f finding.Finding) error {
	p, err := s.policyOf(f.Subject)
	if err != nil {
		return fmt.Errorf("reading the policy of %s: %w", f.Subject.Title(), err)
	}
	why := s.due(p, f)
	if !p.on(time.Now()) || why == "" || f.State != finding.Open && f.State != finding.Acknowledged {
		return nil
	}
	if rest, err := s.rests(ctx, f); err != nil || rest {
		return err
	}
	return s.approveFor(ctx, f, Vote{By: ByPolicy + p.Line, Kind: Approve, Reason: why}, func(g *gate) { g.Policy = p.Line })
}

// due says why a policy acts on a finding; empty: it does not.
func (s *Service) due(p Policy, f finding.Finding) string {
	if f.Subject.Kind == finding.KindThreshold {
		if p.AtThreshold {
			return fmt.Sprintf("its memory threshold is reached, as %s says", p.Line)
		}
		return ""
	}
	out := s.forecast(f)
	if p.Below == 0 || out.IsZero() || time.Until(out) > p.Below {
		return ""
	}
	return fmt.Sprintf("less than %v left until memory runs out, as %s says", p.Below, p.Line)
}

// rests reports whether nobody but a person may restart a worker now: the last
// attempt did not go well, or what is judged is still the life before it.
func (s *Service) rests(ctx context.Context, f finding.Finding) (bool, error) {
	runs, err := s.d.Store.Runs(ctx, workflow.Filter{Ended: true, Recipe: Recipe, Key: runKey(f.Subject), Limit: 20})
	if err != nil {
		return false, fmt.Errorf("reading former runs of %s: %w", f.Subject.Title(), err)
	}
	for _, r := range runs {
		t, err := s.open(r)
		if err != nil {
			return false, err
		}
		switch {
		case !t.g.approved() || t.d.Only:
		case Outcome(t.r.Outcome) == Overtaken: // nothing was restarted, by nobody's fault
			return time.Since(t.r.Ended) < s.c.Pace.Rest, nil
		case f.Subject.Kind == finding.KindThreshold:
			// It fell below the threshold since, and reached it again; else a
			// worker that always holds as much would be restarted for ever.
			o := Outcome(t.r.Outcome)
			return o != FreedWorking && o != FreedNotSeenWorking || !f.Opened.After(t.r.Ended), nil
		default:
			return !s.grewAgain(t, f), nil
		}
	}
	return false, nil
}

// approveFor settles the question about a finding, asking it first where there
// is none, with a vote that no click made. Nothing is done when the worker is
// not what the question was about, or somebody else was first.
func (s *Service) approveFor(ctx context.Context, f finding.Finding, v Vote, mark func(*gate)) error {
	live, err := s.live(ctx, runKey(f.Subject))
	if err == nil && live == nil {
		if _, err = s.Propose(ctx, f, ""); err == nil {
			live, err = s.live(ctx, runKey(f.Subject))
		}
	}
	var cannot *Refusal
	if errors.As(err, &cannot) {
		s.log.Warn("no restart can be begun", "worker", f.Subject.Title(), "by", v.By, "why", cannot.Words)
		return nil
	}
	if err != nil || live == nil {
		return err
	}
	t, err := s.open(*live)
	if err != nil || t.d.Only || t.g.Settled != nil || len(t.g.Moved) > 0 || !time.Now().Before(t.d.Expires) {
		return err
	}
	moved, err := s.look(ctx, t.d, "self-"+newID()[:8])
	switch {
	case errors.As(err, &cannot):
		return nil // the agent is away; the next scan tries again
	case err != nil:
		return err
	case len(moved) > 0:
		t.g.Moved = moved // the question is void, as it is for a person
	default:
		v.At = time.Now()
		t.g.Votes, t.g.Settled = append(t.g.Votes, v), &v
		mark(&t.g)
	}
	return s.gateOf(ctx, t, workflow.Entry{At: time.Now(), Who: v.By, What: "decision", Run: t.r.ID, Subject: string(v.Kind),
		Why: v.Reason, After: strings.Join(t.g.Moved, "; ")})
}

// allowed says why a run that no click let go may not restart any more; empty:
// it may, or a click let it go.
func (s *Service) allowed(ctx context.Context, w *work) (string, error) {
	switch {
	case w.g.Lease != "":
		return s.covered(ctx, w)
	case w.g.Rollout != "":
		return s.rolling(ctx, w)
	case w.g.Policy != "":
		sub := finding.Subject{Kind: finding.KindLeak, DropletID: fmt.Sprint(w.d.Plan.DropletID), DropletName: w.d.Plan.Droplet, Worker: w.d.Plan.Worker}
		p, err := s.policyOf(sub)
		switch {
		case err != nil:
			return "", err
		case !p.written():
			return "the policy that began this was taken out of the configuration", nil
		case !p.on(w.now):
			return "the window of the policy that began this closed before the worker could be restarted", nil
		}
	case w.g.Window && s.opens(w.g, w.now).After(w.now):
		return "the quiet window closed before the worker could be restarted", nil
	}
	return "", nil
}

func encode(v any) (json.RawMessage, error) {
	raw, err := json.Marshal(v)
	if err != nil {
		return nil, fmt.Errorf("writing down what was decided: %w", err)
	}
	return raw, nil
}
