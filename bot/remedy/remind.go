package remedy

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/workflow"
)

// Reminder is how urgently people were reminded of a question.
type Reminder int

// The reminders, by how much of the time is left that there was when the
// question was first asked.
const (
	NoReminder Reminder = iota
	AtHalf
	AtQuarter
	Escalated // at an eighth: now others are called
)

// due is the reminder that belongs to a moment. It follows the forecast: when
// memory runs out sooner than thought, it comes sooner.
func due(asked, now, out time.Time) Reminder {
	total, left := out.Sub(asked), out.Sub(now)
	switch {
	case out.IsZero() || total <= 0 || left > total/2:
		return NoReminder
	case left > total/4:
		return AtHalf
	case left > total/8:
		return AtQuarter
	}
	return Escalated
}

// forecast is when memory runs out by a finding's newest verdict, in real
// time; zero: not foreseen.
func (s *Service) forecast(f finding.Finding) time.Time {
	x := f.Verdict.Exhaustion
	if x == nil || x.Expected.IsZero() {
		return time.Time{}
	}
	if s.c.Shrink == nil {
		return x.Expected
	}
	return s.c.Shrink(x.Expected, f.LastSeen)
}

// remind has a question shown again that nobody answers. One that has expired
// meanwhile is asked anew; the reminders go on where they were.
func (s *Service) remind(ctx context.Context, f finding.Finding) error {
	out := s.forecast(f)
	if f.State != finding.Open || out.IsZero() {
		return nil
	}
	live, err := s.live(ctx, runKey(f.Subject))
	if err != nil {
		return err
	}
	if live == nil {
		return s.askAnew(ctx, f, out)
	}
	t, err := s.open(*live)
	if err != nil || t.d.Only || t.g.Settled != nil || t.d.Finding != f.ID {
		return err
	}
	level := due(t.d.first(), time.Now(), out)
	moved := out.Sub(t.g.exhausts(t.d)).Abs() > max(time.Until(out).Abs()/5, time.Minute)
	if level <= max(t.g.Reminded, t.d.Reminded) && !moved {
		return nil
	}
	t.g.Exhausts = out
	if level > max(t.g.Reminded, t.d.Reminded) {
		t.g.Reminded, t.g.Rang = level, time.Now()
	}
	entry := workflow.Entry{At: time.Now(), Who: workflow.Self, What: "forecast", Run: t.r.ID, Subject: t.d.Plan.Title(),
		After: fmt.Sprintf("memory runs out %s, reminder %d", moment(out), t.g.Reminded)}
	return s.gateOf(ctx, t, entry)
}

// gateOf stores a gate that nobody's click is in; one who clicks in the same
// moment wins, and the next scan sees what is left to do.
func (s *Service) gateOf(ctx context.Context, t record, entry workflow.Entry) error {
	raw, err := encode(t.g)
	if err != nil {
		return err
	}
	err = s.d.Store.DecideRun(ctx, t.r.ID, t.r.GateVersion, raw, time.Now(), entry)
	if errors.Is(err, workflow.ErrConflict) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("noting %s for run %s: %w", entry.What, t.r.ID, err)
	}
	s.engine.Wake()
	return nil
}

// askAnew asks again about a finding whose last question expired, when the
// next reminder is due.
func (s *Service) askAnew(ctx context.Context, f finding.Finding, out time.Time) error {
	t, found, err := s.lastAbout(ctx, f)
	if err != nil || !found || Outcome(t.r.Outcome) != TimedOut || due(t.d.first(), time.Now(), out) <= max(t.g.Reminded, t.d.Reminded) {
		return err
	}
	_, err = s.Propose(ctx, f, "")
	var cannot *Refusal
	if errors.As(err, &cannot) {
		return nil // its message says why
	}
	if err != nil {
		return err
	}
	return s.remind(ctx, f)
}

// lastAbout returns the newest run about a finding.
func (s *Service) lastAbout(ctx context.Context, f finding.Finding) (record, bool, error) {
	runs, err := s.d.Store.Runs(ctx, workflow.Filter{Recipe: Recipe, Key: runKey(f.Subject), Limit: 1})
	if err != nil || len(runs) == 0 {
		return record{}, false, err
	}
	t, err := s.open(runs[0])
	return t, err == nil && t.d.Finding == f.ID && !t.d.Only, err
}

// carryOn lets a question go on with the reminders of the one before it that
// nobody answered.
func (s *Service) carryOn(ctx context.Context, d *data, f finding.Finding) error {
	t, found, err := s.lastAbout(ctx, f)
	if err != nil || !found || Outcome(t.r.Outcome) != TimedOut {
		return err
	}
	d.First, d.Reminded = t.d.first(), max(t.g.Reminded, t.d.Reminded)
	return nil
}

// first is when people were first asked.
func (d data) first() time.Time {
	if d.First.IsZero() {
		return d.Asked
	}
	return d.First
}

// exhausts is when memory runs out by the newest forecast.
func (g gate) exhausts(d data) time.Time {
	if g.Exhausts.IsZero() {
		return d.Exhausts
	}
	return g.Exhausts
}
