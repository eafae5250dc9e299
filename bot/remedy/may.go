package remedy

import (
	"context"
	"fmt"
)

// May answers whether a decision would be taken from this person now: nil, or
// the *Refusal that the click would get. It changes nothing and writes nothing
// down; the click is checked again.
func (s *Service) May(ctx context.Context, run string, d Decision) error {
	r, err := s.d.Store.Run(ctx, run)
	if err != nil {
		return fmt.Errorf("reading run %s: %w", run, err)
	}
	t, err := s.open(r)
	if err != nil {
		return err
	}
	return s.may(ctx, t, d)
}

// Approver answers whether a person may decide anything at all: nil, or the
// *Refusal that tells why not. team is the workspace they spoke from.
func (s *Service) Approver(ctx context.Context, user, team string) error {
	if no := s.auth.check(ctx, user, team); no != nil {
		return no
	}
	return nil
}
