package watch

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/history"
)

const (
	missed = 3                // intervals without a sample before silence is trouble
	floor  = 10 * time.Second // below this, silence is a hiccup whatever the interval
)

// silence opens a finding for each worker, agent or droplet that was there
// and no longer is, and resolves it when it is heard of again. Workers of a
// silent agent are not named one by one.
func (w *Watch) silence(ctx context.Context, fleet []Droplet, seen []history.Presence, at time.Time) (live []finding.Finding, changes []Change, err error) {
	names := map[string]Droplet{}
	for _, d := range fleet {
		names[d.ID] = d
	}
	agents := map[string]bool{}         // droplet ids whose agent is silent
	every := map[string]time.Duration{} // droplet ids' interval between passes
	for _, p := range seen {
		if p.Worker == "" && p.Source == "" {
			agents[p.DropletID], every[p.DropletID] = Silent(p, at), p.Interval
		}
	}
	var errs []error
	for _, p := range seen {
		d, ours := names[p.DropletID]
		if !ours || p.Source == history.SourceImport || p.Worker != "" && agents[p.DropletID] {
			continue
		}
		if p.Interval == 0 && p.Source == "" {
			p.Interval = every[p.DropletID] // heard of once: its agent's passes tell
		}
		f, c, err := w.settleSilence(ctx, d, p, at)
		errs = append(errs, err)
		if c != nil {
			changes = append(changes, *c)
		}
		if f != nil {
			live = append(live, *f)
		}
	}
	return live, changes, errors.Join(errs...)
}

// Silent reports whether something was not heard of for three of its intervals.
func Silent(p history.Presence, at time.Time) bool {
	return p.Interval > 0 && at.Sub(p.Last) > max(missed*p.Interval, floor)
}

// settleSilence returns the live finding about p, if any, and what changed.
func (w *Watch) settleSilence(ctx context.Context, d Droplet, p history.Presence, at time.Time) (*finding.Finding, *Change, error) {
	subject := finding.Subject{Kind: finding.KindSilent, DropletID: d.ID, DropletName: d.Name, Worker: p.Worker}
	if p.Source != "" {
		subject.Kind = finding.KindNoMetrics
	}
	f, err := w.o.Findings.LiveFinding(ctx, subject.Key())
	switch found := err == nil; {
	case !found && !errors.Is(err, finding.ErrNotFound):
		return nil, nil, fmt.Errorf("settle silence of %s: %w", subject.Title(), err)
	case found && Silent(p, at):
		return w.still(ctx, f, at)
	case found:
		return w.heard(ctx, f.ID, at)
	case !Silent(p, at) || w.inHand(ctx, d.ID, p.Worker):
		return nil, nil, nil
	}
	if known, err := w.dismissed(ctx, subject); err != nil || known != nil && !p.Last.After(known.Closed) {
		return nil, nil, err // somebody knows of this very silence
	}
	f = finding.Finding{Subject: subject, Summary: silenceSentence(p)}
	c, err := w.open(ctx, View{At: at, Droplet: d}, f, nil)
	if c == nil {
		return nil, nil, err
	}
	c.View = nil
	return &c.Finding, c, nil
}

// still keeps a finding about silence that goes on: one whose mute has run out
// wakes, and one that has no message yet is told again.
func (w *Watch) still(ctx context.Context, f finding.Finding, at time.Time) (*finding.Finding, *Change, error) {
	woken := false
	f, err := finding.Change(ctx, w.o.Findings, f.ID, func(f *finding.Finding) error {
		if woken = f.Wake(false, at); !woken {
			return finding.ErrUnchanged
		}
		return nil
	})
	switch {
	case err != nil:
		return nil, nil, err
	case f.State.Final():
		return nil, nil, nil
	case f.MessageTS == "":
		return &f, &Change{What: Opened, Finding: f}, nil
	case woken:
		return &f, &Change{What: Woken, Finding: f}, nil
	}
	return &f, nil, nil
}

// heard resolves a finding about silence, unless somebody else ended it in
// the same moment.
func (w *Watch) heard(ctx context.Context, id string, at time.Time) (*finding.Finding, *Change, error) {
	ours := false
	f, err := finding.Change(ctx, w.o.Findings, id, func(f *finding.Finding) error {
		if ours = !f.State.Final(); !ours {
			return finding.ErrUnchanged
		}
		return f.Resolve("it is heard of again", at)
	})
	if err != nil || !ours {
		return nil, nil, err
	}
	return nil, &Change{What: Resolved, Finding: f}, nil
}

// inHand reports whether a run is restarting the worker: then its silence is
// expected and the run tells of it.
func (w *Watch) inHand(ctx context.Context, dropletID, worker string) bool {
	live, err := w.o.Findings.Findings(ctx, finding.Filter{Live: true, DropletID: dropletID})
	if err != nil {
		w.o.Log.Error("look for runs in hand", "droplet", dropletID, "err", err)
		return false
	}
	for _, f := range live {
		if f.State == finding.InHand && (worker == "" || f.Subject.Worker == worker) {
			return true
		}
	}
	return false
}

// silenceSentence says since when, not for how long: it is read days later.
func silenceSentence(p history.Presence) string {
	since := p.Last.UTC().Format("2 Jan 15:04 UTC")
	switch {
	case p.Source != "":
		return "no memory from DigitalOcean since " + since + "; is its metrics agent running?"
	case p.Worker != "":
		return "this worker was there and has not been seen since " + since + ", while its agent still reports"
	}
	return "the agent has not reported since " + since + "; nothing is known of its workers"
}
