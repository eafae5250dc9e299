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
	missed = 3                // intervals without a sample before something counts as unheard
	floor  = 10 * time.Second // below this, silence is a hiccup whatever the interval
)

// Silence is told of late and believed to be over late, so that what comes and
// goes is one finding with one message. DigitalOcean's own metrics come minutes
// late and in lots. Scaled time.
const (
	quietAgent  = 5 * time.Minute
	quietSource = 15 * time.Minute
	steady      = time.Hour
)

// quiet is how long something is not heard of before that is trouble.
func (w *Watch) quiet(p history.Presence) time.Duration {
	least := quietAgent
	if p.Source != "" {
		least = quietSource
	}
	return max(missed*p.Interval, floor, w.o.Scale.Real(least))
}

// steady is how long it is heard of again before the trouble is over.
func (w *Watch) steady(p history.Presence) time.Duration {
	return max(w.o.Scale.Real(steady), 3*w.quiet(p))
}

// silence opens a finding for each worker, agent or droplet that was there
// and no longer is, and resolves it when it has been heard of again for a
// while. Workers of a silent agent are not named one by one.
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
	for _, p := range w.newest(seen) {
		d, ours := names[p.DropletID]
		if !ours || p.Worker != "" && agents[p.DropletID] {
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

// newest leaves of what is not an agent's word the one that will be missed
// last, for each droplet and worker: one source that goes on is enough, and a
// name that a source had before, or one that was removed, misses nothing.
func (w *Watch) newest(seen []history.Presence) (out []history.Presence) {
	at := map[string]int{} // by subject, in out
	for _, p := range seen {
		if p.Source == history.SourceImport {
			continue
		}
		key := subjectOf(Droplet{ID: p.DropletID}, p).Key()
		i, known := at[key]
		switch {
		case !known:
			at[key], out = len(out), append(out, p)
		case p.Interval > 0 && (out[i].Interval == 0 || p.Last.Add(w.quiet(p)).After(out[i].Last.Add(w.quiet(out[i])))):
			out[i] = p
		}
	}
	return out
}

func subjectOf(d Droplet, p history.Presence) finding.Subject {
	kind := finding.KindSilent
	if p.Source != "" {
		kind = finding.KindNoMetrics
	}
	return finding.Subject{Kind: kind, DropletID: d.ID, DropletName: d.Name, Worker: p.Worker}
}

// sourceOf is what a finding about silence calls a presence's source.
func sourceOf(p history.Presence) string {
	if p.Source == history.SourceDigitalOcean {
		return ""
	}
	return p.Source
}

// Silent reports whether something was not heard of for three of its intervals.
func Silent(p history.Presence, at time.Time) bool {
	return p.Interval > 0 && at.Sub(p.Last) > max(missed*p.Interval, floor)
}

// settleSilence returns the live finding about p, if any, and what changed.
func (w *Watch) settleSilence(ctx context.Context, d Droplet, p history.Presence, at time.Time) (*finding.Finding, *Change, error) {
	subject := subjectOf(d, p)
	f, err := w.o.Findings.LiveFinding(ctx, subject.Key())
	silent := p.Interval > 0 && at.Sub(p.Last) > w.quiet(p)
	switch found := err == nil; {
	case !found && !errors.Is(err, finding.ErrNotFound):
		return nil, nil, fmt.Errorf("settle silence of %s: %w", subject.Title(), err)
	case found && silent:
		return w.still(ctx, f, p, at)
	case found:
		c, err := w.heard(ctx, f, p, at)
		return nil, c, err
	case !silent || w.inHand(ctx, d.ID, p.Worker):
		return nil, nil, nil
	}
	if known, err := w.dismissed(ctx, subject); err != nil || known != nil && !p.Last.After(known.Closed) {
		return nil, nil, err // somebody knows of this very silence
	}
	f = finding.Finding{Subject: subject, Source: sourceOf(p), Began: p.Last}
	f.Summary = silenceSentence(f)
	c, err := w.open(ctx, View{At: at, Droplet: d}, f, nil)
	if c == nil {
		return nil, nil, err
	}
	c.View = nil
	return &c.Finding, c, nil
}

// still keeps a finding about silence that goes on or has begun again: one whose
// mute has run out wakes, and one that has no message yet is told again.
func (w *Watch) still(ctx context.Context, f finding.Finding, p history.Presence, at time.Time) (*finding.Finding, *Change, error) {
	if !f.Heard.IsZero() && w.inHand(ctx, p.DropletID, p.Worker) {
		return nil, nil, nil // as where it would be opened
	}
	what := Seen
	f, err := finding.Change(ctx, w.o.Findings, f.ID, func(f *finding.Finding) error {
		if what = Seen; f.State.Final() { // it may be asked again
			return finding.ErrUnchanged
		}
		if !f.Heard.IsZero() {
			what, f.Heard, f.Began, f.Source, f.Updated = Hushed, time.Time{}, p.Last, sourceOf(p), at
			f.Summary = silenceSentence(*f)
		}
		if f.Wake(false, at) {
			what = Woken
		}
		if what == Seen {
			return finding.ErrUnchanged
		}
		return nil
	})
	switch {
	case err != nil || f.State.Final():
		return nil, nil, err
	case f.MessageTS == "":
		what = Opened
	case what == Seen:
		return &f, nil, nil
	}
	return &f, &Change{What: what, Finding: f}, nil
}

// apart is how far from one another two scans may lie that hear of something
// and be of one piece. Farther apart nobody knows what was between: its agent
// was silent, or no scan was made.
func (w *Watch) apart(p history.Presence, at time.Time) time.Duration {
	return max(w.quiet(p), w.o.Every(at)*3/2)
}

// heard notes that what was silent is heard of again, and resolves the finding
// once that has lasted in one piece, unless somebody else ended it in the same moment.
func (w *Watch) heard(ctx context.Context, f finding.Finding, p history.Presence, at time.Time) (*Change, error) {
	what := Seen
	f, err := finding.Change(ctx, w.o.Findings, f.ID, func(f *finding.Finding) error {
		what = Seen
		if f.State.Final() {
			return finding.ErrUnchanged
		}
		last := f.LastSeen
		f.LastSeen = at
		switch first := f.Heard.IsZero(); {
		case first || at.Sub(last) > w.apart(p, at):
			if first {
				what, f.Updated = Heard, at
			}
			f.Heard, f.Summary = at, fmt.Sprintf("%s; it is heard of again, and this closes at %s if it stays so",
				pastSentence(*f, at), moment(at.Add(w.steady(p))))
		case at.Sub(f.Heard) >= w.steady(p):
			what, f.Summary = Resolved, pastSentence(*f, f.Heard)
			return f.Resolve("it is heard of again", at)
		}
		return nil
	})
	if err != nil || what == Seen {
		return nil, err
	}
	return &Change{What: what, Finding: f}, nil
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
func silenceSentence(f finding.Finding) string {
	since := moment(f.Began)
	switch {
	case f.Source != "":
		return "nothing from the source " + f.Source + " since " + since + "; dropleak sources says how it stands"
	case f.Subject.Kind == finding.KindNoMetrics:
		return "no memory from DigitalOcean since " + since + "; is its metrics agent running?"
	case f.Subject.Worker != "":
		return "this worker was there and has not been seen since " + since + ", while its agent still reports"
	}
	return "the agent has not reported since " + since + "; nothing is known of its workers"
}

// pastSentence says from when to when it was silent.
func pastSentence(f finding.Finding, to time.Time) string {
	what := "the agent did not report"
	switch {
	case f.Source != "":
		what = "nothing came from the source " + f.Source
	case f.Subject.Kind == finding.KindNoMetrics:
		what = "no memory came from DigitalOcean"
	case f.Subject.Worker != "":
		what = "this worker was not seen, while its agent reported,"
	}
	if f.Began.IsZero() { // found before that was kept
		return what + " until " + moment(to)
	}
	return what + " from " + moment(f.Began) + " to " + moment(to)
}

func moment(t time.Time) string { return t.UTC().Format("2 Jan 15:04 UTC") }
