package finding

import "context"

// Store keeps findings. Implementations serialise concurrent writers.
type Store interface {
	// OpenFinding stores a new finding and fails with ErrConflict when a live
	// one with the same subject key exists.
	OpenFinding(ctx context.Context, f Finding) error
	// Finding returns one finding by id, or ErrNotFound.
	Finding(ctx context.Context, id string) (Finding, error)
	// LiveFinding returns the live finding of a subject key, or ErrNotFound.
	LiveFinding(ctx context.Context, key string) (Finding, error)
	// Findings lists findings, worst severity first, then oldest first.
	Findings(ctx context.Context, f Filter) ([]Finding, error)
	// UpdateFinding stores f if its Version is still the stored one, and
	// raises the version by one; else ErrConflict.
	UpdateFinding(ctx context.Context, f Finding) error
}
