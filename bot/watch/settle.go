package watch

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/history"
	"github.com/dropleak/dropleak/detector"
)

// worseBy is how much faster than ever reported a leak must grow to be told
// again; less is within the noise of the estimate.
const worseBy = 1.3

// settle brings the findings of one droplet in line with what was judged.
func (w *Watch) settle(ctx context.Context, v View) ([]Change, error) {
	var changes []Change
	var errs []error
	add := func(c *Change, err error) {
		errs = append(errs, err)
		if c != nil {
			changes = append(changes, *c)
		}
	}
	for i, worker := range v.Workers {
		add(w.settleWorker(ctx, v, worker, v.Verdicts[i], v.carried[i]))
		add(w.settleThreshold(ctx, v, worker, v.Verdicts[i], v.holds[i]))
	}
	add(w.settleHost(ctx, v))
	return changes, errors.Join(errs...)
}

// settleWorker opens, refreshes or resolves the finding about one worker.
func (w *Watch) settleWorker(ctx context.Context, v View, worker detector.Worker, verdict detector.Verdict, carried bool) (*Change, error) {
	subject := finding.Subject{Kind: finding.KindLeak, DropletID: v.Droplet.ID, DropletName: v.Droplet.Name, Worker: worker.Name}
	live, err := w.o.Findings.LiveFinding(ctx, subject.Key())
	found := err == nil
	switch {
	case err != nil && !errors.Is(err, finding.ErrNotFound):
		return nil, fmt.Errorf("settle %s: %w", subject.Title(), err)
	case !found && !verdict.Kind.Leaks():
		return nil, nil
	case !found:
		if known, err := w.dismissed(ctx, subject); err != nil || w.sameLeak(known, verdict, v.At) {
			return nil, err
		}
		f := finding.Finding{Subject: subject, Verdict: verdict, Share: v.Share(worker.Name), Worst: value(verdict.Rate)}
		w.place(&f, worker, verdict, v.At)
		return w.open(ctx, v, f, verdict.Exhaustion)
	case verdict.Kind.Leaks():
		return w.refresh(ctx, v, live, worker, verdict)
	case carried:
		return w.carried(ctx, v, live, worker, verdict)
	}
	return w.cured(ctx, v, live, worker)
}

// dismissed returns the subject's last finding if a person dismissed it, else
// nil: what was called a false alarm is not told again.
func (w *Watch) dismissed(ctx context.Context, subject finding.Subject) (*finding.Finding, error) {
	all, err := w.o.Findings.Findings(ctx, finding.Filter{DropletID: subject.DropletID, Worker: subject.Worker})
	if err != nil {
		return nil, fmt.Errorf("settle %s: %w", subject.Title(), err)
	}
	var last *finding.Finding
	for _, f := range all {
		if f.Subject.Key() == subject.Key() && (last == nil || f.Opened.After(last.Opened)) {
			last = &f
		}
	}
	if last == nil || last.State != finding.Dismissed {
		return nil, nil
	}
	return last, nil
}

// sameLeak reports whether a verdict is about growth that was dismissed: it
// began before, and has become no faster since.
func (w *Watch) sameLeak(known *finding.Finding, verdict detector.Verdict, at time.Time) bool {
	if known == nil || value(verdict.Rate) > known.Worst*worseBy {
		return false
	}
	return verdict.Onset == nil || verdict.Onset.Before(w.o.Scale.Stretch(known.Closed, at))
}

// NewID returns an opaque id for a finding.
func NewID() string { return strings.ToLower(rand.Text()[:12]) }

// open stores a new finding. Losing the race against another replica is no
// error: the other one tells of it.
func (w *Watch) open(ctx context.Context, v View, f finding.Finding, e *detector.Exhaustion) (*Change, error) {
	f.ID, f.State, f.Version = NewID(), finding.Open, 1
	f.Opened, f.Updated, f.LastSeen = v.At, v.At, v.At
	if grade := finding.Grade(e, 0, v.At); grade.Worse(f.Severity) {
		f.Severity = grade // else it was given as the least
	}
	droplet := v.Verdict
	f.Droplet = &droplet
	err := w.o.Findings.OpenFinding(ctx, f)
	switch {
	case errors.Is(err, finding.ErrConflict):
		return nil, nil
	case err != nil:
		return nil, fmt.Errorf("open a finding about %s: %w", f.Subject.Title(), err)
	}
	return &Change{What: Opened, Finding: f, View: &v}, nil
}

// refresh puts the newest numbers into a live finding and says what they
// change.
func (w *Watch) refresh(ctx context.Context, v View, f finding.Finding, worker detector.Worker, verdict detector.Verdict) (*Change, error) {
	kills := oomKills(worker, w.o.Scale.Stretch(f.Opened, v.At))
	what := Seen
	f, err := finding.Change(ctx, w.o.Findings, f.ID, func(f *finding.Finding) error {
		if what = Seen; f.State.Final() { // it may be asked again
			return finding.ErrUnchanged
		}
		grade := finding.Grade(verdict.Exhaustion, kills, v.At)
		worse := grade.Worse(f.Severity) || kills > f.OOMKills || value(verdict.Rate) > f.Worst*worseBy
		droplet := v.Verdict
		f.Verdict, f.Droplet, f.Share, f.Severity, f.OOMKills = verdict, &droplet, v.Share(worker.Name), grade, max(kills, f.OOMKills)
		f.LastSeen, f.Updated = v.At, v.At
		w.place(f, worker, verdict, v.At)
		if worse {
			what, f.Worst = Worse, max(f.Worst, value(verdict.Rate))
		}
		if f.Wake(worse, v.At) {
			what = Woken
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if f.State.Final() {
		return nil, nil
	}
	if f.MessageTS == "" {
		what = Opened
	}
	return &Change{What: what, Finding: f, View: &v}, nil
}

// cured resolves a finding when, and only when, memory was seen not to grow
// since the leak was last seen, by data in which a leak of half its rate
// would have shown. A worker that vanished or just restarted proves nothing.
func (w *Watch) cured(ctx context.Context, v View, f finding.Finding, worker detector.Worker) (change *Change, err error) {
	if f.State == finding.InHand {
		return nil, nil // the run says what became of it
	}
	seen := w.o.Scale.Stretch(f.LastSeen, v.At)
	if v.light {
		if v.At.Sub(seen) < w.calm(f) {
			return nil, nil
		}
		if worker, err = w.samples(ctx, v, worker, seen); err != nil {
			return nil, err
		}
	}
	calm := since(worker, seen)
	if newest(calm).Sub(seen) < w.calm(f) {
		return nil, nil
	}
	verdict := detector.Judge(calm, v.At, detector.Options{})
	least := verdict.MinDetectable
	if verdict.Kind != detector.Healthy || least == nil || *least > f.Worst/2 {
		return nil, nil
	}
	return w.resolve(ctx, v, f, verdict, firstOf(verdict.Evidence, "memory no longer grows"))
}

// resolve ends a finding about a worker with what was judged last.
func (w *Watch) resolve(ctx context.Context, v View, f finding.Finding, verdict detector.Verdict, why string) (*Change, error) {
	ours := false // another replica, or a person, may end it in the same moment
	f, err := finding.Change(ctx, w.o.Findings, f.ID, func(f *finding.Finding) error {
		if ours = !f.State.Final(); !ours {
			return finding.ErrUnchanged
		}
		f.Verdict = verdict
		return f.Resolve(why, v.At)
	})
	if err != nil || !ours {
		return nil, err
	}
	return &Change{What: Resolved, Finding: f, View: &v}, nil
}

// samples reads what a light view left out of a worker since a time.
func (w *Watch) samples(ctx context.Context, v View, worker detector.Worker, from time.Time) (detector.Worker, error) {
	found, err := w.o.Series.Workers(ctx, history.Query{DropletIDs: []string{v.Droplet.ID}, Worker: worker.Name, From: from, To: v.At})
	if err != nil {
		return worker, fmt.Errorf("read worker %s again: %w", worker.Name, err)
	}
	for _, f := range found {
		if f.Name == worker.Name {
			worker.Lives, worker.Pressure = f.Lives, f.Pressure
		}
	}
	return worker, nil
}

// The least and the most time without growth before a finding is over.
const (
	leastCalm = 6 * time.Hour
	mostCalm  = 72 * time.Hour
)

// Tells is when, in real time, it can first be told that the worker of a
// finding does not grow in the life that it has had since a moment.
func (w *Watch) Tells(f finding.Finding, since time.Time) time.Time {
	if f.LastSeen.After(since) {
		since = f.LastSeen
	}
	return since.Add(w.o.Scale.Real(w.calm(f)))
}

// calm is how long memory must be seen not to grow: as long as it took from
// the leak's onset until it was found, for what took that long to see takes
// that long to rule out.
func (w *Watch) calm(f finding.Finding) time.Duration {
	took := time.Duration(0)
	if onset := f.Verdict.Onset; onset != nil {
		took = w.o.Scale.Stretch(f.Opened, f.LastSeen).Sub(*onset)
	}
	return min(max(took, leastCalm), mostCalm)
}

// settleHost keeps the finding about growth that no worker explains.
func (w *Watch) settleHost(ctx context.Context, v View) (*Change, error) {
	subject := finding.Subject{Kind: finding.KindUnexplained, DropletID: v.Droplet.ID, DropletName: v.Droplet.Name}
	d := v.Verdict
	unexplained := d.Kind.Leaks() && d.Suspect != "" && d.Onset != nil && v.At.Sub(*d.Onset) >= leastCalm
	f, err := w.o.Findings.LiveFinding(ctx, subject.Key())
	switch {
	case errors.Is(err, finding.ErrNotFound):
		if !unexplained {
			return nil, nil
		}
		growth := detector.Verdict{Kind: d.Kind, Rate: d.Rate, Onset: d.Onset}
		if known, err := w.dismissed(ctx, subject); err != nil || w.sameLeak(known, growth, v.At) {
			return nil, err
		}
		return w.open(ctx, v, finding.Finding{Subject: subject, Summary: suspicion(d), Worst: value(d.Rate)}, d.Exhaustion)
	case err != nil:
		return nil, fmt.Errorf("settle %s: %w", subject.Title(), err)
	}
	what := Seen
	f, err = finding.Change(ctx, w.o.Findings, f.ID, func(f *finding.Finding) error {
		switch what = Seen; {
		case f.State.Final(), !unexplained && (d.Kind != detector.Healthy || v.At.Sub(w.o.Scale.Stretch(f.LastSeen, v.At)) < leastCalm):
			return finding.ErrUnchanged
		case !unexplained:
			what = Resolved
			return f.Resolve(firstOf(d.Evidence, "the droplet's memory no longer grows"), v.At)
		}
		f.Droplet, f.Summary, f.LastSeen, f.Updated = &d, suspicion(d), v.At, v.At
		grade := finding.Grade(d.Exhaustion, 0, v.At)
		worse := grade.Worse(f.Severity) || value(d.Rate) > f.Worst*worseBy
		f.Severity = grade
		if worse {
			what, f.Worst = Worse, max(f.Worst, value(d.Rate))
		}
		if f.Wake(worse, v.At) {
			what = Woken
		}
		return nil
	})
	if err != nil || f.State.Final() && what != Resolved {
		return nil, err
	}
	if !unexplained && what == Seen {
		return nil, nil
	}
	if f.MessageTS == "" && what != Resolved {
		what = Opened
	}
	return &Change{What: what, Finding: f, View: &v}, nil
}

func suspicion(d detector.DropletVerdict) string {
	return fmt.Sprintf("memory grows and no Celery worker explains it; the likeliest is %s", d.Suspect)
}

// since returns the worker as if it had been watched only from t on.
func since(w detector.Worker, t time.Time) detector.Worker {
	var lives []detector.Life
	for _, l := range w.Lives {
		i := 0
		for i < len(l.Samples) && l.Samples[i].At.Before(t) {
			i++
		}
		if l.Samples = l.Samples[i:]; len(l.Samples) > 0 {
			lives = append(lives, l)
		}
	}
	w.Lives = lives
	return w
}

// newest is the time of the worker's last sample, zero without any.
func newest(w detector.Worker) (last time.Time) {
	for _, l := range w.Lives {
		if n := len(l.Samples); n > 0 && l.Samples[n-1].At.After(last) {
			last = l.Samples[n-1].At
		}
	}
	return last
}

func oomKills(w detector.Worker, from time.Time) (n int) {
	for _, e := range w.Events {
		if e.Kind == detector.EventOOMKill && !e.At.Before(from) {
			n++
		}
	}
	return n
}

func value(i *detector.Interval) float64 {
	if i == nil {
		return 0
	}
	return i.Value
}

func firstOf(sentences []string, otherwise string) string {
	if len(sentences) > 0 {
		return sentences[0]
	}
	return otherwise
}
