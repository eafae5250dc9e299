package finding

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// FinalError says that a finding's life is over.
type FinalError struct{ Finding Finding }

func (e *FinalError) Error() string {
	return fmt.Sprintf("the finding about %s is already %s", e.Finding.Subject.Title(), e.Finding.State)
}

// move changes the state unless the finding's life is over.
func (f *Finding) move(to State, by, why string, at time.Time) error {
	if f.State.Final() {
		return &FinalError{Finding: *f}
	}
	f.State, f.By, f.Why, f.Updated = to, by, why, at
	f.MutedUntil, f.MuteWorse = time.Time{}, false
	if to.Final() {
		f.Closed = at
	}
	return nil
}

// Acknowledge notes that a person has seen it.
func (f *Finding) Acknowledge(by string, at time.Time) error {
	return f.move(Acknowledged, by, "", at)
}

// Mute silences it until a time; the zero time means until it gets worse.
func (f *Finding) Mute(by string, until, at time.Time) error {
	if err := f.move(Muted, by, "", at); err != nil {
		return err
	}
	f.MutedUntil, f.MuteWorse = until, until.IsZero()
	return nil
}

// Unmute opens a muted finding again.
func (f *Finding) Unmute(by string, at time.Time) error {
	if f.State != Muted {
		return nil
	}
	return f.move(Open, by, "", at)
}

// Dismiss ends it as a false alarm, with the person's reason.
func (f *Finding) Dismiss(by, why string, at time.Time) error { return f.move(Dismissed, by, why, at) }

// Resolve ends it with the evidence for it.
func (f *Finding) Resolve(why string, at time.Time) error { return f.move(Resolved, "", why, at) }

// Leave ends it because what it is about is no longer watched. That is no
// cure.
func (f *Finding) Leave(why string, at time.Time) error { return f.move(Gone, "", why, at) }

// TakeInHand binds it to the run that works on it.
func (f *Finding) TakeInHand(runID, by string, at time.Time) error {
	if err := f.move(InHand, by, "", at); err != nil {
		return err
	}
	f.RunID = runID
	return nil
}

// Release opens it again after its run ended without curing it. A finding
// that another run has taken meanwhile stays with that run.
func (f *Finding) Release(runID, why string, at time.Time) error {
	if f.State != InHand || f.RunID != runID {
		return nil
	}
	return f.move(Open, "", why, at)
}

// Wake opens a muted finding whose time has come, or that got worse when it
// was muted until then, and reports whether it did.
func (f *Finding) Wake(worse bool, at time.Time) bool {
	if f.State != Muted || (f.MuteWorse && !worse) || (!f.MuteWorse && at.Before(f.MutedUntil)) {
		return false
	}
	f.State, f.Updated = Open, at
	f.MutedUntil, f.MuteWorse = time.Time{}, false
	return true
}

// Change reads a finding, lets fn alter it, and stores it, again when
// somebody else stored it meanwhile. It returns what was stored. An error of
// fn ends it and nothing is stored; [ErrUnchanged] is such an error and comes
// back as nil.
func Change(ctx context.Context, s Store, id string, fn func(*Finding) error) (Finding, error) {
	for {
		f, err := s.Finding(ctx, id)
		if err != nil {
			return Finding{}, fmt.Errorf("change finding %s: %w", id, err)
		}
		switch err := fn(&f); {
		case errors.Is(err, ErrUnchanged):
			return f, nil
		case err != nil:
			return f, err
		}
		err = s.UpdateFinding(ctx, f)
		switch {
		case err == nil:
			f.Version++
			return f, nil
		case !errors.Is(err, ErrConflict) || ctx.Err() != nil:
			return f, fmt.Errorf("change finding %s: %w", id, err)
		}
	}
}

// ErrUnchanged tells [Change] that there is nothing to store.
var ErrUnchanged = errors.New("unchanged")
