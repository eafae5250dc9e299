package watch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/detector"
)

const (
	freshHolding = 15 * time.Minute // older readings prompt nobody
	backBelow    = 0.95             // of the threshold: under it the finding is over
	moreHeld     = 1.1              // times what was held when it was told
)

// settleThreshold keeps the finding about a worker that holds more than its
// operator lets it, whatever the trend.
func (w *Watch) settleThreshold(ctx context.Context, v View, worker detector.Worker, verdict detector.Verdict, held holding) (*Change, error) {
	most := w.o.Threshold(v.Droplet, worker.Name, worker.Limit.Bytes)
	subject := finding.Subject{Kind: finding.KindThreshold, DropletID: v.Droplet.ID, DropletName: v.Droplet.Name, Worker: worker.Name}
	f, err := w.o.Findings.LiveFinding(ctx, subject.Key())
	fresh := v.At.Sub(held.at) <= freshHolding && held.bytes > 0
	over := most > 0 && fresh && held.bytes >= most
	switch {
	case errors.Is(err, finding.ErrNotFound) && !over:
		return nil, nil
	case errors.Is(err, finding.ErrNotFound):
		return w.exceeded(ctx, v, subject, worker, verdict, held.bytes, most)
	case err != nil:
		return nil, fmt.Errorf("settle %s: %w", subject.Title(), err)
	}
	what := Seen
	f, err = finding.Change(ctx, w.o.Findings, f.ID, func(f *finding.Finding) error {
		back := most == 0 || fresh && held.bytes < backBelow*most
		switch what = Seen; {
		case f.State.Final(), !over && !back, back && f.State == finding.InHand: // the run says what became of it
			return finding.ErrUnchanged
		case back:
			what = Resolved
			return f.Resolve(belowAgain(held.bytes, most), v.At)
		}
		worse := held.bytes > f.Worst*moreHeld
		f.Verdict, f.Summary, f.LastSeen, f.Updated = verdict, overThreshold(worker, verdict, held.bytes, most), v.At, v.At
		f.Severity, f.Threshold = gradeThreshold(verdict, v.At), most
		if worse {
			what, f.Worst = Worse, held.bytes
		}
		if f.Wake(worse, v.At) {
			what = Woken
		}
		return nil
	})
	if err != nil || f.State.Final() && what != Resolved || !over && what == Seen {
		return nil, err
	}
	if f.MessageTS == "" && what != Resolved {
		what = Opened
	}
	return &Change{What: what, Finding: f, View: &v}, nil
}

// exceeded opens the finding, unless a person dismissed the one before and no
// more is held than then.
func (w *Watch) exceeded(ctx context.Context, v View, subject finding.Subject, worker detector.Worker, verdict detector.Verdict, held, most float64) (*Change, error) {
	known, err := w.dismissed(ctx, subject)
	if err != nil || known != nil && held <= known.Worst*moreHeld {
		return nil, err
	}
	return w.open(ctx, v, finding.Finding{Subject: subject, Severity: finding.High, Verdict: verdict,
		Summary: overThreshold(worker, verdict, held, most), Threshold: most, Worst: held}, verdict.Exhaustion)
}

// gradeThreshold is high at least: its operator called it too much.
func gradeThreshold(verdict detector.Verdict, at time.Time) finding.Severity {
	if grade := finding.Grade(verdict.Exhaustion, 0, at); grade.Worse(finding.High) {
		return grade
	}
	return finding.High
}

// overThreshold says what was passed, and that this is no verdict.
func overThreshold(worker detector.Worker, verdict detector.Verdict, held, most float64) string {
	said := fmt.Sprintf("it holds %s, at or over the threshold of %s that its configuration sets", detector.Size(held), detector.Size(most))
	if worker.Limit.Bytes > 0 {
		said += fmt.Sprintf(" (it may use %s)", detector.Size(worker.Limit.Bytes))
	}
	trend := detector.InWords(verdict.Reason)
	if verdict.Kind.Leaks() {
		return said + ". The threshold tells nothing of a leak; the trend does: " + trend + ", see the finding about it"
	}
	return said + ". This is a threshold and not a leak; the trend says: " + trend
}

func belowAgain(held, most float64) string {
	if most == 0 {
		return "the configuration sets no threshold any more"
	}
	return fmt.Sprintf("it holds %s, below the threshold of %s", detector.Size(held), detector.Size(most))
}
