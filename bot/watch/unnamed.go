package watch

import (
	"context"
	"errors"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/history"
)

// removedSources keeps one finding for each source that was removed and
// alone told of workers that are still in the fleet: nobody watches these. A
// person who meant that calls it a false alarm.
func (w *Watch) removedSources(ctx context.Context, r *roll, by map[string]finding.Finding) (out []settled, err error) {
	watched := map[[2]string]bool{} // by droplet id and worker
	for _, u := range r.units {
		watched[[2]string{u.droplet.ID, u.p.Worker}] = true
	}
	var errs []error
	for name, ps := range r.removed {
		last, o, droplets := lastTold(ps), finding.Outage{Removed: true}, map[string]bool{}
		for _, p := range ps {
			if p.Worker != "" && !watched[[2]string{p.DropletID, p.Worker}] && last.Last.Sub(p.Last) <= w.quiet(p) {
				o.Workers++
				droplets[p.DropletID] = true
			}
		}
		o.Droplets = len(droplets)
		subject := finding.Subject{Kind: finding.KindSource, Source: name}
		f, found := by[subject.Key()]
		var s settled
		var err error
		switch {
		case o.Workers > 0 && found:
			s, err = w.still(ctx, f, last, standing{outage: &o}, r.at)
		case o.Workers > 0 && r.at.Sub(last.Last) > w.quiet(last): // else whoever has its place may yet tell
			s, err = w.fallSilent(ctx, Droplet{}, finding.Finding{Subject: subject, Began: last.Last, Severity: finding.High, Outage: &o}, r.at)
		case found && f.Outage != nil && f.Outage.Removed:
			s.change, err = w.replaced(ctx, f, othersTell, r.at)
		}
		out, errs = append(out, s), append(errs, err)
	}
	return out, errors.Join(errs...)
}

// neverAnswered keeps one finding for each source that was asked in vain ever
// since somebody is to ask it: of what it would tell, nobody knows.
func (w *Watch) neverAnswered(ctx context.Context, r *roll, sources []Source, by map[string]finding.Finding) (out []settled, err error) {
	var errs []error
	for _, x := range sources {
		subject := finding.Subject{Kind: finding.KindSource, Source: x.Name}
		f, found := by[subject.Key()]
		never := x.Answered.IsZero() && r.tellers[x.Name] == nil
		var s settled
		var err error
		switch {
		case x.Sends || x.Name == history.SourceDigitalOcean: // who never sent may never have been meant to; the report tells of the other
			continue
		case found && !never && f.Outage != nil && f.Outage.Never:
			s.change, err = w.replaced(ctx, f, "it answers", r.at)
		case found && never && f.Outage != nil && f.Outage.Never:
			s, err = w.still(ctx, f, history.Presence{Source: x.Name, Last: x.Since}, standing{outage: &finding.Outage{Never: true, Trouble: x.Trouble}}, r.at)
		case !found && never && !x.Asked.IsZero() && r.at.Sub(x.Since) > w.quiet(history.Presence{Source: x.Name}):
			s, err = w.fallSilent(ctx, Droplet{}, finding.Finding{Subject: subject, Began: x.Since, Severity: finding.High,
				Outage: &finding.Outage{Never: true, Trouble: x.Trouble}}, r.at)
		}
		out, errs = append(out, s), append(errs, err)
	}
	return out, errors.Join(errs...)
}
