package watch

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/history"
)

// group is what of one droplet went missing together, and the live finding
// about that, if there is one.
type group struct {
	droplet Droplet
	units   []unit
	live    *finding.Finding
}

func missingOf(d Droplet) finding.Subject {
	return finding.Subject{Kind: finding.KindMissing, DropletID: d.ID, DropletName: d.Name}
}

// together parts the units into what of a droplet goes missing together, its
// workers and its memory, and what stands alone: agents, what has a finding of
// its own, and what goes missing at a time of its own.
func (w *Watch) together(ctx context.Context, r *roll, by map[string]finding.Finding) (groups []group, alone []unit) {
	of := map[string][]unit{} // by droplet id
	var order []string
	for _, u := range r.units {
		_, own := ownFinding(u, by)
		if own || u.p.Worker == "" && u.p.Source == "" {
			alone = append(alone, u)
			continue
		}
		if of[u.droplet.ID] == nil {
			order = append(order, u.droplet.ID)
		}
		of[u.droplet.ID] = append(of[u.droplet.ID], u)
	}
	for _, id := range order {
		us := of[id]
		g := group{droplet: us[0].droplet}
		if f, found := by[missingOf(g.droplet).Key()]; found && f.Missing != nil {
			g.live = &f
			g.units = slices.DeleteFunc(slices.Clone(us), func(u unit) bool { return !w.belongs(u, f) })
		} else if g.units = w.gone(ctx, r, us); found && len(g.units) > 0 {
			f.Missing = namesOf(g.units)
			g.live = &f
		}
		if len(g.units) > 0 {
			groups = append(groups, g)
		}
		for _, u := range us {
			if !slices.ContainsFunc(g.units, func(x unit) bool { return x.p.Worker == u.p.Worker }) {
				alone = append(alone, u)
			}
		}
	}
	return groups, alone
}

// namesOf is what went missing by the units that are gone now. An older
// release that stores a finding anew, a click say, leaves out who it is about;
// the finding goes on with what a person decided about it.
func namesOf(us []unit) *finding.Missing {
	m := &finding.Missing{}
	for _, u := range us {
		if u.p.Worker == "" {
			m.Memory = true
			continue
		}
		m.Workers = append(m.Workers, u.p.Worker)
	}
	return m
}

const nobodyKnows = "an older release left out who was missing, and no two are missing now"

// nameless ends the findings of which nobody knows any more who they are
// about: they would be heard of by nobody. What is missing still has its own.
func (w *Watch) nameless(ctx context.Context, r *roll, by map[string]finding.Finding, groups []group) (out []settled, err error) {
	var errs []error
	for _, f := range by {
		_, ours := r.ours[f.Subject.DropletID]
		known := slices.ContainsFunc(groups, func(g group) bool { return g.droplet.ID == f.Subject.DropletID })
		if f.Subject.Kind != finding.KindMissing || f.Missing != nil || known || !ours || r.doubts(f.Subject.DropletID) {
			continue
		}
		c, err := w.replaced(ctx, f, nobodyKnows, r.at)
		out, errs = append(out, settled{change: c}), append(errs, err)
	}
	return out, errors.Join(errs...)
}

// doubts reports whether of something of a droplet nobody could hear.
func (r *roll) doubts(droplet string) bool {
	return slices.ContainsFunc(r.units, func(u unit) bool { return u.droplet.ID == droplet && u.hearing == unknown })
}

// ownFinding is the live finding about the silence of one unit alone. A worker
// has one, whoever told of it when that began.
func ownFinding(u unit, by map[string]finding.Finding) (finding.Finding, bool) {
	subject := u.subject()
	f, found := by[subject.Key()]
	if subject.Worker == "" || found {
		return f, found
	}
	subject.Kind = otherSilence(subject.Kind)
	f, found = by[subject.Key()]
	return f, found
}

func otherSilence(k finding.Kind) finding.Kind {
	if k == finding.KindSilent {
		return finding.KindNoMetrics
	}
	return finding.KindSilent
}

// belongs reports whether a unit is one of those that a live finding is about,
// or goes missing about when they did.
func (w *Watch) belongs(u unit, f finding.Finding) bool {
	if f.Missing.Of(u.p.Worker) {
		return true
	}
	return u.hearing == missing && f.Heard.IsZero() && u.p.Last.Sub(f.Began).Abs() <= w.quiet(u.p)
}

// gone is what of one droplet's units goes missing together now: one worker at
// least, and something else. Nobody waits until each of them counts as
// missing: what is overdue since the same moment is so for the same reason.
func (w *Watch) gone(ctx context.Context, r *roll, us []unit) (most []unit) {
	if !slices.ContainsFunc(us, func(u unit) bool { return u.hearing == missing }) {
		return nil
	}
	us = slices.DeleteFunc(slices.Clone(us), func(u unit) bool {
		return u.hearing == unknown || u.hearing == heard && !r.overdue(u.p) || w.excused(ctx, u)
	})
	for _, first := range us {
		if first.hearing != missing {
			continue
		}
		var with []unit
		for _, u := range us {
			if w.sameTime(first, u) {
				with = append(with, u)
			}
		}
		if len(with) > max(1, len(most)) {
			most = with
		}
	}
	return most
}

// sameTime reports whether a unit fell silent when one that is missing did.
// DigitalOcean's numbers, and those of slow sources, end earlier.
func (w *Watch) sameTime(first, u unit) bool {
	apart := max(missed*max(first.p.Interval, u.p.Interval), floor)
	if u.hearing == missing || first.p.Worker == "" || u.p.Worker == "" {
		apart = max(w.quiet(first.p), w.quiet(u.p))
	}
	return first.p.Last.Sub(u.p.Last).Abs() <= apart
}

// overdue reports whether three intervals have passed without something, while
// who tells of it goes on.
func (r *roll) overdue(p history.Presence) bool {
	if p.Source == "" {
		return Silent(p, r.at) && !r.deaf[p.DropletID]
	}
	return p.Interval > 0 && r.tellers[p.Source].without(p.Last) > max(missed*p.Interval, floor)
}

// excused reports whether a silence is expected, since a run restarts the
// worker, or known, since a person called a finding about it a false alarm.
func (w *Watch) excused(ctx context.Context, u unit) bool {
	if w.inHand(ctx, u.droplet.ID, u.p.Worker) {
		return true
	}
	subject := u.subject()
	other := subject
	other.Kind = otherSilence(subject.Kind)
	for _, s := range []finding.Subject{subject, other, missingOf(u.droplet)} {
		known, err := w.dismissed(ctx, s)
		if err != nil {
			w.o.Log.Error("look for false alarms", "subject", s.Title(), "err", err)
		}
		if known != nil && !u.p.Last.After(known.Closed) && (known.Missing == nil || known.Missing.Of(u.p.Worker)) {
			return true
		}
	}
	return false
}

// settleTogether keeps the one finding about what of a droplet went missing
// together. It follows what comes back, and is over once all of it is.
func (w *Watch) settleTogether(ctx context.Context, r *roll, g group) (s settled, err error) {
	if g.live != nil && g.live.Missing.All() > 0 && !slices.ContainsFunc(g.units, func(u unit) bool { return u.p.Worker != "" }) {
		return s, nil // nobody is to tell of its workers any more: that ends it, see departures
	}
	m, first, slowest, known := w.muster(ctx, r, g)
	switch {
	case g.live == nil:
		return w.fallSilent(ctx, g.droplet, finding.Finding{Subject: missingOf(g.droplet), Source: sourceOf(first), Began: first.Last, Severity: finding.High, Missing: &m}, r.at)
	case !known:
		return s, nil
	case len(m.Workers) == 0 && !m.Memory:
		s.change, err = w.heard(ctx, *g.live, slowest, r.at)
		return s, err
	}
	return w.still(ctx, *g.live, first, standing{missing: &m}, r.at)
}

// muster counts who of a group is gone and who is back, with the one of the
// gone that fell silent first, workers before memory, and the one that is
// waited for longest. Of whom nobody could hear, it stands as before; known:
// somebody is gone for sure, or nobody is of whom that is not known.
func (w *Watch) muster(ctx context.Context, r *roll, g group) (m finding.Missing, first, slowest history.Presence, known bool) {
	m.Off = g.droplet.Off
	known = !slices.ContainsFunc(g.units, func(u unit) bool { return u.hearing == unknown })
	for _, u := range g.units {
		was := g.live == nil || g.live.Missing.Gone(u.p.Worker)
		gone := u.hearing == missing || was && u.hearing == heard && r.overdue(u.p)
		switch {
		case u.hearing == unknown:
			gone = was
		case gone && g.live != nil && !g.live.Heard.IsZero() && w.inHand(ctx, u.droplet.ID, u.p.Worker):
			gone = false // a run restarts it
		default:
			known = known || gone
		}
		switch {
		case u.p.Worker == "":
			m.Memory, m.MemoryBack = gone, !gone
		case gone:
			m.Workers = append(m.Workers, u.p.Worker)
		default:
			m.Back = append(m.Back, u.p.Worker)
		}
		if gone && (first.Last.IsZero() || first.Worker == "" && u.p.Worker != "" || (first.Worker == "") == (u.p.Worker == "") && u.p.Last.Before(first.Last)) {
			first = u.p
		}
		if slowest.Last.IsZero() || w.quiet(u.p) > w.quiet(slowest) {
			slowest = u.p
		}
	}
	slices.Sort(m.Workers)
	slices.Sort(m.Back)
	return m, first, slowest, known
}

// standing is what a finding about the silence of several says of the moment.
type standing struct {
	outage  *finding.Outage  // of a source
	missing *finding.Missing // of a droplet
}

// alone reports whether the silence is that of one thing.
func (s standing) alone() bool { return s.outage == nil && s.missing == nil }

// news reports whether a finding no longer says what is so.
func (s standing) news(f finding.Finding) bool {
	return s.outage != nil && outgrown(f.Outage, *s.outage) || s.missing != nil && !s.missing.Equal(f.Missing)
}

// put has a finding say it.
func (s standing) put(f *finding.Finding) {
	if s.outage != nil {
		f.Outage = s.outage
	}
	if s.missing != nil {
		f.Missing = s.missing
	}
}

// missingSentence says what of a droplet is not heard of.
func missingSentence(f finding.Finding) string {
	m := f.Missing
	said := count(m.All(), "worker")
	if len(m.Back) > 0 {
		said = fmt.Sprintf("%d of %s", len(m.Workers), said)
	}
	have := " have"
	if len(m.Workers) == 1 {
		have = " has"
	}
	said += " of this droplet" + have + " not been seen since " + moment(f.Began) + ": " + strings.Join(m.Workers, ", ")
	switch {
	case len(m.Workers) == 0:
		said = "the workers of this droplet are seen again, its memory is not since " + moment(f.Began)
	case m.Memory:
		said += "; nor its memory"
	}
	switch {
	case m.Off:
		return said + "; DigitalOcean says that the droplet is off"
	case len(m.Workers) == 0:
		return said + "; is its metrics agent running?"
	case f.Source == "":
		return said + "; the agent goes on, see what ended them there"
	}
	return said + "; the source " + f.Source + " goes on, see that the droplet runs and is reached"
}
