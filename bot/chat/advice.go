package chat

import (
	"context"

	"github.com/slack-go/slack"

	"github.com/dropleak/dropleak/bot/finding"
	"github.com/dropleak/dropleak/bot/remedy"
	"github.com/dropleak/dropleak/bot/report"
	"github.com/dropleak/dropleak/bot/watch"
	"github.com/dropleak/dropleak/detector"
)

// advising stands where the advice will: a modal must be open before samples
// are read. Nil for a finding about which there is nothing to advise.
func advising(f finding.Finding) []slack.Block {
	if f.Subject.Worker == "" || f.State.Final() || f.Subject.Kind == finding.KindSilent {
		return nil
	}
	return []slack.Block{report.Context(saysAdviceComing)}
}

// advice judges the worker of a finding now and says what may be done about
// it. That it cannot be had keeps nobody from the evidence.
func (c *Chat) advice(ctx context.Context, f finding.Finding) []slack.Block {
	if advising(f) == nil {
		return nil
	}
	k, ok, err := c.caseOf(ctx, f)
	if err != nil {
		c.o.Log.Warn("work out advice", "finding", f.ID, "subject", f.Subject.Title(), "err", err)
		return []slack.Block{report.Context(saysAdviceUnreadable)}
	}
	if !ok {
		return []slack.Block{report.Context(saysAdviceNoWorker)}
	}
	return report.Advise(k).Blocks()
}

// caseOf gathers what is known of a finding's worker: its samples now, and
// from the newest run about it what its manager and the evidence told.
func (c *Chat) caseOf(ctx context.Context, f finding.Finding) (report.Case, bool, error) {
	v, err := c.o.Fleet.Look(ctx, f.Subject.DropletID)
	if err != nil {
		return report.Case{}, false, err
	}
	run, err := c.runOf(ctx, f)
	if err != nil {
		return report.Case{}, false, err
	}
	k, ok := seen(v, f.Subject.Worker)
	if ok && run != nil {
		managed(&k, *run)
	}
	return k, ok, nil
}

// seen is what the samples of a droplet know of one of its workers.
func seen(v watch.View, worker string) (k report.Case, ok bool) {
	k.Total = v.Host.Total
	for i, w := range v.Workers {
		if v.Verdicts[i].Kind.Leaks() {
			k.Leaking++
		}
		if w.Name == worker {
			k.Worker, k.Verdict, ok = w, v.Verdicts[i], true
			k.Manager, k.Unit, k.Together = w.Manager, w.Unit, together(v, w)
		}
	}
	return k, ok
}

// together counts the workers of a droplet that live in one's unit; 0 where
// the unit is not known.
func together(v watch.View, of detector.Worker) (n int) {
	for _, w := range v.Workers {
		if of.Unit != "" && w.Unit == of.Unit && w.Manager == of.Manager {
			n++
		}
	}
	return n
}

// managed adds what a run learnt of the worker.
func managed(k *report.Case, v remedy.View) {
	unit := v.Facts.Unit
	if unit.Name != "" {
		k.Manager, k.Unit, k.Together = string(unit.Kind), unit.Name, len(v.Facts.Workers)
	}
	if k.Worker.Pool == detector.PoolUnknown {
		k.Worker.Pool = detector.Pool(v.Facts.Pool)
	}
	if v.Evidence == nil {
		return
	}
	for _, p := range v.Evidence.Processes {
		o := report.Open{PID: p.PID, Role: detector.Role(p.Role), Files: p.Files["file"], InSockets: p.Files["socket"]}
		for _, n := range p.Files {
			o.All += n
		}
		k.Open = append(k.Open, o)
	}
}
