package agent

import (
	"slices"
	"time"

	"github.com/dropleak/dropleak/detector/procfs"
	"github.com/dropleak/dropleak/detector/sample"
)

// sampler takes passes one after the other. Not for concurrent use.
type sampler struct {
	reader *procfs.Reader
	slots  sample.Slots
	budget budget
	tasks  taskCounts
	last   []sample.Series
}

// take reads one pass, labelled for droplet, at the grid time at.
func (s *sampler) take(at time.Time, droplet string) (sample.Pass, []string, error) {
	s.budget.begin(at)
	r, err := s.reader.Read(at, s.budget.want)
	if err != nil {
		return sample.Pass{}, nil, err
	}
	s.budget.end(r)
	label(&r.Pass, droplet)
	s.slots.Assign(&r.Pass)
	r.Pass.Sort()
	return r.Pass, r.Notes, nil
}

// series encodes a pass and the tasks counted until then, with a stale marker
// for every series the pass before it had and this one lacks. PSS left out by
// the budget is no end.
func (s *sampler) series(p sample.Pass) ([]sample.Series, []string) {
	counts, notes := s.tasks.counts(p)
	now := slices.Concat(sample.Encode(p), sample.EncodeTasks(counts), sample.EncodeOnHand(s.tasks.onHand(p, time.Now())))
	at, ok := p.At()
	if !ok {
		return now, notes
	}
	gone := slices.DeleteFunc(sample.Stale(s.last, now, at.UnixMilli()), func(g sample.Series) bool {
		return paused(g, now)
	})
	s.last = now
	return append(now, gone...), notes
}

// paused holds for a PSS or USS whose process still reports RSS.
func paused(gone sample.Series, now []sample.Series) bool {
	if kind := gone.Get("kind"); kind != "pss" && kind != "uss" {
		return false
	}
	return slices.ContainsFunc(now, func(s sample.Series) bool {
		return s.Get("kind") == "rss" && s.Get("worker") == gone.Get("worker") && s.Get("slot") == gone.Get("slot") && s.Get("role") == gone.Get("role")
	})
}

// withPSS counts the processes whose PSS was read.
func withPSS(p sample.Pass) (n int) {
	for _, one := range p.Processes {
		if sample.Measured(one.PSS) {
			n++
		}
	}
	return n
}

func label(p *sample.Pass, droplet string) {
	for i := range p.Processes {
		p.Processes[i].Droplet = droplet
	}
	for i := range p.Workers {
		p.Workers[i].Droplet = droplet
	}
	for i := range p.Others {
		p.Others[i].Droplet = droplet
	}
	if p.Droplet != nil {
		p.Droplet.Droplet = droplet
	}
}
