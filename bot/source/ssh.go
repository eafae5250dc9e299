package source

import (
	"context"
	"slices"
	"strings"

	"github.com/dropleak/dropleak/bot/shell"
	"github.com/dropleak/dropleak/detector/procfs"
	"github.com/dropleak/dropleak/detector/sample"
)

// Looker looks at the processes of one droplet.
type Looker interface {
	Look(ctx context.Context) (procfs.Reading, shell.Answer, error)
}

// SSH takes passes over SSH where no agent runs, in the same words as an
// agent: the same worker seen by both is one worker.
type SSH struct {
	droplet Looker
	host    string
	slots   sample.Slots
	last    []sample.Series
}

// NewSSH returns a reader of one droplet, of whom it speaks by host until it
// is known which droplet that is.
func NewSSH(droplet Looker, host string) *SSH { return &SSH{droplet: droplet, host: host} }

// Fetch implements [Fetcher]: one pass. Its samples are of the moment they
// were asked for by our clock, so that a droplet whose clock is wrong is told
// of at the right time.
func (s *SSH) Fetch(ctx context.Context, take func([]sample.Series) error) (missing []string, err error) {
	r, _, err := s.droplet.Look(ctx)
	if err != nil {
		return nil, err
	}
	s.label(&r.Pass)
	s.slots.Assign(&r.Pass)
	now := sample.Encode(r.Pass)
	series := slices.Clone(now) // whoever takes them changes their labels
	if at, ok := r.Pass.At(); ok {
		series = append(series, sample.Stale(s.last, now, at.UnixMilli())...)
	}
	if err := take(series); err != nil {
		return nil, err
	}
	s.last = now
	for _, n := range r.Notes {
		// They are told as what there is no data for.
		missing = append(missing, strings.Replace(strings.TrimPrefix(n, "no "), " left out:", ":", 1))
	}
	return missing, nil
}

func (s *SSH) label(p *sample.Pass) {
	for i := range p.Processes {
		p.Processes[i].Droplet = s.host
	}
	for i := range p.Workers {
		p.Workers[i].Droplet = s.host
	}
	for i := range p.Others {
		p.Others[i].Droplet = s.host
	}
	if p.Droplet != nil {
		p.Droplet.Droplet = s.host
	}
}
