package remedy

import (
	"context"
	"time"
)

// OnHand is how many tasks the workers that a restart ends have taken from
// their broker and not finished, by the word of the probe in them.
type OnHand struct {
	At       time.Time `json:"at,omitzero"` // of the oldest of the counts summed here; zero: nothing is known
	Running  int       `json:"running,omitempty"`
	Late     int       `json:"late,omitempty"`     // of Running, those that are acknowledged only when they are done
	Reserved int       `json:"reserved,omitempty"` // wait for a free process
	ETA      int       `json:"eta,omitempty"`      // held until their ETA or countdown
	// Of these workers nothing is known: the Silent have told before, and have
	// not of late.
	Untold []string `json:"untold,omitempty"`
	Silent []string `json:"silent,omitempty"`
}

// onHand counts what a restart would end; nil where that cannot be asked. It
// never keeps anything from going on.
func (s *Service) onHand(ctx context.Context, d data) *OnHand {
	if s.d.OnHand == nil {
		return nil
	}
	workers := d.Facts.Workers
	switch {
	case d.Plan.Way.WholeDroplet():
		workers = nil
	case len(workers) == 0:
		workers = []string{d.Plan.Worker}
	}
	ctx, cancel := context.WithTimeout(ctx, s.c.Pace.Look)
	defer cancel()
	h, err := s.d.OnHand(ctx, d.Plan.DropletID, workers)
	if err != nil {
		s.log.Warn("counting what a worker has on hand", "worker", d.Plan.Title(), "err", err)
		return nil
	}
	return &h
}
