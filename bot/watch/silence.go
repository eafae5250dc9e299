package watch

import (
	"context"
	"errors"
	"fmt"
	"slices"
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

// settled is what became of something: the live finding about its silence, if
// it is silent, and what changed.
type settled struct {
	live   *finding.Finding
	change *Change
}

// silence opens a finding for each source, agent, droplet or worker that was
// there and no longer is, and resolves it when it has been heard of again for
// a while. What a silent agent or source told of is not named one by one.
func (w *Watch) silence(ctx context.Context, fleet []Droplet, seen []history.Presence, sources []Source, at time.Time) (live []finding.Finding, changes []Change, err error) {
	all, err := w.o.Findings.Findings(ctx, finding.Filter{Live: true})
	if err != nil {
		return nil, nil, fmt.Errorf("settle silence: %w", err)
	}
	by := map[string]finding.Finding{} // by subject
	for _, f := range all {
		by[f.Subject.Key()] = f
	}
	r := w.roll(ctx, fleet, seen, sources, by, at)
	out, err := w.sourcesSilent(ctx, r, by)
	gone, goneErr := w.removedSources(ctx, r, by)
	never, neverErr := w.neverAnswered(ctx, r, sources, by)
	out = slices.Concat(out, gone, never)
	errs := []error{err, goneErr, neverErr}
	groups, alone := w.together(ctx, r, by)
	lost, lostErr := w.nameless(ctx, r, by, groups)
	out, errs = append(out, lost...), append(errs, lostErr)
	for _, g := range groups {
		s, err := w.settleTogether(ctx, r, g)
		out, errs = append(out, s), append(errs, err)
	}
	for _, u := range alone {
		s, err := w.settleSilence(ctx, u, by, at)
		out, errs = append(out, s), append(errs, err)
	}
	for _, s := range out {
		if s.change != nil {
			changes = append(changes, *s.change)
		}
		if s.live != nil {
			live = append(live, *s.live)
		}
	}
	return live, changes, errors.Join(errs...)
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

// settleSilence keeps the finding about the silence of one unit.
func (w *Watch) settleSilence(ctx context.Context, u unit, by map[string]finding.Finding, at time.Time) (s settled, err error) {
	f, found := ownFinding(u, by)
	switch {
	case u.hearing == unknown:
		return s, nil
	case found && u.hearing == missing:
		return w.still(ctx, f, u.p, standing{}, at)
	case found:
		s.change, err = w.heard(ctx, f, u.p, at)
		return s, err
	case u.hearing == heard || w.excused(ctx, u):
		return s, nil
	}
	return w.fallSilent(ctx, u.droplet, finding.Finding{Subject: u.subject(), Source: sourceOf(u.p), Began: u.p.Last}, at)
}

// fallSilent opens a finding about a silence.
func (w *Watch) fallSilent(ctx context.Context, d Droplet, f finding.Finding, at time.Time) (settled, error) {
	if known, err := w.dismissed(ctx, f.Subject); err != nil || known != nil && !f.Began.After(known.Closed) {
		return settled{}, err // somebody knows of this very silence
	}
	f.Summary = silenceSentence(f)
	c, err := w.open(ctx, View{At: at, Droplet: d}, f, nil)
	if c == nil {
		return settled{}, err
	}
	c.View = nil
	return settled{&c.Finding, c}, nil
}

// still keeps a finding about silence that goes on or has begun again: one whose
// mute has run out wakes, and one that has no message yet is told again. Of
// several, now is how they stand by now.
func (w *Watch) still(ctx context.Context, f finding.Finding, p history.Presence, now standing, at time.Time) (settled, error) {
	if !f.Heard.IsZero() && now.alone() && w.inHand(ctx, p.DropletID, p.Worker) {
		return settled{}, nil // as where it would be opened
	}
	what, changed := Seen, false
	f, err := finding.Change(ctx, w.o.Findings, f.ID, func(f *finding.Finding) error {
		if what, changed = Seen, false; f.State.Final() { // it may be asked again
			return finding.ErrUnchanged
		}
		if !f.Heard.IsZero() {
			what, f.Heard, f.Began, f.Updated = Hushed, time.Time{}, p.Last, at
			if now.outage == nil {
				f.Source = sourceOf(p)
			}
		}
		if changed = now.news(*f) || what == Hushed && !now.alone(); changed {
			now.put(f)
			f.Updated = at
		}
		if changed || what == Hushed {
			f.Summary = silenceSentence(*f)
		}
		if f.Wake(false, at) {
			what = Woken
		}
		if what == Seen && !changed {
			return finding.ErrUnchanged
		}
		return nil
	})
	switch {
	case err != nil || f.State.Final():
		return settled{}, err
	case f.MessageTS == "":
		what = Opened
	case what == Seen && !changed:
		return settled{live: &f}, nil
	}
	return settled{&f, &Change{What: what, Finding: f}}, nil
}

// outgrown reports whether what was said of an outage is no longer so. How the
// trouble is worded may differ at each try.
func outgrown(was *finding.Outage, now finding.Outage) bool {
	if was == nil {
		return true
	}
	now.Trouble = was.Trouble
	return *was != now
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
				f.Missing = f.Missing.Returned()
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
	case f.Outage != nil:
		return outageSentence(f)
	case f.Missing != nil:
		return missingSentence(f)
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
	case f.Outage != nil:
		what = "nothing came from the source " + f.Subject.Source
	case f.Missing != nil:
		what = count(f.Missing.All(), "worker") + " of this droplet went unseen"
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
