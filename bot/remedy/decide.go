package remedy

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/dropleak/dropleak/bot/audit"
	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/workflow"
)

// Answer is what to say to whoever decided.
type Answer struct {
	Accepted bool
	Words    string
	Refusal  *Refusal // with !Accepted
	View     View     // the run as it stands now; zero when there is none
}

// Decide takes a person's decision. The error is for what could not be done
// just now, in which case the decision was not taken and may be tried again;
// a decision that is not taken for a reason is an Answer with its Refusal,
// which has been written down.
func (s *Service) Decide(ctx context.Context, run string, d Decision) (Answer, error) {
	if d.Kind == Revoke {
		return s.revoke(ctx, run, d)
	}
	if IsRollout(run) {
		return s.decideRollout(ctx, run, d)
	}
	var err error
	for range 16 {
		var words string
		words, err = s.decide(ctx, run, d)
		var refused *Refusal
		switch {
		case err == nil:
			s.engine.Wake()
			v, err := s.View(ctx, run)
			return Answer{Accepted: true, Words: words, View: v}, err
		case errors.As(err, &refused):
			return s.refused(ctx, run, d, refused)
		case !errors.Is(err, workflow.ErrConflict):
			return Answer{}, fmt.Errorf("deciding on run %s: %w", run, err)
		}
	}
	return Answer{}, fmt.Errorf("deciding on run %s: %w", run, err)
}

// refused writes a refusal down and repairs what the clicker may have seen:
// whoever pressed a button that should not be there gets the true message.
func (s *Service) refused(ctx context.Context, run string, d Decision, why *Refusal) (Answer, error) {
	a, err := s.refusedNote(ctx, run, d, why)
	if err != nil || why.Code == NoRun {
		return a, err
	}
	if a.View, err = s.View(ctx, run); err != nil {
		return a, err
	}
	return a, s.repair(ctx, run, why.Code)
}

// refusedNote writes a refusal down.
func (s *Service) refusedNote(ctx context.Context, run string, d Decision, why *Refusal) (Answer, error) {
	_, err := s.d.Audit.AppendAudit(ctx, audit.Entry{At: time.Now(), Who: d.By, What: "refusal", Run: run,
		Subject: string(d.Kind), Why: Decision{Reason: why.Error(), Via: d.Via}.Journal(), After: "team " + d.Team})
	if err != nil {
		return Answer{}, fmt.Errorf("writing down a refused decision on run %s: %w", run, err)
	}
	return Answer{Words: why.Words, Refusal: why}, nil
}

// repair has the message shown again when a click came from a stale one.
func (s *Service) repair(ctx context.Context, run string, code Code) error {
	switch code {
	case Decided, Over, Expired, TooLate, Moved:
	default:
		return nil
	}
	return s.Retell(ctx, run)
}

// decide makes one attempt: read, check, compare and set.
func (s *Service) decide(ctx context.Context, run string, d Decision) (string, error) {
	r, err := s.d.Store.Run(ctx, run)
	if errors.Is(err, workflow.ErrNotFound) {
		return "", refuse(NoRun, "This question is not known here any more, so nothing was done.")
	}
	if err != nil {
		return "", err
	}
	t, err := s.open(r)
	if err != nil {
		return "", err
	}
	if words, ok := t.g.Seen[d.Envelope]; ok && d.Envelope != "" {
		return words, nil // the same delivery again
	}
	if d.Kind == KeepSnapshot || d.Kind == DeleteSnapshot {
		if no := s.auth.check(ctx, d.By, d.Team); no != nil {
			return "", no
		}
		return s.decideLeft(ctx, &t, d)
	}
	if err := s.may(ctx, t, d); err != nil {
		return "", err
	}
	words, entry, err := s.apply(ctx, &t, d)
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
	raw, err := json.Marshal(t.g)
	if err != nil {
		return "", err
	}
	if err := s.d.Store.DecideRun(ctx, run, r.GateVersion, raw, time.Now(), entry); err != nil {
		return "", err
	}
	if len(t.g.Moved) > 0 {
		return "", refuse(Moved, "Not done: %s. What you approved is not there any more.", strings.Join(t.g.Moved, "; "))
	}
	return words, nil
}

// record is a run with its data and gate read.
type record struct {
	r workflow.Run
	d data
	g gate
}

func (s *Service) open(r workflow.Run) (record, error) {
	t := record{r: r}
	if err := json.Unmarshal(r.Data, &t.d); err != nil {
		return t, fmt.Errorf("reading the data of run %s: %w", r.ID, err)
	}
	if len(r.Gate) > 0 {
		if err := json.Unmarshal(r.Gate, &t.g); err != nil {
			return t, fmt.Errorf("reading the gate of run %s: %w", r.ID, err)
		}
	}
	return t, nil
}

// may checks the person and the moment. The person comes first: what is
// going on is told to those only who may decide it.
func (s *Service) may(ctx context.Context, t record, d Decision) error {
	if no := s.auth.check(ctx, d.By, d.Team); no != nil {
		return no
	}
	if d.Kind == Skip && strings.TrimSpace(d.Reason) == "" {
		return refuse(NeedsReason, "Going without a snapshot needs a reason.")
	}
	if (d.Kind == Approve || d.Kind == Later || d.Kind == Skip || d.Kind == Grant) && d.By == t.d.By && !s.c.AllowSelf {
		return refuse(OwnRequest, "You asked for this restart yourself. Somebody else has to approve it.")
	}
	switch {
	case !t.r.Live():
		no := refuse(Over, "This run has ended: %s.", Outcome(t.r.Outcome).Words())
		if t.g.Settled != nil {
			no.By = t.g.Settled.By
		}
		return no
	case t.g.Cancel != nil:
		return &Refusal{Decided, "This run was cancelled before your click.", t.g.Cancel.By}
	case len(t.g.Moved) > 0:
		return refuse(Moved, "Not done: %s.", strings.Join(t.g.Moved, "; "))
	case d.Kind == Cancel && (t.g.Settled == nil || t.g.approved()):
		return s.mayCancel(ctx, t)
	case d.Kind == Skip && t.g.approved():
		return s.maySkipNow(t)
	case t.g.Settled != nil:
		return &Refusal{Decided, "This was decided before your click (" + moment(t.g.Settled.At) + "): " + t.g.Settled.Kind.words() + ".", t.g.Settled.By}
	case !time.Now().Before(t.d.Expires):
		return refuse(Expired, "This question has expired (%s). Ask for a new one.", minute(t.d.Expires))
	case d.Kind == Later && s.window(time.Now()).IsZero():
		return refuse(NotOffered, "No quiet hours are configured, so there is no quiet window to wait for.")
	case t.d.Only && (d.Kind == Skip || d.Kind == Grant):
		return refuse(NotOffered, "Only a snapshot is asked for here.")
	case d.Kind == Grant && !(t.g.Terms.same(d.Terms) && t.g.voted(d.By, Grant)):
		return s.mayGrant(ctx, t, d.Terms)
	case t.g.voted(d.By, d.Kind) || d.Kind == Later && t.g.voted(d.By, Approve):
		return &Refusal{AskedAlready, "You have said so already; it takes another person.", d.By}
	}
	return nil
}

// mayCancel: until the restart order is sent. Marking it sent raises the
// gate's version, so that a later answer here cannot be stored.
func (s *Service) mayCancel(ctx context.Context, t record) error {
	if !t.g.approved() {
		return nil
	}
	acts, err := s.d.Store.RunActs(ctx, t.r.ID)
	if err != nil {
		return err
	}
	for _, a := range acts {
		if strings.HasPrefix(a.Name, actRestart) && a.State != workflow.Planned && !(a.State == workflow.Refused && a.Retry) {
			return refuse(TooLate, "Too late to cancel: the restart order was sent (%s).", moment(a.Sent))
		}
	}
	return nil
}

// maySkipNow: while the run waits for its snapshot.
func (s *Service) maySkipNow(t record) error {
	if t.g.Skip != nil {
		return &Refusal{Decided, "Somebody let this run go without a snapshot before your click.", t.g.Skip.By}
	}
	switch t.r.Step {
	case stepAsk, stepLine, stepEvidence, stepSnapshot:
		return nil
	}
	return refuse(TooLate, "The snapshot is behind this run already.")
}

// apply changes the gate as decided, and says so in words and in the journal.
func (s *Service) apply(ctx context.Context, t *record, d Decision) (string, workflow.Entry, error) {
	vote := Vote{By: d.By, Kind: d.Kind, Reason: d.Reason, Via: d.Via, At: time.Now()}
	entry := workflow.Entry{At: vote.At, Who: d.By, What: "decision", Run: t.r.ID, Subject: string(d.Kind), Why: d.Journal()}
	switch {
	case d.Kind == Approve || d.Kind == Later || d.Kind == Skip || d.Kind == Grant:
		moved, err := s.lookFor(ctx, t.d, "click-"+newID()[:8])
		if err != nil {
			return "", entry, err
		}
		if len(moved) > 0 {
			t.g.Moved = moved
			entry.After = "overtaken: " + strings.Join(moved, "; ")
			return "", entry, nil
		}
		words := ""
		if d.Kind == Grant {
			words = s.countGrant(t, *d.Terms, vote)
		} else {
			words = s.count(t, d, vote)
		}
		entry.After = words
		return words, entry, nil
	case d.Kind == Cancel && t.g.approved():
		t.g.Cancel = &vote
		return "Cancelled. Nothing is restarted.", entry, nil
	case d.Kind == Cancel || d.Kind == NotNow || d.Kind == FalseAlarm:
		t.g.Settled, t.g.Until = &vote, d.Until
		t.g.Votes = append(slices.Clone(t.g.Votes), vote)
		return "Noted: " + d.Kind.words() + ".", entry, nil
	}
	return "", entry, fmt.Errorf("no decision %q", d.Kind)
}

// count adds an approving vote and settles the gate when they are enough.
func (s *Service) count(t *record, d Decision, vote Vote) string {
	t.g.Votes = append(slices.Clone(t.g.Votes), vote)
	if d.Kind == Later { // nobody's word is stretched: one who wants it later makes it later
		t.g.Window, d.NotBefore = true, s.window(vote.At)
	}
	if d.NotBefore.After(t.g.NotBefore) && !t.g.approved() {
		t.g.NotBefore = d.NotBefore
	}
	skips := t.g.count(Skip) >= s.c.Quorum
	if skips {
		t.g.Skip = &vote
	}
	if t.g.approved() {
		if skips {
			return "Going on without a snapshot."
		}
		return fmt.Sprintf("Noted. Going on without a snapshot takes %d people; the snapshot goes on meanwhile.", s.c.Quorum)
	}
	have := t.g.count(Approve)
	switch {
	case skips:
		t.g.Settled = &vote
		return "Approved, without a snapshot."
	case have >= s.c.Quorum:
		t.g.Settled = &Vote{By: vote.By, Kind: Approve, Reason: vote.Reason, Via: vote.Via, At: vote.At}
		if d.Kind == Skip {
			return fmt.Sprintf("Approved, with a snapshot: going without takes %d people.", s.c.Quorum)
		}
		if t.g.NotBefore.After(vote.At) {
			return "Approved, for " + minute(t.g.NotBefore) + ". It can be cancelled until then."
		}
		return "Approved."
	}
	return fmt.Sprintf("Noted, %d of %d needed.", have, s.c.Quorum)
}

// window returns when the next quiet window begins, now while one lasts; zero
// when none is configured.
func (s *Service) window(now time.Time) time.Time {
	if s.c.Quiet == nil {
		return time.Time{}
	}
	return s.c.Quiet(now)
}

// lookFor is look where there is a life to be bound to: a snapshot alone ends
// none.
func (s *Service) lookFor(ctx context.Context, d data, look string) ([]string, error) {
	if d.Only {
		return nil, nil
	}
	return s.look(ctx, d, look)
}

// look compares the target with the plan, now.
func (s *Service) look(ctx context.Context, d data, look string) ([]string, error) {
	choice, err := s.d.Choose(finding.Subject{Kind: finding.KindLeak, DropletID: fmt.Sprint(d.Plan.DropletID), DropletName: d.Plan.Droplet, Worker: d.Plan.Worker})
	var none *NoWay
	switch {
	case errors.As(err, &none):
		return []string{"no way to restart it is configured any more: " + none.Why}, nil
	case err != nil:
		return nil, refuse(CannotTell, "How to restart the worker cannot be told just now (%v), so nothing was done. Try again in a minute.", err)
	}
	ctx, cancel := context.WithTimeout(ctx, s.c.Pace.Look)
	defer cancel()
	facts, err := s.d.Looker.Inspect(ctx, d.Plan.target(d.Run, time.Time{}), look)
	if err != nil {
		return nil, refuse(CannotTell, "The worker could not be looked at just now (%v), so nothing was done. Try again in a minute.", err)
	}
	return d.Plan.moved(facts, choice), nil
}

// words names a decision as done.
func (k Kind) words() string {
	switch k {
	case Approve:
		return "approved"
	case Grant:
		return "answered with a lease"
	case Later:
		return "approved for the quiet window"
	case Skip:
		return "approved without a snapshot"
	case NotNow:
		return "not now"
	case FalseAlarm:
		return "a false alarm"
	}
	return "cancelled"
}
