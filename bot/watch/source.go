package watch

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/history"
	"github.com/dropleak/dropleak/detector"
)

// Source is one that is expected to tell of the fleet, beside the agents.
type Source struct {
	Name     string    // what history calls it
	Sends    bool      // it tells by itself; else it is asked
	Since    time.Time // since when somebody here is to ask it; zero: for long
	Asked    time.Time // when it was last asked; zero: not yet
	Answered time.Time // when it last answered, or sent anything at all; zero: not known
	Trouble  string    // what came in place of the last answer
}

// expected reports whether somebody of that name is to tell. Nil expects
// whoever ever told; an import tells once and for all.
func expected(sources []Source, name string) bool {
	return name != history.SourceImport &&
		(name == "" || sources == nil || slices.ContainsFunc(sources, func(s Source) bool { return s.Name == name }))
}

// teller is a source by what it told.
type teller struct {
	Source
	p       history.Presence // what it told of last, at the pace of what it told of just then
	found   *finding.Finding // that it is silent, or was until lately
	with    int              // workers, and droplets without any, that it told of until then
	answers bool             // in spite of telling nothing it is there
	hearing hearing          // missing: it is silent
	looked  bool             // for unseen
	unseen  *detector.Gap    // an outage that no scan fell into
}

// alone reports whether a silence is that of the one thing that it tells of,
// since it answers itself.
func (t *teller) alone() bool { return t.answers && t.with <= 1 }

// without is how long it has gone on without what it told of last at a time:
// what fell silent with its source is not missing from it.
func (t *teller) without(last time.Time) time.Duration {
	if t.alone() && t.Answered.After(t.p.Last) {
		return t.Answered.Sub(last)
	}
	return t.p.Last.Sub(last)
}

// hear finds how each source stands, beside the live findings by subject.
func (r *roll) hear(told []history.Presence, sources []Source, live map[string]finding.Finding) {
	by := map[string][]history.Presence{}
	for _, p := range told {
		if p.Source != "" {
			by[p.Source] = append(by[p.Source], p)
		}
	}
	for name, ps := range by {
		t := &teller{Source: Source{Name: name, Asked: r.at, Answered: r.at}}
		if i := slices.IndexFunc(sources, func(s Source) bool { return s.Name == name }); i >= 0 {
			t.Source = sources[i]
		}
		if f, found := live[t.subject().Key()]; found {
			t.found = &f
		}
		t.p = lastTold(ps)
		quiet := r.w.quiet(t.p)
		t.with, t.answers = r.company(ps, t.p.Last), !t.Answered.IsZero() && r.at.Sub(t.Answered) <= quiet
		r.tellers[name], t.hearing = t, t.stands(r.at, quiet)
	}
}

func (t *teller) subject() finding.Subject {
	return finding.Subject{Kind: finding.KindSource, Source: t.Name}
}

// lastTold is what was told of last. What is seldom told of hides no source
// that told of others in their rhythm until then: its pace is the quickest of these.
func lastTold(ps []history.Presence) history.Presence {
	p := slices.MaxFunc(ps, func(a, b history.Presence) int {
		return cmp.Or(cmp.Compare(min(a.Interval, 1), min(b.Interval, 1)), a.Last.Compare(b.Last))
	})
	for _, x := range ps {
		if x.Interval > 0 && x.Interval < p.Interval && p.Last.Sub(x.Last) <= 2*x.Interval {
			p.Interval = x.Interval
		}
	}
	return p
}

// catchesUp is [roll.catchesUp] by the finding about the outage.
func (t *teller) catchesUp(last time.Time, quiet time.Duration, at time.Time) bool {
	f := t.found
	if f == nil || f.Began.Sub(last) > quiet {
		return false
	}
	return f.Heard.IsZero() || at.Sub(f.Heard) <= quiet
}

// stands: what a source would have said since it was last asked, nobody knows,
// unless it keeps whoever asks waiting.
func (t *teller) stands(at time.Time, quiet time.Duration) hearing {
	known, waits := at, t.Asked
	if t.Since.After(waits) {
		waits = t.Since
	}
	if !t.Sends && at.Sub(waits) <= quiet {
		known = t.Asked
	}
	switch {
	case t.p.Interval == 0, at.Sub(t.p.Last) <= quiet, t.alone():
		return heard
	case known.Sub(t.p.Last) > quiet:
		return missing
	}
	return unknown
}

// company counts what a source told of until it fell silent. A droplet whose
// workers it tells of is no other thing than these.
func (r *roll) company(ps []history.Presence, until time.Time) (n int) {
	of := map[string]bool{} // droplet ids with workers
	for _, p := range ps {
		of[p.DropletID] = of[p.DropletID] || p.Worker != ""
	}
	for _, p := range ps {
		if (p.Worker != "" || !of[p.DropletID]) && until.Sub(p.Last) <= r.w.quiet(p) {
			n++
		}
	}
	return n
}

// outage is what is not watched while a source is silent: nobody else tells of
// it. What had gone missing before has a finding of its own.
func (r *roll) outage(t *teller) finding.Outage {
	o := finding.Outage{Sends: t.Sends, Answers: t.answers && !t.Sends, Trouble: t.Trouble}
	workers, droplets := map[string]bool{}, map[string]bool{} // ids of droplets with unwatched workers, and of those without memory
	agents := map[string]bool{}                               // ids of droplets whose agent is heard: it tells of their memory, too
	for _, u := range r.units {
		agents[u.droplet.ID] = agents[u.droplet.ID] || u.p.Worker == "" && u.p.Source == "" && u.hearing == heard
	}
	for _, u := range r.units {
		switch {
		case u.p.Source != t.Name || u.hearing != unknown || u.p.Worker == "" && agents[u.droplet.ID]:
		case u.p.Worker == "":
			droplets[u.droplet.ID] = true
		default:
			o.Workers++
			workers[u.droplet.ID] = true
		}
	}
	if o.Workers > 0 {
		droplets = workers
	}
	o.Droplets = len(droplets)
	return o
}

// sourcesSilent keeps one finding for each source that is silent and leaves
// something unwatched: what it told of opens none of its own meanwhile.
func (w *Watch) sourcesSilent(ctx context.Context, r *roll, by map[string]finding.Finding) (out []settled, err error) {
	var errs []error
	for _, t := range r.tellers {
		subject := t.subject()
		f, found := by[subject.Key()]
		o := r.outage(t)
		var s settled
		var err error
		switch {
		case t.hearing == unknown || !found && (t.hearing == heard || o.Droplets == 0):
			continue
		case t.hearing == heard:
			s.change, err = w.heard(ctx, f, t.p, r.at)
		case o.Droplets == 0:
			s.change, err = w.replaced(ctx, f, othersTell, r.at)
		case found:
			s, err = w.still(ctx, f, t.p, standing{outage: &o}, r.at)
		default:
			s, err = w.fallSilent(ctx, Droplet{}, finding.Finding{Subject: subject, Began: t.p.Last, Severity: finding.High, Outage: &o}, r.at)
		}
		out, errs = append(out, s), append(errs, err)
	}
	return out, errors.Join(errs...)
}

const othersTell = "all that it told of is told of by others"

// replaced ends the finding about a source that nothing depends on any more.
func (w *Watch) replaced(ctx context.Context, f finding.Finding, why string, at time.Time) (*Change, error) {
	ours := false
	f, err := finding.Change(ctx, w.o.Findings, f.ID, func(f *finding.Finding) error {
		if ours = !f.State.Final(); !ours {
			return finding.ErrUnchanged
		}
		return f.Resolve(why, at)
	})
	if err != nil || !ours {
		return nil, err
	}
	return &Change{What: Resolved, Finding: f}, nil
}

// outageSentence says what is not known and what to do.
func outageSentence(f finding.Finding) string {
	o := f.Outage
	what := fmt.Sprintf("%s on %s are not watched", count(o.Workers, "worker"), count(o.Droplets, "droplet"))
	switch {
	case o.Workers == 1:
		what = "1 worker on 1 droplet is not watched"
	case o.Workers == 0:
		what = fmt.Sprintf("the memory of %s is not watched", count(o.Droplets, "droplet"))
	}
	switch {
	case o.Removed:
		return "the source " + f.Subject.Source + " was removed (it is no longer in the configuration, or its token was revoked), and nobody else tells of what it told of: " +
			what + "; have another tell of them, or call this a false alarm"
	case o.Never:
		said := "the source " + f.Subject.Source + " never answered: nobody knows what it would tell of; see that its address is right, dropleak sources says how it stands"
		if o.Trouble != "" {
			said += "; in place of an answer came: " + o.Trouble
		}
		return said
	}
	said := "nothing from the source " + f.Subject.Source + " since " + moment(f.Began)
	switch {
	case o.Sends:
		return said + ": " + what + "; see that whoever sends it runs, and that the token is good"
	case o.Answers:
		return said + ", though it answers: " + what + "; see that it still measures them"
	}
	said += ": " + what + "; see that it runs and can be reached, dropleak sources says how it stands"
	if o.Trouble != "" {
		said += "; in place of an answer came: " + o.Trouble
	}
	return said
}

func count(n int, noun string) string {
	if n == 1 {
		return "1 " + noun
	}
	return fmt.Sprintf("%d %ss", n, noun)
}
